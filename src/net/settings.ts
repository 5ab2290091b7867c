import type { Channel, Tuning } from '../transport/contract.ts';
import { deadlinesOf } from './deadlines.ts';
import type { DeadlineOptions, Deadlines } from './deadlines.ts';
import type { OpeningSettings } from './opening.ts';

/** How a connection treats its bytes. The defaults suit servers; all can be given to `listen`, `connect` and `serve`. */
export interface ConnectionOptions {
  /** Bytes of queued output above which `write` makes its caller wait. @default 65536 */
  highWaterMark?: number | undefined;
  /** Bytes of queued output above which a writer that does not wait ends the connection with the reason `write-overflow`. A single write that is larger is let through. @default 16777216 */
  writeLimit?: number | undefined;
  /** Bytes that are read ahead of whoever reads; above it the peer is made to wait. @default 65536 */
  readAhead?: number | undefined;
  /** Milliseconds that `close` waits for the peer to end its side, anew whenever it takes some of what is queued, and 12 times that in all. @default 5000 */
  linger?: number | undefined;
  /** TCP_NODELAY. @default true */
  noDelay?: boolean | undefined;
  /** SO_KEEPALIVE; a number is the idle time before the first probe, in milliseconds. @default true (60000) */
  keepAlive?: boolean | number | undefined;
  /** How long the peer and the connection may take. */
  deadlines?: DeadlineOptions | undefined;
}

/** {@link ConnectionOptions} with every default filled in. One object serves all connections of a listener. */
export interface ConnectionSettings {
  readonly highWaterMark: number;
  readonly writeLimit: number;
  readonly readAhead: number;
  readonly linger: number;
  readonly noDelay: boolean;
  /** Milliseconds, or false. */
  readonly keepAlive: number | false;
  readonly deadlines: Deadlines;
  /** Who began: a connection that was accepted is the server's. */
  readonly role: 'server' | 'client';
  /** The handshakes that connections begin with, or may be asked for later; null when they are in the clear for ever. */
  readonly opening: OpeningSettings | null;
  /** The host that was connected to, as it was named, which TLS that is begun later is held against. */
  readonly host: string | undefined;
}

export function connectionSettings(
  options: ConnectionOptions,
  role: 'server' | 'client',
  opening: OpeningSettings | null,
  host?: string,
): ConnectionSettings {
  const { keepAlive = true } = options;
  return {
    highWaterMark: options.highWaterMark ?? 65_536,
    writeLimit: options.writeLimit ?? 16_777_216,
    readAhead: options.readAhead ?? 65_536,
    linger: options.linger ?? 5_000,
    noDelay: options.noDelay ?? true,
    keepAlive: keepAlive === true ? 60_000 : keepAlive,
    deadlines: deadlinesOf(options.deadlines),
    role,
    opening,
    host,
  };
}

/** Gives a channel the options that its listener could not give to all. */
export function tune(channel: Channel, { noDelay, keepAlive }: Tuning): void {
  if (noDelay) channel.set({ kind: 'noDelay', on: true });
  if (keepAlive !== false) channel.set({ kind: 'keepAlive', on: true, delay: keepAlive });
}
