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
  readonly #half: number;
  #now: IntervalHistogram = begin();
  #before: IntervalHistogram | null = null;
  #since: number = performance.now();

  /** `half`: milliseconds after which the older half of what is known is forgotten; with 0 each look tells what came since the one before. */
  constructor(half: number = HALF) {
    this.#half = half;
  }

  /** How late it was. */
  read(): LoopDelays {
    const at = performance.now();
    if (at - this.#since > this.#half) this.#turn(at);
    return {
      p50: this.#worse((delays) => delays.percentile(50)),
      p99: this.#worse((delays) => delays.percentile(99)),
      max: this.#worse((delays) => delays.max),
    };
  }

  [Symbol.dispose](): void {
    this.#now.disable();
  }

  /** The older half makes room for the next. */
  #turn(at: number): void {
    const older = this.#before;
    this.#now.disable();
    this.#before = this.#now;
    older?.reset();
    older?.enable();
    this.#now = older ?? begin();
    this.#since = at;
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
