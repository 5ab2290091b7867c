import type { TickJson } from '../../ops/admin-status.ts';
import { formatDuration } from '../durations.ts';
import { howMuch, percent } from '../admin/tables.ts';
import { sparkline } from './bars.ts';
import type { TopModel } from './model.ts';
import type { Sample } from './past.ts';
import { perSecond } from './rates.ts';
import type { Rates } from './rates.ts';
import { fit, span } from './text.ts';
import type { Line, Look } from './text.ts';

/** One number of a server with what it was in the last minute. */
interface Meter {
  readonly name: string;
  readonly value: string;
  readonly look: Look;
  readonly of: ((sample: Sample) => number) | null;
  /** The value of a full column; none: the highest that there was. */
  readonly most?: number;
}

const NAME = 10;

/** How wide the columns of the last minute are: as many seconds in each as make a minute of them. */
function sparkOf(columns: number): { readonly columns: number; readonly each: number } {
  const each = columns >= 120 ? 1 : columns >= 80 ? 2 : columns >= 64 ? 3 : columns >= 52 ? 4 : 6;
  return { columns: 60 / each, each };
}

/** The numbers of a server, a line for each, the most telling first. */
export function meterLines(model: TopModel, tick: TickJson, columns: number): readonly Line[] {
  const spark = sparkOf(columns);
  return metersOf(model, tick).map(({ name, value, look, of, most }): Line => {
    if (of === null) return [span(fit(name, NAME), 'dim'), span(value, look)];
    const points = model.past.map((sample) => ({ at: sample.at, value: of(sample) }));
    return [
      span(fit(name, NAME), 'dim'),
      span(fit(value, columns - NAME - spark.columns - 1), look),
      span(' '),
      span(sparkline(points, spark.columns, spark.each, most), 'cyan'),
    ];
  });
}

function metersOf(model: TopModel, tick: TickJson): readonly Meter[] {
  const { rates } = model;
  const { loop, memory } = tick;
  const cpu = rates === null ? '' : `, CPU ${percent(rates.cpu)}`;
  const late = `late ${shortTime(loop.delayP99)}, at worst ${shortTime(loop.delayMax)}`;
  const full = tick.active >= tick.maxConnections;
  return [
    { name: 'open', value: openText(model, tick), look: full ? 'yellow' : 'plain', of: ({ active }) => active },
    {
      name: 'accepted',
      value: `${rate(rates?.accepted)}, ${tick.accepted} in all`,
      look: 'plain',
      of: ({ accepted }) => accepted,
    },
    {
      name: 'refused',
      value: refusedText(rates, tick),
      look: (rates?.refused ?? 0) > 0 ? 'yellow' : 'plain',
      of: ({ refused }) => refused,
    },
    {
      name: 'bytes in',
      value: `${bytesRate(rates?.bytesRead)}, ${howMuch(tick.bytesRead)} in all`,
      look: 'plain',
      of: ({ bytesRead }) => bytesRead,
    },
    {
      name: 'bytes out',
      value: `${bytesRate(rates?.bytesWritten)}, ${howMuch(tick.bytesWritten)} in all`,
      look: 'plain',
      of: ({ bytesWritten }) => bytesWritten,
    },
    {
      name: 'loop',
      value: `${percent(loop.utilization)} busy, ${late}`,
      look: loop.utilization > 0.9 ? 'yellow' : 'plain',
      of: ({ utilization }) => utilization,
      most: 1,
    },
    {
      name: 'memory',
      value: `${howMuch(memory.rss)}, heap ${howMuch(memory.heapUsed)} of ${howMuch(memory.heapTotal)}${cpu}`,
      look: 'plain',
      of: null,
    },
  ];
}

/** `12 of 10000, 3 opening; 5 a client, 20/1s` */
function openText(
  { about }: TopModel,
  { active, maxConnections, opening, queued, detached, maxPerClient }: TickJson,
): string {
  const limit = about?.limits.rate ?? null;
  const now = [
    `${active} of ${maxConnections}`,
    opening > 0 ? `${opening} opening` : '',
    queued > 0 ? `${queued} queued` : '',
    detached > 0 ? `${detached} given away` : '',
  ];
  const limits = [
    maxPerClient === null ? '' : `${maxPerClient} a client`,
    limit === null ? '' : `${limit.connections}/${formatDuration(limit.per)}`,
  ];
  return [now, limits]
    .map((parts) => parts.filter((part) => part !== '').join(', '))
    .filter((part) => part !== '')
    .join('; ');
}

/** `3/s: full 2, rate 1; 120 in all` */
function refusedText(rates: Rates | null, { refused }: TickJson): string {
  const total = Object.values(refused).reduce((sum, count) => sum + count, 0);
  const kinds = Object.entries(rates?.refusedBy ?? {}).map(([kind, count]) => `${kind} ${perSecond(count)}`);
  const by = kinds.length === 0 ? ',' : `: ${kinds.join(', ')};`;
  return `${rate(rates?.refused)}${by} ${total} in all`;
}

function rate(count: number | undefined): string {
  return count === undefined ? '-' : `${perSecond(count)}/s`;
}

function bytesRate(bytes: number | undefined): string {
  return bytes === undefined ? '-' : `${howMuch(Math.round(bytes))}/s`;
}

/** `0.4ms`, `12ms`, `1.2s` */
export function shortTime(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)}s`;
  return `${ms < 10 ? ms.toFixed(1).replace(/\.0$/u, '') : Math.round(ms)}ms`;
}
