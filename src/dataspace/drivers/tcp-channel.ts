import { record } from '../record.ts';
import type { RecordMaker, RecordOf } from '../record.ts';
import type { AnyHole, AnyRecord, RecordPattern, TopicRecord } from '../topic-types.ts';
import type { TcpHandle, TcpHandleFields, TcpListener, TcpListenerFields, TcpPeer } from './tcp-places.ts';

/** The end of what one side sends: the peer's half-close, or when it is sent one's own. */
export const tcpEnd: RecordMaker<'tcp-end', readonly [], Record<never, never>> = record('tcp-end', []).of();

/** What {@link tcpEnd} makes. */
export type TcpEnd = RecordOf<typeof tcpEnd>;

/**
 * Flow control. Fed back by who subscribes: so many bytes, or lines, may be read. Fed back by the driver to who
 * publishes: so many bytes are with the kernel.
 */
export const tcpCredit: RecordMaker<'tcp-credit', readonly ['amount'], { amount: number }> = record('tcp-credit', [
  'amount',
]).of();

/** What {@link tcpCredit} makes. */
export type TcpCredit = RecordOf<typeof tcpCredit>;

/** How credit counts: bytes come in one message of exactly as many as there is credit for, lines one by one. */
export const tcpMode: RecordMaker<'tcp-mode', readonly ['mode'], { mode: 'bytes' | 'lines' }> = record('tcp-mode', [
  'mode',
]).of();

/** What {@link tcpMode} makes. */
export type TcpMode = RecordOf<typeof tcpMode>;

/** This machine's side of a connection. */
export type TcpLocal = TcpListener | TcpHandle;

/** What comes in. */
export type TcpInput = Uint8Array | TcpEnd;

/** What goes out, texts as UTF-8, and the credit that answers it. */
export type TcpOutput = Uint8Array | string | TcpEnd | TcpCredit;

/** What may stand for a listener. */
export type TcpListenerPattern = AnyRecord<unknown, 'tcp-listener', TcpListenerFields>;
/** What may stand for a handle. */
export type TcpHandlePattern = AnyRecord<unknown, 'tcp-handle', TcpHandleFields>;
/** What may stand for the other side. */
export type TcpPeerPattern = AnyRecord<unknown, 'tcp-address', { host: string; port: number }>;
/** The local side that a pattern is of. */
export type TcpLocalOf<G> = G extends TcpListenerPattern
  ? TcpListener
  : G extends TcpHandlePattern
    ? TcpHandle
    : TcpLocal;

/** One direction of a connection, seen from its local side. */
export type TcpChannel = TcpInbound | TcpOutbound;

/** What a peer sends. */
export type TcpInbound<L extends TcpLocal = TcpLocal> = TopicRecord<
  'tcp-channel',
  { source: TcpPeer; destination: L; body: TcpInput }
>;

/** What is sent to a peer. */
export type TcpOutbound<L extends TcpLocal = TcpLocal> = TopicRecord<
  'tcp-channel',
  { source: L; destination: TcpPeer; body: TcpOutput }
>;

/** Makes one direction of a connection. */
export interface TcpChannelMaker {
  /** What a peer sends: to a listener or a handle. */
  <
    const S extends AnyHole | TcpPeerPattern,
    const D extends TcpListenerPattern | TcpHandlePattern,
    const B extends AnyHole | TcpInput | TcpCredit | TcpMode,
  >(
    source: S,
    destination: D,
    body: B,
  ): RecordPattern<
    'tcp-channel',
    { source: TcpPeer; destination: TcpLocalOf<D>; body: TcpInput },
    { readonly source: S; readonly destination: D; readonly body: B }
  >;
  /** What is sent to a peer: from a listener or a handle. */
  <
    const S extends TcpListenerPattern | TcpHandlePattern,
    const D extends AnyHole | TcpPeerPattern,
    const B extends AnyHole | TcpOutput,
  >(
    source: S,
    destination: D,
    body: B,
  ): RecordPattern<
    'tcp-channel',
    { source: TcpLocalOf<S>; destination: TcpPeer; body: TcpOutput },
    { readonly source: S; readonly destination: D; readonly body: B }
  >;
  /** Either. */
  <
    const S extends AnyHole | TcpPeerPattern,
    const D extends AnyHole | TcpPeerPattern,
    const B extends AnyHole | TcpInput | TcpOutput,
  >(
    source: S,
    destination: D,
    body: B,
  ): RecordPattern<
    'tcp-channel',
    { source: TcpPeer | TcpLocal; destination: TcpPeer | TcpLocal; body: TcpInput | TcpOutput },
    { readonly source: S; readonly destination: D; readonly body: B }
  >;
  /** Whether a value is a direction of a connection. */
  is(value: unknown): value is TcpChannel;
}

/**
 * One direction of a connection: `tcpChannel(source, destination, body)`. What comes in has a {@link tcpAddress} as its
 * source and a `tcpListener` or `tcpHandle` as its destination; what goes out has them the other way round.
 */
export const tcpChannel: TcpChannelMaker = record('tcp-channel', [
  'source',
  'destination',
  'body',
]) as unknown as TcpChannelMaker;

/** Published while a port is open, for each address that is bound: the address as it really is. */
export const tcpBound: RecordMaker<
  'tcp-bound',
  readonly ['listener', 'address'],
  { listener: TcpListener; address: TcpPeer }
> = record('tcp-bound', ['listener', 'address']).of();

/**
 * Published while somebody wants what could not be had: a port (`remote` is null) or a connection. And the detail of the
 * absence of a connection that failed.
 */
export const tcpFailed: RecordMaker<
  'tcp-failed',
  readonly ['local', 'remote', 'code', 'message'],
  { local: TcpLocal; remote: TcpPeer | null; code: string; message: string }
> = record('tcp-failed', ['local', 'remote', 'code', 'message']).of();
