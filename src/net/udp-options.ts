import { boolean, byteCount, check, integer, object, string, table, union } from '../base/options.ts';
import type { Agrees } from '../base/options.ts';
import { familiesRule, signalRule } from './option-rules.ts';

/** How a UDP socket treats multicast. */
export interface MulticastOptions {
  /** How many routers a datagram to a group may pass, 0–255; 0 stays on this machine. @default 1 */
  readonly ttl?: number | undefined;
  /** Whether this machine hears what it sends to groups that it is in. @default true */
  readonly loopback?: boolean | undefined;
  /** The interface by which datagrams to groups leave: its name, or for IPv4 one of its addresses. @default the system's choice */
  readonly interface?: string | undefined;
}

/** How a UDP socket is bound. */
export interface UdpOptions {
  /** A number, digits, or the name of a service; 0 lets the system choose. @default 0 */
  readonly port?: number | string | undefined;
  /** A numeric address, or a name, of whose addresses the first that can be bound is. @default every address, of both families where there are both */
  readonly host?: string | undefined;
  /** The families that may be used. @default both */
  readonly families?: readonly ('ipv4' | 'ipv6')[] | undefined;
  /** SO_REUSEADDR: several sockets may bind the port, for multicast. @default false */
  readonly reuseAddress?: boolean | undefined;
  /** SO_REUSEPORT: several sockets share the port, and the kernel spreads datagrams over them. @default false */
  readonly reusePort?: boolean | undefined;
  /** On an IPv6 socket that is bound to every address: leave IPv4 alone. @default false, true when `families` is `['ipv6']` */
  readonly ipv6Only?: boolean | undefined;
  /** How many datagrams wait unread at most; those that come then are dropped. @default 1024 */
  readonly inboxDatagrams?: number | undefined;
  /** How many bytes of datagrams wait unread at most; those that come then are dropped. @default 4194304 */
  readonly inboxBytes?: number | undefined;
  /** How many datagrams may be on their way to the kernel; a send above that fails. @default 1024 */
  readonly outboxDatagrams?: number | undefined;
  /** How many bytes may be on their way to the kernel; a send above that fails. @default 4194304 */
  readonly outboxBytes?: number | undefined;
  /** SO_RCVBUF in bytes. @default the system's */
  readonly receiveBuffer?: number | undefined;
  /** SO_SNDBUF in bytes. @default the system's */
  readonly sendBuffer?: number | undefined;
  /** SO_BROADCAST: whether datagrams may go to a broadcast address. @default false */
  readonly broadcast?: boolean | undefined;
  /** How many routers a datagram to a single host may pass, 1–255. @default the system's, 64 mostly */
  readonly ttl?: number | undefined;
  /** What holds for datagrams to groups. */
  readonly multicast?: MulticastOptions | undefined;
  /** Calls the binding off; it does nothing to a socket that is bound. */
  readonly signal?: AbortSignal | undefined;
}

const udpTable = table('bindUdp', {
  port: union(integer({ min: 0, max: 65_535 }), string()),
  host: string(),
  families: familiesRule,
  reuseAddress: boolean(),
  reusePort: boolean(),
  ipv6Only: boolean(),
  inboxDatagrams: integer({ min: 1 }),
  inboxBytes: byteCount({ min: 1 }),
  outboxDatagrams: integer({ min: 1 }),
  outboxBytes: byteCount({ min: 1 }),
  receiveBuffer: byteCount({ min: 1, max: 2 ** 31 - 1 }),
  sendBuffer: byteCount({ min: 1, max: 2 ** 31 - 1 }),
  broadcast: boolean(),
  ttl: integer({ min: 1, max: 255 }),
  multicast: object({ ttl: integer({ min: 0, max: 255 }), loopback: boolean(), interface: string() }),
  signal: signalRule,
});

const agreed: Agrees<typeof udpTable, UdpOptions> = true;
void agreed;

/** Holds what users gave against the table. Throws `ERR_PORTSIDE_OPTIONS` with all that is wrong. */
export function checkUdpOptions(given: unknown): UdpOptions {
  return check(udpTable, given);
}

/** How much may wait on either side of a UDP socket. */
export interface UdpLimits {
  readonly inboxDatagrams: number;
  readonly inboxBytes: number;
  readonly outboxDatagrams: number;
  readonly outboxBytes: number;
}

/** The limits with every default filled in. */
export function udpLimits(options: UdpOptions): UdpLimits {
  return {
    inboxDatagrams: options.inboxDatagrams ?? 1_024,
    inboxBytes: options.inboxBytes ?? 4_194_304,
    outboxDatagrams: options.outboxDatagrams ?? 1_024,
    outboxBytes: options.outboxBytes ?? 4_194_304,
  };
}
