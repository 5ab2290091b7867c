import { rethrowSoon } from './rethrow.ts';

interface Watcher {
  readonly wake: () => void;
  // Those that come while the others are being woken wait for the next time.
  readonly order: number;
}

let order = 0;

/**
 * Those who watch a thing, in the order in which they came. It is what a `watch` of one's own wants: watchers may go
 * and come while they are being woken, and one that throws stops no other.
 */
export class Watchers {
  readonly #all = new Set<Watcher>();

  get size(): number {
    return this.#all.size;
  }

  /** Adds a watcher; returns what takes it away. */
  add(wake: () => void): () => void {
    const watcher: Watcher = { wake, order: ++order };
    this.#all.add(watcher);
    return () => {
      this.#all.delete(watcher);
    };
  }

  /** Wakes them, oldest first, as long as there is something to take. */
  wake(more: () => boolean): void {
    if (this.#all.size === 0) return;
    const last = order;
    for (const watcher of this.#all) {
      if (watcher.order > last || !more()) return;
      try {
        watcher.wake();
      } catch (error) {
        rethrowSoon(error);
      }
    }
  }

  /** Wakes all of them. */
  wakeAll(): void {
    this.wake(always);
  }
}

const always = (): boolean => true;
