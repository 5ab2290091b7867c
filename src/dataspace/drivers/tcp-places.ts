import { boolean, check, checkValue, integer, string, table } from '../../base/options.ts';
import type { Agrees } from '../../base/options.ts';
import { _, isHole } from '../hole.ts';
import { record } from '../record.ts';
import type { RecordMaker, RecordOf } from '../record.ts';
import type { AnyHole, Datum, RecordPattern, TopicRecord, Wildcard } from '../topic-types.ts';

/** The remote side of a connection: a host, numeric where the peer came from it, and a port. */
export const tcpAddress: RecordMaker<'tcp-address', readonly ['host', 'port'], { host: string; port: number }> = record(
  'tcp-address',
  ['host', 'port'],
).of();

/** What {@link tcpAddress} makes. */
export type TcpPeer = RecordOf<typeof tcpAddress>;

/** How a port is opened. */
export interface TcpListenerOptions {
  /** A name or an address. @default every address */
  readonly host?: string | undefined;
  /** Connections that may wait unaccepted. @default 511 */
  readonly backlog?: number | undefined;
  /** The name by which the driver knows the certificates: keys have no place in topics. @default in the clear */
  readonly tls?: string | undefined;
  /** Whether nothing is read before credit was given. @default false */
  readonly credit?: boolean | undefined;
}

/** What a listener's record says, every default filled in; null is said for what was left out. */
export interface TcpListenerFields {
  readonly port: number;
  readonly host: string | null;
  readonly backlog: number;
  readonly tls: string | null;
  readonly credit: boolean;
}

/** A port of this machine, and how it is opened. Those who say the same share it. */
export type TcpListener = TopicRecord<'tcp-listener', TcpListenerFields>;

/** Makes {@link TcpListener}s, and patterns of them. */
export interface TcpListenerMaker {
  /**
   * A port; 0 for one that the system chooses.
   *
   * @throws ERR_PORTSIDE_OPTIONS
   */
  <const P extends number>(
    port: P,
    options?: TcpListenerOptions,
  ): RecordPattern<'tcp-listener', TcpListenerFields, Omit<TcpListenerFields, 'port'> & { readonly port: P }>;
  /** Any port, however it is opened. */
  <const P extends AnyHole>(
    port: P,
  ): RecordPattern<
    'tcp-listener',
    TcpListenerFields,
    { readonly [K in Exclude<keyof TcpListenerFields, 'port'>]: Wildcard } & { readonly port: P }
  >;
  /** Whether a value is a listener. */
  is(value: unknown): value is TcpListener;
}

/** How a connection is made. */
export interface TcpHandleOptions {
  /** The name by which the driver knows how to do TLS as a client. @default in the clear */
  readonly tls?: string | undefined;
  /** Whether nothing is read before credit was given. @default false */
  readonly credit?: boolean | undefined;
}

/** What a handle's record says, every default filled in. */
export interface TcpHandleFields {
  readonly id: Datum;
  readonly tls: string | null;
  readonly credit: boolean;
}

/** The local side of a connection that is made: one handle and one address are one connection, once. */
export type TcpHandle = TopicRecord<'tcp-handle', TcpHandleFields>;

/** Makes {@link TcpHandle}s, and patterns of them. */
export interface TcpHandleMaker {
  /**
   * A handle by any name; for the next connection to the same address take another one.
   *
   * @throws ERR_PORTSIDE_OPTIONS
   */
  <const I extends Datum>(
    id: I,
    options?: TcpHandleOptions,
  ): RecordPattern<'tcp-handle', TcpHandleFields, Omit<TcpHandleFields, 'id'> & { readonly id: I }>;
  /** Any handle, however it connects. */
  <const I extends AnyHole>(
    id: I,
  ): RecordPattern<
    'tcp-handle',
    TcpHandleFields,
    { readonly tls: Wildcard; readonly credit: Wildcard } & { readonly id: I }
  >;
  /** Whether a value is a handle. */
  is(value: unknown): value is TcpHandle;
}

const listenerTable = table('tcpListener', {
  host: string(),
  backlog: integer({ min: 1, max: 65_535 }),
  tls: string(),
  credit: boolean(),
});
const listenerAgreed: Agrees<typeof listenerTable, TcpListenerOptions> = true;
void listenerAgreed;
const handleTable = table('tcpHandle', { tls: string(), credit: boolean() });
const handleAgreed: Agrees<typeof handleTable, TcpHandleOptions> = true;
void handleAgreed;
const portRule = integer({ min: 0, max: 65_535 });

/** Listeners by all of their fields, in order: for patterns that catch each. */
export const listenerRecord: RecordMaker<
  'tcp-listener',
  readonly ['port', 'host', 'backlog', 'tls', 'credit'],
  TcpListenerFields
> = record('tcp-listener', ['port', 'host', 'backlog', 'tls', 'credit']).of();

/** Handles by all of their fields, in order: for patterns that catch each. */
export const handleRecord: RecordMaker<'tcp-handle', readonly ['id', 'tls', 'credit'], TcpHandleFields> = record(
  'tcp-handle',
  ['id', 'tls', 'credit'],
).of();

function listener(port: number | AnyHole, given?: TcpListenerOptions): unknown {
  if (isHole(port)) return listenerRecord(port as Wildcard, _, _, _, _);
  const { host, backlog = 511, tls, credit = false }: TcpListenerOptions = check(listenerTable, given);
  return listenerRecord(checkValue('tcpListener', 'port', portRule, port), host ?? null, backlog, tls ?? null, credit);
}

function handle(id: Datum | AnyHole, given?: TcpHandleOptions): unknown {
  if (isHole(id)) return handleRecord(id, _, _);
  const { tls, credit = false }: TcpHandleOptions = check(handleTable, given);
  return handleRecord(id, tls ?? null, credit);
}

/** A port of this machine: `tcpListener(5999)`, `tcpListener(0, { host: '127.0.0.1', backlog: 128 })`, `tcpListener(_)`. */
export const tcpListener: TcpListenerMaker = Object.assign(listener, {
  is: (value: unknown) => listenerRecord.is(value),
}) as unknown as TcpListenerMaker;

/** The local side of a connection that is made: `tcpHandle('upstream')`, `tcpHandle(_)`. */
export const tcpHandle: TcpHandleMaker = Object.assign(handle, {
  is: (value: unknown) => handleRecord.is(value),
}) as unknown as TcpHandleMaker;
