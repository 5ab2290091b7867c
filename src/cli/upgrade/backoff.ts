/** Milliseconds before a program is started again that has died: from the first to the longest, doubled each time. */
const FIRST = 100;
const LONGEST = 10_000;
/** So many deaths within as many milliseconds are too many. */
const MOST = 10;
const WINDOW = 120_000;
/** Milliseconds of service after which a death is the first again. */
const QUIET = 30_000;

/** When a program that dies is started again, and when no more. */
export class Backoff {
  readonly #now: () => number;
  #pause = FIRST;
  #deaths: number[] = [];
  #since = Infinity;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** It serves. */
  serves(): void {
    this.#since = this.#now();
  }

  /** It has died: milliseconds to wait, or null when it is not to be started again. */
  pause(): number | null {
    const now = this.#now();
    if (now - this.#since >= QUIET) this.#pause = FIRST;
    this.#since = Infinity;
    this.#deaths = [...this.#deaths.filter((at) => now - at < WINDOW), now];
    if (this.#deaths.length > MOST) return null;
    const pause = this.#pause;
    this.#pause = Math.min(LONGEST, 2 * pause);
    return pause;
  }
}
