import type { StatusJson, TickJson } from '../../ops/admin-status.ts';
import { drainLine } from '../admin/reports.ts';
import { howLong } from '../admin/tables.ts';
import { counted } from '../notices.ts';
import { KEYS } from './keys.ts';
import { meterLines } from './meters.ts';
import type { TopModel } from './model.ts';
import { inOrder } from './rows.ts';
import { tableLines } from './table.ts';
import { clip, clipLine, fit, harmless, lineWidth, span, spread, tail, widthOf, wrap } from './text.ts';
import type { Line, Look, Span } from './text.ts';
import { chosenRow } from './view.ts';
import type { TopView } from './view.ts';
import { workerLines } from './worker-bars.ts';

/** A terminal's, in characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What a terminal shows. */
export interface Shown {
  /** As many as it has rows, and none wider than it is. */
  readonly lines: readonly Line[];
  /** How many connections are in sight at a time. */
  readonly page: number;
}

/** Rows of the lower part, at least. */
const LEAST_PANE = 4;
/** Milliseconds without a word after which that is told. */
const SILENCE = 5_000;

/** The screen of a server, as it is known and looked at. `now`: milliseconds since 1970. */
export function screenOf(model: TopModel, view: TopView, size: Size, now: number): Shown {
  const columns = Math.max(1, size.columns);
  const rows = Math.max(1, size.rows);
  const shown = view.held ?? model;
  const bottom = bottomLines(shown, view, columns, Math.max(1, rows - 2));
  const upper = upperLines(shown, view, { columns, rows: rows - bottom.length }, now, model);
  const room = Math.max(0, rows - bottom.length - upper.length);
  const page = Math.max(1, room - 1);
  const pane = paneLines(shown, view, columns, room, page, now);
  const blank = Array.from<Line>({ length: Math.max(0, room - pane.length) }).fill([]);
  const lines = [...upper, ...pane.slice(0, room), ...blank].slice(0, rows - bottom.length);
  return { lines: [...lines, ...bottom].map((line) => clipLine(line, columns)), page };
}

/** What is above the table: as much of it as leaves room for that, the most telling first. */
function upperLines(shown: TopModel, view: TopView, size: Size, now: number, model: TopModel): readonly Line[] {
  const { columns, rows } = size;
  const { tick, about } = shown;
  const title = titleLine(shown, view, columns, now, model);
  if (tick === null || about === null || view.pane === 'help') return [title];
  let left = Math.max(0, rows - 1 - LEAST_PANE);
  const take = (lines: readonly Line[], most: number): readonly Line[] => {
    const taken = lines.slice(0, Math.min(left, most));
    left -= taken.length;
    return taken;
  };
  const drain = take(tick.drain === null ? [] : [drainText(tick.drain, now)], 1);
  const meters = take(meterLines(shown, tick, columns), 7);
  const where = take([aboutLine(about)], 1);
  const workers = take(workerLines(tick.workers, columns, Math.min(left, Math.floor(rows / 6))), left);
  const events = view.pane === 'events' ? [] : take(eventLines(shown, now), rows >= 40 ? 5 : rows >= 20 ? 2 : 1);
  return [title, ...where, ...meters, ...workers, ...drain, ...events];
}

const STATES: Readonly<Record<string, Look>> = { running: 'green', stopped: 'red' };

function titleLine(shown: TopModel, view: TopView, columns: number, now: number, model: TopModel): Line {
  const right: Line = view.held === null ? [] : [span(' held ', 'inverse')];
  const left = [span(nameIn(shown.about?.name ?? 'portside', columns), 'bold'), ...stateSpans(shown, now, model)];
  return spread(clipLine(left, columns - lineWidth(right) - 1), right, columns);
}

function stateSpans({ tick }: TopModel, now: number, { contact, heard }: TopModel): Line {
  if (contact.kind === 'gone')
    return [span(`  gone for ${howLong(Math.max(0, now - contact.since))}, trying again: ${contact.why}`, 'red')];
  if (tick === null) return [];
  const { state, ready, uptime, errors, troubles } = tick;
  const silent = now - heard;
  const spans: Span[] = [
    span('  '),
    span(`${state}${ready ? '' : ', not ready'}`, STATES[state] ?? 'yellow'),
    span(`, up ${howLong(uptime)}`),
  ];
  if (silent > SILENCE) spans.push(span(`, no word for ${howLong(silent)}`, 'red'));
  if (errors > 0) spans.push(span(`, ${counted(errors, 'error')}`, 'yellow'));
  if (troubles > 0) spans.push(span(`, ${troubles} of accepting`, 'yellow'));
  return spans;
}

/** A path only where there is room for it: how the server is has to be seen. */
function nameIn(name: string, columns: number): string {
  const most = Math.max(8, Math.floor(columns / 2));
  const shown = harmless(name);
  return widthOf(shown) <= most ? shown : clip(shown.replace(/^.*\/(?=.)/u, ''), most);
}

function aboutLine(about: StatusJson): Line {
  const { addresses, pid, version, node, transport } = about;
  const where = addresses.join(', ') || 'listens nowhere';
  return [span(where), span(`  process ${pid}, portside ${version}, node ${node}, ${transport}`, 'dim')];
}

function drainText(drain: NonNullable<TickJson['drain']>, now: number): Line {
  return [span(fit('drain', 10), 'dim'), span(drainLine(drain, now), 'yellow')];
}

function eventLines({ happenings }: TopModel, now: number): readonly Line[] {
  return happenings.map(({ at, text, look }): Line => [
    span(`${fit(howLong(Math.max(1_000, now - at)), 7, 'right')} ago  `, 'dim'),
    span(text, look),
  ]);
}

// ---- the lower part ----

function paneLines(
  shown: TopModel,
  view: TopView,
  columns: number,
  room: number,
  page: number,
  now: number,
): readonly Line[] {
  const head = (text: string): Line => [span(fit(text, columns), 'inverse')];
  switch (view.pane) {
    case 'help':
      return [head('keys'), ...helpLines(columns).slice(view.scrolled)].slice(0, room);
    case 'events':
      return [head('what has happened, the latest first'), ...eventLines(shown, now).slice(view.scrolled)].slice(
        0,
        room,
      );
    case 'connections': {
      const rows = inOrder(shown.rows, view.sort, view.descending);
      const first = Math.floor(view.index / page) * page;
      return tableLines(rows.slice(first, first + page), view, chosenRow(view, rows), columns);
    }
  }
}

function helpLines(columns: number): readonly Line[] {
  const width = columns >= 60 ? 20 : 10;
  return KEYS.map(([keys, does]): Line => [span(`${fit(keys, width)} `, 'bold'), span(does)]);
}

// ---- the bottom line ----

/** A question, what a key came to, or what is shown and which keys help; wrapped where it has to be read whole. */
function bottomLines(shown: TopModel, view: TopView, columns: number, most: number): readonly Line[] {
  const { prompt, note } = view;
  const noted = note === null ? [] : wrap(note.text, columns).map((text): Line => [span(text, note.look)]);
  if (prompt?.kind === 'filter') {
    const before = 'filter: ';
    // Its end is where one types.
    const typed = tail(harmless(prompt.text), columns - before.length - 1);
    return [...noted, [span(before, 'bold'), span(typed), span(' ', 'inverse')]].slice(-most);
  }
  if (prompt?.kind === 'confirm')
    return wrap(prompt.question, columns)
      .map((text): Line => [span(text, 'bold')])
      .slice(0, most);
  if (note !== null) return noted.slice(0, most);
  return [spread([span(countText(shown, view))], [span('? keys  q quit', 'dim')], columns)];
}

function countText({ total, matched, rows }: TopModel, { filter }: TopView): string {
  const shown = rows.length < matched ? `, ${rows.length} shown` : '';
  return filter === '' ? `${total} open${shown}` : `${matched} of ${total} open${shown}, where ${filter}`;
}
