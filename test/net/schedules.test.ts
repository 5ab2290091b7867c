import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import type { CloseReason } from '../../src/net/close-reason.ts';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { link } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import { pipe } from '../../src/net/pipe.ts';
import type { ConnectionOptions } from '../../src/net/settings.ts';
import { after, sync } from '../../src/sync/evt.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { Faults, MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { testSchedules } from '../support/schedules.ts';

const FIRST = 1;
const COUNT = 1_000;

/** What a peer, the network or this side's own end may do to an operation. Anything else is a bug. */
const ALLOWED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EMFILE',
  'EPIPE',
  'ERR_PORTSIDE_CLOSED',
  'ERR_PORTSIDE_TIMEOUT',
  'ETIMEDOUT',
]);

function isAllowed(error: unknown): boolean {
  return isPortsideError(error) && ALLOWED.has(error.code);
}

function mayBe(error: unknown): void {
  if (!isAllowed(error)) throw error;
}

const pick = <T>(random: Random, ...choices: readonly T[]): T => choices[random.int(choices.length)]!;

function faultsOf(random: Random): Faults {
  const some = <T>(chance: number, value: T): T | undefined => (random.next() < chance ? value : undefined);
  return {
    latency: some(0.6, { min: 0, max: pick(random, 1, 20, 400) }),
    bandwidth: some(0.2, pick(random, 20_000, 1_000_000)),
    split: some(0.5, random.next() * 0.8),
    coalesce: some(0.4, random.next()),
    reset: some(0.3, pick(random, 0.002, 0.05)),
    halfOpen: some(0.2, pick(random, 0.002, 0.05)),
    refuse: some(0.2, 0.3),
    backlogFull: some(0.2, 0.3),
    noDescriptors: some(0.1, 0.2),
    slowReader: some(0.2, { rate: pick(random, 5_000, 50_000), side: pick(random, 'client', 'server', 'both') }),
  };
}

type Way = 'function' | 'lines' | 'pipe';

/** One run: a few clients, a server that echoes in one of three ways, and a network on which things go wrong. */
class Schedule {
  readonly seed: number;
  readonly clock: VirtualClock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly trace: string[] = [];
  readonly outcomes: string[] = [];
  readonly #random: Random;
  readonly #scope: Scope;
  readonly #way: Way;
  readonly #settings: ConnectionOptions;
  readonly #ends: { connection: Connection; reasons: CloseReason[] }[] = [];
  readonly #serving: Promise<void>[] = [];
  /** What handlers threw that they should not have met. */
  readonly #unexpected: unknown[] = [];

  constructor(seed: number) {
    this.seed = seed;
    const random = seededRandom(seed);
    this.#random = random;
    this.#way = pick(random, 'function', 'lines', 'pipe');
    this.#settings = {
      highWaterMark: pick(random, 1, 1_000, 65_536),
      readAhead: pick(random, 1, 1_000, 65_536),
      linger: pick(random, 0, 100, 5_000),
    };
    this.network = memoryNetwork({
      clock: this.clock,
      seed,
      bufferSize: pick(random, 100, 2_000, 65_536),
      userTimeout: 5_000,
      synRetry: 2,
      trace: (line) => void this.trace.push(line),
    });
    this.#scope = new Scope({ parent: null, clock: this.clock, random: random.fork() });
  }

  async run(): Promise<void> {
    const { network, clock } = this;
    await clock.run(
      this.#scope.run(() => this.#play()),
      { limit: 3_600_000 },
    );
    await clock.settle();
    assert.deepEqual(this.#unexpected, []);
    for (const { connection, reasons } of this.#ends) {
      assert.equal(reasons.length, 1, `a connection ended ${reasons.length} times`);
      assert.equal(connection.closeReason, reasons[0]);
      assert.equal(await connection.closed, reasons[0]);
      assert.equal(connection.queuedBytes, 0);
    }
    assert.deepEqual(this.#scope.report(), []);
    await this.#scope.close();
    // What was cut off in the middle still has packets on their way.
    await clock.advance(600_000);
    assert.equal(network.open, 0, 'ends of connections are open');
    assert.equal(network.listening, 0);
    assert.equal(clock.armed, 0, 'timers are set');
  }

  async #play(): Promise<void> {
    const { transport } = this.network;
    const options = { transport, backlog: pick(this.#random, 1, 3, 64), ...this.#settings };
    const listeners = [await listen({ endpoint: 'memory://front', ...options })];
    if (this.#way === 'pipe') listeners.push(await listen({ endpoint: 'memory://back', ...options }));
    const [front, back] = listeners as [Listener, Listener | undefined];
    const accepting = [
      this.#accept(front, this.#way === 'pipe' ? (one) => this.#proxy(one) : (one) => this.#echo(one)),
      ...(back === undefined ? [] : [this.#accept(back, (one) => this.#echo(one))]),
    ];
    this.network.faults(faultsOf(this.#random));
    const clients = Array.from({ length: 1 + this.#random.int(3) }, () => this.#client(this.#random.fork()));
    // The weather changes meanwhile, or everything is reset, or a cable is out for a while.
    const accident = this.#accident(this.#random.fork());
    await Promise.all(clients);
    await accident;
    for (const listener of listeners) await listener.close();
    await Promise.all(accepting);
    await Promise.all(this.#serving);
  }

  async #accident(random: Random): Promise<void> {
    const what = pick(random, 'nothing', 'nothing', 'nothing', 'weather', 'reset', 'partition');
    if (what === 'nothing') return;
    await sync(after(random.int(500)));
    if (what === 'weather') this.network.faults(faultsOf(random));
    else if (what === 'reset') this.network.resetAll();
    else {
      this.network.partition(true);
      // Shorter than the user timeout: behind a longer one a side may be left whose peer is gone and who waits for it in vain, as with a real cable.
      await sync(after(random.int(4_500)));
      this.network.partition(false);
    }
  }

  #watch(connection: Connection): Connection {
    const reasons: CloseReason[] = [];
    this.#ends.push({ connection, reasons });
    link(connection).onClose((reason) => void reasons.push(reason));
    return connection;
  }

  async #accept(listener: Listener, serve: (connection: Connection) => Promise<unknown>): Promise<void> {
    for await (const connection of listener) {
      this.#watch(connection);
      this.#serving.push(this.#serve(connection, serve));
    }
  }

  async #serve(connection: Connection, serve: (connection: Connection) => Promise<unknown>): Promise<void> {
    try {
      await serve(connection);
    } catch (error) {
      if (!isAllowed(error)) this.#unexpected.push(error);
    }
    await connection.close();
  }

  async #echo(connection: Connection): Promise<void> {
    if (this.#way === 'lines') {
      for (let line = await connection.readLine(); line !== null; line = await connection.readLine())
        await connection.write(`${line}\n`);
    } else for await (const bytes of connection) await connection.write(bytes);
    await connection.closeWrite();
  }

  async #proxy(connection: Connection): Promise<void> {
    try {
      const { transport } = this.network;
      const upstream = await connect('memory://back', { transport, timeout: 20_000, ...this.#settings });
      await pipe(connection, this.#watch(upstream));
    } catch (error) {
      connection.abort(error);
      throw error;
    }
  }

  async #client(random: Random): Promise<void> {
    await sync(after(random.int(100)));
    let connection: Connection;
    try {
      const { transport } = this.network;
      connection = await connect('memory://front', { transport, timeout: 10_000, ...this.#settings });
    } catch (error) {
      mayBe(error);
      this.outcomes.push('no connection');
      return;
    }
    this.#watch(connection);
    const sent: Buffer[] = [];
    const got: Uint8Array[] = [];
    const patience = random.next() < 0.2 ? random.int(20) : Infinity;
    const writing = this.#write(connection, random.fork(), sent).catch(mayBe);
    let outcome = 'left early';
    try {
      for (let reads = 0; reads < patience; reads += 1) {
        const bytes = await connection.read(random.next() < 0.2 ? { max: 1 + random.int(50) } : undefined);
        if (bytes === null) {
          outcome = 'ended';
          break;
        }
        got.push(bytes);
        if (random.next() < 0.1) await sync(after(random.int(50)));
      }
    } catch (error) {
      mayBe(error);
      outcome = 'failed';
    }
    if (outcome === 'left early' && random.next() < 0.5) connection.abort();
    else await connection.close();
    await writing;
    await connection.closed;
    const answer = Buffer.concat(got);
    const question = Buffer.concat(sent);
    assert.ok(answer.equals(question.subarray(0, answer.length)), 'what was read is no prefix of what was sent');
    // An end in order is a promise that nothing is missing.
    if (outcome === 'ended') assert.equal(answer.length, question.length, 'an end in order before all was echoed');
    this.outcomes.push(outcome);
  }

  async #write(connection: Connection, random: Random, sent: Buffer[]): Promise<void> {
    const pieces = random.int(10);
    for (let i = 0; i < pieces; i += 1) {
      const body = Buffer.alloc(random.int(pick(random, 5, 100, 1_500)), `${this.seed}.${i} `);
      const piece = this.#way === 'lines' ? Buffer.concat([body, Buffer.from('\n')]) : body;
      sent.push(piece);
      const written = connection.write(piece);
      if (random.next() < 0.7) await written;
      if (random.next() < 0.2) await sync(after(random.int(200)));
      if (random.next() < 0.02) connection.abort();
    }
    await connection.closeWrite();
  }
}

describe('the net layer on a network on which things go wrong', () => {
  testSchedules((seed) => new Schedule(seed), {
    first: FIRST,
    count: COUNT,
    again: [1, 2, 3, 5, 8, 13, 21],
    outcomes: ['ended', 'failed', 'left early', 'no connection'],
    enough: 0,
  });
});
