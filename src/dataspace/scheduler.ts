import type { Clock } from '../sync/clock.ts';
import { Fifo } from '../sync/fifo.ts';

/** What takes turns. */
export interface Runner {
  /** Whether it is waiting in the scheduler's queue. */
  ready: boolean;
  /** Takes one turn; gives whether it wants another one. Never throws. */
  step(): boolean;
}

/** How turns are dealt out. */
export interface SchedulerLimits {
  /** Turns of one runner before others get theirs. */
  readonly burst: number;
  /** Turns, of all, before the event loop breathes. */
  readonly slice: number;
  /** Milliseconds before the event loop breathes. */
  readonly sliceTime: number;
}

/** Turns between two looks at the clock. */
const READ_EVERY = 8;

/** Gives runners their turns, round after round, and lets the event loop breathe in between. */
export class Scheduler {
  readonly #clock: Clock;
  readonly #limits: SchedulerLimits;
  readonly #idle: () => void;
  readonly #ready = new Fifo<Runner>();
  readonly #tick = (): void => this.#slice();
  #running = false;
  #asked = false;
  #busy = false;
  #turns = 0;
  /** Turns since the clock was read. */
  #unread = 0;

  constructor(clock: Clock, limits: SchedulerLimits, idle: () => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#idle = idle;
  }

  /** How many turns there were. */
  get turns(): number {
    return this.#turns;
  }

  /** Whether nobody has a turn or waits for one. */
  get empty(): boolean {
    return !this.#busy && this.#ready.length === 0;
  }

  /** Puts a runner in the queue, at its end, unless it is there. */
  wake(runner: Runner): void {
    if (runner.ready) return;
    runner.ready = true;
    this.#ready.push(runner);
    this.#ask();
  }

  /** Turns are taken from now on. `idle` is called whenever none is left, once at least. */
  start(): void {
    this.#running = true;
    this.#ask();
  }

  /** No more turns are taken until the next start. */
  stop(): void {
    this.#running = false;
  }

  #ask(): void {
    if (!this.#running || this.#asked) return;
    this.#asked = true;
    this.#clock.soon(this.#tick);
  }

  #slice(): void {
    const { burst, slice, sliceTime } = this.#limits;
    const end = this.#clock.now() + sliceTime;
    let left = slice;
    this.#busy = true;
    while (this.#running && left > 0) {
      const runner = this.#ready.shift();
      if (runner === undefined) break;
      left -= this.#burst(runner, Math.min(burst, left), end);
      if (this.#late(end)) break;
    }
    this.#busy = false;
    this.#asked = false;
    if (!this.#running) return;
    if (this.#ready.length > 0) this.#ask();
    else this.#idle();
  }

  // Reading the clock costs a good part of a short turn.
  #late(end: number): boolean {
    this.#unread += 1;
    if (this.#unread < READ_EVERY) return false;
    this.#unread = 0;
    return this.#clock.now() >= end;
  }

  #burst(runner: Runner, most: number, end: number): number {
    let count = 0;
    let more = true;
    // It stays marked as ready, so that what it sends to itself does not queue it twice.
    while (more && count < most && this.#running) {
      more = runner.step();
      count += 1;
      if (more && this.#late(end)) break;
    }
    this.#turns += count;
    runner.ready = more;
    if (more) this.#ready.push(runner);
    return count;
  }
}
