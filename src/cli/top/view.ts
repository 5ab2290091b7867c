import type { Where } from '../admin/where.ts';
import type { TopModel } from './model.ts';
import { rowKey } from './rows.ts';
import type { Row, SortKey } from './rows.ts';
import type { Look } from './text.ts';

/** Something that the server is asked to do. */
export interface Deed {
  /** Below `/api/`. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** What it comes to, in words. */
  readonly told: (answer: unknown) => string;
}

/** What is asked at the bottom of the screen. */
export type Prompt =
  | { readonly kind: 'filter'; readonly text: string }
  /** `deeds`: by the keys that stand for them; every other key is a no. */
  | { readonly kind: 'confirm'; readonly question: string; readonly deeds: Readonly<Record<string, Deed>> };

/** What is shown in the lower part of the screen. */
export type Pane = 'connections' | 'events' | 'help';

/** How somebody looks at a server. */
export interface TopView {
  readonly sort: SortKey;
  readonly descending: boolean;
  /** The filter, as it was typed, and what it means; '' and {} for all connections. */
  readonly filter: string;
  readonly where: Where;
  /** Where in the table the connection is that is chosen; and which it is, null while it is whoever comes first. */
  readonly chosen: string | null;
  readonly index: number;
  readonly pane: Pane;
  /** How many lines of what happened, or of the help, are above those in sight. */
  readonly scrolled: number;
  /** What is shown while the display is held. */
  readonly held: TopModel | null;
  readonly prompt: Prompt | null;
  /** What a key came to. */
  readonly note: { readonly text: string; readonly look: Look } | null;
}

/** How one looks at first. */
export const firstView: TopView = {
  sort: 'age',
  descending: true,
  filter: '',
  where: {},
  chosen: null,
  index: 0,
  pane: 'connections',
  scrolled: 0,
  held: null,
  prompt: null,
  note: null,
};

/** The view on rows that are new: the connection that was chosen stays so; where it is gone, the one in its place is. */
export function settled(view: TopView, rows: readonly Row[]): TopView {
  if (view.chosen === null) return view;
  const at = rows.findIndex((row) => rowKey(row) === view.chosen);
  return chosenAt(view, rows, at >= 0 ? at : view.index);
}

/** Another connection is chosen; at the top it is whoever comes first. */
export function chosenAt(view: TopView, rows: readonly Row[], at: number): TopView {
  const index = Math.max(0, Math.min(at, rows.length - 1));
  const row = rows[index];
  return { ...view, index, chosen: row === undefined || index === 0 ? null : rowKey(row) };
}

/** The connection that is chosen, of those in order. */
export function chosenRow(view: TopView, rows: readonly Row[]): Row | null {
  return rows[view.index] ?? null;
}
