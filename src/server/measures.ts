import { Histogram, cellsFor } from './histogram.ts';
import type { HistogramStatus } from './histogram.ts';

/** How long things took, and how much connections carried, since the start. Times are milliseconds. */
export interface ServerMeasures {
  /** From the accept to the end, up to one millisecond less: of connections that are over, but for those that were lost with their worker. */
  readonly duration: HistogramStatus;
  /** Bytes that each of them read and wrote; of one that was handed over, in its last worker. */
  readonly bytesRead: HistogramStatus;
  readonly bytesWritten: HistogramStatus;
  /** From the accept to the end of the handshakes (PROXY header, TLS), of those that got there; what has none is not counted. Begins in the worker, where there are workers. */
  readonly handshake: HistogramStatus;
  /** From the accept by the parent until there was a worker with room. Nothing, where no parent accepts. */
  readonly queue: HistogramStatus;
  /** From the accept by the parent to the worker that took it. */
  readonly dispatch: HistogramStatus;
  /** From one worker to another: from when it left the one until the other took it. */
  readonly handOver: HistogramStatus;
}

/** The name of a measure. */
export type MeasureName = keyof ServerMeasures;

/** Milliseconds: of what a program does, and of what people do. */
const STEPS: readonly number[] = Object.freeze([
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000,
]);
const LIVES: readonly number[] = Object.freeze([
  5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 3_600_000, 21_600_000,
  86_400_000,
]);
/** Bytes. */
const SIZES: readonly number[] = Object.freeze([
  0,
  64,
  256,
  1_024,
  4_096,
  16_384,
  65_536,
  262_144,
  2 ** 20,
  2 ** 22,
  2 ** 24,
  2 ** 26,
  2 ** 28,
  2 ** 30,
]);

const BOUNDS: Readonly<Record<MeasureName, readonly number[]>> = {
  duration: LIVES,
  bytesRead: SIZES,
  bytesWritten: SIZES,
  handshake: STEPS,
  queue: STEPS,
  dispatch: STEPS,
  handOver: STEPS,
};

const names = Object.keys(BOUNDS) as MeasureName[];

/** Cells that {@link Measures} need. */
export const MEASURE_CELLS: number = names.reduce((total, name) => total + cellsFor(BOUNDS[name]), 0);

/** Counts what a server measures, in cells that may be shared with another thread. */
export class Measures implements Readonly<Record<MeasureName, Histogram>> {
  readonly duration: Histogram;
  readonly bytesRead: Histogram;
  readonly bytesWritten: Histogram;
  readonly handshake: Histogram;
  readonly queue: Histogram;
  readonly dispatch: Histogram;
  readonly handOver: Histogram;
  readonly #cells: Float64Array;
  readonly #from: number;

  /** `cells` and `from`: where they are counted, {@link MEASURE_CELLS} cells from there. */
  constructor(cells: Float64Array = new Float64Array(MEASURE_CELLS), from = 0) {
    this.#cells = cells;
    this.#from = from;
    let at = from;
    const next = (name: MeasureName): Histogram => {
      const histogram = new Histogram(BOUNDS[name], cells, at);
      at += cellsFor(BOUNDS[name]);
      return histogram;
    };
    this.duration = next('duration');
    this.bytesRead = next('bytesRead');
    this.bytesWritten = next('bytesWritten');
    this.handshake = next('handshake');
    this.queue = next('queue');
    this.dispatch = next('dispatch');
    this.handOver = next('handOver');
  }

  /** A connection is over. `age`: milliseconds since it was accepted. */
  ended(age: number, bytesRead: number, bytesWritten: number): void {
    this.duration.add(age);
    this.bytesRead.add(bytesRead);
    this.bytesWritten.add(bytesWritten);
  }

  /** Adds what others have counted. */
  add(more: Measures): void {
    for (let i = 0; i < MEASURE_CELLS; i += 1) this.#cells[this.#from + i]! += more.#cells[more.#from + i]!;
  }

  /** What was counted so far. */
  read(): ServerMeasures {
    return Object.fromEntries(names.map((name) => [name, this[name].read()])) as Record<MeasureName, HistogramStatus>;
  }
}
