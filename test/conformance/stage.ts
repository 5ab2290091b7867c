import assert from 'node:assert/strict';
import { isPortsideError } from '../../src/base/errors.ts';
import type { PortsideError } from '../../src/base/errors.ts';
import type { Address } from '../../src/transport/address.ts';
import type {
  Acceptor,
  BindOptions,
  BindTarget,
  Channel,
  DialTarget,
  Transport,
} from '../../src/transport/contract.ts';
import { watchLeaks } from '../support/leaks.ts';
import { Recorder, markedAcceptor, watched } from './recorder.ts';

/** One backend, as the suite gets it: fresh for each test. */
export interface Backend {
  readonly transport: Transport;
  /** A fresh place to bind. */
  target(): BindTarget;
  dialTarget(address: Address): DialTarget;
  /** Runs after each test; may assert that nothing was left open. */
  cleanup(): void | Promise<void>;
  /** Lets all that can happen by now happen, where time is virtual. */
  settle?(): Promise<void>;
  /** Takes descriptors away and gives them back, where that can be done in this process. */
  exhaust?(on: boolean): void;
  /** Statements of a module that define `transport`, `target` and `dialTarget`, for tests that need a process of their own. */
  child?(): string;
}

export type Make = () => Backend;

/** Two ends of one connection. */
export interface Pair {
  readonly client: Recorder;
  readonly server: Recorder;
}

const PATIENCE = 20_000;
const QUIET_TURNS = 5;

export const plainBind: BindOptions = { backlog: 16, reusePort: false, reuseAddress: undefined };

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** What one test works with. Closed after it, whatever happened, and checked for leaks. */
export class Stage {
  readonly backend: Backend;
  readonly transport: Transport;
  readonly #noLeaks: () => Promise<void>;
  readonly #recorders: Recorder[] = [];
  readonly #acceptors: Acceptor[] = [];
  #main: Acceptor | null = null;

  constructor(make: Make) {
    this.#noLeaks = watchLeaks();
    this.backend = make();
    this.transport = this.backend.transport;
  }

  /** Whether a peer's reset can be told from its end here. */
  get resets(): boolean {
    return this.transport.flags.reset && this.backend.target().kind !== 'unix';
  }

  record(channel: Channel): Recorder {
    const recorder = new Recorder(channel, this.transport.flags.borrows);
    this.#recorders.push(recorder);
    return recorder;
  }

  async listen(options: Partial<BindOptions> = {}, target: BindTarget = this.backend.target()): Promise<Acceptor> {
    const acceptor = markedAcceptor(await this.transport.listen(target, { ...plainBind, ...options }));
    this.#acceptors.push(acceptor);
    return acceptor;
  }

  async dial(address: Address): Promise<Recorder> {
    const { result } = this.transport.dial(this.backend.dialTarget(address));
    return this.record(await this.settled(result));
  }

  /** The next connection; turns wanting on for it. */
  async accept(acceptor: Acceptor): Promise<Recorder> {
    let taken: Channel | null = acceptor.take();
    acceptor.watcher = {
      ready: watched(() => {
        if (taken === null) taken = acceptor.take();
        if (taken !== null) acceptor.want(false);
      }),
      trouble(error) {
        throw error;
      },
    };
    if (taken === null) acceptor.want(true);
    await this.until(() => taken !== null, 'a connection to take');
    return this.record(taken as unknown as Channel);
  }

  async pair(): Promise<Pair> {
    this.#main ??= await this.listen();
    const [client, server] = await Promise.all([this.dial(this.#main.address), this.accept(this.#main)]);
    return { client, server };
  }

  /** Waits until it holds, and fails with what was recorded when it never does. */
  async until(holds: () => boolean, what: string): Promise<void> {
    const start = performance.now();
    while (!holds()) {
      if (performance.now() - start > PATIENCE) assert.fail(`waited in vain for ${what}; heard: ${this.#heard()}`);
      await this.backend.settle?.();
      await turn();
    }
  }

  closed(...recorders: Recorder[]): Promise<void> {
    return this.until(() => recorders.every(({ closedWith }) => closedWith !== null), 'closes');
  }

  /** Bytes arrived: `count` in all. */
  received(recorder: Recorder, count: number): Promise<void> {
    return this.until(() => recorder.received >= count, `${count} bytes`);
  }

  /** Its output is with the kernel. That takes no turn where it is at once. */
  async sent({ channel }: Recorder): Promise<void> {
    if (channel.queued > 0) await this.until(() => channel.queued === 0, 'the output to leave');
  }

  /** All that is on its way has arrived: a message on another connection has gone and come back, and some turns have passed. */
  async still(): Promise<void> {
    await this.backend.settle?.();
    const acceptor = await this.transport.listen(this.backend.target(), plainBind);
    const [client, server] = await Promise.all([
      this.settled(this.transport.dial(this.backend.dialTarget(acceptor.address)).result),
      this.#takeQuietly(acceptor),
    ]);
    let echoed = false;
    let gone = 0;
    const close = (): void => {
      gone += 1;
    };
    client.sink = { data: () => void (echoed = true), end() {}, writable() {}, close };
    server.sink = { data: () => void server.send(new Uint8Array(1)), end() {}, writable() {}, close };
    client.flow(true);
    server.flow(true);
    client.send(new Uint8Array(1));
    await this.until(() => echoed, 'the echo of a probe');
    acceptor.close();
    client.destroy('drop');
    server.destroy('drop');
    await this.until(() => gone === 2, 'the end of a probe');
    for (let turns = 0; turns < QUIET_TURNS; turns++) await turn();
    await this.backend.settle?.();
  }

  /** Sends until something stays queued, because the peer does not read. Gives the number of bytes sent. */
  async clog(sender: Recorder): Promise<number> {
    const bytes = new Uint8Array(256 * 1024).fill(0x61);
    let sent = 0;
    let dry = 0;
    // One that stays queued over some turns is not merely on its way.
    while (dry < QUIET_TURNS) {
      assert.ok(sent < 256 * 1024 * 1024, 'the system takes any amount without a reader');
      if (sender.channel.queued === 0) {
        const queued = sender.channel.send(bytes);
        assert.equal(queued, sender.channel.queued, 'send() gives what is queued after it');
        sent += bytes.length;
        dry = 0;
      } else dry += 1;
      await this.backend.settle?.();
      await turn();
    }
    return sent;
  }

  async close(): Promise<void> {
    for (const acceptor of this.#acceptors) acceptor.close();
    for (const { channel } of this.#recorders) channel.destroy('reset');
    await this.backend.settle?.();
    await this.backend.cleanup();
    await this.#noLeaks();
  }

  /** What a promise of the transport gives; virtual time has to be pushed for it. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const both = promise.finally(() => {
      done = true;
    });
    both.catch(() => {});
    await this.until(() => done, 'a promise of the transport');
    return both;
  }

  /** The error of what has to fail. */
  async refused(promise: Promise<unknown>): Promise<PortsideError> {
    const error = await this.settled(
      promise.then(
        () => assert.fail('it should have been refused'),
        (reason: unknown) => reason,
      ),
    );
    assert.ok(isPortsideError(error), `not a PortsideError: ${String(error)}`);
    return error;
  }

  async #takeQuietly(acceptor: Acceptor): Promise<Channel> {
    let taken: Channel | null = null;
    acceptor.watcher = {
      ready: () => {
        taken ??= acceptor.take();
        if (taken !== null) acceptor.want(false);
      },
      trouble(error) {
        throw error;
      },
    };
    acceptor.want(true);
    await this.until(() => taken !== null, 'the connection of a probe');
    return taken as unknown as Channel;
  }

  #heard(): string {
    return this.#recorders.map(({ log }, index) => `#${index} [${log.join(', ').slice(0, 300)}]`).join(' ');
  }
}

/** A test on a stage of its own. */
export function staged(make: Make, body: (stage: Stage) => Promise<void>): () => Promise<void> {
  return async () => {
    const stage = new Stage(make);
    try {
      await body(stage);
    } finally {
      await stage.close();
    }
  };
}
