import { Duplex } from 'node:stream';
import { PortsideError } from '../base/errors.ts';
import { Deadline } from '../sync/deadline.ts';
import type { Address } from '../transport/address.ts';
import { closeError } from './close-reason.ts';
import type { Connection } from './connection.ts';
import { isOwnEnd } from './link-errors.ts';
import { takenOf } from './linger.ts';
import type { Link } from './link.ts';

const ignore = (): void => {};

/** The address of one side, as `net.Socket` tells it. */
export interface SocketAddressInfo {
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly port: number;
}

let create: (link: Link) => ConnectionStream;

/**
 * A connection as a stream of Node's, with what code that takes a socket expects of a `net.Socket`: addresses, `setTimeout`, `destroySoon` and so on. Made by `Connection.toNodeStream()`.
 */
export class ConnectionStream extends Duplex {
  static {
    create = (link) => new ConnectionStream(link);
  }

  readonly #link: Link;
  #timeout = 0;
  #deadline: Deadline | null = null;
  /** How much the peer had taken of the output when it was last looked at. */
  #taken = 0;
  #resets = false;
  readonly #got = (bytes: Uint8Array | null): void => {
    this.#active();
    this.push(bytes);
  };
  readonly #failed = (error: unknown): void => {
    this.destroy(error as Error);
  };

  // Connections make them.
  private constructor(link: Link) {
    // Nothing is read before what was read is taken: who reads ahead would look idle with bytes in hand.
    super({ allowHalfOpen: true, decodeStrings: true, readableHighWaterMark: 1 });
    this.#link = link;
    // An 'error' that nobody listens for would end the process, and a peer's reset must not. Whoever does listen hears it all the same.
    this.on('error', ignore);
    void link.closed.then((reason) => {
      // After an end in order there may be bytes to read yet; the stream ends by itself behind them.
      if (reason.kind !== 'ended') this.destroy(closeError(reason, 'stream', {}));
    });
  }

  get #connection(): Connection {
    return this.#link.connection;
  }

  // ---- what a socket tells ----

  /** The peer's address, by its PROXY header where there is one; undefined where it has none. */
  get remoteAddress(): string | undefined {
    return hostOf(this.#link.remote);
  }

  get remotePort(): number | undefined {
    return portOf(this.#link.remote);
  }

  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyOf(this.#link.remote);
  }

  get localAddress(): string | undefined {
    return hostOf(this.#link.channel.local);
  }

  get localPort(): number | undefined {
    return portOf(this.#link.channel.local);
  }

  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyOf(this.#link.channel.local);
  }

  /** This side's address; empty where it has none. */
  address(): SocketAddressInfo | Record<string, never> {
    const { local } = this.#link.channel;
    const family = familyOf(local);
    return family === undefined ? {} : { address: hostOf(local)!, family, port: portOf(local)! };
  }

  /** Whether it is under TLS. */
  get encrypted(): boolean {
    return this.#connection.tls !== null;
  }

  /** What ALPN agreed on under TLS, or false; undefined in the clear. */
  get alpnProtocol(): string | false | undefined {
    const { tls } = this.#connection;
    return tls === null ? undefined : (tls.alpn ?? false);
  }

  get bytesRead(): number {
    return this.#link.received;
  }

  /** Those that were written, sent or not. */
  get bytesWritten(): number {
    return this.#link.sent + this.writableLength;
  }

  get connecting(): boolean {
    return false;
  }

  get pending(): boolean {
    return this.#link.reason !== null;
  }

  get readyState(): 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  // ---- what a socket can be told ----

  setNoDelay(on = true): this {
    this.#connection.setNoDelay(on);
    return this;
  }

  /** `delay`: milliseconds before the first probe; 0 for the default. */
  setKeepAlive(on = false, delay = 0): this {
    this.#connection.setKeepAlive(on, delay > 0 ? delay : undefined);
    return this;
  }

  ref(): this {
    this.#connection.ref(true);
    return this;
  }

  unref(): this {
    this.#connection.ref(false);
    return this;
  }

  /** Milliseconds without a byte after which there is a 'timeout'; undefined for none. */
  get timeout(): number | undefined {
    return this.#timeout === 0 ? undefined : this.#timeout;
  }

  /**
   * Emits 'timeout' when for `ms` milliseconds nothing was read or written and the peer took nothing of what is queued; 0 for never. That is all that happens. Throws ERR_PORTSIDE_OPTIONS for what is no time.
   */
  setTimeout(ms: number, listener?: () => void): this {
    if (typeof ms !== 'number' || !(ms >= 0))
      throw new PortsideError('ERR_PORTSIDE_OPTIONS', `setTimeout: ms must be 0 or more, got ${String(ms)}`, {
        op: 'setTimeout',
      });
    this.#timeout = ms === Infinity ? 0 : ms;
    if (this.#timeout === 0) {
      // Who says so between any two messages is not to move the deadline each time.
      if (listener !== undefined) this.off('timeout', listener);
      return this;
    }
    if (listener !== undefined) this.once('timeout', listener);
    if (this.destroyed) return this;
    this.#deadline ??= new Deadline(this.#link.clock, () => this.#expire());
    this.#deadline.arm(ms);
    return this;
  }

  /** Ends the output in order, and destroys the stream when all of it is sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Ends the connection with a reset, and the stream without an error. */
  resetAndDestroy(): this {
    this.#resets = true;
    return this.destroy();
  }

  // ---- what a stream does ----

  override _read(): void {
    this.#link.input.read(Infinity, null).then(this.#got, this.#failed);
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#sent(this.#link.write(chunk), callback);
  }

  override _writev(pieces: readonly { readonly chunk: Uint8Array }[], callback: (error?: Error | null) => void): void {
    this.#sent(this.#link.writeAll(pieces.map(({ chunk }) => chunk)), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#connection.closeWrite().then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#deadline?.disarm();
    // A connection that is being closed in order shows that by an error, too.
    if (this.#resets || (error !== null && !isOwnEnd(this.#link, error))) this.#connection.abort(error ?? undefined);
    else void this.#connection.close();
    callback(error);
  }

  /** Calls back when the bytes are with the kernel: who writes to a stream may use its buffer again then, as it may not after `write` alone. */
  #sent(written: Promise<void>, callback: (error?: Error | null) => void): void {
    this.#active();
    const link = this.#link;
    // On an output that was ended it is the write that tells.
    const done = link.outputEnded ? written : link.flushed();
    done.then(() => {
      this.#active();
      callback();
    }, callback);
  }

  #active(): void {
    if (this.#timeout === 0) return;
    const deadline = this.#deadline!;
    if (deadline.armed) deadline.touch();
    else if (!this.destroyed) deadline.arm(this.#timeout);
  }

  #expire(): void {
    if (this.#timeout === 0) return;
    const taken = takenOf(this.#link);
    if (this.#link.queued > 0 && taken !== this.#taken) {
      this.#taken = taken;
      this.#deadline!.arm(this.#timeout);
      return;
    }
    this.emit('timeout');
  }
}

function hostOf(address: Address): string | undefined {
  return 'host' in address ? address.host : undefined;
}

function portOf(address: Address): number | undefined {
  return 'port' in address ? address.port : undefined;
}

function familyOf({ family }: Address): 'IPv4' | 'IPv6' | undefined {
  switch (family) {
    case 'ipv4':
      return 'IPv4';
    case 'ipv6':
      return 'IPv6';
    default:
      return undefined;
  }
}

/** The stream of a connection. */
export function connectionStream(link: Link): ConnectionStream {
  return create(link);
}
