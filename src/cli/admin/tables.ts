import type { ConnectionJson } from '../../ops/admin-status.ts';
import { printable } from '../connect/printable.ts';

/** Rows as lines, each column as wide as its widest cell; those that `right` names are put to the right. What a stranger has said in a cell does not steer the terminal. */
export function columns(cells: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = cells.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  const pad = (cell: string, i: number): string =>
    right.includes(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0);
  return rows.map((row) => `${row.map(pad).join('  ').trimEnd()}\n`).join('');
}

/** Milliseconds, so that one sees at a glance how long: `340ms`, `12s`, `5m 3s`, `2h 10m`, `3d 4h`. */
export function howLong(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  return `${Math.floor(minutes / 1_440)}d ${Math.floor((minutes % 1_440) / 60)}h`;
}

/** Bytes, so that one sees at a glance how many: `512`, `1.5k`, `20M`. */
export function howMuch(bytes: number): string {
  let value = bytes;
  for (const unit of ['', 'k', 'M', 'G', 'T']) {
    // Where rounding makes no fourth digit of it.
    if (value < 999.5 || unit === 'T')
      return unit === '' ? `${value}` : `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
    value /= 1_024;
  }
  return `${bytes}`;
}

/** `42%` */
export function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

/** What was counted by kinds, without those of which there are none: `full 3, rate 1`. */
export function byKind(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

/** `TLSv1.3 h2`; a dash without TLS. */
export function tlsText(tls: ConnectionJson['tls']): string {
  if (tls === null) return '-';
  return `${tls.protocol}${tls.alpn === null ? '' : ` ${tls.alpn}`}`;
}
