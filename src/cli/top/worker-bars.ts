import type { TickJson } from '../../ops/admin-status.ts';
import { howMuch } from '../admin/tables.ts';
import { counted } from '../notices.ts';
import { bar } from './bars.ts';
import { fit, span } from './text.ts';
import type { Line, Span } from './text.ts';

type Worker = TickJson['workers'][number];

/** Columns of one worker: `12 [||||     42%]   120  18M`. */
const CELL = 31;
const BAR = 15;
const GAP = 2;

/** Workers as bars of how busy they are, with their connections and their heaps: as many to a line as there is room for, in `most` lines at most. */
export function workerLines(workers: readonly Worker[], columns: number, most: number): readonly Line[] {
  if (workers.length === 0 || most < 1) return [];
  const abreast = Math.max(1, Math.floor((columns + GAP) / (CELL + GAP)));
  const needed = Math.ceil(workers.length / abreast);
  const rows = Math.min(needed, most);
  const shown = needed > most ? workers.slice(0, rows * abreast - 1) : workers;
  const cells = shown.map((worker) => cellOf(worker));
  const more = workers.length - shown.length;
  if (more > 0) cells.push([span(`… ${counted(more, 'more worker')}`, 'dim')]);
  return Array.from({ length: rows }, (_, row): Line => {
    const line = cells.slice(row * abreast, (row + 1) * abreast);
    return line.flatMap((cell, i) => (i === 0 ? cell : [span(' '.repeat(GAP)), ...cell]));
  });
}

function cellOf({ index, state, connections, utilization, heap, restarts }: Worker): readonly Span[] {
  const serving = state === 'serving';
  const busy = serving ? bar(utilization, BAR) : `[${fit(state, BAR - 2)}]`;
  const look = !serving || restarts > 0 ? 'yellow' : utilization > 0.9 ? 'red' : 'green';
  return [
    span(`${fit(`${index}`, 3, 'right')} `, 'dim'),
    span(busy, look),
    span(` ${fit(`${connections}`, 5, 'right')} ${fit(heap === null ? '-' : howMuch(heap), 5, 'right')}`),
  ];
}
