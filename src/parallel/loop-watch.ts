import { LoopDelay } from '../server/loop-delay.ts';
import type { LoopDelays } from '../server/loop-delay.ts';

/** Beats of a worker after which it watches no more when nobody has looked: a minute's at a quarter of a second. */
const PATIENCE = 240;

const LOOKS = 0;
const WATCHED = 1;
const P50 = 2;
const P99 = 3;
const MAX = 4;
/** Cells that a {@link LoopWatch} needs. */
export const LOOP_CELLS = 5;

/** How late a worker's event loop is, as its parent sees it. */
export class LoopLook {
  readonly #cells: Float64Array;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** How late it was; null before it was looked at for a moment, as nobody watches who is not looked at. */
  read(): LoopDelays | null {
    const cells = this.#cells;
    cells[LOOKS]! += 1;
    return cells[WATCHED] === 0 ? null : { p50: cells[P50]!, p99: cells[P99]!, max: cells[MAX]! };
  }
}

/** Watches a worker's event loop while somebody looks: timers that come fifty times a second are not for nothing. */
export class LoopWatch {
  readonly #cells: Float64Array;
  #delay: LoopDelay | null = null;
  #looks = 0;
  #idle = 0;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** To be called with each beat. */
  beat(): void {
    const cells = this.#cells;
    const looks = cells[LOOKS]!;
    if (looks !== this.#looks) {
      this.#looks = looks;
      this.#idle = 0;
      this.#delay ??= new LoopDelay();
    }
    if (this.#delay === null) return;
    this.#idle += 1;
    if (this.#idle > PATIENCE) {
      this.#delay[Symbol.dispose]();
      this.#delay = null;
      cells[WATCHED] = 0;
      return;
    }
    const { p50, p99, max } = this.#delay.read();
    cells[P50] = p50;
    cells[P99] = p99;
    cells[MAX] = max;
    cells[WATCHED] = 1;
  }
}
