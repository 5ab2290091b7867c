import type { LimitsJson } from '../admin-status.ts';
import { readTime, timeText } from './format.ts';

/** One limit as it is shown and changed: as text, in the form that the command line has. */
export interface LimitField {
  /** As the server calls it; what is after a dot is inside of what is before. */
  readonly path: string;
  readonly label: string;
  readonly group: string;
  readonly hint: string;
  readonly text: (limits: LimitsJson) => string;
  /** What is no such thing stays a text, for the server to refuse. */
  readonly value: (text: string, limits: LimitsJson) => unknown;
}

const number = (text: string): unknown => (/^\d{1,15}$/u.test(text) ? Number(text) : text);
const orNone = (text: string, read: (text: string) => unknown): unknown => (text === 'none' ? null : read(text));
const time = (text: string): unknown => readTime(text) ?? text;
const list = (text: string): readonly string[] =>
  text === 'none' ? [] : text.split(/[\s,]+/u).filter((part) => part !== '');

function times(path: 'lead' | 'grace' | 'spread', label: string, hint: string): LimitField {
  const value = (text: string): unknown => (path === 'grace' ? orNone(text, time) : time(text));
  return { path, label, group: 'Drain', hint, text: (limits) => timeText(limits[path]), value };
}

function deadline(name: 'firstByte' | 'idle' | 'read' | 'write' | 'life', label: string, hint: string): LimitField {
  return {
    path: `deadlines.${name}`,
    label,
    group: 'Deadlines',
    hint,
    // JSON has no infinity: a deadline that there is not is null.
    text: ({ deadlines }) => timeText((deadlines?.[name] as number | null | undefined) ?? null),
    value: (text) => orNone(text, time),
  };
}

function addresses(path: 'allow' | 'deny', label: string, hint: string): LimitField {
  return { path, label, group: 'Admission', hint, text: (limits) => limits[path]?.join(', ') || 'none', value: list };
}

export const limitFields: readonly LimitField[] = [
  {
    path: 'maxConnections',
    label: 'Connections',
    group: 'Admission',
    hint: 'at a time',
    text: ({ maxConnections }) => String(maxConnections ?? 'none'),
    value: number,
  },
  {
    path: 'maxPerClient',
    label: 'Per client',
    group: 'Admission',
    hint: 'of one client at a time; none',
    text: ({ maxPerClient }) => String(maxPerClient ?? 'none'),
    value: (text) => orNone(text, number),
  },
  {
    path: 'whenFull',
    label: 'When full',
    group: 'Admission',
    hint: 'wait; refuse; 10@500ms',
    text: ({ whenFull }) =>
      whenFull === null || typeof whenFull === 'string'
        ? String(whenFull)
        : `${whenFull.retries ?? 10}@${timeText(whenFull.every ?? 500)}`,
    value: (text, { whenFull }) => {
      const [, retries, every = ''] = /^(\d{1,9})@(.+)$/u.exec(text) ?? [];
      const before = typeof whenFull === 'object' && whenFull !== null ? whenFull : {};
      return retries === undefined ? text : { ...before, retries: Number(retries), every: time(every) };
    },
  },
  {
    path: 'rate',
    label: 'Client rate',
    group: 'Admission',
    hint: '20/1s; 20/1s burst 40; none',
    text: ({ rate }) =>
      rate === null
        ? 'none'
        : `${rate.connections}/${timeText(rate.per)}${rate.burst === undefined ? '' : ` burst ${rate.burst}`}`,
    value: (text, { rate }) => {
      if (text === 'none') return null;
      const [, connections, per = '', burst] = /^(\d{1,9})\/(\S+?)(?:\s+burst\s+(\d{1,9}))?$/u.exec(text) ?? [];
      if (connections === undefined) return text;
      const tracked = rate?.maxTracked === undefined ? {} : { maxTracked: rate.maxTracked };
      const more = burst === undefined ? {} : { burst: Number(burst) };
      return {
        connections: Number(connections),
        per: time(/^[a-z]/u.test(per) ? `1${per}` : per),
        ...more,
        ...tracked,
      };
    },
  },
  addresses('allow', 'Only from', 'addresses, CIDRs, loopback, private; none'),
  addresses('deny', 'Not from', 'the same; none'),
  deadline('firstByte', 'First byte', 'of the peer'),
  deadline('idle', 'Idle', 'nothing in either direction'),
  deadline('read', 'Read', 'a reader waits'),
  deadline('write', 'Write', 'the peer takes nothing'),
  deadline('life', 'Life', 'from the accept on'),
  times('lead', 'Lead', 'not ready, and still accepting'),
  times('grace', 'Grace', 'to finish; none'),
  times('spread', 'Spread', 'idle ones are closed over it'),
];

/** What a change of some limits is as the server takes it. */
export function changesOf(changed: ReadonlyMap<string, string>, limits: LimitsJson): Readonly<Record<string, unknown>> {
  const changes: Record<string, unknown> = {};
  const deadlines: Record<string, unknown> = {};
  for (const { path, value } of limitFields) {
    const text = changed.get(path);
    if (text === undefined) continue;
    const [outer, inner] = path.split('.') as [string, string?];
    if (inner === undefined) changes[outer] = value(text, limits);
    else deadlines[inner] = value(text, limits);
  }
  return Object.keys(deadlines).length === 0 ? changes : { ...changes, deadlines };
}
