import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { IntervalHistogram } from 'node:perf_hooks';

/** By how many milliseconds timers of a thread were late in the last half minute to minute: half of them, 99 of 100, and the worst. */
export interface LoopDelays {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Milliseconds between two timers. */
const RESOLUTION = 20;
/** Milliseconds after which the older half of what is known is forgotten. */
const HALF = 30_000;

/** Watches how late the event loop of this thread is. */
export class LoopDelay implements Disposable {
  #now: IntervalHistogram = begin();
  #before: IntervalHistogram | null = null;
  #since: number = performance.now();

  /** How late it was. */
  read(): LoopDelays {
    const at = performance.now();
    if (at - this.#since > HALF) {
      this.#now.disable();
      this.#before = this.#now;
      this.#now = begin();
      this.#since = at;
    }
    return {
      p50: this.#worse((delays) => delays.percentile(50)),
      p99: this.#worse((delays) => delays.percentile(99)),
      max: this.#worse((delays) => delays.max),
    };
  }

  [Symbol.dispose](): void {
    this.#now.disable();
  }

  /** Of the two halves; what the timer itself takes is left out. */
  #worse(of: (delays: IntervalHistogram) => number): number {
    let worst = 0;
    for (const delays of [this.#now, this.#before])
      if (delays !== null && delays.count > 0) worst = Math.max(worst, of(delays) / 1e6 - RESOLUTION);
    return Math.round(worst * 1_000) / 1_000;
  }
}

function begin(): IntervalHistogram {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION });
  delays.enable();
  return delays;
}
