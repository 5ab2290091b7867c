import type { TickJson } from '../admin-status.ts';
import type { HistoryJson, Measure } from '../history.ts';

/** Seconds that are kept. */
const KEPT = 600;
/** Seconds between two samples from which on something is missing in between. */
const GAP = 3;
/** Two that are closer, in seconds, are one: their difference tells nothing of a rate. */
const CLOSE = 0.5;

/** What one second was like; rates are in a second. Null: it is not known. */
export interface Sample {
  /** Seconds since 1970. */
  readonly at: number;
  readonly active: number | null;
  readonly accepted: number | null;
  readonly refused: Readonly<Record<string, number>>;
  readonly bytesRead: number | null;
  readonly bytesWritten: number | null;
  readonly delay: number | null;
  readonly utilization: number | null;
  readonly busiest: number | null;
  readonly cpu: number | null;
  readonly rss: number | null;
  readonly heapUsed: number | null;
}

type Raw = Readonly<Record<Measure, number>> & { readonly refused: Readonly<Record<string, number>> };

/** The last minutes, second by second. */
export class Samples {
  #samples: Sample[] = [];
  #last: Raw | null = null;

  get all(): readonly Sample[] {
    return this.#samples;
  }

  get latest(): Sample | null {
    return this.#samples.at(-1) ?? null;
  }

  /** Begins anew with what the server remembers. */
  restore(history: HistoryJson): void {
    this.#samples = [];
    this.#last = null;
    const { refused, ...columns } = history;
    for (let row = 0; row < history.at.length; row += 1) {
      const measures = Object.entries(columns).map(([name, values]) => [name, values[row] ?? 0]);
      const kinds: Record<string, number> = {};
      for (const [kind, values] of Object.entries(refused)) kinds[kind] = values[row] ?? 0;
      this.#add({ ...(Object.fromEntries(measures) as Record<Measure, number>), refused: kinds });
    }
  }

  /** One more second. */
  add(tick: TickJson): void {
    const { at, active, accepted, bytesRead, bytesWritten, errors, refused, loop, cpu, memory, workers } = tick;
    const { utilization, delayNow: delay } = loop;
    const busiest = workers.length === 0 ? utilization : Math.max(...workers.map((worker) => worker.utilization));
    const { rss, heapUsed } = memory;
    const used = cpu.user + cpu.system;
    const counts = { active, accepted, bytesRead, bytesWritten, errors, refused };
    this.#add({ at, ...counts, utilization, busiest, delay, cpu: used, rss, heapUsed });
  }

  #add(now: Raw): void {
    const before = this.#last;
    const at = now.at / 1_000;
    const past = before === null ? 0 : at - before.at / 1_000;
    if (before !== null && past < CLOSE) return;
    this.#last = now;
    if (past > GAP) this.#samples.push({ ...nothing, at: at - 1 });
    const rate = (name: Measure): number | null => {
      const more = before === null || past > GAP ? -1 : now[name] - before[name];
      return more < 0 ? null : more / past;
    };
    const refused =
      before === null || past > GAP
        ? []
        : Object.entries(now.refused).map(([kind, count]) => [
            kind,
            Math.max(0, count - (before.refused[kind] ?? 0)) / past,
          ]);
    const { active, delay, utilization, busiest, rss, heapUsed } = now;
    this.#samples.push({
      at,
      active,
      accepted: rate('accepted'),
      refused: Object.fromEntries(refused) as Record<string, number>,
      bytesRead: rate('bytesRead'),
      bytesWritten: rate('bytesWritten'),
      delay,
      utilization,
      busiest,
      cpu: rate('cpu'),
      rss,
      heapUsed,
    });
    if (this.#samples.length > KEPT) this.#samples.splice(0, this.#samples.length - KEPT);
  }
}

const nothing: Omit<Sample, 'at'> = {
  active: null,
  accepted: null,
  refused: {},
  bytesRead: null,
  bytesWritten: null,
  delay: null,
  utilization: null,
  busiest: null,
  cpu: null,
  rss: null,
  heapUsed: null,
};
