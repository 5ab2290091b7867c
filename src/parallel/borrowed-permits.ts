import { AsyncResource } from 'node:async_hooks';
import type { MessagePort } from 'node:worker_threads';
import { ClosedError, PortsideError } from '../base/errors.ts';
import type { PermitLimits, PermitStore } from '../server/permits.ts';
import { systemClock } from '../sync/clock.ts';
import type { Clock } from '../sync/clock.ts';
import { rethrowSoon } from '../sync/rethrow.ts';
import {
  AHEAD,
  FREE,
  GRANTED,
  KEEP,
  LOW,
  MORE,
  NOTHING,
  RECALL,
  RETURN,
  RETURNED,
  TELL,
  WANTS,
  takeOut,
} from './permit-ticket.ts';
import type { PermitAnswers, PermitTicket, PermitWords } from './permit-ticket.ts';

/** A worker has no more connections than that which are not decided about. */
const MOST_QUESTIONS = 100_000;
const MOST_WAITING = 10_000;

// Whoever gives a permit back must not lend its async context to who waited for one.
const nowhere = new AsyncResource('PORTSIDE_PERMITS');

const wants: PermitWords = { kind: 'wants' };
const back: PermitWords = { kind: 'back' };

interface Waiter {
  readonly order: number;
  readonly wake: () => void;
}

/** Makes the worker's end of a loan. A ticket is good for one, in the thread that it was posted to. */
export function borrowedPermits(ticket: PermitTicket, clock: Clock = systemClock): BorrowedPermits {
  return new BorrowedPermits(ticket, clock);
}

/**
 * Permits that are the parent's, in a worker.
 *
 * Where they are handed, each connection comes with its own: `take()` is always true, and a permit goes back only for a connection that {@link BorrowedPermits.arrived}. Where
 * they are leased, `take()` is false when this worker has none left, though there may be some elsewhere: `wait` has them fetched.
 */
export class BorrowedPermits implements PermitStore {
  /**
   * Is told the limits that the parent has set, just before they are seen here: connections that are in may have to be counted from now on. A server is told by
   * `server.set({ maxPerClient })` with the same number.
   */
  onLimits: ((limits: { readonly connections: number; readonly perClient: number }) => void) | null = null;
  readonly #handed: boolean;
  readonly #cells: Int32Array;
  readonly #port: MessagePort;
  readonly #clock: Clock;
  #limit: number;
  #perClient: number;
  /** Limits that are being told. */
  #next: { readonly connections: number; readonly perClient: number } | null = null;
  #held = 0;
  /** Connections that arrived and whose permits have not gone back. */
  #arrived = 0;
  /** The next permit that is given back is with the parent already, and the next of this client. */
  #departs = false;
  #departing: string | null = null;
  #closed = false;
  #order = 0;
  #scheduled = false;
  readonly #waiters = new Set<Waiter>();
  #asked = 0;
  /** Those who asked for a client; null when they were told already that no answer comes. */
  readonly #questions = new Map<
    number,
    { readonly client: string; readonly settle: PromiseWithResolvers<boolean> | null }
  >();
  readonly #clients = new Map<string, number>();
  readonly #turn: () => void = () => {
    this.#scheduled = false;
    this.#wakeAll();
    this.#waitOn();
  };
  readonly #schedule: () => void = () => this.#clock.soon(this.#turn);
  readonly #granted: () => void = () => this.#takeGranted();

  constructor(ticket: PermitTicket, clock: Clock) {
    this.#handed = ticket.mode === 'handed';
    this.#cells = new Int32Array(ticket.shared);
    this.#port = ticket.port;
    this.#clock = clock;
    this.#limit = ticket.connections;
    this.#perClient = ticket.perClient;
    this.#port.on('message', (answer: PermitAnswers) => this.#hear(answer));
    this.#port.on('close', () => this.#cut());
    this.#port.unref();
  }

  /** Permits that are in use here. */
  get held(): number {
    return this.#held;
  }

  /**
   * How many are out, as far as this worker can tell: where they are handed, those in use here; where they are leased, all but those that it could take now,
   * so that a `take()` fails when it is the limit.
   */
  get used(): number {
    if (this.#handed) return this.#held;
    const free = Atomics.load(this.#cells, FREE);
    if (free === 0) return Math.max(this.#held, this.#limit);
    return this.#limit === Infinity ? this.#held : Math.max(this.#held, this.#limit - free);
  }

  get limit(): number {
    return this.#limit;
  }

  get perClient(): number {
    return this.#perClient;
  }

  take(): boolean {
    if (!this.#handed) {
      const cells = this.#cells;
      let free = Atomics.load(cells, FREE);
      for (;;) {
        if (free <= 0 || this.#closed) return false;
        // The parent may be taking some away at the same time.
        const found = Atomics.compareExchange(cells, FREE, free, free - 1);
        if (found === free) break;
        free = found;
      }
      if (free === Atomics.load(cells, LOW)) this.#askAhead();
    }
    this.#held += 1;
    return true;
  }

  give(): void {
    if (this.#held === 0)
      throw new PortsideError('ERR_PORTSIDE_STATE', 'a permit was given back that was not taken', { op: 'give' });
    this.#held -= 1;
    if (this.#departs) {
      this.#departs = false;
      this.#arrived -= 1;
    } else if (this.#handed) this.#giveHanded();
    else this.#giveLeased();
    if (this.#closed) this.#finish();
  }

  /**
   * Where permits are handed: a connection came out of the passage, and its permit with it. Whoever takes connections says so for each, before anybody gives its
   * permit back: an intake also takes, and gives back, when it finds that nobody is there, and then nothing may go to the parent.
   */
  arrived(): void {
    this.#arrived += 1;
  }

  /** A connection came from another worker, counted under its client. */
  arrivedFor(client: string): void {
    this.#clients.set(client, (this.#clients.get(client) ?? 0) + 1);
  }

  /**
   * Where permits are handed: a connection goes to the parent, and has its permits with it. To be called in the turn in which it went, before they are given back here, which then tells
   * nobody. `client`: under which it is counted; null where it is not.
   */
  depart(client: string | null): void {
    this.#departs = true;
    this.#departing = client;
  }

  /**
   * As {@link PermitStore.wait}. Whoever takes nothing until `wake` returns has passed it on, to another worker if one waits. Nobody is woken after the loan has ended, or
   * after `close`. Throws ERR_PORTSIDE_LIMIT when 10,000 wait already.
   */
  wait(wake: () => void): () => void {
    if (this.#waiters.size >= MOST_WAITING)
      throw new PortsideError('ERR_PORTSIDE_LIMIT', `${MOST_WAITING} wait for a permit already`, { op: 'wait' });
    if (this.#closed) return () => {};
    const waiter: Waiter = { order: ++this.#order, wake };
    this.#waiters.add(waiter);
    if (!this.#scheduled) this.#waitOn();
    return () => {
      if (this.#waiters.delete(waiter) && this.#waiters.size === 0)
        Atomics.compareExchange(this.#cells, WANTS, MORE, NOTHING);
    };
  }

  /** The parent is asked. Rejects with ERR_PORTSIDE_CLOSED when it can't answer any more, and with ERR_PORTSIDE_LIMIT while 100,000 wait for its answers. */
  takeFor(client: string): Promise<boolean> {
    if (this.#closed) return Promise.reject(gone());
    if (this.#questions.size >= MOST_QUESTIONS) {
      const why = `${MOST_QUESTIONS} wait already to hear whether their clients may have one more`;
      return Promise.reject(new PortsideError('ERR_PORTSIDE_LIMIT', why, { op: 'takeFor' }));
    }
    const id = ++this.#asked;
    const settle = Promise.withResolvers<boolean>();
    this.#questions.set(id, { client, settle });
    this.#post({ kind: 'takeFor', id, client });
    return settle.promise;
  }

  giveFor(client: string): void {
    const has = this.#clients.get(client);
    if (has === undefined) {
      const why = `${client} has no connection that could be given back`;
      throw new PortsideError('ERR_PORTSIDE_STATE', why, { op: 'give' });
    }
    if (has === 1) this.#clients.delete(client);
    else this.#clients.set(client, has - 1);
    if (client === this.#departing) this.#departing = null;
    else this.#post({ kind: 'giveFor', client });
    if (this.#closed) this.#finish();
  }

  /** Limits are changed in the parent, and followed here. Throws ERR_PORTSIDE_STATE for any other than those that the parent has set. */
  resize({ connections, perClient }: PermitLimits): void {
    const next = this.#next ?? { connections: this.#limit, perClient: this.#perClient };
    if ((connections ?? next.connections) === next.connections && (perClient ?? next.perClient) === next.perClient)
      return;
    throw new PortsideError('ERR_PORTSIDE_STATE', 'the limits of a worker are its parent’s, and are changed there', {
      op: 'resize',
    });
  }

  /** Takes no more, and wakes nobody; what waits for the parent's answer is rejected. What is in use goes back when it is given. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#shut();
    if (!this.#handed) this.#handBack(takeOut(this.#cells, FREE, Infinity));
    this.#finish();
  }

  #giveHanded(): void {
    if (this.#arrived <= this.#held) return;
    this.#arrived -= 1;
    this.#handBack(1);
  }

  #giveLeased(): void {
    const cells = this.#cells;
    // It is looked whether it may stay only when it is where the parent can see it: one of the two finds it.
    Atomics.add(cells, FREE, 1);
    if (this.#closed || Atomics.load(cells, RECALL) !== KEEP) this.#handBack(takeOut(cells, FREE, 1));
    else if (this.#waiters.size > 0) this.#stir();
  }

  #handBack(count: number): void {
    const cells = this.#cells;
    if (count > 0) Atomics.add(cells, RETURNED, count);
    if (Atomics.load(cells, RECALL) === TELL && Atomics.compareExchange(cells, RECALL, TELL, RETURN) === TELL)
      this.#post(back);
  }

  get #ready(): boolean {
    return this.#handed || Atomics.load(this.#cells, FREE) > 0;
  }

  /** Goes on waiting for those who are left. */
  #waitOn(): void {
    if (this.#waiters.size === 0) return;
    if (this.#ready) this.#stir();
    else this.#ask(MORE);
  }

  #stir(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    nowhere.runInAsyncScope(this.#schedule);
  }

  #wakeAll(): void {
    // Who asks again while this goes on is woken in another turn, so that it ends.
    const last = this.#order;
    for (const waiter of this.#waiters) {
      if (!this.#ready || waiter.order > last) break;
      this.#waiters.delete(waiter);
      try {
        waiter.wake();
      } catch (error) {
        rethrowSoon(error);
      }
    }
  }

  #askAhead(): void {
    if (Atomics.load(this.#cells, WANTS) === NOTHING) this.#ask(AHEAD);
  }

  #ask(what: typeof MORE | typeof AHEAD): void {
    const cells = this.#cells;
    const before = Atomics.load(cells, WANTS);
    if (before === MORE || before === GRANTED) return;
    Atomics.store(cells, WANTS, what);
    this.#post(wants);
  }

  #takeGranted(): void {
    this.#wakeAll();
    const cells = this.#cells;
    Atomics.compareExchange(cells, WANTS, GRANTED, NOTHING);
    // What nobody has taken is for those who wait elsewhere; the parent does not take it as long as it is just granted.
    if (this.#closed || Atomics.load(cells, RECALL) !== KEEP) this.#handBack(takeOut(cells, FREE, Infinity));
    if (!this.#scheduled) this.#waitOn();
  }

  #hear(answer: PermitAnswers): void {
    switch (answer.kind) {
      case 'granted':
        nowhere.runInAsyncScope(this.#granted);
        break;
      case 'answer':
        this.#answered(answer.id, answer.granted);
        break;
      case 'limits':
        this.#follow(answer);
    }
  }

  #answered(id: number, granted: boolean): void {
    const question = this.#questions.get(id);
    if (question === undefined) return;
    this.#questions.delete(id);
    const { client, settle } = question;
    if (settle !== null) {
      if (granted) this.#clients.set(client, (this.#clients.get(client) ?? 0) + 1);
      settle.resolve(granted);
      return;
    }
    if (granted) this.#post({ kind: 'giveFor', client });
    this.#finish();
  }

  #follow(limits: { readonly connections: number; readonly perClient: number }): void {
    this.#next = limits;
    try {
      this.onLimits?.(limits);
    } catch (error) {
      rethrowSoon(error);
    }
    this.#next = null;
    this.#limit = limits.connections;
    this.#perClient = limits.perClient;
  }

  #shut(): void {
    this.#closed = true;
    this.#waiters.clear();
    Atomics.compareExchange(this.#cells, WANTS, MORE, NOTHING);
    for (const [id, { client, settle }] of this.#questions) {
      settle?.reject(gone());
      this.#questions.set(id, { client, settle: null });
    }
  }

  /** The parent has ended the loan, or this side is done. */
  #cut(): void {
    this.#shut();
    this.#questions.clear();
  }

  /** Closes the port when there is nothing more to say. */
  #finish(): void {
    if (this.#held === 0 && this.#clients.size === 0 && this.#questions.size === 0) this.#port.close();
  }

  #post(words: PermitWords): void {
    this.#port.postMessage(words);
  }
}

function gone(): ClosedError {
  return new ClosedError('permits are closed, and whether the client may have one more can’t be told', {
    op: 'takeFor',
  });
}
