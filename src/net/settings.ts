/** How a connection treats its bytes. The defaults suit servers; all can be given to `listen`, `connect` and `serve`. */
export interface ConnectionOptions {
  /** Bytes of queued output above which `write` makes its caller wait. @default 65536 */
  highWaterMark?: number | undefined;
  /** Bytes of queued output above which a writer that does not wait ends the connection with the reason `write-overflow`. A single write that is larger is let through. @default 16777216 */
  writeLimit?: number | undefined;
  /** Bytes that are read ahead of whoever reads; above it the peer is made to wait. @default 65536 */
  readAhead?: number | undefined;
  /** Milliseconds that `close` waits for the peer to take what is queued and to end its side. @default 5000 */
  linger?: number | undefined;
  /** TCP_NODELAY. @default true */
  noDelay?: boolean | undefined;
  /** SO_KEEPALIVE; a number is the idle time before the first probe, in milliseconds. @default true (60000) */
  keepAlive?: boolean | number | undefined;
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
}

export function connectionSettings(options: ConnectionOptions = {}): ConnectionSettings {
  const { keepAlive = true } = options;
  return {
    highWaterMark: options.highWaterMark ?? 65_536,
    writeLimit: options.writeLimit ?? 16_777_216,
    readAhead: options.readAhead ?? 65_536,
    linger: options.linger ?? 5_000,
    noDelay: options.noDelay ?? true,
    keepAlive: keepAlive === true ? 60_000 : keepAlive,
  };
}
