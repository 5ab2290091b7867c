import { LoopDelay } from '../server/loop-delay.ts';
import { LoopUse } from './loop-use.ts';

/** How the process and the event loop of this thread are. */
export interface Vitals {
  /** How busy the event loop was since the last look but a second at least, from 0 to 1. */
  readonly utilization: number;
  /** Milliseconds by which timers were late in the last half minute to minute: half of them, 99 of 100, and the worst. */
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

/** Watches the event loop of this thread: its delay, and how busy it is. */
export class VitalSigns implements Disposable {
  readonly #minute = new LoopDelay();
  readonly #second = new LoopDelay(0);
  #delayNow = 0;
  readonly #use = new LoopUse(() => {
    this.#delayNow = this.#second.read().max;
  });

  /** How it is now. */
  read(): Vitals {
    const utilization = this.#use.read();
    const { p50: delayP50, p99: delayP99, max: delayMax } = this.#minute.read();
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
    return {
      utilization,
      delayP50,
      delayP99,
      delayMax,
      delayNow: this.#delayNow,
      memory: { rss, heapUsed, heapTotal, external },
      cpu: cpuTime(),
    };
  }

  [Symbol.dispose](): void {
    this.#minute[Symbol.dispose]();
    this.#second[Symbol.dispose]();
  }
}

/** Seconds of CPU time of the process. */
export function cpuTime(): Vitals['cpu'] {
  const { user, system } = process.cpuUsage();
  return { user: user / 1e6, system: system / 1e6 };
}
