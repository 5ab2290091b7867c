import { refusalKinds } from '../server/refusal.ts';
import type { RefusalKind } from '../server/refusal.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import type { TickJson } from './admin-status.ts';

/** Milliseconds from one sample to the next. */
const SECOND = 1_000;
/** How many are kept: ten minutes. */
const KEPT = 600;

/** What is kept of each second. */
export type Measure =
  | 'at'
  | 'active'
  | 'accepted'
  | 'bytesRead'
  | 'bytesWritten'
  | 'errors'
  | 'delay'
  | 'utilization'
  | 'busiest'
  | 'cpu'
  | 'rss'
  | 'heapUsed';

/** Counts are those since the start. */
const MEASURES: Readonly<Record<Measure, (tick: TickJson) => number>> = {
  at: ({ at }) => at,
  active: ({ active }) => active,
  accepted: ({ accepted }) => accepted,
  bytesRead: ({ bytesRead }) => bytesRead,
  bytesWritten: ({ bytesWritten }) => bytesWritten,
  errors: ({ errors }) => errors,
  delay: ({ loop }) => loop.delayNow,
  utilization: ({ loop }) => loop.utilization,
  // The main thread's own where there are no workers.
  busiest: ({ loop, workers }) =>
    workers.length === 0 ? loop.utilization : Math.max(...workers.map(({ utilization }) => utilization)),
  cpu: ({ cpu }) => cpu.user + cpu.system,
  rss: ({ memory }) => memory.rss,
  heapUsed: ({ memory }) => memory.heapUsed,
};
const measures = Object.keys(MEASURES) as readonly Measure[];

/** The answer to `GET /api/history`: the last minutes, second by second, in columns. */
export type HistoryJson = Readonly<Record<Measure, readonly number[]>> & {
  /** By kinds; of those of which there were any. */
  readonly refused: Readonly<Partial<Record<RefusalKind, readonly number[]>>>;
};

/** One column: the last so many numbers, in a ring. */
class Column {
  readonly #ring: Float64Array;
  #written = 0;

  constructor(size: number) {
    this.#ring = new Float64Array(size);
  }

  add(value: number): void {
    this.#ring[this.#written % this.#ring.length] = value;
    this.#written += 1;
  }

  read(): readonly number[] {
    const { length } = this.#ring;
    if (this.#written <= length) return [...this.#ring.subarray(0, this.#written)];
    const first = this.#written % length;
    return [...this.#ring.subarray(first), ...this.#ring.subarray(0, first)];
  }
}

/** Keeps how a server was in the last ten minutes, so that who begins to watch sees them at once. */
export class History implements Disposable {
  readonly #columns: ReadonlyMap<Measure, Column>;
  readonly #refused: ReadonlyMap<RefusalKind, Column>;
  readonly #look: () => TickJson;
  #timer: TimerHandle;

  /** `look`: how it is now. It is asked at once, and each second from then on. */
  constructor(clock: Clock, look: () => TickJson, kept: number = KEPT) {
    this.#look = look;
    this.#columns = new Map(measures.map((name) => [name, new Column(kept)]));
    this.#refused = new Map(refusalKinds.map((kind) => [kind, new Column(kept)]));
    this.#take();
    const again = (): TimerHandle => {
      const timer = clock.after(SECOND, () => {
        this.#take();
        this.#timer = again();
      });
      timer.ref(false);
      return timer;
    };
    this.#timer = again();
  }

  /** Oldest first. */
  read(): HistoryJson {
    const refused = [...this.#refused]
      .map(([kind, column]): [RefusalKind, readonly number[]] => [kind, column.read()])
      .filter(([, counts]) => (counts.at(-1) ?? 0) > 0);
    const columns = [...this.#columns].map(([name, column]): [Measure, readonly number[]] => [name, column.read()]);
    return {
      ...(Object.fromEntries(columns) as Record<Measure, readonly number[]>),
      refused: Object.fromEntries(refused),
    };
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }

  #take(): void {
    const tick = this.#look();
    for (const [name, column] of this.#columns) column.add(MEASURES[name](tick));
    for (const [kind, column] of this.#refused) column.add(tick.refused[kind]);
  }
}
