import type { CloseReason } from '../net/close-reason.ts';
import { link } from '../net/connection.ts';
import type { Connection } from '../net/connection.ts';
import { isIdle } from '../net/idle.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import type { ServerMeasures } from './measures.ts';
import type { RefusalKind } from './refusal.ts';
import type { ServerState } from './events.ts';
import { peerName } from './verbose.ts';

/** One connection in a {@link ServerStatus}. */
export interface ConnectionStatus {
  readonly id: number;
  /** The peer: by its PROXY header, where it came with one. */
  readonly remote: Address;
  /** The address that it came to. */
  readonly local: Address;
  /** What TLS agreed on; null in the clear, and while its handshake is under way. */
  readonly tls: { readonly protocol: string; readonly alpn: string | null } | null;
  /** Milliseconds since it was accepted. */
  readonly age: number;
  /** Whether its handshakes are under way, its handler at work, or it waits for its peer's next message. */
  readonly doing: 'opening' | 'busy' | 'idle' | 'closing';
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes of output that its peer has not taken. */
  readonly queued: number;
}

/** An end that has begun. */
export interface EndingStatus {
  /** Milliseconds since it began. */
  readonly since: number;
  /** Milliseconds until the connections that are left are ended; `Infinity` where they never are. */
  readonly left: number;
}

/** What a server does now and did so far, in exact numbers. */
export interface ServerStatus {
  readonly state: ServerState;
  /** Whether a load balancer should send clients here. */
  readonly ready: boolean;
  /** Milliseconds since the start; 0 before. */
  readonly uptime: number;
  /** What carries its bytes: `node`, `native`, or the name of one's own transport; where endpoints have others, each by a comma. `autoTransport()` says why one was taken. */
  readonly transport: string;
  readonly addresses: readonly Address[];
  readonly shutdownAddress: Address | null;
  /** Connections that are open, those whose handshakes are under way among them. */
  readonly active: number;
  readonly opening: number;
  /** Connections at a time, at most; and of one client. */
  readonly maxConnections: number;
  readonly maxPerClient: number;
  /** Since the start. Every one of them is active, closed, detached or handed over now. */
  readonly accepted: number;
  readonly closed: number;
  readonly detached: number;
  /** Handed over to other workers of a parallel listener, which count them as accepted; 0 where there are none. */
  readonly handedOver: number;
  /** Bytes of all connections, those too that are over; of handshakes and of TLS itself none. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** The end that has begun; null before. */
  readonly ending: EndingStatus | null;
  readonly errors: number;
  /** Times that something of the process or the system stood in the way of accepting. */
  readonly troubles: number;
  readonly refused: Readonly<Record<RefusalKind, number>>;
  /** How connections ended, by the kind of their reason; deadlines each by their name. */
  readonly reasons: Readonly<Record<string, number>>;
  /** How long things took, and how much connections carried. */
  readonly measures: ServerMeasures;
  /** The open connections, oldest first; only when they were asked for. */
  readonly connections: readonly ConnectionStatus[] | null;
}

/** What is told of a connection. `begun`: its handshakes are over. */
export function connectionStatus(connection: Connection, id: number, age: number, begun: boolean): ConnectionStatus {
  const inside = link(connection);
  const doing = inside.closing ? 'closing' : !begun ? 'opening' : isIdle(inside) ? 'idle' : 'busy';
  const { remote, local, bytesRead, bytesWritten, queuedBytes: queued, tls } = connection;
  const agreed = tls === null ? null : { protocol: tls.protocol, alpn: tls.alpn };
  return { id, remote, local, tls: agreed, age: Math.max(0, age), doing, bytesRead, bytesWritten, queued };
}

/** Under what a reason is counted. */
export function reasonName(reason: CloseReason): string {
  if (reason.kind === 'timeout') return `timeout-${reason.deadline}`;
  if (reason.kind === 'drained') return reason.idle ? 'drained-idle' : 'drained-forced';
  return reason.kind;
}

/** A status as lines of text, for a terminal. */
export function formatStatus(status: ServerStatus): string {
  const { refused, reasons } = status;
  const rows: [string, string][] = [
    ['state', `${status.state}${status.ready ? '' : ', not ready'}, for ${duration(status.uptime)}`],
    ['listening on', status.addresses.map((address) => formatAddress(address)).join(', ') || 'nothing'],
  ];
  if (status.shutdownAddress !== null) rows.push(['shutdown on', formatAddress(status.shutdownAddress)]);
  rows.push(
    [
      'connections',
      `${status.active} of ${status.maxConnections}${status.opening > 0 ? `, ${status.opening} opening` : ''}`,
    ],
    ['accepted', `${status.accepted}`],
    ['closed', counts(status.closed, reasons)],
    ['refused', counts(sum(refused), refused)],
  );
  if (status.detached > 0) rows.push(['detached', `${status.detached}`]);
  if (status.handedOver > 0) rows.push(['handed over', `${status.handedOver}`]);
  rows.push(['errors', `${status.errors}${status.troubles > 0 ? `, and ${status.troubles} of accepting` : ''}`]);
  const text = columns(rows, '  ');
  if (status.connections === null) return text;
  const table = status.connections.map((one) => [
    `#${one.id}`,
    peerName(one.remote),
    one.doing,
    duration(one.age),
    `${one.bytesRead}`,
    `${one.bytesWritten}`,
    `${one.queued}`,
  ]);
  return `${text}\n${columns([['id', 'peer', 'state', 'age', 'in', 'out', 'queued'], ...table], '  ')}`;
}

function counts(total: number, by: Readonly<Record<string, number>>): string {
  const parts = Object.entries(by).filter(([, count]) => count > 0);
  return parts.length === 0 ? `${total}` : `${total} (${parts.map(([name, count]) => `${name} ${count}`).join(', ')})`;
}

function sum(by: Readonly<Record<string, number>>): number {
  return Object.values(by).reduce((total, count) => total + count, 0);
}

function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 7_200_000) return `${(ms / 60_000).toFixed(1)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

function columns(rows: readonly (readonly string[])[], gap: string): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join(gap))
    .join('\n');
}
