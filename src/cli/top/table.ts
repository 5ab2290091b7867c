import { connectionName } from '../admin/reports.ts';
import { howLong, howMuch, tlsText } from '../admin/tables.ts';
import type { Row, SortKey } from './rows.ts';
import { fit, span, widthOf, harmless } from './text.ts';
import type { Line, Look } from './text.ts';

/** A column of the table of connections. */
interface Column {
  readonly name: string;
  /** What the table may be in the order of. */
  readonly key: SortKey | null;
  readonly side: 'left' | 'right';
  /** Columns of the terminal; null: as many as the widest cell takes, of which it may be given fewer. */
  readonly width: number | null;
  readonly of: (row: Row) => string;
}

/** From the left. */
const COLUMNS: readonly Column[] = [
  { name: 'id', key: 'id', side: 'right', width: null, of: (row) => connectionName(row) },
  { name: 'peer', key: null, side: 'left', width: null, of: ({ peer }) => peer },
  { name: 'doing', key: null, side: 'left', width: 7, of: ({ doing }) => doing },
  { name: 'age', key: 'age', side: 'right', width: 7, of: ({ age }) => howLong(age) },
  {
    name: 'rate',
    key: 'rate',
    side: 'right',
    width: 6,
    of: ({ rate }) => (rate === null ? '-' : `${howMuch(Math.round(rate))}/s`),
  },
  { name: 'in', key: 'in', side: 'right', width: 5, of: ({ bytesRead }) => howMuch(bytesRead) },
  { name: 'out', key: 'out', side: 'right', width: 5, of: ({ bytesWritten }) => howMuch(bytesWritten) },
  { name: 'queued', key: 'queued', side: 'right', width: 7, of: ({ queued }) => howMuch(queued) },
  { name: 'tls', key: null, side: 'left', width: null, of: ({ tls }) => tlsText(tls) },
  { name: 'at', key: null, side: 'left', width: null, of: ({ local }) => local },
];

/** Which columns are there first where there is not room for all. */
const IMPORTANCE: readonly string[] = ['id', 'peer', 'age', 'rate', 'doing', 'queued', 'out', 'in', 'tls', 'at'];

/** Columns of a peer, at least: an address of IPv4 and its port. */
const LEAST_PEER = 15;
const GAP = 1;

const LOOKS: Readonly<Record<string, Look>> = { closing: 'dim', opening: 'cyan', busy: 'plain', idle: 'plain' };

/** How the table is ordered. */
export interface TableOrder {
  readonly sort: SortKey;
  readonly descending: boolean;
}

/** The table of connections: a head, and a line for each. `chosen`: the one that stands out. */
export function tableLines(
  rows: readonly Row[],
  order: TableOrder,
  chosen: Row | null,
  columns: number,
): readonly Line[] {
  const widths = widthsOf(rows, order.sort, columns);
  const shown = COLUMNS.filter(({ name }) => widths.has(name));
  const line = (cell: (column: Column) => string): string =>
    shown.map((column) => fit(cell(column), widths.get(column.name)!, column.side)).join(' '.repeat(GAP));
  const head = fit(
    line((column) => headOf(column, order)),
    columns,
  );
  return [
    [span(head, 'inverse')],
    ...rows.map((row): Line => {
      const text = line(({ of }) => of(row));
      return row === chosen ? [span(fit(text, columns), 'inverse')] : [span(text, LOOKS[row.doing] ?? 'plain')];
    }),
  ];
}

function headOf({ name, key }: Column, { sort, descending }: TableOrder): string {
  return key === sort ? `${name}${descending ? '↓' : '↑'}` : name;
}

/** The columns that there is room for, and how wide they are. */
function widthsOf(rows: readonly Row[], sort: SortKey, columns: number): ReadonlyMap<string, number> {
  const sorted = COLUMNS.find(({ key }) => key === sort)!.name;
  const wanted = ['id', 'peer', sorted, ...IMPORTANCE];
  const widths = new Map<string, number>();
  let left = columns + GAP;
  for (const name of wanted) {
    if (widths.has(name)) continue;
    const column = COLUMNS.find((one) => one.name === name)!;
    const width = name === 'peer' ? Math.min(LEAST_PEER, left - GAP) : (column.width ?? widest(column, rows));
    if (width + GAP > left) continue;
    widths.set(name, width);
    left -= width + GAP;
  }
  const peer = COLUMNS.find(({ name }) => name === 'peer')!;
  const least = widths.get('peer') ?? 0;
  widths.set('peer', Math.max(Math.min(least, widest(peer, rows)), Math.min(widest(peer, rows), least + left)));
  return widths;
}

function widest({ name, key, of }: Column, rows: readonly Row[]): number {
  const head = name.length + (key === null ? 0 : 1);
  return rows.reduce((most, row) => Math.max(most, widthOf(harmless(of(row)))), head);
}
