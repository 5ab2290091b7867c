import type { ConnectionJson, ConnectionPageJson } from '../admin-status.ts';
import type { ConnectionOrder } from '../connection-query.ts';
import type { ConnectionName } from '../subject.ts';
import { Unanswered, reasonOf } from './api.ts';
import type { Api } from './api.ts';
import { ask } from './dialog.ts';
import { Keyed, byId, enable, make, show, write } from './dom.ts';
import { Filter, matchedText } from './filter.ts';
import { countText, many } from './format.ts';
import { connectionColumns, emptyRow, fillRow, keyOf, selectedText } from './rows.ts';

/** How many may be ended by their names at once. */
const MOST_SELECTED = 1_000;

const ORDERS: readonly (readonly [text: string, sort: ConnectionOrder, order: 'asc' | 'desc'])[] = [
  ['oldest first', 'age', 'desc'],
  ['newest first', 'age', 'asc'],
  ['most in', 'read', 'desc'],
  ['most out', 'written', 'desc'],
  ['most queued', 'queued', 'desc'],
];

/** The connections that are open: sorted, filtered, page by page, and those that are selected closed. */
export class ConnectionTable {
  readonly #api: Api;
  readonly #filter = new Filter(() => this.#changed());
  readonly #selected = new Map<string, ConnectionName>();
  readonly #shown = new Map<string, ConnectionJson>();
  readonly #list = new Keyed<ConnectionJson, HTMLTableRowElement>(byId('rows'), emptyRow, (row, one) =>
    fillRow(row, one, this.#selected.has(keyOf(one))),
  );
  readonly #all = make('input', { type: 'checkbox', 'aria-label': 'Select all that are shown' });
  #sort: ConnectionOrder = 'age';
  #order: 'asc' | 'desc' = 'desc';
  #offset = 0;
  #size = 50;
  #matched = 0;
  /** The latest that was asked for: an answer to one before tells nothing any more. */
  #asked = 0;
  #busy = false;
  /** What was asked for is wrong, and stays so until it is changed. */
  #refused = false;

  constructor(api: Api) {
    this.#api = api;
    this.#head();
    const sorts = byId<HTMLSelectElement>('sort-by');
    sorts.append(...ORDERS.map(([text], index) => make('option', { value: String(index) }, text)));
    sorts.addEventListener('change', () => {
      const [, sort, order] = ORDERS[Number(sorts.value)] ?? ORDERS[0]!;
      this.#sortBy(sort, order);
    });
    byId('page-before').addEventListener('click', () => this.#turn(-this.#size));
    byId('page-next').addEventListener('click', () => this.#turn(this.#size));
    const size = byId<HTMLSelectElement>('page-size');
    if (matchMedia('(max-width: 720px)').matches) {
      size.value = '25';
      this.#size = 25;
    }
    size.addEventListener('change', () => {
      this.#size = Number(size.value);
      this.#changed();
    });
    byId('rows').addEventListener('change', (event) => {
      const { dataset, checked } = event.target as HTMLInputElement;
      this.#select([dataset['key'] ?? ''], checked);
    });
    this.#all.addEventListener('change', () => this.#select([...this.#shown.keys()], this.#all.checked));
    byId('close-selected').addEventListener('click', () => this.#askToClose(false));
    byId('close-matching').addEventListener('click', () => this.#askToClose(true));
  }

  /** There are these workers. */
  workers(indexes: readonly number[]): void {
    this.#filter.workers([...new Set(indexes)]);
  }

  /** Another server is there, whose connections are called as those of the one before were. */
  deselect(): void {
    this.#selected.clear();
    this.#select([], false);
  }

  /** Asks for the page that is shown, as it is now; one that is asked for already will do. */
  async refresh(): Promise<void> {
    if (!this.#busy && !this.#refused) await this.#load();
  }

  async #load(): Promise<void> {
    this.#asked += 1;
    const mine = this.#asked;
    this.#busy = true;
    try {
      const page = await this.#api.get<ConnectionPageJson>(`/api/connections?${this.#query()}`);
      if (mine !== this.#asked) return;
      if (page.connections.length === 0 && page.matched > 0 && this.#offset > 0) {
        this.#offset = Math.floor((page.matched - 1) / this.#size) * this.#size;
        await this.#load();
        return;
      }
      this.#refused = false;
      this.#filter.wrong('');
      this.#show(page);
    } catch (error) {
      if (mine !== this.#asked || !(error instanceof Unanswered)) return;
      this.#refused = error.status === 400;
      // When the server is gone, all of the page says so.
      if (error.status !== 0 && error.status !== 401) this.#filter.wrong(`${reasonOf(error)}.`);
    } finally {
      if (mine === this.#asked) this.#busy = false;
    }
  }

  #query(): URLSearchParams {
    const query = new URLSearchParams({
      sort: this.#sort,
      order: this.#order,
      offset: String(this.#offset),
      limit: String(this.#size),
    });
    for (const [name, value] of Object.entries(this.#filter.where)) query.set(name, String(value));
    return query;
  }

  #show({ total, matched, offset, connections }: ConnectionPageJson): void {
    this.#matched = matched;
    this.#shown.clear();
    for (const one of connections) this.#shown.set(keyOf(one), one);
    this.#list.show(connections, keyOf);
    write(byId('matched'), matchedText(matched, total));
    const none = byId('no-rows');
    write(none, total === 0 ? 'Nobody is connected.' : 'No connection is like that.');
    show(none, matched === 0);
    show(byId('connections'), matched > 0);
    const last = offset + connections.length;
    write(
      byId('page-now'),
      matched === 0 ? '' : `${countText(offset + 1)}–${countText(last)} of ${countText(matched)}`,
    );
    enable(byId<HTMLButtonElement>('page-before'), offset > 0);
    enable(byId<HTMLButtonElement>('page-next'), last < matched);
    this.#showSelected();
  }

  #showSelected(): void {
    const count = this.#selected.size;
    const here = [...this.#shown.keys()].filter((key) => this.#selected.has(key)).length;
    this.#all.checked = here > 0 && here === this.#shown.size;
    this.#all.indeterminate = here > 0 && here < this.#shown.size;
    const selected = byId<HTMLButtonElement>('close-selected');
    write(selected, selectedText(count));
    enable(selected, count > 0);
    enable(byId<HTMLButtonElement>('close-matching'), this.#filter.used && this.#matched > 0);
  }

  #select(keys: readonly string[], on: boolean): void {
    for (const key of keys) {
      const one = this.#shown.get(key);
      if (!on) this.#selected.delete(key);
      else if (one !== undefined && this.#selected.size < MOST_SELECTED)
        this.#selected.set(key, { id: one.id, worker: one.worker, threadId: one.threadId });
    }
    this.#list.show([...this.#shown.values()], keyOf);
    this.#showSelected();
  }

  #head(): void {
    const cells = connectionColumns.map(({ name, title, sort, number = false }) => {
      const cell = make('th', { scope: 'col', role: 'columnheader', class: number ? `number c-${name}` : `c-${name}` });
      if (sort === undefined) cell.append(title);
      else {
        const button = make('button', { type: 'button', class: 'sort' }, title);
        button.addEventListener('click', () =>
          this.#sortBy(sort, this.#sort === sort && this.#order === 'desc' ? 'asc' : 'desc'),
        );
        cell.dataset['sort'] = sort;
        cell.append(button);
      }
      return cell;
    });
    byId('columns').append(make('th', { scope: 'col', role: 'columnheader', class: 'c-select' }, this.#all), ...cells);
    this.#showOrder();
  }

  #sortBy(sort: ConnectionOrder, order: 'asc' | 'desc'): void {
    this.#sort = sort;
    this.#order = order;
    this.#showOrder();
    this.#changed();
  }

  #showOrder(): void {
    for (const cell of byId('columns').querySelectorAll<HTMLElement>('[data-sort]')) {
      const mine = cell.dataset['sort'] === this.#sort;
      if (mine) cell.setAttribute('aria-sort', this.#order === 'asc' ? 'ascending' : 'descending');
      else cell.removeAttribute('aria-sort');
    }
    const index = ORDERS.findIndex(([, sort, order]) => sort === this.#sort && order === this.#order);
    byId<HTMLSelectElement>('sort-by').value = index < 0 ? '' : String(index);
  }

  #changed(): void {
    this.#offset = 0;
    void this.#load();
  }

  #turn(by: number): void {
    this.#offset = Math.max(0, this.#offset + by);
    void this.#load();
  }

  #askToClose(matching: boolean): void {
    const names = [...this.#selected.values()];
    const { where, text } = this.#filter;
    const count = matching ? this.#matched : names.length;
    const way = (value: string, words: string, chosen: boolean): HTMLElement =>
      make('label', { class: 'choice' }, make('input', { type: 'radio', name: 'how', value, checked: chosen }), words);
    const hows = make(
      'fieldset',
      { class: 'choices' },
      make('legend', {}, 'How'),
      way('close', 'In order: what is queued is sent, then it ends', true),
      way('reset', 'By a reset: at once, what is queued is lost', false),
    );
    ask({
      title: `Close ${many(count, 'connection')}?`,
      text: matching
        ? `All that match when it is done: ${text}.`
        : 'Those that are selected. Their clients may come again at once.',
      fields: [hows],
      confirm: `Close ${countText(count)}`,
      danger: true,
      run: async () => {
        const how = hows.querySelector<HTMLInputElement>('input:checked')?.value ?? 'close';
        const body = matching ? { where, how } : { ids: names, how };
        const { matched, closed } = await this.#api.act<{ matched: number; closed: number }>('connections/close', body);
        this.#selected.clear();
        void this.#load();
        return closed === matched
          ? `${many(closed, 'connection')} closed.`
          : `${closed} of ${many(matched, 'connection')} closed; the others had ended or were ending.`;
      },
    });
  }
}
