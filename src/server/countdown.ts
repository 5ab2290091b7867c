import type { Clock, TimerHandle } from '../sync/clock.ts';

/** Does something when the shortest of the times that it was given is over. */
export class Countdown {
  readonly #clock: Clock;
  readonly #over: () => void;
  /** When it is over, by the clock. */
  #at = Infinity;
  #timer: TimerHandle | null = null;

  constructor(clock: Clock, over: () => void) {
    this.#clock = clock;
    this.#over = over;
  }

  /** Milliseconds until it is over; `Infinity` while it is not counting. */
  get left(): number {
    return Math.max(0, this.#at - this.#clock.now());
  }

  /** It is over in `ms` milliseconds (0: now, within this call), unless it is sooner already. Once it was over, this begins it anew. */
  within(ms: number): void {
    const at = this.#clock.now() + ms;
    if (at >= this.#at) return;
    this.cancel();
    this.#at = at;
    if (ms === 0) this.#end();
    else this.#timer = this.#clock.after(ms, () => this.#end());
  }

  /** It is never over, until the next time that it is given. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#at = Infinity;
  }

  #end(): void {
    this.#timer = null;
    // What is done now may give it a time, and is not to be done within itself.
    this.#at = -Infinity;
    this.#over();
    this.#at = Infinity;
  }
}
