import { checkValue, milliseconds } from '../base/options.ts';
import type { Clock } from './clock.ts';
import { IDLE, queueOf } from './timers.ts';
import type { TimerQueue } from './timers.ts';

const intervalRule = milliseconds({ infinite: true });

/**
 * A time that must not pass without a sign of life.
 *
 * `onExpire` is called once, from the clock's timer, when the interval given to {@link Deadline.arm} has passed since
 * the last `arm` or `touch`: never early, and by the system clock a millisecond or two late. Those that are due
 * together are called in the order of their times. It runs in no scope and in nobody's async context. What it throws
 * is an uncaught exception, and stops no other deadline.
 *
 * All deadlines of a clock share one timer, so that ten thousand arm one. It keeps the process alive while a deadline is
 * armed: somebody may wait for nothing else.
 */
export class Deadline {
  readonly #queue: TimerQueue;
  readonly #onExpire: () => void;
  #interval = 0;
  #since = 0;
  /** @internal */
  slot: number = IDLE;

  constructor(clock: Clock, onExpire: () => void) {
    this.#queue = queueOf(clock);
    this.#onExpire = onExpire;
  }

  /** Whether it will expire if nothing is done. */
  get armed(): boolean {
    return this.slot !== IDLE;
  }

  /**
   * Begins an interval of `ms` milliseconds now, in place of the one before. 0 means soon, Infinity disarms.
   * Throws `ERR_PORTSIDE_OPTIONS` for what is no time.
   */
  arm(ms: number): void {
    checkValue('arm', 'ms', intervalRule, ms);
    if (ms === Number.POSITIVE_INFINITY) {
      this.disarm();
      return;
    }
    this.#interval = ms;
    this.#since = this.#queue.clock.now();
    this.#queue.put(this);
  }

  /**
   * Begins the same interval anew. Only notes the time, whatever the number of deadlines. Does nothing unless armed.
   */
  touch(): void {
    if (this.slot !== IDLE) this.#since = this.#queue.clock.now();
  }

  /** Takes it back. Does nothing unless armed. */
  disarm(): void {
    if (this.slot !== IDLE) this.#queue.remove(this);
  }

  /** @internal */
  due(): number {
    return this.#since + this.#interval;
  }

  /** @internal */
  expire(): void {
    this.#onExpire();
  }
}
