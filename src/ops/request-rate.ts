import type { Clock } from '../sync/clock.ts';

/** Lets so many requests through in a second, over all who ask. */
export class RequestRate {
  readonly #clock: Clock;
  readonly #most: number;
  #since = -Infinity;
  #taken = 0;

  constructor(most: number, clock: Clock) {
    this.#most = most;
    this.#clock = clock;
  }

  /** Whether there is room for one more. */
  take(): boolean {
    const now = this.#clock.now();
    if (now - this.#since >= 1_000) {
      this.#since = now;
      this.#taken = 0;
    }
    this.#taken += 1;
    return this.#taken <= this.#most;
  }
}
