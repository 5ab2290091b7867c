import { PortsideError } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import type { Owner } from '../net/consumer.ts';
import { deadlinesOf } from '../net/deadlines.ts';
import { noWorker } from '../net/hand-over.ts';
import { listenOver } from '../net/listen.ts';
import { greet, settingsOf } from '../net/listener.ts';
import type { Listener } from '../net/listener.ts';
import { Countdown } from '../server/countdown.ts';
import type { Ending } from '../server/drain.ts';
import { endByHand } from '../server/end-by-hand.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { ServerChanges } from '../server/options.ts';
import { connectionStatus, reasonName } from '../server/status.ts';
import type { ConnectionStatus } from '../server/status.ts';
import { currentClock } from '../sync/scope.ts';
import type { Address } from '../transport/address.ts';
import type { Acceptor, Transport } from '../transport/contract.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { borrowedPermits } from './borrowed-permits.ts';
import type { BorrowedPermits } from './borrowed-permits.ts';
import type { Departures } from './departures.ts';
import type { WorkerDrain, WorkerInit, WorkerLedger, WorkerLedgerEntry } from './protocol.ts';
import type { Serving } from './serving.ts';
import { untilTaken } from './taking.ts';
import type { Tally } from './tally.ts';
import { LimitedAcceptor } from './limited-acceptor.ts';
import { WorkerTransport } from './worker-transport.ts';

/** Serves by whatever the module does with a listener. */
export class BareWorker implements Serving, Owner {
  readonly listener: Listener;
  readonly #permits: BorrowedPermits;
  readonly #acceptors: readonly Acceptor[];
  readonly #tally: Tally;
  readonly #departures: Departures;
  readonly #clock = currentClock();
  readonly #ids = new Map<Connection, { readonly id: number; readonly at: number }>();
  #count = 0;
  #drain: BareDrain | null = null;
  #drained: Promise<WorkerLedger> | null = null;
  /** When connections have to be over, by the clock. */
  #end = Infinity;
  /** Those that arrived when it was too late to serve them. */
  readonly #late: { readonly count: number };

  /** Begins suspended. */
  static async start(init: WorkerInit, base: Transport, tally: Tally, departures: Departures): Promise<BareWorker> {
    const [place] = init.places;
    if (place === undefined) throw new PortsideError('ERR_PORTSIDE_STATE', 'there is no place to listen on');
    if (init.handOver !== null && init.handOver.homes !== null)
      throw unsupported(
        'it gives connections before their PROXY header tells where they belong by hash; export a handler instead',
      );
    for (const other of init.places) {
      if (other.secure !== place.secure)
        throw unsupported('the endpoints differ in TLS; export a handler instead, or give the endpoints the same');
      if (other.permits !== null)
        throw unsupported('an endpoint has a limit of its own; export a handler instead, or limit all together');
    }
    const permits = borrowedPermits(init.permits);
    const acceptors: Acceptor[] = [];
    const late = { count: 0 };
    for (const { source, address, options } of init.places) {
      const turnedAway = (): void => {
        late.count += 1;
        tally.turnedAway();
      };
      const transport = new WorkerTransport(base, source, address, [permits], turnedAway, tally.measures);
      const target = 'port' in address ? address : { host: '', port: 0 };
      const acceptor = await transport.listen(
        { kind: 'tcp', host: target.host, port: target.port, ipv6Only: false },
        { backlog: options.backlog ?? 4_096, reusePort: true, reuseAddress: options.reuse },
      );
      acceptors.push(source.kind === 'arrivals' ? acceptor : new LimitedAcceptor(acceptor, permits));
    }
    const listener = await listenOver(acceptors, place.options, place.secure);
    listener.suspend();
    return new BareWorker(listener, permits, acceptors, late, tally, departures);
  }

  private constructor(
    listener: Listener,
    permits: BorrowedPermits,
    acceptors: readonly Acceptor[],
    late: { readonly count: number },
    tally: Tally,
    departures: Departures,
  ) {
    this.#departures = departures;
    this.#late = late;
    this.listener = listener;
    this.#permits = permits;
    this.#acceptors = acceptors;
    this.#tally = tally;
    const limited = acceptors.some((acceptor) => acceptor instanceof LimitedAcceptor);
    greet(listener, (connection, handedOver) => {
      if (!limited) permits.take();
      this.#count += 1;
      const inside = link(connection);
      const age = handedOver ? (inside.life.arrival?.age ?? 0) : 0;
      this.#ids.set(connection, { id: this.#count, at: this.#clock.now() - age });
      tally.accepted(connection);
      if (inside.opening) void this.#whenOpened(connection);
      inside.owner = this;
      if (inside.reason !== null) this.over(connection, inside.reason);
    });
  }

  over(connection: Connection, reason: CloseReason): void {
    const known = this.#ids.get(connection);
    if (known === undefined) return;
    this.#ids.delete(connection);
    const age = Math.max(0, this.#clock.now() - known.at);
    this.#tally.measures.ended(age, connection.bytesRead, connection.bytesWritten);
    this.#tally.closed(connection, reasonName(reason));
    this.#permits.give();
    this.#drain?.gone(connection, known.id, reason, this.#ids.size);
  }

  async #whenOpened(connection: Connection): Promise<void> {
    const since = this.#clock.now();
    try {
      await connection.opened;
    } catch {
      // The connection's reason tells it.
      return;
    }
    this.#tally.measures.handshake.add(this.#clock.now() - since);
  }

  async handOver(connection: Connection, worker: number, value: unknown): Promise<void> {
    const known = this.#ids.get(connection);
    if (known === undefined) throw noWorker(link(connection));
    const left = (): void => {
      this.#ids.delete(connection);
      this.#tally.handedOver(connection);
      this.#permits.give();
      this.#drain?.moved(this.#ids.size);
    };
    const age = (): number => Math.max(0, this.#clock.now() - known.at);
    // Its endpoints differ in nothing.
    const departing = { place: 0, permits: [this.#permits], age, client: () => null, left };
    await this.#departures.handOver(connection, worker, value, departing);
  }

  get addresses(): readonly Address[] {
    return this.listener.addresses;
  }

  resume(): void {
    this.listener.resume();
  }

  suspend(): void {
    this.listener.suspend();
  }

  set({ deadlines }: ServerChanges): void {
    if (deadlines === undefined) return;
    const now = settingsOf(this.listener).deadlines;
    Object.assign(now, deadlinesOf(deadlines, now));
    for (const [connection, { at }] of this.#ids) link(connection).watchOver(now, this.#clock.now() - at);
  }

  async reloadTls(options: TlsServerOptions | undefined): Promise<void> {
    if (settingsOf(this.listener).opening?.tls != null) await this.listener.reloadTls(options);
  }

  drain({ grace }: WorkerDrain): Promise<WorkerLedger> {
    this.#end = Math.min(this.#end, this.#clock.now() + grace);
    void this.#drain?.within(grace);
    this.#drained ??= this.#leave();
    return this.#drained;
  }

  async #leave(): Promise<WorkerLedger> {
    // What was sent by another port may be a turn behind.
    await new Promise(setImmediate);
    await untilTaken({
      waits: () => this.#acceptors.some((acceptor) => acceptor.pending()),
      taken: () => this.#count,
      goesOn: () => this.#clock.now() < this.#end,
    });
    const drain = new BareDrain([...this.#ids.keys()], this.#clock.now(), () => {
      for (const connection of this.#ids.keys()) link(connection).destroy('reset', { kind: 'drained', idle: false });
    });
    this.#drain = drain;
    await this.listener.close();
    const why = new PortsideError('ERR_PORTSIDE_CLOSED', 'the server is stopping');
    for (const connection of this.#ids.keys()) link(connection).life.draining.abort(why);
    const ledger = await drain.within(Math.max(0, this.#end - this.#clock.now()));
    this.#permits.close();
    const { count } = this.#late;
    return { ...ledger, connections: ledger.connections + count, failed: ledger.failed + count };
  }

  connections(): readonly ConnectionStatus[] {
    const now = this.#clock.now();
    return [...this.#ids].map(([connection, { id, at }]) =>
      connectionStatus(connection, id, now - at, !link(connection).opening),
    );
  }

  endConnections(ids: readonly number[], how: EndByHand): number {
    const wanted = new Set(ids);
    const found = [...this.#ids].filter(([, { id }]) => wanted.has(id));
    const ends = ([connection]: (typeof found)[number]): boolean =>
      endByHand(connection, how, !link(connection).opening, (why) => link(connection).destroy('reset', why));
    return found.filter(ends).length;
  }
}

function unsupported(why: string): PortsideError {
  const message = `receiveConnections() has one listener for all endpoints, and ${why}`;
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', message, { op: 'receiveConnections' });
}

/** The end of connections that are the module's own: they are told, waited for, and ended at the deadline. */
class BareDrain {
  readonly #began: number;
  #connections: number;
  readonly #entries: WorkerLedgerEntry[] = [];
  readonly #counts: Record<Ending, number> = { finished: 0, idle: 0, forced: 0, failed: 0, detached: 0 };
  readonly #clock = currentClock();
  readonly #force: Countdown;
  readonly #over = Promise.withResolvers<WorkerLedger>();

  constructor(connections: readonly Connection[], began: number, force: () => void) {
    this.#began = began;
    this.#connections = connections.length;
    this.#force = new Countdown(this.#clock, force);
    if (connections.length === 0) this.#settle();
  }

  within(grace: number): Promise<WorkerLedger> {
    if (grace !== Infinity && this.#entries.length < this.#connections) this.#force.within(grace);
    return this.#over.promise;
  }

  gone(connection: Connection, id: number, reason: CloseReason, left: number): void {
    const ending = endingOf(reason);
    this.#counts[ending] += 1;
    const after = this.#clock.now() - this.#began;
    this.#entries.push({ id, remote: connection.remote, ending, reason: reasonName(reason), after });
    if (left === 0) this.#settle();
  }

  /** One went to another worker, where its end is told. */
  moved(left: number): void {
    this.#connections -= 1;
    if (left === 0) this.#settle();
  }

  #settle(): void {
    this.#force.cancel();
    const took = this.#clock.now() - this.#began;
    this.#over.resolve({ connections: this.#connections, ...this.#counts, took, entries: this.#entries });
  }
}

function endingOf(reason: CloseReason): Ending {
  switch (reason.kind) {
    case 'ended':
    case 'closed':
      return 'finished';
    case 'released':
      return 'detached';
    case 'drained':
      return reason.idle ? 'idle' : 'forced';
    default:
      return 'failed';
  }
}
