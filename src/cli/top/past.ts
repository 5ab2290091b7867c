import type { TickJson } from '../../ops/admin-status.ts';
import type { HistoryJson } from '../../ops/history.ts';
import type { Rates } from './rates.ts';

/** One second of the past. Counts and bytes are those of a second. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly active: number;
  readonly utilization: number;
  readonly accepted: number;
  readonly refused: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** Samples that are kept: of a minute, where there is one a second. */
const MINUTE = 60;

/** What a tick and the rates until then were. */
export function sampleOf({ at, active, loop }: TickJson, rates: Rates): Sample {
  const { accepted, refused, bytesRead, bytesWritten } = rates;
  return { at, active, utilization: loop.utilization, accepted, refused, bytesRead, bytesWritten };
}

/** One more at the end of the past. */
export function withSample(past: readonly Sample[], sample: Sample): readonly Sample[] {
  return [...past.slice(1 - MINUTE), sample];
}

/** The past as the server kept it, and what was seen here since then. */
export function withHistory(past: readonly Sample[], history: HistoryJson): readonly Sample[] {
  const { at, accepted, active, utilization, bytesRead, bytesWritten } = history;
  const refused = Object.values(history.refused);
  const kept: Sample[] = [];
  for (let i = 1; i < at.length; i += 1) {
    const seconds = (at[i]! - at[i - 1]!) / 1_000;
    if (seconds <= 0) continue;
    const per = (counts: readonly number[]): number => Math.max(0, (counts[i] ?? 0) - (counts[i - 1] ?? 0)) / seconds;
    kept.push({
      at: at[i]!,
      active: active[i] ?? 0,
      utilization: utilization[i] ?? 0,
      accepted: per(accepted),
      refused: refused.reduce((sum, counts) => sum + per(counts), 0),
      bytesRead: per(bytesRead),
      bytesWritten: per(bytesWritten),
    });
  }
  const last = at.at(-1) ?? -Infinity;
  return [...kept, ...past.filter((sample) => sample.at > last)].slice(-MINUTE);
}
