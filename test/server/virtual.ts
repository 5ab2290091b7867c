import { systemCode } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import type { Refusal } from '../../src/server/refusal.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { seededRandom } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { MemoryNetwork, MemoryNetworkOptions } from '../../src/transport/memory/memory-network.ts';

/** A time, a chance and a network of its own, in which servers and their clients live. */
export class Stage {
  readonly clock: VirtualClock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly #scope: Scope;

  constructor(options: MemoryNetworkOptions = {}) {
    this.network = memoryNetwork({ seed: 1, ...options, clock: this.clock });
    this.#scope = new Scope({ clock: this.clock, random: seededRandom(1), parent: null });
  }

  /** Waits for what must not need time. */
  async now<T>(work: () => Promise<T>): Promise<T> {
    return this.clock.run(this.#scope.run(work), { limit: 0 });
  }

  /** Runs something in this time. */
  run<T>(work: () => T): T {
    return this.#scope.run(work);
  }

  serve<Data>(handler: Handler<Data>, options: ServerOptions = {}): Promise<Server> {
    const place = options.listen === undefined ? { port: 4_000, host: '10.0.0.1' } : {};
    return this.now(() => serve(handler, { ...place, ...options, transport: this.network.transport }));
  }

  /** A client, which needs no time; `from`: its address. */
  dial(server: Server, from = '192.0.2.1', options: ConnectOptions = {}, place = 0): Promise<Connection> {
    return this.now(() => this.connect(server, from, options, place));
  }

  /** A client, once the time is moved. */
  connect(server: Server, from = '192.0.2.1', options: ConnectOptions = {}, place = 0): Promise<Connection> {
    const address = server.addresses[place];
    if (address === undefined || !('port' in address)) throw new Error('no port');
    const { host, port } = address;
    const { transport } = this.network;
    return this.#scope.run(() => connect({ host, port }, { transport, localHost: from, ...options }));
  }

  /** Ends the server and everybody at once; no timer is left then. */
  async end(server: Server, ...clients: readonly Connection[]): Promise<void> {
    const stopped = server.stop({ grace: 0 });
    await this.clock.settle();
    for (const client of clients) client.abort();
    await this.clock.run(stopped);
    await this.clock.settle();
  }
}

/** What becomes of a client, as it sees it: what it has read, and how it ended. */
export class Fate {
  readonly client: Connection;
  text = '';
  /** `eof`, the code of an error, or null while it is open. */
  end: string | null = null;

  constructor(client: Connection) {
    this.client = client;
    void this.#read();
  }

  async #read(): Promise<void> {
    try {
      for await (const bytes of this.client) this.text += Buffer.from(bytes).toString();
      this.end = 'eof';
    } catch (error) {
      this.end = systemCode(error) ?? String(error);
    }
  }
}

/** Everybody that a server refuses. */
export function refusalsOf(server: Server): { readonly host: string; readonly refusal: Refusal }[] {
  const refused: { host: string; refusal: Refusal }[] = [];
  server.on('refused', (remote, refusal) => {
    refused.push({ host: 'host' in remote ? remote.host : remote.family, refusal });
  });
  return refused;
}
