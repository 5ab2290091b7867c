import { parseWhere } from '../admin/where.ts';
import { connectionName } from '../admin/reports.ts';
import type { TopModel } from './model.ts';
import { SORT_KEYS, inOrder } from './rows.ts';
import { chosenAt, chosenRow } from './view.ts';
import type { Deed, Pane, TopView } from './view.ts';

/** A key that was pressed, as `node:readline` tells it. */
export interface Key {
  /** What it writes; undefined for a key that writes nothing. */
  readonly text?: string | undefined;
  readonly name?: string | undefined;
  readonly ctrl?: boolean | undefined;
}

/** What comes of a key beside another view. */
export type Wanted =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'quit' }
  /** Other connections are to be shown, or in another order. */
  | { readonly kind: 'look' }
  | { readonly kind: 'do'; readonly deed: Deed };

/** What a key comes to. */
export interface Pressed {
  readonly view: TopView;
  readonly wanted: Wanted;
}

/** Characters of a filter. */
const MOST_TYPED = 500;

/** What each key does, for the help. */
export const KEYS: readonly (readonly [keys: string, does: string])[] = [
  ['↑ ↓, k j', 'choose a connection, or scroll'],
  ['PgUp PgDn Home End', 'by pages, and to the ends'],
  ['s, S', 'order by age, in, out, rate, queued, id'],
  ['r', 'turn the order around'],
  ['/', 'filter: peer=10.0.0.0/8,doing=idle,minAge=60s'],
  ['p, space', 'hold the display, and let it go on'],
  ['e', 'what has happened, and back'],
  ['c', 'close the connection that is chosen'],
  ['u', 'suspend the server, or resume it'],
  ['d', 'drain the server, and so end it'],
  ['t', 'stop the server: no lead, or at once'],
  ['?, h', 'this help'],
  ['q, Ctrl-C', 'quit; the server goes on'],
];

/** What a key comes to. `page`: how many rows of the table are in sight. */
export function pressed(view: TopView, model: TopModel, key: Key, page: number): Pressed {
  if (key.ctrl === true && key.name === 'c') return { view, wanted: { kind: 'quit' } };
  const { prompt } = view;
  if (prompt?.kind === 'filter') return typed(view, prompt.text, key);
  if (prompt?.kind === 'confirm') return answered(view, prompt.deeds, key);
  const fresh: TopView = { ...view, note: null };
  const shown = view.held ?? model;
  return command(fresh, model, key) ?? moved(fresh, shown, key, page);
}

const just = (view: TopView): Pressed => ({ view, wanted: { kind: 'nothing' } });
/** A display that is held goes on with it: what it holds is of another order, or another filter. */
const look = (view: TopView): Pressed => ({ view: { ...view, held: null }, wanted: { kind: 'look' } });

/** Null for a key that commands nothing. */
function command(view: TopView, model: TopModel, { text, name }: Key): Pressed | null {
  switch (text) {
    case 'q':
      return { view, wanted: { kind: 'quit' } };
    case 's':
    case 'S': {
      const step = text === 's' ? 1 : SORT_KEYS.length - 1;
      const sort = SORT_KEYS[(SORT_KEYS.indexOf(view.sort) + step) % SORT_KEYS.length]!;
      return look({ ...view, sort, index: 0, chosen: null });
    }
    case 'r':
      return look({ ...view, descending: !view.descending, index: 0, chosen: null });
    case '/':
      return just({ ...view, pane: 'connections', prompt: { kind: 'filter', text: view.filter } });
    case 'p':
    case ' ':
      return view.held === null ? just({ ...view, held: model }) : look(view);
    case 'e':
      return just(toggled(view, 'events'));
    case '?':
    case 'h':
      return just(toggled(view, 'help'));
    case 'c':
    case 'u':
    case 'd':
    case 't':
      return just(asked(view, model, text));
    default:
      return name === 'escape' ? just({ ...view, pane: 'connections' }) : null;
  }
}

function toggled(view: TopView, pane: Pane): TopView {
  return { ...view, pane: view.pane === pane ? 'connections' : pane, scrolled: 0 };
}

/** Through the table, or through the lines that are shown instead of it. */
function moved(view: TopView, { rows: some, happenings }: TopModel, { text, name }: Key, page: number): Pressed {
  const rows = inOrder(some, view.sort, view.descending);
  const scrolls = view.pane !== 'connections';
  const index = scrolls ? view.scrolled : view.index;
  const last = scrolls ? (view.pane === 'help' ? KEYS : happenings).length - page : rows.length - 1;
  const to = (at: number): Pressed =>
    just(scrolls ? { ...view, scrolled: Math.max(0, Math.min(at, last)) } : chosenAt(view, rows, at));
  switch (name) {
    case 'up':
      return to(index - 1);
    case 'down':
      return to(index + 1);
    case 'pageup':
      return to(index - page);
    case 'pagedown':
      return to(index + page);
    case 'home':
      return to(0);
    case 'end':
      return to(last);
    default:
      return text === 'k' ? to(index - 1) : text === 'j' ? to(index + 1) : just(view);
  }
}

// ---- the filter ----

function typed(view: TopView, before: string, { text = '', name, ctrl = false }: Key): Pressed {
  const prompt = (next: string): Pressed => just({ ...view, note: null, prompt: { kind: 'filter', text: next } });
  if (name === 'escape') return just({ ...view, note: null, prompt: null });
  if (name === 'return' || name === 'enter') return filtered(view, before.trim());
  if (name === 'backspace') return prompt(Array.from(before).slice(0, -1).join(''));
  if (ctrl) return name === 'u' ? prompt('') : just(view);
  return /^\P{C}+$/u.test(text) && before.length + text.length <= MOST_TYPED ? prompt(before + text) : just(view);
}

function filtered(view: TopView, filter: string): Pressed {
  try {
    const where = filter === '' ? {} : parseWhere(filter);
    return look({ ...view, filter, where, index: 0, chosen: null, prompt: null, note: null });
  } catch (error) {
    return just({ ...view, note: { text: (error as Error).message, look: 'red' } });
  }
}

// ---- what is done to the server ----

function answered(view: TopView, deeds: Readonly<Record<string, Deed>>, { text = '' }: Key): Pressed {
  const done: TopView = { ...view, prompt: null };
  if (!Object.hasOwn(deeds, text)) return just({ ...done, note: { text: 'nothing was done', look: 'dim' } });
  return {
    view: { ...done, note: { text: 'asking the server …', look: 'dim' } },
    wanted: { kind: 'do', deed: deeds[text]! },
  };
}

/** Asks whether it is to be done; says why it can't be. */
function asked(view: TopView, model: TopModel, key: 'c' | 'u' | 'd' | 't'): TopView {
  const { contact, tick, about } = model;
  if (contact.kind === 'gone' || tick === null || about === null) return refused(view, 'the server is not there');
  const { name } = about;
  switch (key) {
    case 'c':
      return askedToClose(view, model);
    case 'u':
      return tick.state === 'suspended'
        ? confirm(view, `resume ${name}, and accept again? y: yes`, { y: stateDeed('resume') })
        : confirm(view, `suspend ${name}: accept nobody for now? y: yes`, { y: stateDeed('suspend') });
    case 'd':
      return confirm(view, `drain ${name}, and so end it? y: yes`, { y: stateDeed('drain') });
    case 't':
      return confirm(view, `stop ${name}? y: connections have their grace, 0: at once`, {
        y: stateDeed('stop'),
        0: stateDeed('stop', { grace: 0 }),
      });
  }
}

function askedToClose(view: TopView, model: TopModel): TopView {
  const row = chosenRow(view, inOrder((view.held ?? model).rows, view.sort, view.descending));
  if (row === null) return refused(view, 'there is no connection to close');
  const { id, worker, threadId, peer } = row;
  const name = connectionName(row);
  const deed = (how: 'close' | 'reset'): Deed => ({
    path: 'connections/close',
    body: { ids: [{ id, worker, threadId }], how },
    told: (answer) => {
      const { closed } = answer as { closed: number };
      return closed === 0 ? `${name} was gone, or closing` : `${name} was ${how === 'close' ? 'closed' : 'reset'}`;
    },
  });
  return confirm(view, `close ${name} of ${peer}? y: in order, r: by a reset`, { y: deed('close'), r: deed('reset') });
}

function confirm(view: TopView, question: string, deeds: Readonly<Record<string, Deed>>): TopView {
  return { ...view, prompt: { kind: 'confirm', question: `${question}; any other key: no`, deeds } };
}

function refused(view: TopView, text: string): TopView {
  return { ...view, note: { text, look: 'red' } };
}

function stateDeed(path: string, body: Deed['body'] = {}): Deed {
  return {
    path,
    body,
    told: (answer) => {
      const { state, ready } = answer as { state: string; ready: boolean };
      return `the server is ${state}${ready ? '' : ', not ready'}`;
    },
  };
}
