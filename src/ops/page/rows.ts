import type { ConnectionJson } from '../admin-status.ts';
import type { ConnectionOrder } from '../connection-query.ts';
import { make, write } from './dom.ts';
import { bytesText, countText, spanText } from './format.ts';

/** One column of the table of connections. */
export interface ConnectionColumn {
  readonly name: string;
  readonly title: string;
  readonly sort?: ConnectionOrder;
  readonly number?: boolean;
  readonly text: (one: ConnectionJson) => string;
}

export const connectionColumns: readonly ConnectionColumn[] = [
  {
    name: 'id',
    title: 'Id',
    sort: 'id',
    number: true,
    text: ({ worker, id }) => (worker === null ? String(id) : `${worker}/${id}`),
  },
  { name: 'peer', title: 'Peer', text: ({ peer }) => peer },
  { name: 'doing', title: 'State', text: ({ doing }) => doing },
  { name: 'age', title: 'Age', sort: 'age', number: true, text: ({ age }) => spanText(age) },
  { name: 'in', title: 'In', sort: 'read', number: true, text: ({ bytesRead }) => bytesText(bytesRead) },
  { name: 'out', title: 'Out', sort: 'written', number: true, text: ({ bytesWritten }) => bytesText(bytesWritten) },
  {
    name: 'queued',
    title: 'Queued',
    sort: 'queued',
    number: true,
    text: ({ queued }) => (queued === 0 ? '0' : bytesText(queued)),
  },
  {
    name: 'tls',
    title: 'TLS',
    text: ({ tls }) => (tls === null ? '–' : tls.alpn === null ? tls.protocol : `${tls.protocol}, ${tls.alpn}`),
  },
  { name: 'at', title: 'Came to', text: ({ local }) => local },
];

/** What a connection is called. */
export function keyOf({ id, worker, threadId }: Pick<ConnectionJson, 'id' | 'worker' | 'threadId'>): string {
  return `${worker ?? ''}/${threadId ?? ''}/${id}`;
}

/** An empty row of the table. */
export function emptyRow(key: string): HTMLTableRowElement {
  const box = make('input', { type: 'checkbox', 'data-key': key });
  const cells = connectionColumns.map(({ name, title, number = false }) => {
    const inside = name === 'doing' ? make('span', { class: 'doing' }) : make('span', { class: 'text' });
    return make('td', { role: 'cell', class: number ? `number c-${name}` : `c-${name}`, 'data-title': title }, inside);
  });
  return make('tr', { role: 'row' }, make('td', { role: 'cell', class: 'c-select' }, box), ...cells);
}

/** Shows a connection in its row. */
export function fillRow(row: HTMLTableRowElement, one: ConnectionJson, selected: boolean): void {
  const box = row.querySelector('input')!;
  if (box.checked !== selected) box.checked = selected;
  const label = `Select connection ${connectionColumns[0]!.text(one)} of ${one.peer}`;
  if (box.getAttribute('aria-label') !== label) box.setAttribute('aria-label', label);
  row.toggleAttribute('data-selected', selected);
  row.dataset['doing'] = one.doing;
  for (const [index, { name, text }] of connectionColumns.entries()) {
    const cell = row.children[index + 1]!;
    const told = text(one);
    write(cell.firstElementChild!, told);
    if (name === 'peer' && cell.getAttribute('title') !== told) cell.setAttribute('title', told);
    if (name === 'queued') cell.toggleAttribute('data-some', one.queued > 0);
  }
}

/** `Close selected (9)…` */
export function selectedText(count: number): string {
  return count === 0 ? 'Close selected…' : `Close selected (${countText(count)})…`;
}
