import type { TickJson } from '../../ops/admin-status.ts';

/** What happened between two ticks, in one second. */
export interface Rates {
  readonly accepted: number;
  readonly closed: number;
  /** All that were not let in, and by their kinds those of which there were any. */
  readonly refused: number;
  readonly refusedBy: Readonly<Record<string, number>>;
  readonly errors: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** How many processors the process kept busy. */
  readonly cpu: number;
}

/** The rates from one tick to a later one; null when they are no two of the same server, or at the same time. */
export function ratesOf(before: TickJson, now: TickJson): Rates | null {
  const seconds = (now.at - before.at) / 1_000;
  if (seconds <= 0 || now.uptime < before.uptime) return null;
  const per = (of: (tick: TickJson) => number): number => Math.max(0, of(now) - of(before)) / seconds;
  const kinds = Object.keys(now.refused) as (keyof TickJson['refused'])[];
  const refusedBy = Object.fromEntries(
    kinds
      .map((kind): [string, number] => [kind, per(({ refused }) => refused[kind] ?? 0)])
      .filter(([, count]) => count > 0),
  );
  return {
    accepted: per(({ accepted }) => accepted),
    closed: per(({ closed }) => closed),
    refused: Object.values(refusedBy).reduce((sum, count) => sum + count, 0),
    refusedBy,
    errors: per(({ errors }) => errors),
    bytesRead: per(({ bytesRead }) => bytesRead),
    bytesWritten: per(({ bytesWritten }) => bytesWritten),
    cpu: per(({ cpu }) => cpu.user + cpu.system),
  };
}

/** A count in a second: `0`, `0.4`, `12`, `1.5k`. */
export function perSecond(rate: number): string {
  if (rate === 0) return '0';
  if (rate < 0.1) return '<0.1';
  if (rate < 10) return rate.toFixed(1).replace(/\.0$/u, '');
  return rate < 999.5 ? `${Math.round(rate)}` : inThousands(rate);
}

function inThousands(count: number): string {
  let value = count;
  for (const unit of ['', 'k', 'M', 'G']) {
    // What would be rounded to four digits has the next unit.
    if (value < 999.5 || unit === 'G') return `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
    value /= 1_000;
  }
  return `${count}`;
}
