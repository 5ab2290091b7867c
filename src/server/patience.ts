import type { PortsideError } from '../base/errors.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';

/** Waits for a hook of the user's that may never end, for no longer than it is told to. */
export class Patience {
  /** What is told where the waiting came to its end too early. */
  readonly reason: PortsideError;
  readonly #clock: Clock;
  readonly #over = new AbortController();
  #at = Infinity;
  #timer: TimerHandle | null = null;

  constructor(clock: Clock, reason: PortsideError) {
    this.#clock = clock;
    this.reason = reason;
  }

  /** Aborted with the reason when the waiting is over. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** It is over in `ms` milliseconds, unless it is sooner already. */
  limit(ms: number): void {
    const at = this.#clock.now() + ms;
    if (at >= this.#at) return;
    this.#at = at;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(ms, () => this.#over.abort(this.reason));
  }

  /** Resolves or rejects as the work does, or rejects with the reason when that takes too long; `late` gets what it rejects with afterwards. */
  waitFor(work: () => unknown, late: (error: unknown) => void): Promise<void> {
    const { signal } = this.#over;
    if (signal.aborted) return Promise.reject(this.reason);
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(this.reason), { once: true });
      const fail = (error: unknown): void => {
        if (signal.aborted) late(error);
        else reject(error);
      };
      Promise.resolve(work()).then(() => resolve(), fail);
    });
  }

  /** Nobody waits any more. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
