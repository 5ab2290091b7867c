/** The smallest and the largest address of a network, as words of 32 bits, most significant first. */
export interface AddressRange {
  readonly first: Uint32Array;
  readonly last: Uint32Array;
}

/**
 * A set of addresses of one family, as ranges in order that don't overlap: a look-up is one binary search over plain
 * numbers. `width` is how many words an address has, counted from its end: 1 for IPv4, 4 for IPv6.
 */
export class AddressRanges {
  readonly #width: number;
  readonly #skip: number;
  readonly #count: number;
  /** The first addresses of all ranges, `width` words each. */
  readonly #firsts: Uint32Array;
  readonly #lasts: Uint32Array;

  constructor(width: 1 | 4, ranges: readonly AddressRange[]) {
    this.#width = width;
    this.#skip = 4 - width;
    const merged = merge(ranges);
    this.#count = merged.length;
    this.#firsts = new Uint32Array(merged.length * width);
    this.#lasts = new Uint32Array(merged.length * width);
    for (const [i, { first, last }] of merged.entries()) {
      this.#firsts.set(first.subarray(this.#skip), i * width);
      this.#lasts.set(last.subarray(this.#skip), i * width);
    }
  }

  /** Whether the address is in one of the ranges. */
  has(words: Uint32Array): boolean {
    // The ranges before `low` begin at the address or below it, those from `high` on above it.
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#order(this.#firsts, middle, words) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && this.#order(this.#lasts, low - 1, words) >= 0;
  }

  /** How the address at a place of a table stands to another: less than 0 when it is before it. */
  #order(table: Uint32Array, place: number, words: Uint32Array): number {
    const width = this.#width;
    for (let word = 0; word < width; word++) {
      const difference = table[place * width + word]! - words[this.#skip + word]!;
      if (difference !== 0) return difference;
    }
    return 0;
  }
}

function order(a: Uint32Array, b: Uint32Array): number {
  for (let word = 0; word < 4; word++) {
    const difference = a[word]! - b[word]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function merge(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: AddressRange[] = [];
  for (const range of ranges.toSorted((a, b) => order(a.first, b.first))) {
    const before = merged.at(-1);
    if (before === undefined || order(before.last, range.first) < 0) merged.push(range);
    else if (order(before.last, range.last) < 0) merged[merged.length - 1] = { first: before.first, last: range.last };
  }
  return merged;
}
