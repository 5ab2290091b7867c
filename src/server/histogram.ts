/** How many values there were of which size. */
export interface HistogramStatus {
  /** The upper bounds of the buckets, ascending, each part of its bucket; above the last there is one more without a bound. */
  readonly bounds: readonly number[];
  /** How many values each bucket has: one number more than there are bounds. */
  readonly counts: readonly number[];
  /** How many values there were, and what they add up to. */
  readonly count: number;
  readonly sum: number;
}

/** Cells that a histogram with so many bounds needs: the buckets, and the sum. */
export function cellsFor(bounds: readonly number[]): number {
  return bounds.length + 2;
}

/** Counts values by their size, in plain numbers that may be shared with another thread: one writes, any may read. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly #cells: Float64Array;
  /** Where its cells begin. */
  readonly #from: number;

  /** @param bounds Ascending. `cells` and `from`: where it counts, {@link cellsFor} cells from there. */
  constructor(bounds: readonly number[], cells: Float64Array = new Float64Array(cellsFor(bounds)), from = 0) {
    this.bounds = bounds;
    this.#cells = cells;
    this.#from = from;
  }

  /** One more value, 0 or more. */
  add(value: number): void {
    const { bounds } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1;
    // The count first: whoever reads meanwhile finds no sum of values that are not counted.
    this.#cells[this.#from + bucket]! += 1;
    this.#cells[this.#from + bounds.length + 1]! += value;
  }

  /** What was counted so far, in an object of its own. */
  read(): HistogramStatus {
    const { bounds } = this;
    const end = this.#from + bounds.length + 1;
    const sum = this.#cells[end]!;
    const counts = [...this.#cells.subarray(this.#from, end)];
    return { bounds, counts, count: counts.reduce((total, count) => total + count, 0), sum };
  }
}
