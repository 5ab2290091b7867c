/** A timer in a heap, or out of all. */
export interface HeapTimer {
  /** When it is due, by the clock that its heap goes by. */
  readonly due: number;
  /** How many were set before it: of two that are due together the first one goes first. */
  readonly order: number;
  /** Its place in the heap, which writes it; −1 in none. */
  slot: number;
}

/** Timers by when they are due; one is put in or taken out in the logarithm of their number. */
export class TimerHeap<T extends HeapTimer> {
  readonly #timers: T[] = [];

  /** The one that is due first; undefined when there is none. */
  get first(): T | undefined {
    return this.#timers[0];
  }

  put(timer: T): void {
    this.#timers.push(timer);
    this.#up(this.#timers.length - 1, timer);
  }

  /** Takes one out; does nothing when it is not in. */
  remove(timer: T): void {
    const { slot } = timer;
    if (slot < 0) return;
    timer.slot = -1;
    const last = this.#timers.pop() as T;
    if (last === timer) return;
    this.#down(slot, last);
    if (last.slot === slot) this.#up(slot, last);
  }

  #up(from: number, timer: T): void {
    let slot = from;
    while (slot > 0) {
      const above = (slot - 1) >> 1;
      const parent = this.#timers[above] as T;
      if (before(parent, timer)) break;
      this.#place(slot, parent);
      slot = above;
    }
    this.#place(slot, timer);
  }

  #down(from: number, timer: T): void {
    const { length } = this.#timers;
    let slot = from;
    for (;;) {
      let below = slot * 2 + 1;
      if (below >= length) break;
      if (below + 1 < length && before(this.#timers[below + 1] as T, this.#timers[below] as T)) below += 1;
      const child = this.#timers[below] as T;
      if (before(timer, child)) break;
      this.#place(slot, child);
      slot = below;
    }
    this.#place(slot, timer);
  }

  #place(slot: number, timer: T): void {
    this.#timers[slot] = timer;
    timer.slot = slot;
  }
}

function before(a: HeapTimer, b: HeapTimer): boolean {
  return a.due === b.due ? a.order < b.order : a.due < b.due;
}
