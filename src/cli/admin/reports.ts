import type { ConnectionJson, LimitsJson, StatusJson } from '../../ops/admin-status.ts';
import type { AuditEntry } from '../../ops/audit.ts';
import type { DrainProgress } from '../../ops/drain-progress.ts';
import { formatDuration } from '../durations.ts';
import { byKind, columns, howLong, howMuch, percent, tlsText } from './tables.ts';

/** What a server does, for people. */
export function statusReport(status: StatusJson): string {
  const { name, state, ready, uptime, addresses, refused, reasons, memory, loop, workers, drain } = status;
  const total = Object.values(refused).reduce((sum, count) => sum + count, 0);
  const rows: [string, string][] = [
    ['server', `${name}, process ${status.pid}, portside ${status.version}, node ${status.node}, ${status.transport}`],
    ['state', `${state}${ready ? '' : ', not ready'}, up ${howLong(uptime)}`],
    ['listening on', addresses.join(', ') || 'nothing'],
    ['connections', `${status.active} of ${status.maxConnections}${aside(status)}`],
    ['accepted', `${status.accepted}`],
    ['closed', `${status.closed}${inBrackets(byKind(reasons))}`],
    ['refused', `${total}${inBrackets(byKind(refused))}`],
    ['bytes', `${howMuch(status.bytesRead)} in, ${howMuch(status.bytesWritten)} out`],
    ['errors', `${status.errors}${status.troubles > 0 ? `, and ${status.troubles} of accepting` : ''}`],
    [
      'event loop',
      `${percent(loop.utilization)} busy, late by ${loop.delayP99}ms (99 of 100), ${loop.delayMax}ms at worst`,
    ],
    ['memory', `${howMuch(memory.rss)}, heap ${howMuch(memory.heapUsed)} of ${howMuch(memory.heapTotal)}`],
  ];
  if (drain !== null) rows.push(['drain', drainLine(drain)]);
  return `${columns(rows)}${workers.length === 0 ? '' : `\n${workersTable(workers)}`}`;
}

function aside({ opening, queued, detached }: StatusJson): string {
  const parts = [
    opening > 0 ? `${opening} opening` : '',
    queued > 0 ? `${queued} on their way to workers` : '',
    detached > 0 ? `${detached} given away` : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : `; ${parts.join(', ')}`;
}

function workersTable(workers: StatusJson['workers']): string {
  const rows = workers.map((worker) => [
    `${worker.index}`,
    worker.state,
    `${worker.connections}`,
    `${worker.waiting}`,
    `${worker.accepted}`,
    howMuch(worker.bytesRead),
    howMuch(worker.bytesWritten),
    percent(worker.utilization),
    worker.heap === null ? '-' : howMuch(worker.heap),
    `${worker.restarts}`,
  ]);
  const head = ['worker', 'state', 'open', 'waiting', 'accepted', 'in', 'out', 'busy', 'heap', 'restarts'];
  return columns([head, ...rows], [2, 3, 4, 5, 6, 7, 8, 9]);
}

/** Connections, a line for each. */
export function connectionsReport(connections: readonly ConnectionJson[], parallel: boolean): string {
  const rows = connections.map((one) => [
    connectionName(one),
    one.peer,
    one.doing,
    howLong(one.age),
    howMuch(one.bytesRead),
    howMuch(one.bytesWritten),
    howMuch(one.queued),
    tlsText(one.tls),
    one.local,
  ]);
  const head = [parallel ? 'worker/id' : 'id', 'peer', 'doing', 'age', 'in', 'out', 'queued', 'tls', 'at'];
  return columns([head, ...rows], [3, 4, 5, 6]);
}

/** `12`, or `0/12` where there are workers. */
export function connectionName({ id, worker }: Pick<ConnectionJson, 'id' | 'worker'>): string {
  return worker === null ? `${id}` : `${worker}/${id}`;
}

/** How far a drain has come: `3 left, 8s to go; 12 closed (idle 10, finished 2)`. */
export function drainLine(progress: DrainProgress, now: number = Date.now()): string {
  const { left, closed, deadline, since: _, ...endings } = progress;
  const togo = deadline === null ? '' : `, ${howLong(Math.max(0, deadline - now))} to go`;
  return `${left} left${left > 0 ? togo : ''}; ${closed} closed${inBrackets(byKind(endings))}`;
}

/** What can be changed, in the words of the flags. */
export function limitsReport(limits: LimitsJson): string {
  const { deadlines, rate, clientPrefix, whenFull, allow, deny } = limits;
  const time = (ms: number | null | undefined): string => formatDuration(ms ?? Infinity);
  const rows: [string, string][] = [
    ['--max-connections', String(limits.maxConnections)],
    ['--per-client', limits.maxPerClient === null ? 'none' : `${limits.maxPerClient}`],
    [
      '--when-full',
      typeof whenFull === 'string' ? whenFull : `${whenFull?.retries ?? 10}@${time(whenFull?.every ?? 500)}`,
    ],
    ['--rate', rate === null ? 'none' : `${rate.connections}/${time(rate.per)}`],
    ['--allow', allow === null || allow.length === 0 ? 'everybody' : allow.join(',')],
    ['--deny', deny === null || deny.length === 0 ? 'nobody' : deny.join(',')],
    ['--first-byte-timeout', time(deadlines?.firstByte)],
    ['--idle-timeout', time(deadlines?.idle)],
    ['--read-timeout', time(deadlines?.read)],
    ['--write-timeout', time(deadlines?.write)],
    ['--life-timeout', time(deadlines?.life)],
    ['--drain-lead', time(limits.lead)],
    ['--grace', time(limits.grace)],
    ['--drain-spread', time(limits.spread)],
  ];
  if (clientPrefix !== null)
    rows.splice(2, 0, ['a client is', `/${clientPrefix.ipv4} of IPv4, /${clientPrefix.ipv6} of IPv6`]);
  return columns(rows);
}

/** What was done, a line for each. */
export function auditReport(entries: readonly AuditEntry[]): string {
  if (entries.length === 0) return 'nothing was done by the admin endpoint\n';
  return columns(
    entries.map(({ at, peer, token, action, result, told }) => [
      new Date(at).toISOString(),
      `${peer}${token ? ' (token)' : ''}`,
      action,
      result,
      told,
    ]),
  );
}

function inBrackets(text: string): string {
  return text === '' ? '' : ` (${text})`;
}
