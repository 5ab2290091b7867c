import { PortsideError } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import { isIdle } from '../net/idle.ts';
import type { Link } from '../net/link.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import type { Random } from '../sync/random.ts';
import type { Address } from '../transport/address.ts';
import { Countdown } from './countdown.ts';
import type { Given } from './options.ts';
import type { Served } from './served.ts';
import type { EndingStatus } from './status.ts';

/**
 * How a connection ended while the server came to its end.
 *
 *  - `finished`: by its handler or its peer, in order.
 *  - `idle`: closed by the drain while it waited for its peer's next message, or before its handler had begun.
 *  - `forced`: ended by the drain at the deadline.
 *  - `failed`: a reset, a failure, a missed deadline, an error of its handler.
 *  - `detached`: given away by its handler.
 */
export type Ending = 'finished' | 'idle' | 'forced' | 'failed' | 'detached';

/** One connection in a {@link Ledger}. */
export interface LedgerEntry {
  readonly id: number;
  readonly remote: Address;
  readonly ending: Ending;
  /** Why it is over; null for one that was given away. */
  readonly reason: CloseReason | null;
  /** Milliseconds from the beginning of the drain. */
  readonly after: number;
}

/** How every connection ended that there was when a drain began, or came during its lead: the counts add up to `connections`. */
export interface Ledger extends Readonly<Record<Ending, number>> {
  readonly connections: number;
  /** Milliseconds that the drain took. */
  readonly took: number;
  /** One for each connection, in the order of their ends; the first 100,000 of them. */
  readonly entries: readonly LedgerEntry[];
}

/** The ledger of a server that had no connections to end. */
export const nothingEnded: Ledger = Object.freeze({
  connections: 0,
  finished: 0,
  idle: 0,
  forced: 0,
  failed: 0,
  detached: 0,
  took: 0,
  entries: Object.freeze([]),
});

/** During a long lead any number of connections may come and go. */
const MOST_ENTRIES = 100_000;

/** What a drain does with a server. */
export interface DrainHost {
  readonly connections: readonly Served[];
  /** Accepts no more, and gives the ports up. */
  stopAccepting(): Promise<unknown>;
  /** Lets a connection's handler know. */
  tell(served: Served): void;
  /** Ends a connection abruptly. */
  hardClose(connection: Connection, why: CloseReason): void;
}

/** Times of a drain, in milliseconds. */
export interface DrainTimes {
  readonly lead: number;
  readonly grace: number;
  readonly spread: number;
}

/** One in the order of closing. */
interface Turn {
  readonly served: Served;
  readonly at: number;
}

/** Brings a server to its end: see `Server.drain`. */
export class Drain {
  readonly #host: DrainHost;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #began: number;
  readonly #entries: LedgerEntry[] = [];
  readonly #counts: Record<Ending, number> = { finished: 0, idle: 0, forced: 0, failed: 0, detached: 0 };
  #connections = 0;
  #forced = false;
  readonly #leadTime: number;
  #spread: number;
  #grace: number;
  #phase: 'lead' | 'telling' | 'grace' | 'over' = 'lead';
  /** Until it accepts no more. */
  readonly #lead: Countdown;
  /** Until those that are left are ended. */
  readonly #force: Countdown;
  #next: TimerHandle | null = null;
  /** Who is to be closed when idle, the last first. */
  #turns: readonly Turn[] = [];
  /** How many of the turns are still to come. */
  #left = 0;
  #closed: Promise<unknown> = Promise.resolve();
  readonly #over = Promise.withResolvers<Ledger>();

  constructor(host: DrainHost, times: DrainTimes, clock: Clock, random: Random) {
    this.#host = host;
    this.#clock = clock;
    this.#random = random;
    this.#began = clock.now();
    this.#leadTime = times.lead;
    this.#spread = times.spread;
    this.#grace = times.grace;
    this.#lead = new Countdown(clock, () => this.#stopAccepting());
    this.#force = new Countdown(clock, () => this.#forceAll());
  }

  get done(): Promise<Ledger> {
    return this.#over.promise;
  }

  /** How long it goes on already, and will go on at most. */
  get ending(): EndingStatus {
    const since = this.#clock.now() - this.#began;
    if (this.#phase === 'grace') return { since, left: this.#forced ? 0 : this.#force.left };
    if (this.#phase === 'over') return { since, left: 0 };
    return { since, left: Math.min(this.#lead.left, this.#leadTime) + this.#grace };
  }

  /** Whoever heard that it begins may have hastened it already. */
  begin(lead: number): void {
    if (this.#phase === 'lead') this.#lead.within(lead);
  }

  /** Makes it shorter where the new times are. */
  hasten({ lead, grace, spread }: DrainTimes): void {
    switch (this.#phase) {
      case 'lead':
      case 'telling':
        this.#spread = Math.min(this.#spread, spread);
        this.#grace = Math.min(this.#grace, grace);
        this.begin(lead);
        break;
      case 'grace':
        this.#spreadWithin(spread);
        this.#force.within(grace);
        break;
      case 'over':
    }
  }

  /** A connection is over, or given away. */
  gone(served: Served, reason: CloseReason | null): void {
    const ending = endingOf(reason);
    this.#counts[ending] += 1;
    this.#connections += 1;
    const after = this.#clock.now() - this.#began;
    if (this.#entries.length < MOST_ENTRIES)
      this.#entries.push({ id: served.id, remote: served.connection.remote, ending, reason, after });
    this.#check();
  }

  /** A connection is another worker's from now on, and its end is told there. */
  moved(): void {
    this.#check();
  }

  #stopAccepting(): void {
    this.#phase = 'telling';
    this.#closed = this.#host.stopAccepting();
    // Those that are idle before they are told go first.
    const order: Served[] = [];
    const rest: Served[] = [];
    for (const served of this.#host.connections) (isIdle(link(served.connection)) ? order : rest).push(served);
    for (const served of rest) order.push(served);
    const why = new PortsideError('ERR_PORTSIDE_CLOSED', 'the server is stopping');
    for (const served of order) {
      // Where the handler has not begun there is nobody to tell.
      if (!served.begun || link(served.connection).reason !== null) continue;
      link(served.connection).life.draining.abort(why);
      this.#host.tell(served);
    }
    for (const served of order)
      if (!served.begun) link(served.connection).destroy('drop', { kind: 'drained', idle: true });
    this.#phase = 'grace';
    // A turn for each, somewhere in its share of the window.
    const now = this.#clock.now();
    const share = this.#spread / order.length;
    this.#turns = order.map((served, i) => ({ served, at: now + (i + this.#random.next()) * share })).toReversed();
    this.#left = order.length;
    this.#force.within(this.#grace);
    this.#again();
    this.#check();
  }

  /** Puts the turns that are still to come closer together, in the same order. */
  #spreadWithin(spread: number): void {
    const now = this.#clock.now();
    const window = this.#left === 0 ? 0 : this.#turns[0]!.at - now;
    if (window <= spread) return;
    const turns = this.#turns.slice(0, this.#left);
    this.#turns = turns.map(({ served, at }) => ({ served, at: now + (Math.max(0, at - now) * spread) / window }));
    this.#again();
  }

  /** Waits for the next one's turn. Its handler hears of the drain first, and may have something to say. */
  #again(): void {
    this.#next?.cancel();
    this.#next = null;
    if (this.#left === 0 || this.#phase === 'over') return;
    const { at } = this.#turns[this.#left - 1]!;
    this.#next = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#closeIdle());
  }

  #closeIdle(): void {
    const now = this.#clock.now();
    for (; this.#left > 0; this.#left -= 1) {
      const { served, at } = this.#turns[this.#left - 1]!;
      if (at > now) break;
      const inside = link(served.connection);
      if (inside.owner !== served || inside.closing) continue;
      const look = (): void => closeWhenIdle(served, inside);
      inside.watchRest(look);
      look();
    }
    // Those that are over are not to be kept as long as the server is.
    if (this.#left === 0) this.#turns = [];
    this.#again();
  }

  #forceAll(): void {
    this.#forced = true;
    // Those that a hook ends in order are still there afterwards, and a further call ends them at once.
    for (const { connection } of [...this.#host.connections])
      this.#host.hardClose(connection, { kind: 'drained', idle: false });
  }

  #check(): void {
    if (this.#phase !== 'grace' || this.#host.connections.length > 0) return;
    this.#phase = 'over';
    this.#force.cancel();
    this.#next?.cancel();
    this.#turns = [];
    this.#left = 0;
    void this.#closed.then(() =>
      this.#over.resolve({
        connections: this.#connections,
        ...this.#counts,
        took: this.#clock.now() - this.#began,
        entries: this.#entries,
      }),
    );
  }
}

/** Ends a connection whose turn has come, if it is idle; else it is looked at again whenever it may be. */
function closeWhenIdle(served: Served, inside: Link): void {
  if (inside.owner !== served || inside.closing) return;
  if (isIdle(inside)) inside.endFor({ kind: 'drained', idle: true });
  // While it is below the high-water mark nobody else waits for it.
  else if (inside.channel.queued > 0) inside.channel.wantWritable();
}

function endingOf(reason: CloseReason | null): Ending {
  if (reason === null) return 'detached';
  switch (reason.kind) {
    case 'drained':
      return reason.idle ? 'idle' : 'forced';
    case 'ended':
    case 'closed':
    case 'released':
      return 'finished';
    default:
      return 'failed';
  }
}

/** An end that was asked for, with what its hook is to be given. */
export type StopWanted = DrainTimes & { readonly given: Given | undefined };

/** What two calls to stop come to: the shorter times, and what the first was given. */
export function sooner(wanted: StopWanted, before: StopWanted | null): StopWanted {
  if (before === null) return wanted;
  return {
    lead: Math.min(wanted.lead, before.lead),
    grace: Math.min(wanted.grace, before.grace),
    spread: Math.min(wanted.spread, before.spread),
    given: before.given,
  };
}
