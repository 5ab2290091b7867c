import { performance } from 'node:perf_hooks';
import type { EventLoopUtilization } from 'node:perf_hooks';

/** Milliseconds between two looks. Two timers of a second each are less than that apart now and then. */
const LEAST = 950;

/** How busy the event loop of this thread is. */
export class LoopUse {
  #seen: EventLoopUtilization = performance.eventLoopUtilization();
  #seenAt: number = performance.now();
  #utilization = 0;
  readonly #looked: () => void;

  /** `looked` is called with each look. */
  constructor(looked: () => void = () => {}) {
    this.#looked = looked;
  }

  /** From 0 to 1, since the last look; who asks within the same second gets what that told. */
  read(): number {
    const at = performance.now();
    if (at - this.#seenAt >= LEAST) {
      const seen = performance.eventLoopUtilization();
      this.#utilization = performance.eventLoopUtilization(seen, this.#seen).utilization;
      this.#seen = seen;
      this.#seenAt = at;
      this.#looked();
    }
    return this.#utilization;
  }
}
