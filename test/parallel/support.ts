import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { afterEach, beforeEach, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { WorkerEvent } from '../../src/parallel/crew.ts';
import type { ParallelOptions } from '../../src/parallel/options.ts';
import { startParallel } from '../../src/parallel/start-parallel.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import type { ParallelStatus } from '../../src/parallel/status.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { endAll } from '../support/nets.ts';

/** A way in which connections come to workers. */
export interface Way {
  readonly name: string;
  readonly options: Pick<ParallelOptions, 'transport' | 'dispatch'>;
  /** The parent accepts, and hands over. */
  readonly handed: boolean;
  /** Connections that a worker has not taken come back when it dies. */
  readonly takesBack: boolean;
  /** Which addresses a worker gets is nobody's choice. */
  readonly kernel: boolean;
}

const kernel = { dispatch: 'kernel', handed: false, takesBack: false, kernel: true } as const;

/** Every way that this machine has, the best first. */
export function ways(): readonly Way[] {
  const all: Way[] = [];
  const native = 'addon' in loadNative() && nativeTransport().passages !== undefined;
  if (native) {
    const options = { transport: 'native' } as const;
    all.push({ name: 'native, handed', options, handed: true, takesBack: true, kernel: false });
    all.push({ name: 'native, kernel', options: { ...options, dispatch: 'kernel' }, ...kernel });
  } else if (process.env['PORTSIDE_REQUIRE_NATIVE'] === '1') throw new Error('the native transport does not load');
  const options = { transport: 'node' } as const;
  if (nodeTransport.passages !== undefined)
    all.push({ name: 'node, handed', options, handed: true, takesBack: false, kernel: false });
  if (nodeTransport.flags.reusePort)
    all.push({ name: 'node, kernel', options: { ...options, dispatch: 'kernel' }, ...kernel });
  return all;
}

/** For what does not depend on the way. */
export const anyWay: Way = ways()[0]!;

/** Describes a promise once for each way; `which` leaves those out to which it does not apply. */
export function onEachWay(promise: string, tests: (way: Way) => void, which: (way: Way) => boolean = () => true): void {
  for (const way of ways()) if (which(way)) describe(`${promise} (${way.name})`, () => tests(way));
}

/** A module among the fixtures. */
export function worker(name: string): URL {
  return new URL(`./workers/${name}.ts`, import.meta.url);
}

/** What is open in a parallel listener's process beyond what a single server has: threads, and descriptors of every kind. */
function inventory(): { readonly threads: number; readonly descriptors: number } | null {
  try {
    return { threads: readdirSync('/proc/self/task').length, descriptors: readdirSync('/proc/self/fd').length };
  } catch {
    return null;
  }
}

/** What ends with the test, the last first. */
const owned: (() => Promise<unknown>)[] = [];

/** Has something done when the test is over, and before it is looked what is left. */
export function atEnd(what: () => Promise<unknown>): void {
  owned.push(what);
}

/** As `leavesNothing`, and holds each test of a file to leaving no thread and no descriptor of any kind. */
export function leavesNoThread(): void {
  // Before what looks at what is left.
  afterEach(async () => {
    for (const end of owned.splice(0).toReversed()) await end();
  });
  leavesNothing();
  let before: ReturnType<typeof inventory> = null;
  beforeEach(async () => {
    // Node's own helper threads come with the first call that needs them.
    await Promise.all(Array.from({ length: 8 }, () => stat(import.meta.filename)));
    before = inventory();
  });
  afterEach(async () => {
    if (before === null) return;
    let now = before;
    for (let turn = 0; turn < 200; turn += 1) {
      now = inventory()!;
      if (now.threads <= before.threads && now.descriptors <= before.descriptors) return;
      await sleep(5);
    }
    assert.fail(`left open: ${JSON.stringify(now)} after, ${JSON.stringify(before)} before`);
  });
}

/** Starts two workers on a port of their own, on loopback, with times that suit tests; what is left of it ends with the test. */
export async function startOn(way: Way, module: string | URL, options: ParallelOptions = {}): Promise<ParallelServer> {
  const place = options.listen === undefined ? { port: 0, host: '127.0.0.1' } : {};
  const server = await startParallel(module, {
    ...place,
    parallelism: 2,
    restart: { delay: 10 },
    ...way.options,
    ...options,
  });
  atEnd(() => server.stop({ grace: 0 }));
  return server;
}

/** Milliseconds in which workers are ready on this machine as busy as it is now, with room to spare. */
export async function ampleBootTime(count: number): Promise<number> {
  const began = performance.now();
  const server = await startOn(anyWay, worker('commands'), { parallelism: count });
  const took = performance.now() - began;
  await server.stop({ grace: 0 });
  return Math.ceil(500 + 4 * took);
}

export function portOf(server: ParallelServer): number {
  const [address] = server.addresses;
  if (address === undefined || !('port' in address)) throw new Error('no port');
  return address.port;
}

/** One more client; it ends with the test. */
export async function dial(server: ParallelServer, options: ConnectOptions = {}): Promise<Connection> {
  return dialPort(portOf(server), options);
}

export async function dialPort(port: number, options: ConnectOptions = {}): Promise<Connection> {
  const transport = nodeTransport;
  const client = await connect({ host: '127.0.0.1', port }, { transport, timeout: 5_000, ...options });
  atEnd(() => endAll(client));
  return client;
}

/** The next line. Fails when there is none. */
export async function line(client: Connection): Promise<string> {
  const text = await client.readLine({ timeout: 10_000 });
  assert.notEqual(text, null, 'the server ended the connection');
  return text!;
}

/** Sends a line, and waits for one. */
export async function ask(client: Connection, question: string): Promise<string> {
  await client.write(`${question}\n`);
  return line(client);
}

/** Waits until something is true; the runner's time limit ends it. */
export async function eventually(met: () => boolean): Promise<void> {
  while (!met()) await sleep(2);
}

/** The end of a connection as its client sees it: in order, and then the client goes too, for which the server waits; or by a reset. */
export async function endOf(client: Connection): Promise<'end' | 'reset'> {
  try {
    while ((await client.read()) !== null);
    await client.close();
    return 'end';
  } catch {
    return 'reset';
  }
}

type Died = Extract<WorkerEvent, { kind: 'died' }>;

/** What happens to workers, from now on. */
export class Watch {
  readonly all: WorkerEvent[] = [];
  readonly #server: ParallelServer;

  constructor(server: ParallelServer) {
    this.#server = server;
    server.on('worker', (event) => this.all.push(event));
  }

  /** What has been told of one kind. */
  of<K extends WorkerEvent['kind']>(kind: K): readonly Extract<WorkerEvent, { kind: K }>[] {
    return this.all.filter((event): event is Extract<WorkerEvent, { kind: K }> => event.kind === kind);
  }

  /** Waits for the n-th death. */
  async death(n = 1): Promise<Died> {
    await eventually(() => this.of('died').length >= n);
    return this.of('died')[n - 1]!;
  }

  /** Waits until the n-th worker was started in the place of another, and all are there. */
  async restarted(n = 1): Promise<void> {
    await eventually(() => this.of('started').length >= n);
    assert.equal(this.#server.state, 'running');
  }
}

/** Holds counts to what they promise at a quiet moment: `accepted = active + closed + detached`, and every end has a reason. */
export function assertAddsUp(status: ParallelStatus): void {
  const { accepted, active, closed, detached, reasons } = status;
  const told = JSON.stringify({ accepted, active, closed, detached, reasons });
  assert.equal(accepted, active + closed + detached, told);
  assert.equal(
    Object.values(reasons).reduce((sum, count) => sum + count, 0),
    closed,
    told,
  );
}

/** Waits until so many connections are open, and gives the counts, which add up. */
export async function settled(server: ParallelServer, active: number): Promise<ParallelStatus> {
  await eventually(() => server.status().active === active);
  const status = server.status();
  assertAddsUp(status);
  return status;
}
