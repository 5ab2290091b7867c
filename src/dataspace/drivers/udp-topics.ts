import { boolean, check, checkValue, integer, string, table } from '../../base/options.ts';
import type { Agrees } from '../../base/options.ts';
import { _, isHole } from '../hole.ts';
import { record } from '../record.ts';
import type { RecordMaker, RecordOf } from '../record.ts';
import type { AnyHole, AnyRecord, Datum, RecordPattern, TopicRecord, Wildcard } from '../topic-types.ts';

/** A remote side: a host, numeric where a packet came from it, and a port. */
export const udpAddress: RecordMaker<'udp-address', readonly ['host', 'port'], { host: string; port: number }> = record(
  'udp-address',
  ['host', 'port'],
).of();

/** What {@link udpAddress} makes. */
export type UdpPeer = RecordOf<typeof udpAddress>;

/** How a port is bound. */
export interface UdpListenerOptions {
  /** A name or an address. @default every address */
  readonly host?: string | undefined;
  /** SO_REUSEADDR: others may bind the port too, for multicast. @default false */
  readonly reuse?: boolean | undefined;
}

/** What a listener's record says, every default filled in. */
export interface UdpListenerFields {
  readonly port: number;
  readonly host: string | null;
  readonly reuse: boolean;
}

/** A port of this machine, and how it is bound. Those who say the same share its socket. */
export type UdpListener = TopicRecord<'udp-listener', UdpListenerFields>;

/** Makes {@link UdpListener}s, and patterns of them. */
export interface UdpListenerMaker {
  /**
   * A port; 0 for one that the system chooses.
   *
   * @throws ERR_PORTSIDE_OPTIONS
   */
  <const P extends number>(
    port: P,
    options?: UdpListenerOptions,
  ): RecordPattern<'udp-listener', UdpListenerFields, Omit<UdpListenerFields, 'port'> & { readonly port: P }>;
  /** Any port, however it is bound. */
  <const P extends AnyHole>(
    port: P,
  ): RecordPattern<
    'udp-listener',
    UdpListenerFields,
    { readonly host: Wildcard; readonly reuse: Wildcard } & { readonly port: P }
  >;
  /** Whether a value is a listener. */
  is(value: unknown): value is UdpListener;
}

/** A socket on a port that the system chooses, by a name. Those who say the same share it. */
export const udpHandle: RecordMaker<'udp-handle', readonly ['id'], { id: Datum }> = record('udp-handle', ['id']).of();

/** What {@link udpHandle} makes. */
export type UdpHandle = RecordOf<typeof udpHandle>;

/** This machine's side. */
export type UdpLocal = UdpListener | UdpHandle;

const listenerTable = table('udpListener', { host: string(), reuse: boolean() });
const listenerAgreed: Agrees<typeof listenerTable, UdpListenerOptions> = true;
void listenerAgreed;
const portRule = integer({ min: 0, max: 65_535 });

/** The bare record of a listener, for patterns with holes in all its fields. */
export const listenerRecord: RecordMaker<'udp-listener', readonly ['port', 'host', 'reuse'], UdpListenerFields> =
  record('udp-listener', ['port', 'host', 'reuse']).of();

function listener(port: number | AnyHole, given?: UdpListenerOptions): unknown {
  if (isHole(port)) return listenerRecord(port as Wildcard, _, _);
  const { host, reuse = false }: UdpListenerOptions = check(listenerTable, given);
  return listenerRecord(checkValue('udpListener', 'port', portRule, port), host ?? null, reuse);
}

/** A port of this machine: `udpListener(53)`, `udpListener(0, { host: '127.0.0.1' })`, `udpListener(_)`. */
export const udpListener: UdpListenerMaker = Object.assign(listener, {
  is: (value: unknown) => listenerRecord.is(value),
}) as unknown as UdpListenerMaker;

/** What may stand for a listener. */
export type UdpListenerPattern = AnyRecord<unknown, 'udp-listener', UdpListenerFields>;
/** What may stand for a handle. */
export type UdpHandlePattern = AnyRecord<unknown, 'udp-handle', { id: Datum }>;
/** What may stand for the other side. */
export type UdpPeerPattern = AnyRecord<unknown, 'udp-address', { host: string; port: number }>;
/** The local side that a pattern is of. */
export type UdpLocalOf<G> = G extends UdpListenerPattern
  ? UdpListener
  : G extends UdpHandlePattern
    ? UdpHandle
    : UdpLocal;

/** A packet. */
export type UdpPacket = UdpInbound | UdpOutbound;

/** A packet that came. */
export type UdpInbound<L extends UdpLocal = UdpLocal> = TopicRecord<
  'udp-packet',
  { source: UdpPeer; destination: L; body: Uint8Array }
>;

/** A packet that is sent, its text as UTF-8. */
export type UdpOutbound<L extends UdpLocal = UdpLocal> = TopicRecord<
  'udp-packet',
  { source: L; destination: UdpPeer; body: Uint8Array | string }
>;

/** Makes packets, and patterns of them. */
export interface UdpPacketMaker {
  /** One that comes: to a listener or a handle. */
  <
    const S extends AnyHole | UdpPeerPattern,
    const D extends UdpListenerPattern | UdpHandlePattern,
    const B extends AnyHole | Uint8Array | string,
  >(
    source: S,
    destination: D,
    body: B,
  ): RecordPattern<
    'udp-packet',
    { source: UdpPeer; destination: UdpLocalOf<D>; body: Uint8Array },
    { readonly source: S; readonly destination: D; readonly body: B }
  >;
  /** One that is sent: from a listener or a handle. */
  <
    const S extends UdpListenerPattern | UdpHandlePattern,
    const D extends AnyHole | UdpPeerPattern,
    const B extends AnyHole | Uint8Array | string,
  >(
    source: S,
    destination: D,
    body: B,
  ): RecordPattern<
    'udp-packet',
    { source: UdpLocalOf<S>; destination: UdpPeer; body: Uint8Array | string },
    { readonly source: S; readonly destination: D; readonly body: B }
  >;
  /** Either. */
  <
    const S extends AnyHole | UdpPeerPattern,
    const D extends AnyHole | UdpPeerPattern,
    const B extends AnyHole | Uint8Array | string,
  >(
    source: S,
    destination: D,
    body: B,
  ): RecordPattern<
    'udp-packet',
    { source: UdpPeer | UdpLocal; destination: UdpPeer | UdpLocal; body: Uint8Array | string },
    { readonly source: S; readonly destination: D; readonly body: B }
  >;
  /** Whether a value is a packet. */
  is(value: unknown): value is UdpPacket;
}

/** A packet: `udpPacket(source, destination, body)`. */
export const udpPacket: UdpPacketMaker = record('udp-packet', [
  'source',
  'destination',
  'body',
]) as unknown as UdpPacketMaker;

/** Published while a socket is open: the address as it really is. */
export const udpBound: RecordMaker<'udp-bound', readonly ['local', 'address'], { local: UdpLocal; address: UdpPeer }> =
  record('udp-bound', ['local', 'address']).of();

/** Published while somebody wants a socket that could not be had, and sent when a packet could not be. */
export const udpFailed: RecordMaker<
  'udp-failed',
  readonly ['local', 'remote', 'code', 'message'],
  { local: UdpLocal; remote: UdpPeer | null; code: string; message: string }
> = record('udp-failed', ['local', 'remote', 'code', 'message']).of();
