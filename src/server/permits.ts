import { AsyncResource } from 'node:async_hooks';
import { PortsideError } from '../base/errors.ts';
import { check, integer, table } from '../base/options.ts';
import type { Clock } from '../sync/clock.ts';
import { rethrowSoon } from '../sync/rethrow.ts';

/** How many connections there may be. */
export interface PermitLimits {
  /** Of all clients together, 0 or more; `Infinity`: no limit. */
  readonly connections?: number | undefined;
  /** Of one client, 0 or more; `Infinity`: no limit. */
  readonly perClient?: number | undefined;
}

/** Who may let connections in. Local, or the parent's over several workers. */
export interface PermitStore {
  /** Takes a permit if one is to be had now. */
  take(): boolean;
  /** Gives one back. Throws ERR_PORTSIDE_STATE when none is out. */
  give(): void;
  /**
   * Calls `wake` once (soon, never within a call) when a permit may be had; `take()` may still fail then, and whoever wants to go on waiting
   * asks again. Gives back how to call it off, which does nothing after the wake.
   */
  wait(wake: () => void): () => void;
  /** One more connection of a client: false when it has all that it may. A store that is elsewhere answers later. */
  takeFor(client: string): boolean | Promise<boolean>;
  /** One less of a client. Throws ERR_PORTSIDE_STATE when it has none. */
  giveFor(client: string): void;
  /** Changes limits while running; what is left out stays, and connections that are over the new ones stay too. */
  resize(limits: PermitLimits): void;
  /** How many permits are out. More than {@link PermitStore.limit} after a resize, until enough have come back. */
  readonly used: number;
  /** How many connections there may be. */
  readonly limit: number;
  /** How many connections one client may have. */
  readonly perClient: number;
}

const count = integer({ min: 0, infinite: true });
const limitsTable = table('permits', { connections: count, perClient: count });

/** Who waits are acceptors, not clients, so this many are a mistake. */
const MOST_WAITING = 10_000;

// Whoever gives a permit back must not lend its async context (its connection, its scope) to who waited for one.
const nowhere = new AsyncResource('PORTSIDE_PERMITS');

interface Waiter {
  readonly order: number;
  readonly wake: () => void;
}

/**
 * The permits of one process: exact under any order of calls.
 *
 * Those that wait are woken in the order in which they came, one for each permit that is free. A waiter that takes none until its `wake` returns
 * passes it on to the next. A `take()` in between may be faster; then nobody is woken for that permit, and everyone keeps its place.
 */
export class LocalPermits implements PermitStore {
  readonly #clock: Clock;
  #limit: number;
  #perClient: number;
  #used = 0;
  #order = 0;
  #scheduled = false;
  readonly #waiters = new Set<Waiter>();
  readonly #clients = new Map<string, number>();
  readonly #turn: () => void = () => this.#wakeAll();
  readonly #schedule: () => void = () => this.#clock.soon(this.#turn);

  /** No limit by default. Throws ERR_PORTSIDE_OPTIONS for a limit that is no whole number of 0 or more, nor `Infinity`. */
  constructor(limits: PermitLimits, clock: Clock) {
    const { connections, perClient } = check(limitsTable, limits);
    this.#clock = clock;
    this.#limit = connections ?? Number.POSITIVE_INFINITY;
    this.#perClient = perClient ?? Number.POSITIVE_INFINITY;
  }

  get used(): number {
    return this.#used;
  }

  get limit(): number {
    return this.#limit;
  }

  get perClient(): number {
    return this.#perClient;
  }

  /** How many wait for a permit. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** How many clients have connections that are counted. */
  get clients(): number {
    return this.#clients.size;
  }

  take(): boolean {
    if (this.#used >= this.#limit) return false;
    this.#used++;
    return true;
  }

  give(): void {
    if (this.#used === 0) throw notTaken('a permit was given back that was not taken');
    this.#used--;
    this.#stir();
  }

  /** As {@link PermitStore.wait}; throws ERR_PORTSIDE_LIMIT when 10,000 wait already. */
  wait(wake: () => void): () => void {
    if (this.#waiters.size >= MOST_WAITING)
      throw new PortsideError('ERR_PORTSIDE_LIMIT', `${MOST_WAITING} wait for a permit already`, { op: 'wait' });
    const waiter: Waiter = { order: ++this.#order, wake };
    this.#waiters.add(waiter);
    this.#stir();
    return () => {
      this.#waiters.delete(waiter);
    };
  }

  takeFor(client: string): boolean {
    const has = this.#clients.get(client) ?? 0;
    if (has >= this.#perClient) return false;
    // Counted without a limit too: one may be set while the connections are there.
    this.#clients.set(client, has + 1);
    return true;
  }

  giveFor(client: string): void {
    const has = this.#clients.get(client);
    if (has === undefined) throw notTaken(`${client} has no connection that could be given back`);
    if (has === 1) this.#clients.delete(client);
    else this.#clients.set(client, has - 1);
  }

  /** How many connections a client has that are counted. */
  usedBy(client: string): number {
    return this.#clients.get(client) ?? 0;
  }

  /** As {@link PermitStore.resize}. Throws ERR_PORTSIDE_OPTIONS, and changes nothing then. */
  resize(limits: PermitLimits): void {
    const { connections, perClient } = check(limitsTable, limits);
    if (connections !== undefined) this.#limit = connections;
    if (perClient !== undefined) this.#perClient = perClient;
    this.#stir();
  }

  /** Wakes soon, if there is someone to wake and something to wake for. */
  #stir(): void {
    if (this.#scheduled || this.#waiters.size === 0 || this.#used >= this.#limit) return;
    this.#scheduled = true;
    nowhere.runInAsyncScope(this.#schedule);
  }

  #wakeAll(): void {
    this.#scheduled = false;
    // Who asks again while this goes on is woken in another turn, so that it ends.
    const last = this.#order;
    for (const waiter of this.#waiters) {
      if (this.#used >= this.#limit || waiter.order > last) break;
      this.#waiters.delete(waiter);
      try {
        waiter.wake();
      } catch (error) {
        rethrowSoon(error);
      }
    }
  }
}

function notTaken(message: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_STATE', message, { op: 'give' });
}
