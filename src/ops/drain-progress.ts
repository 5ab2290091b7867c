import type { Ending } from '../server/drain.ts';
import type { Clock } from '../sync/clock.ts';
import type { Subject, SubjectStatus } from './subject.ts';

/** How far the end of a server has come. The counts of endings add up to `closed`. */
export interface DrainProgress extends Readonly<Record<Ending, number>> {
  /** When it began, and when those that are left are ended, in milliseconds since 1970; null: never. */
  readonly since: number;
  readonly deadline: number | null;
  /** Connections that are still open, and that are over or were given away since it began. */
  readonly left: number;
  readonly closed: number;
}

type Counts = Pick<SubjectStatus, 'detached' | 'reasons'>;

const ENDINGS: Readonly<Record<string, Ending>> = {
  ended: 'finished',
  closed: 'finished',
  released: 'finished',
  'drained-idle': 'idle',
  'drained-forced': 'forced',
};

/** The ledger of a drain as it goes, by what the counts of a server have become since it began. */
export class DrainLedger implements Disposable {
  readonly #clock: Clock;
  readonly #unwatch: () => void;
  #before: Counts | null = null;

  constructor(subject: Subject, clock: Clock) {
    this.#clock = clock;
    if (subject.state === 'draining') this.#begin(subject.status());
    this.#unwatch = subject.watch((event) => {
      if (event.kind === 'state' && event.state === 'draining') this.#begin(subject.status());
    });
  }

  /** Null before a drain. */
  read(status: SubjectStatus): DrainProgress | null {
    const { ending, active, detached, reasons } = status;
    if (ending === null) return null;
    this.#begin(status);
    const before = this.#before!;
    const counts: Record<Ending, number> = { finished: 0, idle: 0, forced: 0, failed: 0, detached: 0 };
    counts.detached = detached - before.detached;
    for (const [name, count] of Object.entries(reasons))
      counts[ENDINGS[name] ?? 'failed'] += count - (before.reasons[name] ?? 0);
    const wall = this.#clock.wall();
    return {
      since: Math.round(wall - ending.since),
      deadline: ending.left === Infinity ? null : Math.round(wall + ending.left),
      left: active,
      closed: Object.values(counts).reduce((total, count) => total + count, 0),
      ...counts,
    };
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }

  /** What is counted from here on is told. */
  #begin({ detached, reasons }: Counts): void {
    this.#before ??= { detached, reasons };
  }
}
