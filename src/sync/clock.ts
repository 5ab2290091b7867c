// The global of this name is a getter, which costs more than the clock does.
import { performance } from 'node:perf_hooks';

/** A timer that was set. */
export interface TimerHandle {
  /** Takes it back; does nothing when it has fired. */
  cancel(): void;
  /** Whether it keeps the process alive; true at first. */
  ref(on: boolean): void;
}

/**
 * Time as Portside sees it. All waits go through the clock of the current scope, so that a test can hold it in its
 * hand.
 */
export interface Clock {
  /** Monotonic milliseconds, fractions included, from an arbitrary start. */
  now(): number;
  /** Milliseconds since 1970 by the wall clock; it may jump. */
  wall(): number;
  /** Calls `fn` once, after `ms` milliseconds or a little later. Negative and zero mean soon. */
  after(ms: number, fn: () => void): TimerHandle;
  /** Calls `fn` once, from a fresh stack, when the present turn is over; in order of asking. */
  soon(fn: () => void): void;
}

// Node turns a longer delay into 1 ms, so such a timer is set again in pieces; and it cuts fractions off, so they are
// rounded up.
const LONGEST = 2 ** 31 - 1;

class SystemTimer implements TimerHandle {
  #timeout: NodeJS.Timeout;
  #refed = true;

  constructor(ms: number, fn: () => void) {
    this.#timeout = this.#set(ms, fn);
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }

  ref(on: boolean): void {
    this.#refed = on;
    if (on) this.#timeout.ref();
    else this.#timeout.unref();
  }

  #set(ms: number, fn: () => void): NodeJS.Timeout {
    if (ms <= LONGEST) return setTimeout(fn, Math.ceil(ms));
    return setTimeout(() => {
      this.#timeout = this.#set(ms - LONGEST, fn);
      this.ref(this.#refed);
    }, LONGEST);
  }
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, fn) => new SystemTimer(ms, fn),
  soon: (fn) => {
    setImmediate(fn);
  },
};
