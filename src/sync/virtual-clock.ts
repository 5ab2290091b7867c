import { AsyncResource } from 'node:async_hooks';
import { PortsideError } from '../base/errors.ts';
import { check, checkValue, milliseconds, number, table } from '../base/options.ts';
import type { Clock, TimerHandle } from './clock.ts';
import { Fifo } from './fifo.ts';

// Taken before a test can put something else in its place.
const { setImmediate } = globalThis;

// A task that asks for itself again and again would hold up the test for ever.
const MOST_TASKS = 1_000_000;
const DAY = 24 * 60 * 60 * 1_000;
// Promises may hang on turns of the real loop (streams, setImmediate) that this clock knows nothing of.
const IDLE_TURNS = 8;

const msRule = milliseconds();
const jumpRule = number();
const runTable = table('run', { limit: milliseconds({ infinite: true }) });
const clockTable = table('VirtualClock', { now: number(), wall: number() });

/** Options of a {@link VirtualClock}. */
export interface VirtualClockOptions {
  /** What `now()` begins with; 0 by default. */
  readonly now?: number | undefined;
  /** What `wall()` begins with; the first moment of 2025, UTC, by default. */
  readonly wall?: number | undefined;
}

/** Options of `VirtualClock.run`. */
export interface RunOptions {
  /** Milliseconds by which the time may move; a day by default. */
  readonly limit?: number | undefined;
}

interface VirtualTimer extends TimerHandle {
  readonly due: number;
  readonly fn: () => void;
}

/**
 * Time that stands still until it is told to move, for tests: a day passes in milliseconds, and each run is the same as
 * the last.
 *
 * Timers fire in the order of their times, and those of the same time in the order in which they were set. Between two
 * steps all promises settle that can. What a timer or task throws rejects the call that moved the time.
 */
export class VirtualClock implements Clock {
  #now: number;
  #wall: number;
  /** By due time; those of the same time in the order in which they were set. */
  readonly #timers: VirtualTimer[] = [];
  readonly #tasks = new Fifo<() => void>();
  #everArmed = 0;

  constructor(options?: VirtualClockOptions) {
    const { now = 0, wall = Date.UTC(2025, 0, 1) } = check(clockTable, options);
    this.#now = now;
    this.#wall = wall - now;
  }

  /** How many timers are set now. */
  get armed(): number {
    return this.#timers.length;
  }

  /** How many timers were ever set. */
  get everArmed(): number {
    return this.#everArmed;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now + this.#wall;
  }

  after(ms: number, fn: () => void): TimerHandle {
    const due = this.#now + (ms > 0 ? ms : 0);
    const timer: VirtualTimer = {
      due,
      fn: AsyncResource.bind(fn),
      cancel: () => this.#remove(timer),
      ref: () => {},
    };
    this.#timers.splice(this.#placeOf(due), 0, timer);
    this.#everArmed++;
    return timer;
  }

  soon(fn: () => void): void {
    this.#tasks.push(AsyncResource.bind(fn));
  }

  /**
   * Moves the time on by `ms` milliseconds, and does on the way what is due: tasks, and timers up to and including the
   * end.
   */
  async advance(ms: number): Promise<void> {
    checkValue('advance', 'ms', msRule, ms);
    const end = this.#now + ms;
    await this.settle();
    while (await this.#step(end));
    if (this.#now < end) this.#now = end;
  }

  /**
   * Runs tasks until none is left and lets promises settle; the time stands still, and timers don't fire.
   * Rejects with `ERR_PORTSIDE_LIMIT` after a million tasks.
   */
  async settle(): Promise<void> {
    await realTurn();
    for (let count = 0; this.#tasks.length > 0; count++) {
      if (count === MOST_TASKS) throw new PortsideError('ERR_PORTSIDE_LIMIT', 'Tasks ask for more tasks without end');
      this.#tasks.shift()?.();
      await realTurn();
    }
  }

  /**
   * Moves the time from timer to timer until the promise has settled, and gives what it gave. Rejects with
   * `ERR_PORTSIDE_TIMEOUT` when no timer is left that could wake it, or the time would move by more than the limit.
   */
  async run<T>(promise: PromiseLike<T>, options?: RunOptions): Promise<T> {
    const { limit = DAY } = check(runTable, options);
    const end = this.#now + limit;
    let settled = false;
    const outcome = Promise.resolve(promise);
    const settle = (): void => {
      settled = true;
    };
    outcome.then(settle, settle);
    for (let idle = 0; idle < IDLE_TURNS; idle++) {
      await this.settle();
      while (!settled && (await this.#step(end))) idle = 0;
      if (settled) return outcome;
    }
    const next = this.#timers[0]?.due ?? Infinity;
    const message =
      next === Infinity
        ? 'The promise is still pending, and no timer is left that could wake it'
        : `The promise is still pending after ${limit} ms, the limit of run()`;
    throw new PortsideError('ERR_PORTSIDE_TIMEOUT', message, { op: 'run' });
  }

  /** Moves the wall clock alone, by `ms` milliseconds; back when negative. */
  jumpWall(ms: number): void {
    checkValue('jumpWall', 'ms', jumpRule, ms);
    this.#wall += ms;
  }

  /** Fires the next timer, if it is due by `end`. */
  async #step(end: number): Promise<boolean> {
    const timer = this.#timers[0];
    if (timer === undefined || timer.due > end || timer.due === Infinity) return false;
    this.#timers.shift();
    if (this.#now < timer.due) this.#now = timer.due;
    timer.fn();
    await this.settle();
    return true;
  }

  #placeOf(due: number): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#timers[middle] as VirtualTimer).due <= due) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #remove(timer: VirtualTimer): void {
    // Its equals stand before it.
    for (let i = this.#placeOf(timer.due) - 1; this.#timers[i]?.due === timer.due; i--) {
      if (this.#timers[i] !== timer) continue;
      this.#timers.splice(i, 1);
      return;
    }
  }
}

function realTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
