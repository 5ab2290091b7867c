import { ClosedError, PortsideError, isPortsideError } from '../base/errors.ts';
import type { ErrorDetail } from '../base/errors.ts';
import type { Clock } from '../sync/clock.ts';
import { Deadline } from '../sync/deadline.ts';
import { currentClock } from '../sync/scope.ts';
import { formatAddress } from '../transport/address.ts';
import type { Channel, ChannelEnd, Released, Sink } from '../transport/contract.ts';
import { copyOf } from './bytes.ts';
import { closeError } from './close-reason.ts';
import type { CloseReason } from './close-reason.ts';
import type { Connection } from './connection.ts';
import { deferred } from './deferred.ts';
import { Input } from './input.ts';
import { Life, unhooked } from './life.ts';
import { Outlet } from './outlet.ts';
import type { ConnectionSettings } from './settings.ts';

/**
 * Takes what a connection reads by being called, instead of being asked: the fast path.
 * One object may serve any number of connections. It must not block and must not throw.
 */
export interface Consumer {
  /** Bytes arrived; they are the consumer's for ever. */
  data(connection: Connection, bytes: Uint8Array): void;
  /** The peer ended its side. */
  end(connection: Connection): void;
  /** Whether reading rests while the connection's own output is above the high-water mark. */
  readonly rests: boolean;
  /** All output is with the kernel, after it was above the high-water mark or somebody waited for it. */
  writable(connection: Connection): void;
  /** It is over; comes once and last. */
  close(connection: Connection, reason: CloseReason): void;
}

// States of a link, as bits: an idle connection has to stay small.
const FLOWING = 1;
/** The peer ended its side. */
const PEER_ENDED = 2;
/** This side takes no more writes. */
const OUTPUT_ENDED = 4;
/** This side takes no more input: what comes is let go. */
const INPUT_CLOSED = 8;
/** `close()` was called before the peer's end was seen. */
const CLOSED_FIRST = 16;
const CLOSING = 32;
/** No FIN until the reading side ends. */
const ABANDONED = 64;
/** A consumer's reading rests until its output is with the kernel. */
const RESTING = 128;
const OVER = 256;
/** Reading rests because somebody asked for it. */
const HELD = 512;

const DONE: Promise<void> = Promise.resolve();
const EMPTY = new Uint8Array(0);

/** What joins a {@link Connection} to its channel: the sink below, the state between, the promises above. */
export class Link implements Sink {
  readonly channel: Channel;
  readonly settings: ConnectionSettings;
  readonly connection: Connection;
  /** Who is told last that it is over: whoever counts it. */
  owner: ((connection: Connection, reason: CloseReason) => void) | null = null;
  #state = 0;
  #consumer: Consumer | null = null;
  #input: Input | null = null;
  #life: Life | null = null;
  #reason: CloseReason | null = null;

  constructor(channel: Channel, settings: ConnectionSettings, connection: Connection) {
    this.channel = channel;
    this.settings = settings;
    this.connection = connection;
    channel.sink = this;
    if (settings.noDelay) channel.set({ kind: 'noDelay', on: true });
    if (settings.keepAlive !== false) channel.set({ kind: 'keepAlive', on: true, delay: settings.keepAlive });
  }

  // ---- what the channel tells ----

  data(bytes: Uint8Array, borrowed: boolean): void {
    if ((this.#state & INPUT_CLOSED) !== 0) return;
    const own = borrowed ? copyOf(bytes) : bytes;
    if (this.#consumer !== null) this.#consumer.data(this.connection, own);
    else this.input.push(own);
  }

  end(): void {
    this.#state |= PEER_ENDED;
    if ((this.#state & ABANDONED) !== 0) this.channel.shutdown();
    if ((this.#state & INPUT_CLOSED) !== 0) return;
    if (this.#consumer !== null) this.#consumer.end(this.connection);
    else this.#input?.finish();
  }

  writable(): void {
    this.#life?.outlet?.tell(null);
    if ((this.#state & RESTING) !== 0) {
      this.#state &= ~RESTING;
      this.resumeInput();
    }
    this.#consumer?.writable(this.connection);
  }

  close(end: ChannelEnd): void {
    this.#finish(this.#life?.why ?? this.#reasonOf(end));
  }

  // ---- what is true ----

  get reason(): CloseReason | null {
    return this.#reason;
  }

  get input(): Input {
    this.#input ??= new Input(this);
    return this.#input;
  }

  /** Nothing more will come in. */
  get inputOver(): boolean {
    return (this.#state & (PEER_ENDED | INPUT_CLOSED | OVER)) !== 0;
  }

  get outputEnded(): boolean {
    return (this.#state & (OUTPUT_ENDED | OVER)) !== 0;
  }

  get closing(): boolean {
    return (this.#state & (CLOSING | OVER)) !== 0;
  }

  get queued(): number {
    return this.channel.queued + (this.#life?.outlet?.corkedBytes ?? 0);
  }

  /** What its waits go by: the clock that was current when it was first needed, unless set. */
  get clock(): Clock {
    const { life } = this;
    life.clock ??= currentClock();
    return life.clock;
  }

  get life(): Life {
    this.#life ??= new Life();
    return this.#life;
  }

  /** Why a read finds no more bytes; null where that is the orderly end. */
  inputError(op: string): PortsideError | null {
    if ((this.#state & PEER_ENDED) !== 0 && !this.closing) return null;
    const reason = this.#reason;
    if (reason !== null) return reason.kind === 'ended' ? null : closeError(reason, op, this.detail(op));
    if ((this.#state & CLOSING) !== 0) return this.closedError(op);
    return null;
  }

  detail(op: string): ErrorDetail {
    const { local, remote } = this.channel;
    return { op, local: formatAddress(local), remote: formatAddress(remote) };
  }

  // ---- reading ----

  resumeInput(): void {
    if ((this.#state & (FLOWING | PEER_ENDED | OVER | RESTING | HELD)) !== 0) return;
    this.#state |= FLOWING;
    this.channel.flow(true);
  }

  pauseInput(): void {
    if ((this.#state & FLOWING) === 0) return;
    this.#state &= ~FLOWING;
    this.channel.flow(false);
  }

  /** Holds reading back, or lets it go on, for a consumer. */
  hold(on: boolean): void {
    if (on) {
      this.#state |= HELD;
      this.pauseInput();
    } else {
      this.#state &= ~HELD;
      this.resumeInput();
    }
  }

  /** Throws while a read waits. */
  mustBeIdle(op: string): void {
    if (this.#input?.busy === true)
      throw new PortsideError('ERR_PORTSIDE_READ_BUSY', 'a read is waiting on this connection', this.detail(op));
  }

  /** From now on the consumer is called; what was read before is returned, to be taken first. */
  consume(consumer: Consumer): Uint8Array[] {
    this.mustBeIdle('read');
    this.#consumer = consumer;
    const before = this.#input?.takeAll() ?? [];
    this.#input = null;
    return before;
  }

  /** Whether the peer's end was seen already, so that a new consumer has to be told. */
  get peerEnded(): boolean {
    return (this.#state & PEER_ENDED) !== 0;
  }

  closeInput(): void {
    if ((this.#state & (INPUT_CLOSED | OVER)) !== 0) return;
    this.#state |= INPUT_CLOSED;
    this.#input?.discard();
    this.#input?.finish();
    if ((this.#state & ABANDONED) !== 0) this.channel.shutdown();
    // Reading on is what lets the peer's end, or its reset, be seen.
    this.#state &= ~(RESTING | HELD);
    this.resumeInput();
    if ((this.#state & OUTPUT_ENDED) !== 0) void this.shut(this.settings.linger);
  }

  // ---- writing ----

  write(bytes: Uint8Array): Promise<void> {
    if ((this.#state & (OUTPUT_ENDED | OVER)) !== 0) return this.#refuse();
    const outlet = this.#life === null ? null : this.#life.outlet;
    if (outlet !== null && outlet.corked) return this.#gather(outlet, bytes);
    const queued = this.channel.send(bytes);
    if (queued <= this.settings.highWaterMark) return DONE;
    return this.#congested(queued, bytes.length);
  }

  writeAll(chunks: readonly Uint8Array[]): Promise<void> {
    if ((this.#state & (OUTPUT_ENDED | OVER)) !== 0) return this.#refuse();
    const outlet = this.#life === null ? null : this.#life.outlet;
    if (outlet !== null && outlet.corked) {
      for (const chunk of chunks) outlet.gather(chunk);
      return this.#gather(outlet, EMPTY);
    }
    let length = 0;
    for (const chunk of chunks) length += chunk.length;
    const queued = this.channel.sendAll(chunks);
    if (queued <= this.settings.highWaterMark) return DONE;
    return this.#congested(queued, length);
  }

  cork(): void {
    this.outlet.cork();
  }

  uncork(all: boolean): Promise<void> {
    const corked = this.#life?.outlet?.uncork(all) ?? null;
    return corked === null ? DONE : this.writeAll(corked);
  }

  /** Resolves when all output is with the kernel. */
  flushed(): Promise<void> {
    void this.uncork(true);
    if (this.#reason !== null)
      return this.#reason.kind === 'ended' || this.#reason.kind === 'closed' ? DONE : this.#refuse();
    if (this.channel.queued === 0) return DONE;
    return this.outlet.drained();
  }

  get outlet(): Outlet {
    const { life } = this;
    life.outlet ??= new Outlet(this.channel);
    return life.outlet;
  }

  // ---- ending ----

  endOutput(): Promise<void> {
    const flushed = this.flushed();
    if ((this.#state & OVER) !== 0) return flushed;
    this.#state |= OUTPUT_ENDED;
    if ((this.#state & INPUT_CLOSED) !== 0) void this.shut(this.settings.linger);
    else this.channel.shutdown();
    return flushed;
  }

  abandonOutput(): Promise<void> {
    const flushed = this.flushed();
    if ((this.#state & OVER) !== 0) return flushed;
    this.#state |= OUTPUT_ENDED | ABANDONED;
    if ((this.#state & (PEER_ENDED | INPUT_CLOSED)) !== 0) this.channel.shutdown();
    return flushed;
  }

  /** Ends both sides in order within `linger` milliseconds. */
  shut(linger: number): Promise<CloseReason> {
    if ((this.#state & (CLOSING | OVER)) !== 0) return this.closed;
    void this.uncork(true);
    this.#state |= CLOSING | OUTPUT_ENDED | INPUT_CLOSED;
    if ((this.#state & PEER_ENDED) === 0) this.#state |= CLOSED_FIRST;
    this.#state &= ~(RESTING | HELD | ABANDONED);
    this.#input?.discard();
    this.#input?.finish();
    const { closed } = this;
    if (linger === 0) {
      this.channel.destroy('drop');
      return closed;
    }
    this.channel.shutdown();
    this.resumeInput();
    // With the peer's end seen and nothing queued, the channel closes by itself at once.
    if ((this.#state & PEER_ENDED) === 0 || this.channel.queued > 0) {
      const { life } = this;
      life.linger ??= new Deadline(this.clock, () => this.channel.destroy('drop'));
      life.linger.arm(linger);
    }
    return closed;
  }

  /** Ends at once, for a reason of this side's. */
  destroy(how: 'drop' | 'reset', why: CloseReason | null): void {
    if ((this.#state & OVER) !== 0) return;
    if (why !== null) this.life.why ??= why;
    this.#state |= CLOSING | OUTPUT_ENDED | INPUT_CLOSED;
    this.#input?.discard();
    this.#input?.finish();
    this.channel.destroy(how);
  }

  /** Gives the channel up; null when it is over. The output has to be flushed. */
  release(): Released | null {
    if ((this.#state & OVER) !== 0) return null;
    this.mustBeIdle('release');
    this.pauseInput();
    const unread = this.#input?.takeAll() ?? [];
    const released = this.channel.release();
    if (released === null) {
      for (const chunk of unread.toReversed()) this.#input?.unread(chunk);
      return null;
    }
    this.#finish({ kind: 'released' });
    return { ...released, unread: [...unread, ...released.unread], ended: released.ended || this.peerEnded };
  }

  get closed(): Promise<CloseReason> {
    return this.#reason === null ? this.life.closed : Promise.resolve(this.#reason);
  }

  get signal(): AbortSignal {
    return this.life.signal(() => (this.#reason === null ? null : this.closedError('signal')));
  }

  /** Whether an error is only how this connection's own end showed itself to its handler. */
  isOwnEnd(error: unknown): boolean {
    if (!isPortsideError(error)) return false;
    if (this.#reason !== null && 'error' in this.#reason) return error === this.#reason.error;
    return error.code === 'ERR_PORTSIDE_CLOSED' && error.remote === formatAddress(this.channel.remote) && this.closing;
  }

  closedError(op: string): PortsideError {
    if (this.#reason !== null) return closeError(this.#reason, op, this.detail(op));
    return new ClosedError('the connection is closed on this side', this.detail(op));
  }

  /** Calls `hook` when it is over; at once when it is. Returns how to take it back. */
  onClose(hook: (reason: CloseReason) => void): () => void {
    if (this.#reason !== null) {
      hook(this.#reason);
      return unhooked;
    }
    return this.life.onClose(hook);
  }

  #reasonOf(end: ChannelEnd): CloseReason {
    if (end.kind === 'aborted') return { kind: 'aborted', cause: undefined };
    if (end.kind === 'ended' && (this.#state & CLOSED_FIRST) !== 0) return { kind: 'closed' };
    if (end.kind === 'dropped' && end.unsent === 0 && (this.#state & CLOSING) !== 0) return { kind: 'closed' };
    return end;
  }

  #finish(reason: CloseReason): void {
    this.#state |= OVER;
    this.#reason = reason;
    this.#input?.finish();
    const outlet = this.#life?.outlet ?? null;
    if (outlet !== null)
      outlet.tell(reason.kind === 'ended' || reason.kind === 'closed' ? null : this.closedError('write'));
    this.#life?.end(reason, () => this.closedError('signal'));
    this.#consumer?.close(this.connection, reason);
    this.owner?.(this.connection, reason);
  }

  #gather(outlet: Outlet, bytes: Uint8Array): Promise<void> {
    outlet.gather(bytes);
    const { queued } = this;
    return queued > this.settings.writeLimit ? this.#overflow(queued) : DONE;
  }

  #congested(queued: number, length: number): Promise<void> {
    const { writeLimit, highWaterMark } = this.settings;
    // Whoever waits for each write never meets the limit, however large a single write is.
    if (queued > writeLimit && queued - length > highWaterMark) return this.#overflow(queued);
    if (this.#consumer !== null && this.#consumer.rests && (this.#state & RESTING) === 0) {
      this.#state |= RESTING;
      this.pauseInput();
    }
    return this.outlet.drained();
  }

  #overflow(queued: number): Promise<void> {
    this.destroy('reset', { kind: 'write-overflow', queued, limit: this.settings.writeLimit });
    return this.#refuse();
  }

  /** A write that can't be: rejected, and nobody has to look. */
  #refuse(): Promise<void> {
    const refused = deferred<void>();
    const why = this.#reason ?? this.#life?.why ?? null;
    if (why !== null) refused.reject(closeError(why, 'write', this.detail('write')));
    else if (this.closing) refused.reject(this.closedError('write'));
    else
      refused.reject(
        new PortsideError('ERR_PORTSIDE_WRITE_AFTER_END', 'the output was ended on this side', this.detail('write')),
      );
    return refused.promise;
  }
}
