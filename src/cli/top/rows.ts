import type { ConnectionJson } from '../../ops/admin-status.ts';

/** What the table of connections is in the order of. */
export type SortKey = 'age' | 'in' | 'out' | 'rate' | 'queued' | 'id';

/** In the order in which a key goes through them. */
export const SORT_KEYS: readonly SortKey[] = ['age', 'in', 'out', 'rate', 'queued', 'id'];

/** What the admin endpoint calls them. Rates it does not know: those with the most bytes are the likeliest to have the highest. */
export const ORDERS: Readonly<Record<SortKey, string>> = {
  age: 'age',
  in: 'read',
  out: 'written',
  rate: 'written',
  queued: 'queued',
  id: 'id',
};

/** A connection in the table. */
export interface Row extends ConnectionJson {
  /** Bytes a second, both ways; null while it is not known. */
  readonly rate: number | null;
}

/** Milliseconds: what is younger has the rate of its whole life when it is seen first. */
const YOUNG = 2_000;

/** What tells a connection from all others, also from those of a worker's successor. */
export function rowKey({ id, worker, threadId }: Pick<ConnectionJson, 'id' | 'worker' | 'threadId'>): string {
  return `${threadId ?? ''}/${worker ?? ''}/${id}`;
}

/** Connections with their rates, by what they were when they were last looked at. */
export function rowsOf(connections: readonly ConnectionJson[], before: readonly Row[]): readonly Row[] {
  const known = new Map(before.map((row) => [rowKey(row), row]));
  return connections.map((one) => ({ ...one, rate: rateOf(one, known.get(rowKey(one))) }));
}

/** By its age, which the server takes at the moment in which it counts its bytes. */
function rateOf(now: ConnectionJson, before: Row | undefined): number | null {
  if (before === undefined) return now.age > 0 && now.age <= YOUNG ? (bytesOf(now) * 1_000) / now.age : null;
  const time = now.age - before.age;
  return time <= 0 ? before.rate : (Math.max(0, bytesOf(now) - bytesOf(before)) * 1_000) / time;
}

function bytesOf({ bytesRead, bytesWritten }: ConnectionJson): number {
  return bytesRead + bytesWritten;
}

/** Rows in the order of their rates; the server has put them in every other. Those of one rate stay as they were. */
export function inOrder(rows: readonly Row[], sort: SortKey, descending: boolean): readonly Row[] {
  if (sort !== 'rate') return rows;
  const sign = descending ? -1 : 1;
  return rows.toSorted((a, b) => sign * ((a.rate ?? -1) - (b.rate ?? -1)));
}
