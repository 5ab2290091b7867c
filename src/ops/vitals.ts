import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { EventLoopUtilization, IntervalHistogram } from 'node:perf_hooks';

/** How the process and the event loop of this thread are. */
export interface Vitals {
  /** How busy the event loop was since the last look but a second at least, from 0 to 1. */
  readonly utilization: number;
  /** Milliseconds by which timers were late since the beginning or the last reset: half of them, 99 of 100, and the worst. */
  readonly delayP50: number;
  readonly delayP99: number;
  readonly delayMax: number;
  /** Milliseconds by which the latest timer was late in the last second. */
  readonly delayNow: number;
  /** Bytes. */
  readonly memory: {
    readonly rss: number;
    readonly heapUsed: number;
    readonly heapTotal: number;
    readonly external: number;
  };
  /** Seconds of CPU time of the process. */
  readonly cpu: { readonly user: number; readonly system: number };
}

/** Milliseconds between two looks at the event loop. */
const RESOLUTION = 20;
/** Milliseconds for which the delays are kept, in two halves. */
const WINDOW = 60_000;
/** Milliseconds of "now". Two timers of a second each are less than that apart now and then. */
const NOW = 950;

/** Watches the event loop of this thread: its delay over the last half minute to minute, and how busy it is. */
export class VitalSigns implements Disposable {
  #now: IntervalHistogram = begin();
  #before: IntervalHistogram | null = null;
  readonly #second: IntervalHistogram = begin();
  #delayNow = 0;
  #since: number = performance.now();
  #seen: EventLoopUtilization = performance.eventLoopUtilization();
  #seenAt: number = performance.now();
  #utilization = 0;

  /** How it is now. */
  read(): Vitals {
    const at = performance.now();
    if (at - this.#since > WINDOW / 2) this.#turn(at);
    if (at - this.#seenAt >= NOW) {
      const seen = performance.eventLoopUtilization();
      this.#utilization = performance.eventLoopUtilization(seen, this.#seen).utilization;
      this.#seen = seen;
      this.#seenAt = at;
      this.#delayNow = lateness(this.#second.max, this.#second.count);
      this.#second.reset();
    }
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      utilization: this.#utilization,
      delayP50: this.#delay((delays) => delays.percentile(50)),
      delayP99: this.#delay((delays) => delays.percentile(99)),
      delayMax: this.#delay((delays) => delays.max),
      delayNow: this.#delayNow,
      memory: { rss, heapUsed, heapTotal, external },
      cpu: { user: user / 1e6, system: system / 1e6 },
    };
  }

  [Symbol.dispose](): void {
    this.#now.disable();
    this.#before?.disable();
    this.#second.disable();
  }

  #turn(at: number): void {
    this.#now.disable();
    this.#before = this.#now;
    this.#now = begin();
    this.#since = at;
  }

  /** The worse of the two halves; what the timer itself takes is left out. */
  #delay(of: (delays: IntervalHistogram) => number): number {
    const both = [this.#now, this.#before].filter((delays) => delays !== null);
    return Math.max(0, ...both.map((delays) => lateness(of(delays), delays.count)));
  }
}

/** Nanoseconds between two looks, as milliseconds that the later came too late. */
function lateness(nanoseconds: number, count: number): number {
  return count === 0 ? 0 : Math.round(Math.max(0, nanoseconds / 1e6 - RESOLUTION) * 1_000) / 1_000;
}

function begin(): IntervalHistogram {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION });
  delays.enable();
  return delays;
}
