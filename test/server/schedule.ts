import assert from 'node:assert/strict';
import type { CloseReason } from '../../src/net/close-reason.ts';
import { connect } from '../../src/net/connect.ts';
import { link } from '../../src/net/connection.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Ledger } from '../../src/server/drain.ts';
import type { ServerState } from '../../src/server/events.ts';
import { createServer } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { formatAddress } from '../../src/transport/address.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { Faults, MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { CountedClock } from './counted-clock.ts';
import { summary } from './guests.ts';
import { Client, mannerOf, mayBe } from './schedule-client.ts';
import { LatePermits, Thrown, handlerOf, limitsOf, optionsOf, pick, sleep, some, timesOf } from './schedule-server.ts';
import type { Watcher } from './schedule-server.ts';

function faultsOf(random: Random): Faults {
  return {
    latency: some(random, 0.5, { min: 0, max: pick(random, 1, 20, 300) }),
    bandwidth: some(random, 0.15, pick(random, 20_000, 1_000_000)),
    split: some(random, 0.3, random.next() * 0.5),
    coalesce: some(random, 0.3, random.next()),
    reset: some(random, 0.2, pick(random, 0.005, 0.05)),
    halfOpen: some(random, 0.15, pick(random, 0.005, 0.05)),
    refuse: some(random, 0.1, 0.2),
    backlogFull: some(random, 0.1, 0.3),
    noDescriptors: some(random, 0.1, 0.2),
    slowReader: some(random, 0.15, {
      rate: pick(random, 5_000, 50_000),
      side: pick(random, 'client', 'server', 'both'),
    }),
  };
}

/** What was seen of one of the server's connections. */
interface Seen {
  starts: number;
  ends: number;
  /** Calls of its handler: begun, returned or closed, told of the drain. */
  began: number;
  closed: number;
  told: number;
  reason: CloseReason | null;
}

/** One run: a server, clients, a network and what somebody does to the server, all drawn from one seed. */
export class Schedule implements Watcher {
  readonly clock: VirtualClock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly #counted: CountedClock = new CountedClock(this.clock);
  /** Everything that happened, in order. */
  readonly trace: string[] = [];
  /** What became of clients and connections, to be counted over all runs. */
  readonly outcomes: string[] = [];
  readonly #random: Random;
  readonly #scope: Scope;
  readonly #server: Server;
  readonly #permits: LatePermits;
  readonly #shape: string;
  readonly #proxied: boolean;
  readonly #seen = new Map<number, Seen>();
  /** The server's side of a client's connection, by the client's address. */
  readonly #sides = new Map<string, Connection>();
  readonly #given: Connection[] = [];
  readonly #giving: Promise<void>[] = [];
  /** Whose handlers did not wait for the end of their input. */
  readonly #leaving = new WeakSet<Connection>();
  readonly #ended: { readonly client: Client; readonly side: Connection }[] = [];
  readonly #errors: unknown[] = [];
  #thrown = 0;
  /** How many connections there were when the drain began, and were accepted by then. */
  #atDrain: { readonly active: number; readonly accepted: number } | null = null;
  readonly #ledgers: Promise<Ledger>[] = [];

  constructor(seed: number) {
    const random = seededRandom(seed);
    this.#random = random;
    this.network = memoryNetwork({
      clock: this.clock,
      seed,
      bufferSize: pick(random, 200, 4_000, 65_536),
      userTimeout: 3_000,
      synRetry: 1,
      trace: (line) => void this.trace.push(line),
    });
    this.#scope = new Scope({ parent: null, clock: this.#counted, random: random.fork() });
    this.#proxied = random.next() < 0.12;
    const options = optionsOf(random, this.#proxied);
    const limits = { connections: options.maxConnections ?? 1_000, perClient: options.maxPerClient ?? Infinity };
    this.#permits = new LatePermits(limits, this.clock, pick(random, 0, 0, 0, 5, 400));
    const { shape, handler } = handlerOf(random, this);
    this.#shape = shape;
    const hook = pick(random, 'none', 'none', 'close', 'say', 'throw');
    this.#server = this.#scope.run(() =>
      createServer(handler, {
        ...options,
        permits: this.#permits,
        transport: this.network.transport,
        onError: (error) => {
          if (error instanceof Thrown) this.#thrown += 1;
          else this.#errors.push(error);
          return pick(random, 'keep', undefined);
        },
        ...(hook === 'none'
          ? {}
          : {
              prepareHardClose: (conn: Connection) => {
                if (hook === 'throw') throw new Thrown('from the hook');
                if (hook === 'say') void conn.write('\u0007');
                void conn.close({ linger: 50 });
              },
            }),
      }),
    );
    this.#watch();
  }

  // ---- what the handlers tell ----

  began(id: number): void {
    this.#of(id).began += 1;
  }

  closed(id: number): void {
    this.#of(id).closed += 1;
  }

  told(id: number): void {
    this.#of(id).told += 1;
  }

  leaves(connection: Connection): void {
    this.#leaving.add(connection);
  }

  gave(connection: Connection, served: Promise<void>): void {
    this.#given.push(connection);
    this.#giving.push(served);
  }

  #of(id: number): Seen {
    let seen = this.#seen.get(id);
    if (seen === undefined) {
      seen = { starts: 0, ends: 0, began: 0, closed: 0, told: 0, reason: null };
      this.#seen.set(id, seen);
    }
    return seen;
  }

  #watch(): void {
    const server = this.#server;
    server.on('state', (state) => this.#held(() => this.#went(state)));
    server.on('connection', (connection, id) =>
      this.#held(() => {
        const seen = this.#of(id);
        seen.starts += 1;
        assert.equal(link(connection).closing, false, 'a handler begins with what is ending');
        this.#sides.set(formatAddress(link(connection).channel.remote), connection);
        this.#adds();
      }),
    );
    server.on('close', (_connection, reason, id) =>
      this.#held(() => {
        const seen = this.#of(id);
        seen.ends += 1;
        seen.reason = reason;
        this.#adds();
      }),
    );
    server.on('detach', (_connection, id) =>
      this.#held(() => {
        this.#of(id).ends += 1;
        this.#adds();
      }),
    );
  }

  #went(state: ServerState): void {
    this.trace.push(`server ${state}`);
    if (state !== 'draining') return;
    const { active, accepted } = this.#server.status();
    assert.equal(this.#server.ready, false);
    this.#atDrain = { active, accepted };
  }

  /** What a listener throws would be the process's, and of no schedule. */
  #held(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#errors.push(error);
    }
  }

  /** The counts add up at every step. */
  #adds(): void {
    const { accepted, active, closed, detached, opening } = this.#server.status();
    assert.equal(accepted, active + closed + detached, 'the counts do not add up');
    assert.ok(opening >= 0 && opening <= active, `${opening} of ${active} are opening`);
    assert.ok(this.#permits.used >= active, 'a connection without a permit');
  }

  // ---- the run ----

  async run(): Promise<void> {
    const { network, clock } = this;
    await clock.run(
      this.#scope.run(() => this.#play()),
      { limit: 600_000 },
    );
    await clock.settle();
    assert.equal(this.#counted.armed, 0, 'timers of the server or its clients are set');
    await this.#scope.close();
    // What was cut off in the middle still has packets on their way.
    await clock.advance(600_000);
    assert.equal(network.open, 0, 'ends of connections are open');
    assert.equal(network.listening, 0);
    assert.equal(clock.armed, 0, 'timers are set');
    this.#check();
  }

  async #play(): Promise<void> {
    const random = this.#random;
    const server = this.#server;
    if (random.next() < 0.05) server.suspend();
    const starting = server.start();
    if (random.next() < 0.03) this.#end(random);
    await starting;
    this.network.faults(faultsOf(random));
    const clients = Array.from({ length: 1 + random.int(5) }, () => this.#client(random.fork()));
    const actions = this.#act(random.fork());
    const accident = this.#accident(random.fork());
    await Promise.all([...clients, actions, accident]);
    this.#ledgers.push(server.stop({ grace: pick(random, 0, 200, 2_000) }));
    const ledgers = await Promise.all(this.#ledgers);
    for (const ledger of ledgers) assert.equal(ledger, ledgers[0], 'two ledgers of one end');
    // Those that were given away are not the server's to end.
    for (const connection of this.#given) connection.abort();
    await Promise.all(this.#giving);
  }

  async #act(random: Random): Promise<void> {
    const server = this.#server;
    const count = random.int(4);
    for (let i = 0; i < count; i += 1) {
      await sleep(this.clock, random.int(900));
      switch (pick(random, 'set', 'set', 'suspend', 'resume', 'end', 'end')) {
        case 'set':
          server.set(limitsOf(random));
          break;
        case 'suspend':
          server.suspend();
          break;
        case 'resume':
          server.resume();
          break;
        case 'end':
          this.#end(random);
          if (random.next() < 0.3) {
            await sleep(this.clock, random.int(500));
            this.#end(random);
          }
      }
      this.#adds();
    }
    server.resume();
  }

  #end(random: Random): void {
    const server = this.#server;
    const times = timesOf(random);
    const way = pick(random, 'drain', 'drain', 'stop', 'signal');
    if (way === 'drain') this.#ledgers.push(server.drain(times));
    else if (way === 'stop') this.#ledgers.push(server.stop({ grace: times.grace }));
    else {
      const signal = new AbortController();
      this.#ledgers.push(server.drain({ ...times, signal: signal.signal }));
      this.clock.after(random.int(400), () => signal.abort());
    }
  }

  async #accident(random: Random): Promise<void> {
    const what = pick(random, 'nothing', 'nothing', 'nothing', 'weather', 'reset', 'partition');
    if (what === 'nothing') return;
    await sleep(this.clock, random.int(600));
    if (what === 'weather') this.network.faults(faultsOf(random));
    else if (what === 'reset') this.network.resetAll();
    else {
      this.network.partition(true);
      await sleep(this.clock, random.int(2_500));
      this.network.partition(false);
    }
  }

  async #client(random: Random): Promise<void> {
    await sleep(this.clock, random.int(300));
    const { transport } = this.network;
    const { addresses } = this.#server;
    const address = addresses[random.int(Math.max(1, addresses.length))];
    if (address === undefined || !('port' in address)) return;
    const host = `192.0.2.${1 + random.int(3)}`;
    let connection: Connection;
    try {
      connection = await connect(
        { host: address.host, port: address.port },
        { transport, timeout: 4_000, localHost: host, linger: pick(random, 0, 1_000) },
      );
    } catch (error) {
      mayBe(error);
      this.outcomes.push('no connection');
      return;
    }
    const manner = mannerOf(random);
    const client = new Client(connection, manner, this.clock, random.fork());
    const own = formatAddress(connection.local);
    let header = '';
    if (this.#proxied) {
      const good = `PROXY TCP4 198.51.100.${1 + random.int(3)} 10.0.0.1 5000 4000\r\n`;
      header = pick(random, good, good, good, 'PROXY nonsense\r\n', '');
    }
    await client.talk(header);
    this.#judge(client, this.#sides.get(own), header);
  }

  /** What a client was promised. */
  #judge(client: Client, side: Connection | undefined, header: string): void {
    const { answer, question, outcome, manner } = client;
    this.outcomes.push(`${manner} ${outcome ?? 'lost'}`);
    // In optional mode what is no header is echoed as everything else is; and a last line may lack its ending, which its echo has.
    const said = [`${question}\n`, `${header}${question}\n`];
    assert.ok(
      said.some((all) => all.startsWith(answer)),
      'what was heard is no prefix of what was said',
    );
    if (side !== undefined && outcome === 'ended') this.#ended.push({ client, side });
  }

  /** An end in order is a promise that nothing is missing, unless the server gave up on a peer that took nothing for the linger time. */
  #complete(client: Client, side: Connection): void {
    const { kind, ...more } = side.closeReason!;
    const whole = kind === 'ended' || kind === 'closed' || (kind === 'drained' && 'idle' in more && more.idle);
    if (whole)
      assert.equal(client.heard, side.bytesWritten, `the end came before the rest of what was written: ${kind}`);
    // Who was not cut off in a message, by anybody, has all its answers.
    if (kind === 'ended' && client.manner === 'honest' && !this.#leaving.has(side)) {
      this.outcomes.push('answered');
      assert.ok(client.answer.endsWith(client.question), 'an honest client has not got its answers');
    }
  }

  #check(): void {
    for (const { client, side } of this.#ended) this.#complete(client, side);
    assert.deepEqual(this.#errors, [], 'errors that nobody made');
    const status = this.#server.status();
    assert.deepEqual([status.state, status.active, status.opening], ['stopped', 0, 0]);
    assert.equal(status.accepted, status.closed + status.detached);
    assert.equal(status.detached, this.#given.length);
    assert.equal(status.errors, this.#thrown);
    assert.equal(
      Object.values(status.reasons).reduce((sum, count) => sum + count, 0),
      status.closed,
    );
    const { used, clients, waiting } = this.#permits.local;
    assert.deepEqual({ used, clients, waiting }, { used: 0, clients: 0, waiting: 0 }, 'permits are out');
    assert.equal(this.trace.filter((line) => line === 'server stopped').length, 1);
    let ended = 0;
    for (const [id, seen] of this.#seen) {
      const text = `connection ${id}, ${this.#shape}: ${JSON.stringify(seen)}`;
      assert.ok(seen.starts <= 1 && seen.ends === 1, text);
      assert.equal(seen.began, seen.starts, text);
      assert.ok(seen.told <= 1, text);
      // A function that never returns is not told of any end.
      if (this.#shape === 'callbacks' || this.#shape === 'framed') assert.equal(seen.closed, seen.starts, text);
      ended += seen.ends;
    }
    assert.equal(ended, status.accepted, 'each connection ends once');
    for (const [reason, count] of Object.entries(status.reasons))
      this.outcomes.push(...Array<string>(count).fill(`reason ${reason}`));
    for (const [kind, count] of Object.entries(status.refused))
      this.outcomes.push(...Array<string>(count).fill(`refused ${kind}`));
  }

  /** The ledger, once it was seen to be of all connections that there were or came. */
  async ledger(): Promise<Ledger> {
    const ledger = await this.#server.stop();
    const { accepted } = this.#server.status();
    const expected = this.#atDrain === null ? 0 : this.#atDrain.active + accepted - this.#atDrain.accepted;
    assert.equal(ledger.connections, expected, 'the ledger is not of all connections');
    for (const [what, count] of Object.entries(summary(ledger))) this.outcomes.push(...Array<string>(count).fill(what));
    for (const { id, reason } of ledger.entries) assert.equal(this.#seen.get(id)?.reason ?? null, reason);
    return ledger;
  }
}
