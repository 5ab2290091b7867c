import { PortsideError } from '../base/errors.ts';
import { check, integer, list, milliseconds, object, oneOf, required, table, that, union } from '../base/options.ts';
import type { Rule, Table } from '../base/options.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { EndOptions } from '../server/options.ts';
import { json } from './admin-reply.ts';
import type { Reply } from './admin-reply.ts';
import type { ConnectionList } from './connection-list.ts';
import { filterTable, matcherOf } from './connection-query.ts';
import type { ConnectionFilter } from './connection-query.ts';
import type { ConnectionName, Subject } from './subject.ts';

/** What an action works on. */
export interface ActionContext {
  readonly subject: Subject;
  readonly list: ConnectionList;
}

/** What an action came to, in an answer and in words. */
export interface ActionResult {
  readonly reply: Reply;
  readonly told: string;
}

type Asked = Readonly<Record<string, unknown>>;

/** Does one thing; throws, or rejects with, why it can't. */
export type Action = (asked: Asked, context: ActionContext) => ActionResult | Promise<ActionResult>;

const time = milliseconds({ infinite: true });
const window = milliseconds({ max: 86_400_000 });
const nothingTable = table('action', {});
const drainTable: Table<EndOptions> = table('drain', { lead: window, grace: time, spread: window });
const stopTable = table('stop', { grace: time });
const resizeTable = table('resize', { workers: required(integer({ min: 1, max: 1_024 })) });
const whole = that<null>('null', (value) => value === null);
const nameRule: Rule<ConnectionName> = object({
  id: required(integer({ min: 1 })),
  worker: union(integer({ min: 0 }), whole),
  threadId: union(integer({ min: 0 }), whole),
});

interface CloseAsked {
  readonly ids?: readonly ConnectionName[] | undefined;
  readonly where?: ConnectionFilter | undefined;
  readonly how?: EndByHand | undefined;
}

const closeTable: Table<CloseAsked> = table(
  'connections/close',
  { ids: list(nameRule, { min: 1, max: 1_000 }), where: filterTable.rule, how: oneOf('close', 'reset') },
  ({ ids, where }, problem) => {
    if ((ids === undefined) === (where === undefined)) problem('ids', 'stands instead of where; give one of them');
    if (where !== undefined && Object.values(where).every((value) => value === undefined))
      problem('where', 'says nothing; for all connections say { "minAge": 0 }');
  },
);

/** What may be asked for, by the path below `/api/`. */
export const actions: Readonly<Record<string, Action>> = {
  suspend: (asked, { subject }) => {
    check(nothingTable, asked);
    mustServe(subject, 'suspended');
    subject.suspend();
    return stateOf(subject);
  },

  resume: (asked, { subject }) => {
    check(nothingTable, asked);
    mustServe(subject, 'resumed');
    subject.resume();
    return stateOf(subject);
  },

  drain: (asked, { subject }) => {
    const times = check(drainTable, endless(asked, ['grace']));
    mustRun(subject, 'drained');
    void subject.drain(times);
    return stateOf(subject, 202);
  },

  stop: (asked, { subject }) => {
    const times = check(stopTable, endless(asked, ['grace']));
    mustRun(subject, 'stopped');
    void subject.stop(times);
    return stateOf(subject, 202);
  },

  reload: async (asked, { subject }) => {
    check(nothingTable, asked);
    const { seamless, why } = await subject.reload();
    const workers = subject.status().workers.filter(({ state }) => state === 'serving').length;
    return { reply: json({ workers, seamless, why }), told: `${workers} new workers serve` };
  },

  resize: async (asked, { subject }) => {
    const { workers } = check(resizeTable, asked);
    await subject.resize(workers);
    return { reply: json({ workers }), told: `${workers} workers serve` };
  },

  upgrade: async (asked, { subject }) => {
    check(nothingTable, asked);
    if (subject.upgrade === undefined)
      throw new PortsideError(
        'ERR_PORTSIDE_UNSUPPORTED',
        'the server has no supervisor that could start a new version; start it with --upgradable',
      );
    const { pid, before } = await subject.upgrade();
    return { reply: json({ pid, before }), told: `process ${pid} serves, process ${before} drains` };
  },

  limits: (asked, { subject }) => {
    const changes: Record<string, unknown> = { ...endless(asked, ['grace', 'maxPerClient'], ['allow', 'deny']) };
    const { deadlines } = changes;
    if (isPlain(deadlines)) changes['deadlines'] = endless(deadlines, Object.keys(deadlines));
    // The server looks at it.
    subject.set(changes);
    return { reply: json({ limits: subject.limits }), told: `changed ${Object.keys(asked).join(', ') || 'nothing'}` };
  },

  'tls/reload': async (asked, { subject }) => {
    check(nothingTable, asked);
    await subject.reloadTls();
    return { reply: json({ reloaded: true }), told: 'certificates were read anew' };
  },

  'connections/close': async (asked, { subject, list: connections }) => {
    const { ids, where = {}, how = 'close' }: CloseAsked = check(closeTable, asked);
    // Who matches now, and not a moment ago.
    connections.forget();
    const which = ids ?? (await connections.read()).filter(matcherOf(where));
    const closed = await subject.closeConnections(which, how);
    connections.forget();
    return { reply: json({ matched: which.length, closed }), told: `${closed} of ${which.length} ended, by ${how}` };
  },
};

/** What was asked for as the audit log keeps it. */
export function inShort(asked: Asked): Asked {
  const entries = Object.entries(asked).slice(0, 20);
  return Object.fromEntries(
    entries.map(([name, value]) => [
      name.slice(0, 64),
      Array.isArray(value) && value.length > 20 ? `${value.length} items` : short(value),
    ]),
  );
}

function short(value: unknown): unknown {
  try {
    const text = JSON.stringify(value);
    return text.length <= 500 ? value : `${text.slice(0, 500)}…`;
  } catch {
    // Some versions of Node read what is nested deeper than they write.
    return 'nested too deep';
  }
}

function stateOf({ state, ready }: Subject, status = 200): ActionResult {
  return { reply: json({ state, ready }, status), told: state };
}

function mustServe(subject: Subject, what: string): void {
  const { state } = subject;
  if (state !== 'running' && state !== 'suspended') throw wrongState(state, what);
}

function mustRun(subject: Subject, what: string): void {
  const { state } = subject;
  if (state === 'idle' || state === 'stopped') throw wrongState(state, what);
}

function wrongState(state: string, what: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_STATE', `the server is ${state}, and can't be ${what}`);
}

/** JSON has no infinity: where there may be none, null is no limit, and no list. */
function endless(asked: Asked, limits: readonly string[], lists: readonly string[] = []): Asked {
  return Object.fromEntries(
    Object.entries(asked).map(([name, value]) => {
      if (value !== null) return [name, value];
      return [name, limits.includes(name) ? Infinity : lists.includes(name) ? [] : value];
    }),
  );
}

function isPlain(value: unknown): value is Asked {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
