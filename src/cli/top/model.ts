import type { ConnectionPageJson, StatusJson, TickJson } from '../../ops/admin-status.ts';
import type { HistoryJson } from '../../ops/history.ts';
import type { WatchedEvent } from '../admin/client.ts';
import { withEvent, withHappening } from './happenings.ts';
import type { Happening } from './happenings.ts';
import { sampleOf, withHistory, withSample } from './past.ts';
import type { Sample } from './past.ts';
import { ratesOf } from './rates.ts';
import type { Rates } from './rates.ts';
import { rowsOf } from './rows.ts';
import type { Row } from './rows.ts';

/** Whether the server is heard. */
export type Contact =
  | { readonly kind: 'live' }
  | {
      readonly kind: 'gone';
      /** When it was noticed, in milliseconds since 1970. */ readonly since: number;
      readonly why: string;
    };

/** What is known of a server. Never changed: what comes makes another. */
export interface TopModel {
  readonly contact: Contact;
  /** What changes seldom or never; null before the server has answered. */
  readonly about: StatusJson | null;
  /** How it was last, and when that came here, in milliseconds since 1970. */
  readonly tick: TickJson | null;
  readonly heard: number;
  /** What happened in the second before that; null while that is not known. */
  readonly rates: Rates | null;
  /** The last minute, the oldest first. */
  readonly past: readonly Sample[];
  readonly rows: readonly Row[];
  /** How many connections there are, and how many of them are meant by the filter. */
  readonly total: number;
  readonly matched: number;
  /** The latest first. */
  readonly happenings: readonly Happening[];
}

/** Milliseconds between two ticks, at least. */
const TOO_SOON = 250;

/** Before anything is known. */
export const nothingKnown: TopModel = {
  contact: { kind: 'live' },
  about: null,
  tick: null,
  heard: 0,
  rates: null,
  past: [],
  rows: [],
  total: 0,
  matched: 0,
  happenings: [],
};

/** The server was reached, for the first time or again; one that was started anew, or is another process, begins anew. */
export function withStatus(model: TopModel, status: StatusJson, now: number): TopModel {
  const { about, contact } = model;
  // In a container each process may have the same id.
  const same = about === null || (about.pid === status.pid && status.uptime >= (model.tick?.uptime ?? 0));
  let { happenings } = model;
  if (contact.kind === 'gone') {
    let text = 'the server is back';
    if (!same)
      text =
        about.pid === status.pid
          ? 'the server was started anew'
          : `process ${status.pid} is there instead of ${about.pid}`;
    happenings = withHappening(happenings, { at: now, text, look: 'cyan' });
  }
  const base = same ? model : { ...nothingKnown };
  return withTick({ ...base, contact: { kind: 'live' }, about: status, happenings }, status, now);
}

/** The server is not heard any more. */
export function withoutServer(model: TopModel, why: string, now: number): TopModel {
  if (model.contact.kind === 'gone') return { ...model, contact: { ...model.contact, why } };
  const happenings = withHappening(model.happenings, { at: now, text: `the server is gone: ${why}`, look: 'red' });
  return { ...model, contact: { kind: 'gone', since: now, why }, happenings };
}

/** How the server is now. */
export function withTick(model: TopModel, tick: TickJson, now: number): TopModel {
  // A watcher's first tick comes right after the status, and says nothing of a second.
  if (model.tick !== null && Math.abs(tick.at - model.tick.at) < TOO_SOON) return { ...model, heard: now };
  const rates = model.tick === null ? null : ratesOf(model.tick, tick);
  const past = rates === null ? model.past : withSample(model.past, sampleOf(tick, rates));
  return { ...model, tick, heard: now, rates, past };
}

/** What the server kept of its past has come. */
export function withPast(model: TopModel, history: HistoryJson): TopModel {
  return { ...model, past: withHistory(model.past, history) };
}

/** Something happened. */
export function withWatched(model: TopModel, { event, data }: WatchedEvent, now: number): TopModel {
  if (event === 'tick') return withTick(model, data as TickJson, now);
  const { tick, happenings } = model;
  return {
    ...model,
    tick: tick === null ? null : atOnce(tick, event, data),
    happenings: withEvent(happenings, event, data, now),
  };
}

/** What is told before its tick comes. */
function atOnce(tick: TickJson, event: string, data: unknown): TickJson {
  if (event === 'drain') return { ...tick, drain: data as TickJson['drain'] };
  if (event !== 'state') return tick;
  const { state } = data as Pick<TickJson, 'state'>;
  return { ...tick, state, ready: state === 'running' };
}

/** What an action was answered with: the state that it led to, or nothing of that. */
export function withAnswer(model: TopModel, answer: unknown): TopModel {
  const { state, ready } = (answer ?? {}) as Partial<Pick<TickJson, 'state' | 'ready'>>;
  if (model.tick === null || state === undefined || ready === undefined) return model;
  return { ...model, tick: { ...model.tick, state, ready } };
}

/** The connections were looked at. */
export function withPage(model: TopModel, { total, matched, connections }: ConnectionPageJson): TopModel {
  return { ...model, total, matched, rows: rowsOf(connections, model.rows) };
}
