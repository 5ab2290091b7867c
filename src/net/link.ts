import type { ErrorDetail } from '../base/errors.ts';
import type { Clock } from '../sync/clock.ts';
import { currentClock } from '../sync/scope.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import type { Channel, ChannelEnd, Sink } from '../transport/contract.ts';
import { copyOf } from '../transport/own-bytes.ts';
import { give, ownOf } from './bytes.ts';
import type { CloseReason } from './close-reason.ts';
import type { Connection } from './connection.ts';
import type { Consumer, Owner } from './consumer.ts';
import { Input } from './input.ts';
import type { DeadlineName, Deadlines } from './deadlines.ts';
import { deadlinesOf, watches } from './deadlines.ts';
import { Life, unhooked } from './life.ts';
import { lingerOn } from './linger.ts';
import { closedError, mustBeIdle, reasonOf, refusedWrite } from './link-errors.ts';
import {
  ABANDONED,
  BUSY,
  CLOSED_FIRST,
  CLOSING,
  FLOWING,
  HELD,
  INPUT_CLOSED,
  OUTPUT_ENDED,
  OVER,
  PEER_ENDED,
  RESTING,
  WATCHED,
} from './link-state.ts';
import { Outlet } from './outlet.ts';
import { tune } from './settings.ts';
import type { ConnectionSettings } from './settings.ts';
import { Watchdog } from './watchdog.ts';

const DONE: Promise<void> = Promise.resolve();
const EMPTY = new Uint8Array(0);

/** What joins a {@link Connection} to its channel: the sink below, the state between, the promises above. */
export class Link implements Sink {
  channel: Channel;
  settings: ConnectionSettings;
  readonly connection: Connection;
  owner: Owner | null = null;
  /** Bytes that came in. */
  received = 0;
  /** Bytes that were written. */
  sent = 0;
  /** Bits of `link-state.ts`. */
  state = 0;
  #watchdog: Watchdog | null = null;
  consumer: Consumer | null = null;
  #input: Input | null = null;
  #life: Life | null = null;
  #reason: CloseReason | null = null;

  constructor(channel: Channel, settings: ConnectionSettings, connection: Connection) {
    this.channel = channel;
    this.settings = settings;
    this.connection = connection;
    channel.sink = this;
    if (channel.tuned !== true) tune(channel, settings);
  }

  /** Goes on over another channel, such as TLS over the one before. */
  replace(channel: Channel): void {
    this.channel = channel;
    channel.sink = this;
    if ((this.state & FLOWING) !== 0) channel.flow(true);
  }

  // ---- what the channel tells ----

  data(bytes: Uint8Array, borrowed: boolean): void {
    this.received += bytes.length;
    if (this.#watchdog !== null) this.#watchdog.input();
    if ((this.state & INPUT_CLOSED) !== 0) return;
    if (this.consumer !== null) give(this.consumer, this.connection, bytes, borrowed);
    else this.input.push(borrowed ? copyOf(bytes) : bytes);
    if ((this.state & WATCHED) !== 0) this.mayRest();
  }

  get keeps(): boolean {
    return this.consumer === null || this.consumer.borrows !== true;
  }

  end(): void {
    this.state |= PEER_ENDED;
    if ((this.state & ABANDONED) !== 0) this.channel.shutdown();
    if ((this.state & INPUT_CLOSED) !== 0) return;
    if (this.consumer !== null) this.consumer.end(this.connection);
    else this.#input?.finish();
  }

  writable(): void {
    if (this.#watchdog !== null) this.#watchdog.drained();
    this.#life?.outlet?.tell(null);
    if ((this.state & RESTING) !== 0) {
      this.state &= ~RESTING;
      this.resumeInput();
    }
    this.consumer?.writable(this.connection);
    this.mayRest();
  }

  close(end: ChannelEnd): void {
    this.#finish(this.#life?.why ?? reasonOf(end, this.state));
  }

  // ---- what is true ----

  get reason(): CloseReason | null {
    return this.#reason;
  }

  /** Why it is over, or being ended on this side for more than its end's sake. */
  get why(): CloseReason | null {
    return this.#reason ?? this.#life?.why ?? null;
  }

  get input(): Input {
    this.#input ??= new Input(this);
    return this.#input;
  }

  /** Nothing more will come in. */
  get inputOver(): boolean {
    return (this.state & (PEER_ENDED | INPUT_CLOSED | OVER)) !== 0;
  }

  get outputEnded(): boolean {
    return (this.state & (OUTPUT_ENDED | OVER)) !== 0;
  }

  get closing(): boolean {
    return (this.state & (CLOSING | OVER)) !== 0;
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

  /** Whether handshakes are under way. */
  get opening(): boolean {
    return this.#life !== null && this.#life.opening !== null;
  }

  /** Whether somebody waits for the peer's next byte. */
  get waitsForInput(): boolean {
    if ((this.state & (PEER_ENDED | OVER)) !== 0 || this.opening) return false;
    return this.consumer !== null ? (this.state & FLOWING) !== 0 : this.#input !== null && this.#input.awaited;
  }

  /** Whether a read waits. */
  get reads(): boolean {
    return this.#input !== null && this.#input.busy;
  }

  get busy(): boolean {
    return (this.state & BUSY) !== 0;
  }

  set busy(on: boolean) {
    this.state = on ? this.state | BUSY : this.state & ~BUSY;
    if (!on) this.mayRest();
  }

  /** Whether a consumer should stop for now, as its output is not taken, or it was told to hold. */
  get rests(): boolean {
    return (this.state & (RESTING | HELD | INPUT_CLOSED | OVER)) !== 0;
  }

  /** The peer: who it is by its PROXY header, or by its socket. */
  get remote(): Address {
    return this.#life?.remote ?? this.channel.remote;
  }

  detail(op: string): ErrorDetail {
    return { op, local: formatAddress(this.channel.local), remote: formatAddress(this.remote) };
  }

  // ---- reading ----

  resumeInput(): void {
    if ((this.state & (FLOWING | PEER_ENDED | OVER | RESTING | HELD)) !== 0) return;
    this.state |= FLOWING;
    if (this.#watchdog !== null) this.#watchdog.reads();
    this.channel.flow(true);
  }

  /** Somebody asks for input, and waits. */
  awaitInput(): void {
    if (this.#watchdog !== null) this.#watchdog.reads();
    this.resumeInput();
    this.mayRest();
  }

  pauseInput(): void {
    if ((this.state & FLOWING) === 0) return;
    this.state &= ~FLOWING;
    this.channel.flow(false);
  }

  /** Calls `told` whenever it may have become idle, until it is over. */
  watchRest(told: () => void): void {
    this.state |= WATCHED;
    this.life.onRest = told;
  }

  /** It may have become idle: who watches for that is told, not within this call. */
  mayRest(): void {
    if ((this.state & WATCHED) !== 0) this.clock.soon(this.life.onRest ?? unhooked);
  }

  /** Holds reading back, or lets it go on, for a consumer. */
  hold(on: boolean): void {
    if (on) {
      this.state |= HELD;
      this.pauseInput();
    } else {
      this.state &= ~HELD;
      this.awaitInput();
    }
  }

  /** From now on the consumer is called; what was read before is returned, to be taken first. */
  consume(consumer: Consumer): Uint8Array[] {
    mustBeIdle(this, 'read');
    this.consumer = consumer;
    const before = this.takeUnread();
    this.#input = null;
    return before;
  }

  /** Its consumer is called no more; what it had not consumed, and what comes, waits for whoever reads. */
  unconsume(): void {
    const { consumer } = this;
    if (consumer === null) return;
    this.state &= ~(RESTING | HELD);
    this.pauseInput();
    this.consumer = null;
    // What came with the handshakes may wait behind it.
    for (const chunk of consumer.giveBack?.().toReversed() ?? []) this.input.unread(chunk);
  }

  /** Lets go what was read and nobody took; whoever waits learns that nothing comes. */
  dropInput(): void {
    this.#input?.discard();
    this.#input?.finish();
  }

  /** What was read and nobody took. */
  takeUnread(): Uint8Array[] {
    return this.#input?.takeAll() ?? [];
  }

  get unreadBytes(): number {
    return this.#input === null ? 0 : this.#input.length;
  }

  /** Whether the peer's end was seen already, so that a new consumer has to be told. */
  get peerEnded(): boolean {
    return (this.state & PEER_ENDED) !== 0;
  }

  // ---- writing ----

  write(bytes: Uint8Array): Promise<void> {
    if ((this.state & (OUTPUT_ENDED | OVER)) !== 0) return refusedWrite(this);
    const outlet = this.#life === null ? null : this.#life.outlet;
    if (outlet !== null && outlet.corked) return outlet.keep(ownOf(bytes));
    const queued = this.channel.send(this.channel.takesLent === true ? bytes : ownOf(bytes));
    this.sent += bytes.length;
    if (this.#watchdog !== null) this.#watchdog.output();
    if (queued <= this.settings.highWaterMark) return DONE;
    return this.#congested(queued, bytes.length);
  }

  writeAll(chunks: readonly Uint8Array[]): Promise<void> {
    if ((this.state & (OUTPUT_ENDED | OVER)) !== 0) return refusedWrite(this);
    const outlet = this.#life === null ? null : this.#life.outlet;
    if (outlet !== null && outlet.corked) {
      for (const chunk of chunks) outlet.gather(chunk);
      return outlet.keep(EMPTY);
    }
    let length = 0;
    for (const chunk of chunks) length += chunk.length;
    const queued = this.channel.sendAll(chunks);
    this.sent += length;
    if (this.#watchdog !== null) this.#watchdog.output();
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

  /** What a batch held back leaves. */
  endBatch(): void {
    this.#life?.outlet?.endBatch();
  }

  /** Resolves when all output is with the kernel. */
  flushed(): Promise<void> {
    void this.uncork(true);
    if (this.#reason !== null)
      return this.#reason.kind === 'ended' || this.#reason.kind === 'closed' ? DONE : refusedWrite(this);
    if (this.channel.queued === 0) return DONE;
    return this.outlet.drained();
  }

  get outlet(): Outlet {
    const { life } = this;
    life.outlet ??= new Outlet(this);
    return life.outlet;
  }

  // ---- ending ----

  /** Ends both sides in order within `linger` milliseconds. */
  shut(linger: number): void {
    if ((this.state & (CLOSING | OVER)) !== 0) return;
    void this.uncork(true);
    this.state |= CLOSING | OUTPUT_ENDED | INPUT_CLOSED;
    if ((this.state & PEER_ENDED) === 0) this.state |= CLOSED_FIRST;
    this.state &= ~(RESTING | HELD | ABANDONED);
    this.dropInput();
    if (linger === 0) return this.channel.destroy('drop');
    this.channel.shutdown();
    this.resumeInput();
    // With the peer's end seen and nothing queued, the channel closes by itself at once.
    if ((this.state & PEER_ENDED) === 0 || this.channel.queued > 0) lingerOn(this, linger);
  }

  /** A deadline passed: what can be ended in order is, within the linger time. */
  miss(deadline: DeadlineName, after: number): void {
    if (this.closing) return;
    this.endFor({ kind: 'timeout', deadline, after });
  }

  /** Ends it in order, for a reason of this side's that the channel can't know. */
  endFor(why: CloseReason): void {
    if (this.closing) return;
    this.life.why ??= why;
    this.shut(this.settings.linger);
  }

  /** Begins to hold it to its deadlines, or goes by what they were changed to. `age`: milliseconds since it was accepted. */
  watchOver(deadlines: Deadlines, age: number): void {
    this.#life?.outlet?.bindAnew();
    if (this.#watchdog !== null) this.#watchdog.again();
    else if (watches(deadlines) && (this.state & OVER) === 0) this.#watchdog = new Watchdog(this, deadlines, age);
  }

  /** The handshakes are over. */
  openedNow(): void {
    this.#watchdog?.opened();
  }

  /** Ends at once, for a reason of this side's. */
  destroy(how: 'drop' | 'reset', why: CloseReason | null): void {
    if ((this.state & OVER) !== 0) return;
    if (why !== null) this.life.why ??= why;
    this.state |= CLOSING | OUTPUT_ENDED | INPUT_CLOSED;
    this.dropInput();
    this.channel.destroy(how);
  }

  /** It is over, and its channel is somebody else's from now on, sink and all. */
  giveUp(reason: CloseReason): void {
    this.#finish(reason);
  }

  /** It is served by callbacks no more, and held to no deadlines but those that every connection has. */
  detach(): void {
    this.unconsume();
    this.#watchdog?.stop();
    this.#watchdog = null;
    this.settings = { ...this.settings, deadlines: deadlinesOf() };
    this.#life?.outlet?.bindAnew();
    this.state &= ~WATCHED;
  }

  get closed(): Promise<CloseReason> {
    return this.#reason === null ? this.life.closed : Promise.resolve(this.#reason);
  }

  get signal(): AbortSignal {
    return this.life.signal(() => (this.#reason === null ? null : closedError(this, 'signal')));
  }

  /** Calls `hook` when it is over; at once when it is. Returns how to take it back. */
  onClose(hook: (reason: CloseReason) => void): () => void {
    if (this.#reason !== null) {
      hook(this.#reason);
      return unhooked;
    }
    return this.life.onClose(hook);
  }

  #finish(reason: CloseReason): void {
    this.state |= OVER;
    this.#reason = reason;
    this.#watchdog?.stop();
    this.#input?.finish();
    const outlet = this.#life?.outlet ?? null;
    if (outlet !== null)
      outlet.tell(reason.kind === 'ended' || reason.kind === 'closed' ? null : closedError(this, 'write'));
    this.#life?.end(reason, () => closedError(this, 'signal'));
    this.consumer?.close(this.connection, reason);
    this.owner?.over(this.connection, reason);
  }

  #congested(queued: number, length: number): Promise<void> {
    const { writeLimit, highWaterMark } = this.settings;
    // Whoever waits for each write never meets the limit, however large a single write is.
    if (queued > writeLimit && queued - length > highWaterMark) return this.overflow(queued);
    if (this.consumer !== null && this.consumer.rests && (this.state & RESTING) === 0) {
      this.state |= RESTING;
      this.pauseInput();
    }
    return this.outlet.drained();
  }

  /** More is queued than may be. */
  overflow(queued: number): Promise<void> {
    this.destroy('reset', { kind: 'write-overflow', queued, limit: this.settings.writeLimit });
    return refusedWrite(this);
  }
}
