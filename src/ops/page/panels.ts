import type { StatusJson, TickJson } from '../admin-status.ts';
import { refusalColours } from './charts.ts';
import { Keyed, byId, make, show, write } from './dom.ts';
import { bytesText, countText, many, rateText, shareText, spanText } from './format.ts';

type Worker = TickJson['workers'][number];

/** One thread, and how busy it is. */
interface Thread {
  readonly key: string;
  readonly name: string;
  readonly state: string;
  readonly share: number;
  readonly notes: readonly string[];
}

/** How the load lies on the workers; on the main thread where there are none. */
export class Workers {
  readonly #list = new Keyed<Thread, HTMLElement>(
    byId('workers'),
    () =>
      make(
        'li',
        {},
        make('span', { class: 'name' }),
        make('span', { class: 'bar', 'aria-hidden': 'true' }),
        make('span', { class: 'number' }),
        make('span', { class: 'note' }),
      ),
    (item, { name, state, share, notes }) => {
      const [title, bar, number, note] = [...item.children] as [HTMLElement, HTMLElement, HTMLElement, HTMLElement];
      item.dataset['state'] = state;
      item.dataset['mood'] = share > 0.95 ? 'bad' : share > 0.8 ? 'warn' : '';
      write(title, name);
      write(number, shareText(share));
      write(note, notes.join(' · '));
      bar.style.setProperty('--share', share.toFixed(3));
    },
  );

  show(tick: TickJson): void {
    const { workers, loop, active, memory } = tick;
    const main: Thread = {
      key: 'main',
      name: 'main',
      state: 'serving',
      share: loop.utilization,
      notes:
        workers.length > 0
          ? ['admission and dispatch']
          : [many(active, 'connection'), `heap ${bytesText(memory.heapUsed)}`],
    };
    this.#list.show([...workers.map((worker) => threadOf(worker)), main], ({ key }) => key);
    write(byId('workers-note'), workers.length > 0 ? `${workers.length}, by how busy they are` : 'one thread');
  }
}

function threadOf(worker: Worker): Thread {
  const { index, threadId, state, connections, waiting, utilization, heap, restarts } = worker;
  const notes = [
    many(connections, 'connection'),
    waiting > 0 ? `${countText(waiting)} coming` : '',
    heap === null ? '' : `heap ${bytesText(heap)}`,
    restarts > 0 ? `restarted ${restarts} ×` : '',
    state === 'serving' ? '' : state,
  ];
  return {
    key: `${index}/${threadId}`,
    name: `#${index}`,
    state,
    share: utilization,
    notes: notes.filter((note) => note !== ''),
  };
}

type Counts = Readonly<Record<string, number>>;
type Row = readonly [kind: string, rate: number, count: number];

const WORDS: Readonly<Record<string, string>> = {
  full: 'full: as many as there may be',
  rate: 'rate: too often',
  'client-full': 'client-full: too many of one client',
  denied: 'denied: on the list of those who may not',
  'not-allowed': 'not-allowed: not on the list of those who may',
  'handshakes-full': 'handshakes-full: too many handshakes',
  proxy: 'proxy: no believable PROXY header',
  stopping: 'stopping: the server comes to its end',
};

/** Counts by their kinds, the most first, each with how many a second there were lately; a card of the page. */
class CountTable {
  readonly #list: Keyed<Row, HTMLElement>;
  readonly #table: HTMLElement;
  readonly #note = make('p', { class: 'muted' });
  readonly #none: HTMLElement;
  #before: { readonly at: number; readonly counts: Counts } | null = null;

  /** `none`: what is said where nothing was counted. `coloured`: kinds have the colours of the charts. */
  constructor(id: string, title: string, none: string, coloured: boolean) {
    const head = make('h2', { id: `${id}-title` }, title);
    const columns = make(
      'tr',
      {},
      make('th', { scope: 'col' }, 'Reason'),
      make('th', { scope: 'col', class: 'number' }, 'Now'),
      make('th', { scope: 'col', class: 'number' }, 'Since the start'),
    );
    const body = make('tbody', { id });
    const named = { 'aria-labelledby': head.id };
    this.#table = make('table', { class: 'counts', ...named }, make('thead', {}, columns), body);
    this.#none = make('p', { class: 'empty' }, none);
    const top = make('div', { class: 'card-head' }, head, this.#note);
    byId('thirds').append(make('section', { class: 'card', ...named }, top, this.#table, this.#none));
    this.#list = new Keyed<Row, HTMLElement>(
      body,
      (kind) => {
        const key = make('i', { class: 'key', 'aria-hidden': 'true' });
        key.style.setProperty('--colour', `var(${refusalColours[kind] ?? '--grey'})`);
        const name = make('th', { scope: 'row', title: WORDS[kind] ?? '' }, ...(coloured ? [key] : []), kind);
        return make('tr', {}, name, make('td', { class: 'number' }), make('td', { class: 'number' }));
      },
      (row, [, rate, count]) => {
        write(row.children[1]!, rate > 0 ? `${rateText(rate)} /s` : '–');
        write(row.children[2]!, countText(count));
      },
    );
  }

  show(at: number, counts: Counts): void {
    const before = this.#before ?? { at, counts };
    const seconds = (at - before.at) / 1_000;
    const rows = Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([kind, count]): Row => {
        const more = count - (before.counts[kind] ?? 0);
        return [kind, seconds >= 0.5 && more > 0 ? more / seconds : 0, count];
      })
      .sort(([a, , most], [b, , least]) => least - most || a.localeCompare(b));
    if (this.#before === null || seconds >= 0.5 || seconds < 0) this.#before = { at, counts };
    this.#list.show(rows, ([kind]) => kind);
    show(this.#table, rows.length > 0);
    show(this.#none, rows.length === 0);
    const all = rows.reduce((sum, [, , count]) => sum + count, 0);
    write(this.#note, all > 0 ? `${countText(all)} in all` : '');
  }
}

/** Who was not let in, and how connections ended. */
export class Reasons {
  readonly #refused = new CountTable('refused', 'Refused, by reason', 'Nobody was turned away.', true);
  readonly #reasons = new CountTable('reasons', 'Ended, by reason', 'No connection has ended yet.', false);

  show({ at, refused, reasons, detached }: TickJson): void {
    this.#refused.show(at, refused);
    this.#reasons.show(at, detached > 0 ? { ...reasons, detached } : reasons);
  }
}

const LEDGER = [
  ['left', 'still open'],
  ['finished', 'finished'],
  ['idle', 'closed idle'],
  ['forced', 'forced'],
  ['failed', 'failed'],
  ['detached', 'given away'],
] as const;

/** The ledger of a drain as it goes, and as it was in the end. */
export class Ledger {
  readonly #counts = LEDGER.map(([name, label]) => {
    const value = make('dd', {}, '0');
    byId('ledger').append(make('div', { 'data-name': name }, make('dt', {}, label), value));
    return [name, value] as const;
  });

  show({ drain, state, at }: Pick<StatusJson, 'drain' | 'state' | 'at'>): void {
    show(byId('drain'), drain !== null);
    if (drain === null) return;
    const all = drain.left + drain.closed;
    const share = all === 0 ? 1 : drain.closed / all;
    const bar = byId('drain-bar');
    bar.style.setProperty('--share', share.toFixed(3));
    bar.setAttribute('aria-valuemax', String(all));
    bar.setAttribute('aria-valuenow', String(drain.closed));
    bar.setAttribute('aria-valuetext', `${drain.closed} of ${all} over`);
    for (const [name, value] of this.#counts) write(value, countText(drain[name]));
    const over = state === 'stopped';
    write(byId('drain-title'), over ? 'Drained' : 'Draining');
    const until =
      drain.deadline === null ? 'no deadline' : `the rest is ended in ${spanText(Math.max(0, drain.deadline - at))}`;
    write(
      byId('drain-left'),
      over ? `${many(drain.closed, 'connection')} ended` : `${many(drain.left, 'connection')} left; ${until}`,
    );
  }
}
