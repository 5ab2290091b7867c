import type { Clock } from '../sync/clock.ts';

/** When workers that died are started anew. Milliseconds. */
export interface RestartOptions {
  /** Before the first restart of a worker; twice that before each further one that follows soon. @default 100 */
  delay?: number | undefined;
  /** Before any restart, at most. @default 10000 */
  maxDelay?: number | undefined;
  /** Deaths of all workers together within `within`, beyond which there are no more restarts and the listener stops. @default 10 */
  limit?: number | undefined;
  /** @default 60000 */
  within?: number | undefined;
}

/** {@link RestartOptions} with every default filled in. */
export type RestartTimes = { readonly [K in keyof RestartOptions]-?: number };

/** Fills in the defaults. */
export function restartTimes(options: RestartOptions | undefined): RestartTimes {
  const { delay = 100, maxDelay = 10_000, limit = 10, within = 60_000 } = options ?? {};
  return { delay, maxDelay: Math.max(delay, maxDelay), limit, within };
}

/** Keeps account of deaths, and says how long to wait before the next start. */
export class Supervision {
  readonly #times: RestartTimes;
  readonly #clock: Clock;
  /** When workers died, the latest last; none that is older than the window, and no more than the limit and one. */
  readonly #deaths: number[] = [];
  /** By index of the worker: deaths in a row, and when the last was. */
  readonly #rows = new Map<number, { count: number; last: number }>();

  constructor(times: RestartTimes, clock: Clock) {
    this.#times = times;
    this.#clock = clock;
  }

  /** A worker died. Milliseconds until it may be started again; null when there were too many deaths. */
  died(index: number): number | null {
    const { delay, maxDelay, limit, within } = this.#times;
    const now = this.#clock.now();
    this.#deaths.push(now);
    while (this.#deaths.length > 0 && now - this.#deaths[0]! > within) this.#deaths.shift();
    if (this.#deaths.length > limit) return null;
    const row = this.#rows.get(index);
    // Who lived for as long as the longest wait and more had recovered.
    const count = row !== undefined && now - row.last <= maxDelay * 2 ? row.count + 1 : 1;
    this.#rows.set(index, { count, last: now });
    return Math.min(maxDelay, delay * 2 ** (count - 1));
  }
}
