import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import type { Address } from '../../src/transport/address.ts';
import type { Acceptor, Channel, Transport } from '../../src/transport/contract.ts';
import type { Passage, Passages, Untaken } from '../../src/transport/passage.ts';
import { tcpBackend } from './backends.ts';
import type { Recorder } from './recorder.ts';
import { Stage } from './stage.ts';
import type { TransportName } from './transports.ts';
import type { Acts, FarEndData } from './workers/far-end.ts';

/** A transport that is held to the promises of passages. */
export interface Crossable {
  readonly transport: Transport;
  readonly name: TransportName;
}

/** The one end here that can be given, and its client. */
export interface Fresh {
  readonly client: Recorder;
  readonly channel: Channel;
}

type Answer<A extends keyof Acts> = Awaited<ReturnType<Acts[A]>>;

/** An answer that is waited for. */
interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A thread with the other end of a passage. */
export class FarEnd {
  readonly passage: Passage;
  readonly worker: Worker;
  readonly exited: Promise<void>;
  readonly #calls = new Map<number, Waiting>();
  #next = 0;
  #failed: Error | null = null;

  constructor(name: TransportName, passage: Passage, address: Address, kernelQueue: boolean) {
    this.passage = passage;
    const workerData: FarEndData = { transport: name, ticket: passage.ticket, address, kernelQueue };
    this.worker = new Worker(new URL('./workers/far-end.ts', import.meta.url), {
      workerData,
      transferList: [...passage.transfer],
    });
    this.worker.on('message', ({ call, value, error }: { call: number; value?: unknown; error?: Error }) => {
      const waiting = this.#calls.get(call);
      this.#calls.delete(call);
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(error);
    });
    this.exited = new Promise((resolve) => {
      this.worker.on('error', (error: Error) => this.#fail(error));
      this.worker.on('exit', () => {
        this.#fail(new Error('the far end has ended'));
        resolve();
      });
    });
  }

  /** Has the other thread do something, and gives what it answers. */
  ask<A extends keyof Acts>(act: A, ...args: Parameters<Acts[A]>): Promise<Answer<A>> {
    if (this.#failed !== null) return Promise.reject(this.#failed);
    const call = this.#next++;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#calls.set(call, { resolve, reject });
    });
    this.worker.postMessage({ call, act, args }, []);
    return answer as Promise<Answer<A>>;
  }

  /** Asks until the channel there has heard something that fits, and gives all that it heard. */
  async heard(index: number, what: RegExp): Promise<readonly string[]> {
    const start = performance.now();
    for (;;) {
      const log = await this.ask('log', index);
      if (log.some((line) => what.test(line))) return log;
      if (performance.now() - start > 20_000)
        assert.fail(`waited in vain for ${String(what)}; heard: ${log.join(', ')}`);
    }
  }

  /** Asks until something is there to take. */
  async comes(): Promise<void> {
    const start = performance.now();
    while (!(await this.ask('pending'))) {
      if (performance.now() - start > 20_000) assert.fail('waited in vain for something to take');
    }
  }

  /** Ends the thread, wherever it is. */
  async kill(): Promise<void> {
    await this.worker.terminate();
    await this.exited;
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    for (const waiting of this.#calls.values()) waiting.reject(this.#failed);
    this.#calls.clear();
  }
}

/** What one test of passages works with. Ended after it, whatever happened, and checked for leaks. */
export class Crossing {
  readonly stage: Stage;
  readonly transport: Transport;
  readonly passages: Passages;
  readonly #name: TransportName;
  readonly #ends: FarEnd[] = [];
  readonly #given: Passage[] = [];
  readonly #fresh: Channel[] = [];
  #acceptor: Acceptor | null = null;
  readonly #came: Channel[] = [];

  constructor({ transport, name }: Crossable) {
    assert.ok(transport.passages !== undefined);
    this.stage = new Stage(() => tcpBackend(transport, name));
    this.transport = transport;
    this.passages = transport.passages;
    this.#name = name;
  }

  /** A passage that nobody has the other end of yet. */
  passage(capacity: number): Passage {
    const passage = this.passages.passage(capacity);
    this.#given.push(passage);
    return passage;
  }

  /** A thread, ready, at the other end of a passage. */
  async farEnd(capacity: number, passage: Passage = this.passage(capacity)): Promise<FarEnd> {
    const { address, kernelQueue } = await this.#listening();
    const end = new FarEnd(this.#name, passage, address, kernelQueue);
    this.#ends.push(end);
    await end.ask('about');
    return end;
  }

  /** The address that clients dial, and its acceptor's word on the queue. */
  async listensOn(): Promise<{ address: Address; kernelQueue: boolean }> {
    const { address, kernelQueue } = await this.#listening();
    return { address, kernelQueue };
  }

  /** A connection that is fresh on this side. */
  async fresh(): Promise<Fresh> {
    const [one] = await this.many(1);
    return one as Fresh;
  }

  /** Connections that are fresh on this side, each with its client. */
  async many(count: number): Promise<Fresh[]> {
    const acceptor = await this.#listening();
    const clients = await Promise.all(Array.from({ length: count }, () => this.stage.dial(acceptor.address)));
    acceptor.want(true);
    await this.stage.until(() => this.#came.length >= count, 'connections to give');
    acceptor.want(false);
    const came = new Map(this.#came.splice(0).map((channel) => [portOf(channel.remote), channel]));
    return clients.map((client) => {
      const channel = came.get(portOf(client.channel.local));
      assert.ok(channel !== undefined, 'a client whom nobody took');
      this.#fresh.push(channel);
      return { client, channel };
    });
  }

  /** What came back is on record from now on, and is closed after the test. */
  back(untaken: readonly Untaken[]): void {
    for (const { channel } of untaken) if (channel !== null) this.#fresh.push(channel);
  }

  async close(): Promise<void> {
    await Promise.all(this.#ends.map((end) => end.kill()));
    for (const passage of this.#given) this.back(passage.end());
    for (const channel of [...this.#fresh, ...this.#came]) channel.destroy('reset');
    await this.stage.close();
  }

  async #listening(): Promise<Acceptor> {
    if (this.#acceptor !== null) return this.#acceptor;
    const acceptor = await this.stage.listen({ backlog: 256 });
    acceptor.watcher = {
      ready: () => {
        for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) this.#came.push(channel);
      },
      trouble(error) {
        throw error;
      },
    };
    this.#acceptor = acceptor;
    return acceptor;
  }
}

/** The port of a TCP address. */
export function portOf(address: Address): number {
  assert.ok('port' in address, 'no port');
  return address.port;
}

/** A test with a crossing of its own. */
export function crossing(on: Crossable, body: (crossing: Crossing) => Promise<void>): () => Promise<void> {
  return async () => {
    const one = new Crossing(on);
    try {
      await body(one);
    } finally {
      await one.close();
    }
  };
}
