import { constants } from 'node:os';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import { deafSink } from '../contract.ts';
import type { Channel, ChannelEnd, Released, SocketOption } from '../contract.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import {
  ASKED,
  DEFERRED,
  DONE,
  END_SEEN,
  END_TOLD,
  FLOW,
  FLUSH,
  GONE,
  HOLDS,
  LATE,
  MUTE,
  READS,
  RELEASED,
  SHUT,
  SHUT_DONE,
  SHUT_GIVEN,
  UNREF,
  WRITE_FAILED,
  holds,
} from './channel-flags.ts';
import { failedEnd } from './failure.ts';
import {
  EV_END,
  EV_READ_ERROR,
  OP_CLOSE,
  OP_CLOSE_FLUSHED,
  OP_NONE,
  OP_RESET,
  OP_SHUTDOWN,
  STATE_ENDED,
  STATE_SHUT,
  STATE_UNREAD,
} from './layout.ts';
import type { ChannelEvents, NativeLoop, Task } from './loop.ts';
import { enclose } from './letter.ts';
import { addressOf, UNKNOWN } from './peer.ts';
import { Reader } from './reader.ts';
import type { Parcel } from '../passage.ts';
import { setOption } from './socket-option.ts';

const { EBUSY } = constants.errno;

/** A connection of the native core. */
export class NativeChannel extends Reader implements Channel, ChannelEvents, Task {
  #local: Address | null = null;
  /** An IPv4 address that nobody asked for yet is a number: 32 bits of host in network order, 16 of port. */
  #remote: Address | number;

  constructor(loop: NativeLoop, slot: number, gen: number, remote: Address | number) {
    super(loop, slot, gen);
    this.#remote = remote;
    // A result that waits may be for the channel that had the slot before.
    loop.apply();
    loop.channels[slot] = this;
  }

  get local(): Address {
    if (this.#local !== null) return this.#local;
    if ((this.flags & GONE) === 0) this.#local = this.loop.address(this.slot, this.gen, false);
    return this.#local ?? UNKNOWN;
  }

  get remote(): Address {
    if (typeof this.#remote === 'number') this.#remote = addressOf(this.#remote);
    return this.#remote;
  }

  get closed(): boolean {
    return (this.flags & GONE) !== 0;
  }

  flow(on: boolean): void {
    const flags = this.flags;
    if ((flags & (GONE | FLUSH)) !== 0) return;
    if (on === ((flags & FLOW) !== 0)) return;
    this.flags = flags ^ FLOW;
    this.hold();
    if (!on) return;
    if ((flags & (LATE | WRITE_FAILED)) !== 0) this.defer();
    else this.read();
  }

  send(bytes: Uint8Array): number {
    if ((this.flags & MUTE) !== 0) return 0;
    if (bytes.length > 0) this.put(bytes);
    if ((this.flags & HOLDS) === 0) this.hold();
    return this.queued;
  }

  sendAll(chunks: readonly Uint8Array[]): number {
    if ((this.flags & MUTE) !== 0) return 0;
    for (const bytes of chunks) if (bytes.length > 0) this.put(bytes);
    if ((this.flags & HOLDS) === 0) this.hold();
    return this.queued;
  }

  wantWritable(): void {
    if ((this.flags & (GONE | FLUSH | ASKED | WRITE_FAILED)) !== 0) return;
    this.flags |= ASKED;
    if (this.rest === 0 && this.backlog === null) this.defer();
  }

  shutdown(): void {
    if ((this.flags & MUTE) !== 0) return;
    this.flags |= SHUT;
    this.#finishOutput();
  }

  destroy(how: 'flush' | 'drop' | 'reset'): void {
    const flags = this.flags;
    if ((flags & GONE) !== 0) return;
    if (how === 'flush') {
      if ((flags & FLUSH) !== 0) return;
      this.flags = (flags & ~(FLOW | ASKED)) | FLUSH;
      this.hold();
      if ((flags & WRITE_FAILED) !== 0) this.defer();
      else this.#finishOutput();
      return;
    }
    if (how === 'reset') return this.done({ kind: 'aborted' }, OP_RESET);
    // What is merely gathered is not held up by the kernel: it leaves, and is not lost.
    if (this.queued > 0) this.loop.flush();
    this.done({ kind: 'dropped', unsent: this.queued }, OP_CLOSE);
  }

  release(): Released | null {
    if (!this.#quiet()) return null;
    const unread: Uint8Array[] = [];
    const state = this.#parting(unread);
    if (state < 0) return null;
    const fd = this.loop.addon.release(this.slot, this.gen);
    if (fd < 0) return null;
    this.#released();
    return { kind: 'fd', fd, unix: this.remote.family === 'unix', unread, ended: (state & STATE_ENDED) !== 0 };
  }

  /**
   * Gives the connection to a mailbox of the core, whole: 0, or a negative errno, and then it is as it was.
   * EBUSY: it is closed or ending, or has output that is not with the kernel; else what `Addon.give` says.
   */
  give(outbox: number, outboxGen: number, id: number, parcel: Parcel | undefined): number {
    if (!this.#quiet()) return -EBUSY;
    const { loop } = this;
    let state = this.tuning;
    let unread: Uint8Array | undefined;
    // Of most channels that are given nothing was ever read.
    if (parcel !== undefined || this.letter !== null || this.late !== null || (this.flags & (READS | SHUT)) !== 0) {
      const pieces: Uint8Array[] = parcel === undefined ? [] : [...parcel.unread];
      state = this.#parting(pieces);
      if (state < 0) return -EBUSY;
      state |= enclose(parcel?.letter ?? this.letter, pieces);
      if ((state & STATE_UNREAD) !== 0) unread = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
    }
    const remote = this.#remote;
    if (typeof remote === 'number') loop.tellNumber(remote);
    else loop.tellAddress(remote);
    const failed = loop.addon.give(this.slot, this.gen, outbox, outboxGen, id, state, unread);
    if (failed === 0) this.#released();
    return failed;
  }

  set(option: SocketOption): void {
    if ((this.flags & GONE) === 0) setOption(this.loop.addon, this.slot, this.gen, option);
  }

  ref(on: boolean): void {
    if ((this.flags & GONE) !== 0 || on === ((this.flags & UNREF) === 0)) return;
    this.flags ^= UNREF;
    this.hold();
  }

  onWriteError(errno: number): void {
    this.flags = (this.flags | WRITE_FAILED) & ~ASKED;
    this.forget();
    this.writeFailed = errno;
    this.defer();
  }

  onRest(bytes: number): void {
    // The flush that left a rest has taken what was gathered.
    this.rest = bytes;
    if (bytes === 0 && this.backlog !== null) this.pump();
    this.hold();
    if (this.rest > 0 || this.backlog !== null || (this.flags & WRITE_FAILED) !== 0) return;
    if ((this.flags & ASKED) !== 0) this.defer();
    this.#finishOutput();
  }

  onShut(): void {
    this.flags |= SHUT_DONE;
    if ((this.flags & END_TOLD) !== 0) this.done({ kind: 'ended' }, OP_CLOSE);
  }

  onClosed(): void {
    this.done({ kind: (this.flags & FLUSH) !== 0 ? 'closed' : 'ended' }, OP_NONE);
  }

  /** What was deferred, from a fresh stack. */
  run(): void {
    this.flags &= ~DEFERRED;
    const late = this.late;
    if ((this.flags & DONE) !== 0) return this.#tellClose();
    if ((this.flags & RELEASED) !== 0) return;
    if (late !== null && (this.flags & LATE) !== 0) this.tellLate(late);
    if (this.writeFailed !== 0) {
      if ((this.flags & (FLOW | LATE | END_SEEN | GONE | FLUSH)) === FLOW) this.readOut();
      return this.fail('write', this.writeFailed);
    }
    if ((this.flags & (ASKED | GONE)) !== ASKED) return;
    if (this.queued > 0) {
      // More was gathered in this very turn; it leaves before the next one.
      if (this.rest === 0 && this.backlog === null) this.defer();
      return;
    }
    this.flags &= ~ASKED;
    try {
      this.sink.writable();
    } catch (error) {
      rethrowSoon(error);
    }
  }

  /** Once nothing but what the core has is before it, tells the core how the output ends. */
  #finishOutput(): void {
    const flags = this.flags;
    if (this.backlog !== null || (flags & WRITE_FAILED) !== 0) return;
    if ((flags & FLUSH) !== 0) {
      if (this.queued === 0) this.done({ kind: 'closed' }, OP_CLOSE);
      else this.loop.control(this.slot, this.gen, OP_CLOSE_FLUSHED);
    } else if ((flags & (SHUT | SHUT_GIVEN)) === SHUT) {
      this.flags |= SHUT_GIVEN;
      // After the peer's end a close is a FIN too, and saves a call.
      const last = (flags & (END_TOLD | ASKED)) === END_TOLD;
      if (last && this.queued === 0) this.done({ kind: 'ended' }, OP_CLOSE);
      else this.loop.control(this.slot, this.gen, last ? OP_CLOSE_FLUSHED : OP_SHUTDOWN);
    }
  }

  protected fail(op: string, errno: number): void {
    if ((this.flags & GONE) !== 0) return;
    this.done(failedEnd(op, errno, formatAddress(this.remote)), OP_CLOSE);
  }

  /** The channel is over: the slot goes, `close` is told from a fresh stack. */
  protected done(end: ChannelEnd, op: number): void {
    if ((this.flags & GONE) !== 0) return;
    if (op !== OP_NONE) this.loop.control(this.slot, this.gen, op);
    // Making room for the operation may have brought another end.
    if ((this.flags & GONE) !== 0) return;
    this.#detach(DONE);
    const late = this.lateness();
    late.unread = [];
    late.close = end;
    if ((this.flags & DEFERRED) !== 0) return;
    this.flags |= DEFERRED;
    this.loop.last(this);
  }

  /** Whether it can be given away as far as its output goes. */
  #quiet(): boolean {
    if ((this.flags & (GONE | FLUSH | WRITE_FAILED)) !== 0) return false;
    const { loop } = this;
    loop.apply();
    if (this.queued > 0 || (this.flags & (SHUT | SHUT_DONE)) === SHUT) loop.flush();
    const flags = this.flags;
    return this.queued === 0 && (flags & (GONE | WRITE_FAILED)) === 0 && (flags & (SHUT | SHUT_DONE)) !== SHUT;
  }

  /** What was read and not told, and the state that it is in; negative when reading has failed. */
  #parting(unread: Uint8Array[]): number {
    const late = this.late;
    if (late !== null) {
      if (late.readError !== 0) return -1;
      for (const piece of late.unread) unread.push(piece);
    }
    const last = this.loop.rest(this.slot, this.gen, unread);
    if (last === EV_READ_ERROR) return -1;
    return (
      (last === EV_END || (this.flags & END_SEEN) !== 0 ? STATE_ENDED : 0) |
      ((this.flags & SHUT) !== 0 ? STATE_SHUT : 0) |
      (unread.length > 0 ? STATE_UNREAD : 0) |
      this.tuning
    );
  }

  #released(): void {
    this.#detach(RELEASED);
    this.late = null;
    this.sink = deafSink;
    this.hold();
  }

  #detach(how: number): void {
    this.flags = (this.flags & ~(FLOW | ASKED | LATE)) | how;
    this.forget();
    if (this.loop.channels[this.slot] === this) this.loop.channels[this.slot] = undefined;
  }

  #tellClose(): void {
    const end = this.late?.close ?? null;
    if (end === null) return;
    this.late = null;
    this.hold();
    try {
      this.sink.close(end);
    } catch (error) {
      rethrowSoon(error);
    }
  }

  /** Keeps the process alive, or lets it end. */
  protected hold(): void {
    const flags = this.flags;
    const on = (flags & DONE) === 0 && holds(flags, this.rest > 0 || this.backlog !== null);
    if (on === ((flags & HOLDS) !== 0)) return;
    this.flags ^= HOLDS;
    if (on) this.loop.ref();
    else this.loop.unref();
  }

  protected defer(): void {
    if ((this.flags & DEFERRED) !== 0) return;
    this.flags |= DEFERRED;
    this.loop.defer(this);
  }
}
