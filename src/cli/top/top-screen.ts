import type { ConnectionPageJson, StatusJson } from '../../ops/admin-status.ts';
import type { HistoryJson } from '../../ops/history.ts';
import type { AdminClient, WatchedEvent } from '../admin/client.ts';
import { AdminRefused } from '../admin/client.ts';
import { whereParameters } from '../admin/where.ts';
import { firstLine } from '../load-module.ts';
import type { Hearer } from './feed.ts';
import { pressed } from './keys.ts';
import type { Key } from './keys.ts';
import { nothingKnown, withAnswer, withPage, withPast, withStatus, withWatched, withoutServer } from './model.ts';
import type { TopModel } from './model.ts';
import { ORDERS, inOrder } from './rows.ts';
import { screenOf } from './screen.ts';
import type { Surface, TerminalListener } from './terminal.ts';
import { firstView, settled } from './view.ts';
import type { Deed, TopView } from './view.ts';

/** Connections that are asked for: some pages of them, and as many as there can be when one goes further, or when they are put in an order here. */
const SOME = 200;
const MOST = 1_000;

/** A server on a terminal, and what its keys do. */
export class TopScreen implements Hearer, TerminalListener {
  readonly #client: AdminClient;
  readonly #signal: AbortSignal;
  readonly #quit: () => void;
  #terminal: Surface | null = null;
  #model: TopModel = nothingKnown;
  #view: TopView = firstView;
  #page = 1;
  /** Connections are being asked for; and they are to be asked for again, as the view is another now. */
  #looking = false;
  #again = false;

  /** `quit`: called when a key asks for it, or the terminal is gone. */
  constructor(client: AdminClient, signal: AbortSignal, quit: () => void) {
    this.#client = client;
    this.#signal = signal;
    this.#quit = quit;
  }

  /** Shows it there from now on. */
  on(terminal: Surface): void {
    this.#terminal = terminal;
    this.draw();
  }

  draw(): void {
    const terminal = this.#terminal;
    if (terminal === null) return;
    const { lines, page } = screenOf(this.#model, this.#view, terminal.size, Date.now());
    this.#page = page;
    terminal.draw(lines);
  }

  // ---- what is heard ----

  reached(status: StatusJson): void {
    // What was said to another is over.
    if (this.#model.contact.kind === 'gone') this.#view = { ...this.#view, note: null, prompt: null };
    this.#know(withStatus(this.#model, status, Date.now()));
    void this.#look();
    void this.#remember();
  }

  happened(event: WatchedEvent): void {
    this.#know(withWatched(this.#model, event, Date.now()));
    if (event.event === 'tick') void this.#look();
  }

  lost(why: string): void {
    this.#know(withoutServer(this.#model, why, Date.now()));
  }

  // ---- the terminal ----

  key(key: Key): void {
    const { view, wanted } = pressed(this.#view, this.#model, key, this.#page);
    this.#view = view;
    this.draw();
    switch (wanted.kind) {
      case 'quit':
        this.#quit();
        break;
      case 'look':
        void this.#look();
        break;
      case 'do':
        void this.#do(wanted.deed);
        break;
      case 'nothing':
    }
  }

  resized(): void {
    this.draw();
  }

  gone(): void {
    this.#quit();
  }

  // ----

  #know(model: TopModel): void {
    this.#model = model;
    this.draw();
  }

  /** Asks for the connections that are in sight; one after the other, however often keys ask. */
  async #look(): Promise<void> {
    this.#again = this.#looking;
    if (this.#looking) return;
    this.#looking = true;
    const view = this.#view;
    try {
      const page = await this.#client.get<ConnectionPageJson>(`/api/connections?${queryOf(view)}`, this.#signal);
      // Those that another filter means, or in another order, are not to be shown as this one's.
      const { where, sort, descending } = this.#view;
      if (view.where === where && view.sort === sort && view.descending === descending) this.#take(page);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#looking = false;
    }
    if (this.#again && !this.#signal.aborted) await this.#look();
  }

  #take(page: ConnectionPageJson): void {
    const model = withPage(this.#model, page);
    const { sort, descending, held } = this.#view;
    if (held === null) this.#view = settled(this.#view, inOrder(model.rows, sort, descending));
    this.#know(model);
  }

  /** Asks for the last minute, as the server kept it. */
  async #remember(): Promise<void> {
    try {
      const history = await this.#client.get<HistoryJson>('/api/history', this.#signal);
      this.#know(withPast(this.#model, history));
    } catch (error) {
      this.#failed(error);
    }
  }

  async #do({ path, body, told }: Deed): Promise<void> {
    try {
      const answer = await this.#client.post<unknown>(`/api/${path}`, body, this.#signal);
      // Before its event comes: the next key may already go by it.
      this.#model = withAnswer(this.#model, answer);
      this.#note(told(answer), 'green');
      void this.#look();
    } catch (error) {
      this.#note(firstLine(error), 'red');
    }
  }

  /** What the server refuses is told; whether it is there at all, the feed tells. */
  #failed(error: unknown): void {
    if (error instanceof AdminRefused) this.#note(firstLine(error), 'red');
  }

  #note(text: string, look: 'green' | 'red'): void {
    this.#view = { ...this.#view, note: { text, look } };
    this.draw();
  }
}

function queryOf({ sort, descending, where, index }: TopView): string {
  const query = whereParameters(where);
  const here = sort === 'rate';
  query.set('sort', ORDERS[sort]);
  query.set('order', descending || here ? 'desc' : 'asc');
  query.set('limit', `${here || index > SOME / 2 ? MOST : SOME}`);
  return query.toString();
}
