import { byteCount, check, integer, list, milliseconds, oneOf, table } from '../base/options.ts';
import type { Table } from '../base/options.ts';
import { AddressList, addressListRule } from '../net/address-list.ts';
import type { FieldsFor } from '../net/option-rules.ts';
import type { ConnectionStatus } from '../server/status.ts';
import type { SubjectConnection } from './subject.ts';

/** Which connections are meant: those for which all hold that are given. */
export interface ConnectionFilter {
  /** Peers: addresses, CIDRs, `loopback`, `private`, `unix`, … */
  peer?: readonly string[] | undefined;
  worker?: number | undefined;
  doing?: readonly ConnectionStatus['doing'][] | undefined;
  /** Milliseconds since the accept, at least. */
  minAge?: number | undefined;
  /** Bytes of output that wait for the peer, at least. */
  minQueued?: number | undefined;
}

/** What connections are put in order by. */
export type ConnectionOrder = 'age' | 'read' | 'written' | 'queued' | 'id';

/** Which connections are shown, and in which order. */
export interface ConnectionQuery extends ConnectionFilter {
  /** @default 'age' */
  sort?: ConnectionOrder | undefined;
  /** @default 'desc' */
  order?: 'asc' | 'desc' | undefined;
  /** How many are left out before the first. @default 0 */
  offset?: number | undefined;
  /** How many are shown, 1000 at most. @default 100 */
  limit?: number | undefined;
}

const filterFields: FieldsFor<ConnectionFilter> = {
  peer: addressListRule,
  worker: integer({ min: 0 }),
  doing: list(oneOf('opening', 'busy', 'idle', 'closing'), { min: 1, max: 4 }),
  minAge: milliseconds(),
  minQueued: byteCount(),
};

/** The rules of {@link ConnectionFilter}. */
export const filterTable: Table<ConnectionFilter> = table('connections', filterFields);

const queryTable: Table<ConnectionQuery> = table('connections', {
  ...filterFields,
  sort: oneOf('age', 'read', 'written', 'queued', 'id'),
  order: oneOf('asc', 'desc'),
  offset: integer({ min: 0 }),
  limit: integer({ min: 1, max: 1_000 }),
});

const LISTS = ['peer', 'doing'];
const NUMBERS = ['worker', 'minAge', 'minQueued', 'offset', 'limit'];

/** Reads a query from the parameters of a URL. Throws ERR_PORTSIDE_OPTIONS with all that is wrong. */
export function readQuery(parameters: URLSearchParams): ConnectionQuery {
  const given = new Map<string, unknown>();
  for (const [name, text] of parameters) {
    if (LISTS.includes(name)) given.set(name, [...((given.get(name) as string[]) ?? []), ...text.split(',')]);
    else given.set(name, NUMBERS.includes(name) && /^\d{1,15}(\.\d{1,6})?$/u.test(text) ? Number(text) : text);
  }
  return check(queryTable, Object.fromEntries(given), { at: '' });
}

/** What tells whether a connection is meant. */
export function matcherOf(filter: ConnectionFilter): (one: SubjectConnection) => boolean {
  const { worker, doing, minAge = 0, minQueued = 0 } = filter;
  const peers = filter.peer === undefined ? null : new AddressList(filter.peer);
  return (one) =>
    (worker === undefined || one.worker === worker) &&
    (doing === undefined || doing.includes(one.doing)) &&
    one.age >= minAge &&
    one.queued >= minQueued &&
    (peers === null || peers.hasAddress(one.remote));
}

const VALUES: Readonly<Record<ConnectionOrder, (one: SubjectConnection) => number>> = {
  age: ({ age }) => age,
  read: ({ bytesRead }) => bytesRead,
  written: ({ bytesWritten }) => bytesWritten,
  queued: ({ queued }) => queued,
  id: ({ id }) => id,
};

/** One page of connections. */
export interface ConnectionPage {
  /** How many are open, and how many of those are meant. */
  readonly total: number;
  readonly matched: number;
  readonly offset: number;
  readonly connections: readonly SubjectConnection[];
}

/** The page of connections that a query asks for. Those that are equal in what they are sorted by are in the order of workers and numbers. */
export function pageOf(all: readonly SubjectConnection[], query: ConnectionQuery): ConnectionPage {
  const { sort = 'age', order = 'desc', offset = 0, limit = 100 } = query;
  const matched = all.filter(matcherOf(query));
  const value = VALUES[sort];
  const sign = order === 'asc' ? 1 : -1;
  matched.sort((a, b) => sign * (value(a) - value(b)) || (a.worker ?? 0) - (b.worker ?? 0) || sign * (a.id - b.id));
  return { total: all.length, matched: matched.length, offset, connections: matched.slice(offset, offset + limit) };
}
