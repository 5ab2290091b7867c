import { percent } from '../admin/tables.ts';

/** Heights of a column, from the lowest. */
const HEIGHTS = '▁▂▃▄▅▆▇█';

/** A value at a time. */
export interface Point {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly value: number;
}

/**
 * Points as a row of columns, the latest at the right: of as many seconds as the row has room for, `each` together in a column, which is as high as the highest of them. `most`: the value of a
 * full column; the highest that is shown, where it is not given.
 */
export function sparkline(points: readonly Point[], columns: number, each: number, most?: number): string {
  // By the clock, so that a point stays with those that it was shown with.
  const group = ({ at }: Point): number => Math.floor(at / 1_000 / each);
  const last = points.at(-1);
  if (last === undefined) return ' '.repeat(columns);
  const first = group(last) - columns + 1;
  const heights = Array.from<number | null>({ length: columns }).fill(null);
  for (const point of points) {
    const column = group(point) - first;
    if (column >= 0) heights[column] = Math.max(heights[column] ?? 0, point.value);
  }
  const top = most ?? Math.max(...heights.map((height) => height ?? 0));
  return heights.map((height) => (height === null ? ' ' : columnOf(height, top))).join('');
}

function columnOf(value: number, top: number): string {
  if (value <= 0 || top <= 0) return HEIGHTS[0]!;
  // What is not nothing is seen.
  const step = Math.ceil((value / top) * (HEIGHTS.length - 1));
  return HEIGHTS[Math.min(HEIGHTS.length - 1, step)]!;
}

/** A share of one as a bar with its number: `[||||     42%]`. */
export function bar(share: number, columns: number): string {
  const inner = Math.max(0, columns - 2);
  const whole = Math.min(1, Math.max(0, share));
  const text = percent(whole).padStart(inner).slice(-inner);
  const filled = Math.round(whole * inner);
  return `[${text.replaceAll(/ /gu, (blank, at: number) => (at < filled ? '|' : blank))}]`;
}
