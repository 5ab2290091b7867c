/** Threads that may be counted: each has a byte of one cell, so that all are read and changed in one step. */
export const SLOTS = 4;
/** What a byte can count. */
export const MOST = 255;

const GAUGE = 0;
const HIGHEST = 1;
const STOP = 2;
const OF_SLOTS = 3;
const TAKES = 0;
const WAITS = 1;
const LONGEST = 2;
const WIDTH = 3;

/**
 * How many permits are in use, counted without asking those who lend them: one more after each that was taken, one less before each that is given back. A thread
 * that was ended is wiped out by whoever ended it.
 */
export class Gauge {
  readonly shared: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(4 * (OF_SLOTS + SLOTS * WIDTH))) {
    this.shared = shared;
    this.#cells = new Int32Array(shared);
  }

  /** One more; remembers how many there were at most. */
  enter(slot: number): void {
    const one = 1 << (8 * slot);
    const now = sum(Atomics.add(this.#cells, GAUGE, one) + one);
    for (;;) {
      const highest = Atomics.load(this.#cells, HIGHEST);
      if (highest >= now || Atomics.compareExchange(this.#cells, HIGHEST, highest, now) === highest) return;
    }
  }

  leave(slot: number): void {
    Atomics.sub(this.#cells, GAUGE, 1 << (8 * slot));
  }

  wipe(slot: number): void {
    Atomics.and(this.#cells, GAUGE, ~(MOST << (8 * slot)));
  }

  /** How many are in use now. */
  get inUse(): number {
    return sum(Atomics.load(this.#cells, GAUGE));
  }

  /** How many were in use at most. */
  get highest(): number {
    return Atomics.load(this.#cells, HIGHEST);
  }

  forgetHighest(): void {
    Atomics.store(this.#cells, HIGHEST, 0);
  }

  /** Everybody is to give back what they have. */
  get stopping(): boolean {
    return Atomics.load(this.#cells, STOP) === 1;
  }

  stop(): void {
    Atomics.store(this.#cells, STOP, 1);
  }

  /** One more was taken. Gives back how many those are. */
  took(slot: number): number {
    return Atomics.add(this.#cells, OF_SLOTS + slot * WIDTH + TAKES, 1) + 1;
  }

  takes(slot: number): number {
    return Atomics.load(this.#cells, OF_SLOTS + slot * WIDTH + TAKES);
  }

  waited(slot: number, ms: number): void {
    Atomics.add(this.#cells, OF_SLOTS + slot * WIDTH + WAITS, 1);
    const longest = OF_SLOTS + slot * WIDTH + LONGEST;
    if (ms > Atomics.load(this.#cells, longest)) Atomics.store(this.#cells, longest, Math.round(ms));
  }

  waits(slot: number): number {
    return Atomics.load(this.#cells, OF_SLOTS + slot * WIDTH + WAITS);
  }

  /** The longest that anybody waited for a permit, in milliseconds. */
  get longest(): number {
    let longest = 0;
    for (let slot = 0; slot < SLOTS; slot += 1)
      longest = Math.max(longest, Atomics.load(this.#cells, OF_SLOTS + slot * WIDTH + LONGEST));
    return longest;
  }
}

function sum(cell: number): number {
  return (cell & MOST) + ((cell >> 8) & MOST) + ((cell >> 16) & MOST) + ((cell >> 24) & MOST);
}
