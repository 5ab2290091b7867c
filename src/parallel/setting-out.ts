import { performance } from 'node:perf_hooks';

/**
 * When connections were accepted that are on their way through a passage, which keeps their order: the giver's side. Written into the next cell before one is given, and read
 * from there when it has been taken. There are two cells more than may be under way, so that the one that is written is never one that is still to be read.
 */
export class SettingOut {
  readonly shared: SharedArrayBuffer;
  readonly #cells: Float64Array;
  #given = 0;

  /** @param capacity Connections that may be under way. */
  constructor(capacity: number) {
    this.shared = new SharedArrayBuffer((capacity + 2) * Float64Array.BYTES_PER_ELEMENT);
    this.#cells = new Float64Array(this.shared);
  }

  /** To be called before one is given. `at`: by `performance.now()`, which counts from the start of the process in every thread. */
  note(at: number): void {
    this.#cells[this.#given % this.#cells.length] = at;
  }

  /** The one that was noted has been given. */
  gave(): void {
    this.#given += 1;
  }

  /** When one was accepted that is under way. @param last How many were given after it. */
  of(last: number): number {
    return this.#cells[(this.#given - 1 - last) % this.#cells.length]!;
  }
}

/** The taker's side of {@link SettingOut}. */
export class Arriving {
  readonly #cells: Float64Array;
  #taken = 0;

  constructor(shared: SharedArrayBuffer) {
    this.#cells = new Float64Array(shared);
  }

  /** One was taken: milliseconds since it was accepted. */
  took(): number {
    const at = this.#cells[this.#taken % this.#cells.length]!;
    this.#taken += 1;
    return Math.max(0, performance.now() - at);
  }
}
