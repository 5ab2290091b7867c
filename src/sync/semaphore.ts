import { PortsideError } from '../base/errors.ts';
import { check, checkValue, integer, table } from '../base/options.ts';
import { EvtBase, evtOf, none, wakeSoon } from './evt-core.ts';
import type { Evt, Synchronizable } from './evt-core.ts';
import { rethrowSoon } from './rethrow.ts';

/** The right to be one of those that a `Semaphore` lets in. */
export interface Permit extends Disposable {
  /** Whether it was given back. */
  readonly released: boolean;
  /** Gives it back; the second time does nothing. */
  release(): void;
}

/** Options of a `Semaphore`. */
export interface SemaphoreOptions {
  /** How many may wait; the next is refused with `ERR_PORTSIDE_LIMIT`. 10,000 by default. */
  readonly maxWaiting?: number | undefined;
}

/** Options of `Semaphore.acquire`. */
export interface AcquireOptions {
  /** Calls the wait off: it rejects with `signal.reason`, and no permit is gone. */
  readonly signal?: AbortSignal | undefined;
}

const permitsRule = integer({ min: 0 });
const optionsTable = table('Semaphore', { maxWaiting: integer({ min: 0 }) });

/** Someone in the queue, to be told that a permit is free; takes it, or leaves it to the next. */
interface Waiter {
  readonly order: number;
  offer(): void;
}

// What a permit and an event may do that others may not.
let giveBack: (to: Semaphore) => void;
let enqueue: (to: Semaphore, offer: () => void) => () => void;

// The member's name is an imported symbol, which --isolatedDeclarations can't read in a class.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the static block defines what the interface adds
export interface Semaphore extends Synchronizable<Permit> {}

/**
 * A number of permits, given to those who wait in the order in which they came, be it by `Semaphore.acquire` or
 * by `Semaphore.acquireEvt`. A semaphore can be waited for as it is: `select(semaphore, after(100))`.
 *
 * Throws `ERR_PORTSIDE_OPTIONS` for a number of permits that is not 0 or more.
 */
export class Semaphore {
  static {
    Object.defineProperty(this.prototype, evtOf, {
      value(this: Semaphore) {
        return this.acquireEvt();
      },
    });
    giveBack = (to) => {
      to.#free++;
      to.#offerAll();
    };
    enqueue = (to, offer) => to.#enqueue(offer);
  }

  readonly #maxWaiting: number;
  #size: number;
  /** Negative while more permits are out than there are since a `Semaphore.resize`. */
  #free: number;
  #order = 0;
  readonly #waiters = new Set<Waiter>();
  #evt: Evt<Permit> | undefined;

  constructor(permits: number, options?: SemaphoreOptions) {
    checkValue('Semaphore', 'permits', permitsRule, permits);
    this.#maxWaiting = check(optionsTable, options).maxWaiting ?? 10_000;
    this.#size = permits;
    this.#free = permits;
  }

  /** How many permits there are, free or not. */
  get size(): number {
    return this.#size;
  }

  /** How many are free. */
  get available(): number {
    return Math.max(0, this.#free);
  }

  /** How many wait, by promise or by event. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** A permit, or null when none is free. */
  tryAcquire(): Permit | null {
    if (this.#free <= 0) return null;
    this.#free--;
    return new HeldPermit(this);
  }

  /** Waits for a permit. Rejects with `signal.reason`, or with `ERR_PORTSIDE_LIMIT` when too many wait already. */
  acquire(options: AcquireOptions = {}): Promise<Permit> {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const permit = this.tryAcquire();
    if (permit !== null) return Promise.resolve(permit);
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        leave();
        reject(signal?.reason as Error);
      };
      const leave = this.#enqueue(() => {
        const held = this.tryAcquire();
        if (held === null) return;
        leave();
        signal?.removeEventListener('abort', abort);
        resolve(held);
      });
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** A permit, when it is chosen. Watching throws `ERR_PORTSIDE_LIMIT` when too many wait already. */
  acquireEvt(): Evt<Permit> {
    this.#evt ??= new PermitEvt(this);
    return this.#evt;
  }

  /**
   * Changes how many permits there are. More go to those who wait; fewer take none away from those who hold one, but
   * none is given before enough have come back.
   */
  resize(permits: number): void {
    checkValue('resize', 'permits', permitsRule, permits);
    this.#free += permits - this.#size;
    this.#size = permits;
    this.#offerAll();
  }

  #enqueue(offer: () => void): () => void {
    if (this.#waiters.size >= this.#maxWaiting) {
      throw new PortsideError('ERR_PORTSIDE_LIMIT', `${this.#waiters.size} wait for a permit already`, {
        op: 'acquire',
      });
    }
    const waiter: Waiter = { order: ++this.#order, offer };
    this.#waiters.add(waiter);
    return () => {
      this.#waiters.delete(waiter);
    };
  }

  #offerAll(): void {
    // Who comes while this goes on waits for the next permit, so that it ends.
    const last = this.#order;
    for (const waiter of this.#waiters) {
      if (this.#free <= 0 || waiter.order > last) return;
      try {
        waiter.offer();
      } catch (error) {
        rethrowSoon(error);
      }
    }
  }
}

class HeldPermit implements Permit {
  #from: Semaphore | undefined;

  constructor(from: Semaphore) {
    this.#from = from;
  }

  get released(): boolean {
    return this.#from === undefined;
  }

  release(): void {
    const from = this.#from;
    this.#from = undefined;
    if (from !== undefined) giveBack(from);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

class PermitEvt extends EvtBase implements Evt<Permit> {
  readonly #from: Semaphore;

  constructor(from: Semaphore) {
    super();
    this.#from = from;
  }

  take(): Permit | typeof none {
    return this.#from.tryAcquire() ?? none;
  }

  watch(wake: () => void): () => void {
    const leave = enqueue(this.#from, wake);
    if (this.#from.available === 0) return leave;
    const calm = wakeSoon(wake);
    return () => {
      calm();
      leave();
    };
  }
}
