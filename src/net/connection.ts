import { branded } from '../base/brand.ts';
import { PortsideError } from '../base/errors.ts';
import type { Codec } from '../codec/codec.ts';
import type { ProxyHeader } from '../codec/proxy-header.ts';
import { makeEvt, none } from '../sync/evt.ts';
import type { Evt } from '../sync/evt.ts';
import type { Address } from '../transport/address.ts';
import type { Channel, Released } from '../transport/contract.ts';
import type { TcpInfo } from '../transport/tcp-info.ts';
import type { SecureChannel, TlsInfo } from '../transport/tls/handshake.ts';
import { webStreams } from './adapters.ts';
import type { WebStreams } from './adapters.ts';
import { ownOf } from './bytes.ts';
import type { CloseReason } from './close-reason.ts';
import { endOutput, abandonOutput, closeInput } from './half-close.ts';
import { Chunks } from './chunks.ts';
import { noWorker } from './hand-over.ts';
import type { HandedOver } from './hand-over.ts';
import type { ReadOptions } from './input.ts';
import { Link } from './link.ts';
import { openedOf } from './opening.ts';
import { connectionStream } from './node-stream.ts';
import type { ConnectionStream } from './node-stream.ts';
import { lineOf, untilDelimiter } from './reading.ts';
import type { ConnectionSettings } from './settings.ts';
import { release } from './release.ts';
import { canUpgradeTls, upgradeTls } from './upgrade-tls.ts';
import type { UpgradeTlsOptions } from './upgrade-tls.ts';

const brand = branded('connection');
const WRITTEN_UTF8 = 'utf8';

let linkOf: (connection: Connection) => Link;
let create: (channel: Channel, settings: ConnectionSettings) => Connection;

/** The connection's inside, for the rooms of this house. */
export function link(connection: Connection): Link {
  return linkOf(connection);
}

/** A connection that nobody owns, in the state that its channel is in. */
export function makeConnection(channel: Channel, settings: ConnectionSettings): Connection {
  return create(channel, settings);
}

/**
 * One connection: bytes in, bytes out, each side with an end of its own.
 *
 * Reading is by asking: `read`, iteration, `readExactly`, `readUntil`, `readLine`,
 * `frames`. One at a time; a second one while the first waits rejects with
 * ERR_PORTSIDE_READ_BUSY. Nothing is read before the first is called, and no more than
 * `readAhead` bytes before the next. After the peer's orderly end reads give `null`;
 * after its reset they reject with the system's error (`ECONNRESET`), once what had
 * arrived was read; after `close()` on this side with {@link ClosedError}.
 *
 * Writing queues. The promise that a write returns is resolved when there is room for more, and
 * may be left alone: its rejection is never an unhandled one.
 *
 * `Data` is the type of {@link Connection.data}, which is the user's.
 */
export class Connection<Data = unknown> implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Yours, for what belongs to this connection. Undefined at first. */
  data: Data = undefined as Data;
  readonly #link: Link;

  static {
    brand.mark(this.prototype);
    linkOf = (connection) => connection.#link;
    create = (channel, settings) => new Connection(channel, settings);
  }

  // Connections come from `listen` and `connect`.
  private constructor(channel: Channel, settings: ConnectionSettings) {
    this.#link = new Link(channel, settings, this);
  }

  /** This side's address. */
  get local(): Address {
    return this.#link.channel.local;
  }

  /** The peer's address: the one that its PROXY header tells, where one was asked for, else that of the socket. */
  get remote(): Address {
    return this.#link.remote;
  }

  /** The PROXY header that it came with; null without one. */
  get proxy(): ProxyHeader | null {
    return this.#link.life.proxy;
  }

  /** What TLS agreed on; null while the connection is in the clear. */
  get tls(): TlsInfo | null {
    const { channel } = this.#link;
    return 'tls' in channel ? (channel as SecureChannel).tls : null;
  }

  /**
   * Resolves when the handshakes that the listener asks for (PROXY header, TLS) are over; at once where it asks for none. Rejects with why they failed, which
   * {@link Connection.closed} tells too. Reading waits for it by itself, and what is written meanwhile is sent after it.
   */
  get opened(): Promise<void> {
    return openedOf(this.#link);
  }

  /** Bytes that came in, those of handshakes and of TLS itself left out. */
  get bytesRead(): number {
    return this.#link.received;
  }

  /** Bytes that were written, sent or not. */
  get bytesWritten(): number {
    return this.#link.sent;
  }

  /** Say true while you work for this connection in a way that its input and output don't show, so that a drain does not take it for idle. */
  get busy(): boolean {
    return this.#link.busy;
  }

  set busy(on: boolean) {
    this.#link.busy = on;
  }

  // ---- reading ----

  /**
   * The next bytes as they came, at most `max`; `null` when the peer has ended its side.
   * A read that is called off by `signal` or `timeout` (milliseconds, ERR_PORTSIDE_TIMEOUT) loses no bytes.
   */
  read(options?: ReadOptions & { max?: number | undefined }): Promise<Uint8Array | null> {
    if (options === undefined) return this.#link.input.read(Infinity, null);
    const { max = Infinity } = options;
    if (!(max >= 1)) return Promise.reject(wrong('read', `max must be 1 or more, got ${String(max)}`));
    return this.#link.input.read(max, options);
  }

  /** Iterates over the bytes as they come, until the peer's end. `break` leaves the connection open and the rest unread. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array, undefined> {
    return new Chunks(this.#link.input);
  }

  /** Exactly `length` bytes. `null` when the input has ended before the first; in the middle, ERR_PORTSIDE_UNEXPECTED_END, and what there is stays to be read. */
  readExactly(length: number, options?: ReadOptions): Promise<Uint8Array | null> {
    if (!Number.isSafeInteger(length) || length < 0) {
      return Promise.reject(wrong('readExactly', `length must be a whole number from 0 on, got ${String(length)}`));
    }
    return this.#link.input.until((queue, ended) => {
      if (queue.length >= length) return queue.take(length);
      if (!ended) return none;
      if (queue.length === 0) return null;
      throw new PortsideError(
        'ERR_PORTSIDE_UNEXPECTED_END',
        `the input ended after ${queue.length} of ${length} bytes`,
        this.#link.detail('readExactly'),
      );
    }, options ?? null);
  }

  /**
   * The bytes up to and with `delimiter` (bytes or text). `null` when the input has ended before the first byte; in the middle,
   * ERR_PORTSIDE_UNEXPECTED_END. More than `limit` bytes (65536 by default) without it: ERR_PORTSIDE_LIMIT. In both cases nothing is consumed.
   */
  readUntil(
    delimiter: Uint8Array | string,
    options?: ReadOptions & { limit?: number | undefined },
  ): Promise<Uint8Array | null> {
    const mark = typeof delimiter === 'string' ? Buffer.from(delimiter, WRITTEN_UTF8) : delimiter;
    if (mark.length === 0) return Promise.reject(wrong('readUntil', 'the delimiter must not be empty'));
    return this.#link.input.until(untilDelimiter(mark, options?.limit ?? 65_536, false, this.#link), options ?? null);
  }

  /**
   * The next line as text, without its LF or CRLF; `null` at the end. A last line may lack its ending. More than `limit` bytes
   * (65536 by default) without an ending: ERR_PORTSIDE_LIMIT, nothing consumed. Bytes that are not UTF-8 become U+FFFD.
   */
  async readLine(options?: ReadOptions & { limit?: number | undefined }): Promise<string | null> {
    const attempt = untilDelimiter(LF, options?.limit ?? 65_536, true, this.#link);
    const line = await this.#link.input.until(attempt, options ?? null);
    return line === null ? null : lineOf(line);
  }

  /** Puts bytes back, to be read next; ERR_PORTSIDE_READ_BUSY while a read waits. A `frames` iteration that goes on after it may have looked past them: begin a new one. */
  unread(bytes: Uint8Array): void {
    this.#link.input.unread(bytes);
  }

  /** The frames of a codec, until the peer's end. An input that is not of the codec throws the codec's error. `break` leaves the connection open and the rest unread. */
  frames<In, Out>(codec: Codec<In, Out>): AsyncIterableIterator<In, undefined> {
    const { input } = this.#link;
    const decoder = codec.decoder();
    return {
      next: () => input.nextFrame(decoder),
      return: () => Promise.resolve({ value: undefined, done: true }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Ready when a read would give something: bytes, `null` at the end, or (thrown) the error. Those who are not chosen have read nothing. */
  readEvt(): Evt<Uint8Array | null> {
    return makeEvt({ take: () => this.#link.input.take(), watch: (wake) => this.#link.input.watch(wake) });
  }

  // ---- writing ----

  /**
   * Queues bytes, or text as UTF-8. The promise is resolved (at once, one object for all) while no more than `highWaterMark` bytes
   * are queued, else when all are with the kernel; it rejects when the connection ends before. Resolved does not mean sent: that is {@link Connection.flushed}.
   * Don't change the bytes afterwards. On an ended output it rejects with ERR_PORTSIDE_WRITE_AFTER_END or {@link ClosedError}.
   */
  write(bytes: Uint8Array | string): Promise<void> {
    if (typeof bytes === 'string') return this.#link.write(Buffer.from(bytes, WRITTEN_UTF8));
    if (!(bytes instanceof Uint8Array)) throw wrong('write', 'what is written must be bytes (Uint8Array) or a string');
    return this.#link.write(bytes);
  }

  /** {@link Connection.write} for several pieces, which leave together. */
  writev(pieces: readonly (Uint8Array | string)[]): Promise<void> {
    return this.#link.writeAll(
      pieces.map((piece) => {
        if (typeof piece === 'string') return Buffer.from(piece, WRITTEN_UTF8);
        if (!(piece instanceof Uint8Array))
          throw wrong('writev', 'what is written must be bytes (Uint8Array) or strings');
        return ownOf(piece);
      }),
    );
  }

  /** Holds writes back until {@link Connection.uncork}, to let them leave together. Nests; `flushed`, `closeWrite` and `close` take all corks out. */
  cork(): void {
    this.#link.cork();
  }

  /** Takes one cork out; with the last one what was held back leaves. Resolves as a write does. */
  uncork(): Promise<void> {
    return this.#link.uncork(false);
  }

  /** Resolves when everything that was written is with the kernel; rejects when it can't get there. */
  flushed(): Promise<void> {
    return this.#link.flushed();
  }

  /** Bytes that were written and are not with the kernel yet. */
  get queuedBytes(): number {
    return this.#link.queued;
  }

  /** Ready while a write would not have to wait, or the connection is over. */
  writableEvt(): Evt<void> {
    const inside = this.#link;
    return makeEvt({
      take: () => (inside.outputEnded || inside.queued <= inside.settings.highWaterMark ? undefined : none),
      watch: (wake) => inside.outlet.watch(wake),
    });
  }

  // ---- ending ----

  /** Ends the output in order: what is queued, then FIN. Reading goes on. Resolves when it is with the kernel. Idempotent. */
  closeWrite(): Promise<void> {
    return endOutput(this.#link);
  }

  /** Ends the output on this side without telling the peer: what is queued is sent, but FIN only when the reading side ends too. */
  abandonWrite(): Promise<void> {
    return abandonOutput(this.#link);
  }

  /** Ends reading on this side: reads give `null`, and what still comes is let go. When the output was ended too, the connection closes. */
  closeRead(): void {
    closeInput(this.#link);
  }

  /**
   * Ends both sides in order: sends what is queued, then FIN, lets go what still comes, and waits for the peer's end, for `linger` milliseconds at most (5000 by
   * default, 0: not at all). Never rejects; resolves to the reason. Idempotent: further calls give the same.
   */
  close(options?: { linger?: number | undefined }): Promise<CloseReason> {
    this.#link.shut(options?.linger ?? this.#link.settings.linger);
    return this.#link.closed;
  }

  /** Ends it at once with RST, where the transport has one. Output that is queued is lost. */
  abort(cause?: unknown): void {
    this.#link.destroy('reset', { kind: 'aborted', cause });
  }

  /** {@link Connection.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Resolves with the reason when it is over. Never rejects. A peer that goes away is noticed by reading and writing: on a connection that nobody
   * reads or writes it may stay unnoticed.
   */
  get closed(): Promise<CloseReason> {
    return this.#link.closed;
  }

  /** Why it is over, or null while it is not. */
  get closeReason(): CloseReason | null {
    return this.#link.reason;
  }

  /** Aborted when the connection is over, as {@link Connection.closed} tells it, with the error that an operation would meet. */
  get signal(): AbortSignal {
    return this.#link.signal;
  }

  /** Aborted when the server wants to stop and this connection should come to its end. */
  get draining(): AbortSignal {
    return this.#link.life.draining.signal;
  }

  /** Ready once {@link Connection.draining} is aborted, or the connection over. */
  drainEvt(): Evt<void> {
    const inside = this.#link;
    const { signal } = inside.life.draining;
    return makeEvt<void>({
      take: () => (signal.aborted || inside.reason !== null ? undefined : none),
      watch: (wake) => {
        const unhook = inside.onClose(() => queueMicrotask(wake));
        signal.addEventListener('abort', wake, { once: true });
        return () => {
          unhook();
          signal.removeEventListener('abort', wake);
        };
      },
    });
  }

  // ---- TLS ----

  /**
   * Begins TLS on a connection that is in the clear, as STARTTLS does: what was written before is flushed first. An accepted connection shakes hands as the
   * server, by the certificates given here or those of its listener; one that was made by `connect` as the client. Call it in the turn in which the peer was told to begin.
   *
   * What is written after the call waits for the handshake and goes under TLS; callbacks are not called meanwhile.
   *
   * Bytes that came before must not be taken for what comes under TLS: with some of them unread it rejects with ERR_PORTSIDE_TOO_EARLY, and the connection is
   * ended. When the handshake fails it rejects with ERR_PORTSIDE_TLS, ERR_PORTSIDE_TIMEOUT or the system's error, and the connection is over.
   * It rejects, and leaves the connection as it is, with ERR_PORTSIDE_STATE under TLS already or with a direction ended on this side, ERR_PORTSIDE_READ_BUSY while
   * a read waits, and ERR_PORTSIDE_CERTIFICATE without certificates; with certificates given here that are wrong the connection is over too.
   */
  upgradeTls(options?: UpgradeTlsOptions): Promise<TlsInfo> {
    return upgradeTls(this.#link, options);
  }

  /** Whether {@link Connection.upgradeTls} can be had as it is: in the clear, both directions open, and on an accepted connection with certificates at its listener. */
  get canUpgradeTls(): boolean {
    return canUpgradeTls(this.#link);
  }

  // ---- the socket ----

  /** TCP_NODELAY: small writes leave at once. On by default. */
  setNoDelay(on: boolean): void {
    this.#link.channel.set({ kind: 'noDelay', on });
  }

  /** SO_KEEPALIVE, with the idle time before the first probe in milliseconds (60000 by default). On by default. */
  setKeepAlive(on: boolean, delay = 60_000): void {
    this.#link.channel.set({ kind: 'keepAlive', on, delay });
  }

  /** TCP_USER_TIMEOUT: milliseconds that sent data may go unacknowledged before the connection fails (ETIMEDOUT), 0 for the system's habit. Whether it could be set: on the native core, over TCP in the clear. */
  setUserTimeout(milliseconds: number): boolean {
    if (!Number.isInteger(milliseconds) || milliseconds < 0 || milliseconds > 2_147_483_647)
      throw wrong('setUserTimeout', 'it must be whole milliseconds, from 0 to 2147483647');
    return this.#link.channel.userTimeout?.(milliseconds) ?? false;
  }

  /** What the kernel knows about it (TCP_INFO): on the native core, over TCP in the clear, while it is open; else null. */
  tcpInfo(): TcpInfo | null {
    return this.#link.channel.tcpInfo?.() ?? null;
  }

  /** Whether it keeps the process alive. On by default. */
  ref(on: boolean): void {
    this.#link.channel.ref(on);
  }

  /**
   * Gives the connection to another owner: flushes the output, then hands out the descriptor or socket with every byte that was read and not consumed. This
   * object is over then, with the reason `released`. Rejects with {@link ClosedError} when it is over already, ERR_PORTSIDE_READ_BUSY while a read waits.
   */
  async release(): Promise<Released> {
    await this.flushed();
    return release(this.#link);
  }

  /**
   * Hands the connection over to another worker of the parallel listener (`startParallel`), by its index, with what was read and not consumed, and a copy of `value`. There the handler is called with it, or the
   * listener gives it, as if it had just come, but without handshakes: its PROXY header, effective client, age and permits are the same, and {@link Connection.handedOver} tells the value.
   *
   * The output is flushed first. Resolves when it is on its way: this object is over then, with the reason `released`. Callbacks are called no more from this call on. While the other worker is behind by `queue`
   * (128) connections it waits, at most 10 seconds. A worker that dies on the way is stood in for by the next one that lives.
   *
   * `value`: plain data, as `v8.serialize` copies it, at most 1 MiB; `data` stays here. To be called by its own handler, or what that began, while it serves.
   *
   * Rejects, with the connection as it was: ERR_PORTSIDE_UNSUPPORTED under TLS, without the native core, under `dispatch: 'kernel'`, and in no worker; ERR_PORTSIDE_OPTIONS for a worker that is no index, and a
   * value that can't be copied; ERR_PORTSIDE_LIMIT for one that is too large; ERR_PORTSIDE_NO_WORKER where no worker serves by that index now, or the server is stopping; ERR_PORTSIDE_STATE where a direction was ended on this side, or handshakes are under way;
   * ERR_PORTSIDE_READ_BUSY while a read waits, or a pipe or stream has it; ERR_PORTSIDE_TIMEOUT. And with what a write meets when the connection is over.
   */
  handOver(worker: number, value?: unknown): Promise<void> {
    const { owner } = this.#link;
    if (owner !== null) return owner.handOver(this, worker, value);
    return Promise.reject(noWorker(this.#link));
  }

  /** How it came from another worker, and with what; null for one that was accepted here. */
  get handedOver(): HandedOver | null {
    return this.#link.life.arrival?.handedOver ?? null;
  }

  /**
   * A `stream.Duplex` over this connection, half-open like it, with what else is expected of a `net.Socket` (addresses, `setTimeout`, `destroySoon`, …), so that it can be given
   * to what takes one: `http.Server.emit('connection', stream)`, `new TLSSocket(stream)`. The connection is read and ended through the stream from then on: `end()` is
   * `closeWrite`, `destroy()` is `close`, `destroy(error)` is `abort(error)`. A write calls back when its bytes are with the kernel. When the connection is over for any reason
   * but both ends in order, the stream is destroyed with the error that a read would meet, and bytes that it had not given yet are lost.
   *
   * An `'error'` that nobody listens for does not end the process: the reason is in {@link Connection.closed} and `stream.errored`.
   */
  toNodeStream(): ConnectionStream {
    return connectionStream(this.#link);
  }

  /**
   * Web Streams over this connection, with back-pressure. It is read and ended through them from then on: `writable.close()` is `closeWrite`, `writable.abort(reason)`
   * and a write that fails are `abort(reason)`, `readable.cancel()` is `closeRead`. A write resolves when its bytes are with the kernel.
   */
  toWebStreams(): WebStreams {
    return webStreams(this);
  }
}

const LF = Uint8Array.of(10);

/** Whether a value is a {@link Connection}, of this copy of the package or another. */
export function isConnection(value: unknown): value is Connection {
  return brand.is(value);
}

function wrong(op: string, message: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_OPTIONS', `${op}: ${message}`, { op });
}
