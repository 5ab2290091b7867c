import { constants } from 'node:os';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { deafSink } from '../contract.ts';
import type { ChannelEnd, Sink } from '../contract.ts';
import {
  END_SEEN,
  END_TOLD,
  FLOW,
  FLUSH,
  GONE,
  HELD,
  LATE,
  LEVEL,
  LEVEL_AT,
  READS,
  SHUT,
  SHUT_DONE,
  SHUT_GIVEN,
  WRITE_FAILED,
} from './channel-flags.ts';
import { nothingLate } from './late.ts';
import type { Late } from './late.ts';
import { OP_CLOSE, OP_READ_OFF, OP_READ_ON, STATE_ENDED, STATE_SHUT } from './layout.ts';
import { Output } from './output.ts';
import { levelOf, nextLevel, readOwn, roomOf } from './own-read.ts';

const { EAGAIN } = constants.errno;
/** A read of this size shows that more such will come. */
const LARGE = 16384;
/** A dead connection has no more to read than a receive buffer; this bounds one that is not dead. */
const READS_OUT = 256;
const READ_OUT = 65536;

/** The reading side of a connection: from what the core tells to the sink. */
export abstract class Reader extends Output {
  sink: Sink = deafSink;
  /** Bits of `channel-flags.ts`. */
  protected flags = 0;
  protected late: Late | null = null;

  /** Calls what was put off from a fresh stack. */
  protected abstract defer(): void;
  /** The channel is over, by an operation of the core or, without one, by itself. */
  protected abstract done(end: ChannelEnd, op: number): void;
  /** Whether it keeps the process alive may have changed. */
  protected abstract hold(): void;
  /** The channel is over by an error. */
  protected abstract fail(op: string, errno: number): void;

  /** Makes a new channel the one that another has been: with what was read of it, and in the state (`STATE_…`) that it was in. */
  resume(unread: readonly Uint8Array[], state: number): this {
    const ended = (state & STATE_ENDED) !== 0;
    if (unread.length > 0 || ended) {
      const late = this.lateness();
      late.unread.push(...unread);
      late.end = ended;
      this.flags |= ended ? LATE | END_SEEN : LATE;
    }
    if ((state & STATE_SHUT) !== 0) this.flags |= SHUT | SHUT_GIVEN | SHUT_DONE;
    return this;
  }

  onData(at: number, length: number): void {
    if ((this.flags & (HELD | FLOW)) === FLOW) {
      const { sink } = this;
      try {
        if (sink.keeps !== true) sink.data(this.loop.view(at, length), true);
        else {
          if (length >= LARGE) this.#tellLevel(levelOf(length));
          sink.data(this.loop.copy(at, length), false);
        }
      } catch (error) {
        rethrowSoon(error);
      }
      return;
    }
    if ((this.flags & (GONE | FLUSH)) !== 0) return;
    this.lateness().unread.push(this.loop.copy(at, length));
    this.flags |= LATE;
    // Only now that it costs something is the core told to stop.
    if ((this.flags & FLOW) === 0) this.#unread();
  }

  onReadable(ended: number): void {
    if ((this.flags & (HELD | FLOW)) !== FLOW) {
      // It stays in the kernel, which tells of it until the core is told to stop.
      if ((this.flags & (GONE | FLOW)) === 0) this.#unread();
      return;
    }
    const level = (this.flags & LEVEL) >> LEVEL_AT;
    const bytes = readOwn(this.loop.addon, this.slot, this.gen, roomOf(level));
    if (typeof bytes === 'number') {
      if (bytes === 0) this.onEnd();
      else if (bytes !== -EAGAIN) this.onReadError(-bytes);
      return;
    }
    const { sink } = this;
    const next = sink.keeps === true ? nextLevel(level, bytes.length) : 0;
    if (next !== level) this.#tellLevel(next);
    try {
      sink.data(bytes, false);
    } catch (error) {
      rethrowSoon(error);
    }
    if (ended !== 0 && next > 0 && bytes.length < roomOf(level)) this.onReadable(0);
  }

  onEnd(): void {
    this.flags |= END_SEEN;
    if ((this.flags & (HELD | FLOW)) === FLOW) return this.tellEnd();
    if ((this.flags & (GONE | FLUSH)) !== 0) return;
    this.lateness().end = true;
    this.flags |= LATE;
  }

  onReadError(errno: number): void {
    if ((this.flags & (HELD | FLOW)) === FLOW) return this.fail('read', errno);
    if ((this.flags & (GONE | FLUSH)) !== 0) return;
    this.lateness().readError = errno;
    this.flags |= LATE;
  }

  protected read(): void {
    if ((this.flags & (READS | END_SEEN)) !== 0) return;
    this.flags |= READS;
    this.loop.control(this.slot, this.gen, OP_READ_ON, (this.flags & LEVEL) === 0 ? 0 : 1);
  }

  /** Large reads go into memory of their own, which the core is told by who reads. */
  #tellLevel(level: number): void {
    const before = this.flags & LEVEL;
    this.flags = (this.flags & ~LEVEL) | (level << LEVEL_AT);
    if ((before === 0) !== (level === 0) && (this.flags & READS) !== 0)
      this.loop.control(this.slot, this.gen, OP_READ_ON, level === 0 ? 0 : 1);
  }

  #unread(): void {
    if ((this.flags & READS) === 0) return;
    this.flags &= ~READS;
    this.loop.control(this.slot, this.gen, OP_READ_OFF);
  }

  protected lateness(): Late {
    return (this.late ??= nothingLate());
  }

  protected tellLate(late: Late): void {
    let chunk: Uint8Array | undefined;
    while ((this.flags & (FLOW | GONE | FLUSH)) === FLOW && (chunk = late.unread.shift()) !== undefined) {
      try {
        this.sink.data(chunk, false);
      } catch (error) {
        rethrowSoon(error);
      }
    }
    if ((this.flags & (FLOW | GONE | FLUSH)) !== FLOW) return;
    this.flags &= ~LATE;
    if (late.end) {
      late.end = false;
      this.tellEnd();
      if ((this.flags & (FLOW | GONE | FLUSH)) !== FLOW && late.readError !== 0) this.flags |= LATE;
    }
    if ((this.flags & (FLOW | GONE | FLUSH | LATE)) !== FLOW) return;
    if (late.readError !== 0) this.fail('read', late.readError);
    else if ((this.flags & WRITE_FAILED) === 0) this.read();
  }

  /** After a failed write, what had arrived before it. */
  protected readOut(): void {
    for (let reads = 0; reads < READS_OUT; reads++) {
      const into = new Uint8Array(READ_OUT);
      const count = this.loop.addon.recv(this.slot, this.gen, into);
      if (count <= 0) return;
      try {
        this.sink.data(into.subarray(0, count), false);
      } catch (error) {
        rethrowSoon(error);
      }
      if ((this.flags & (FLOW | GONE | FLUSH)) !== FLOW) return;
    }
  }

  /** Called from a fresh stack only. */
  protected tellEnd(): void {
    this.flags |= END_TOLD;
    this.hold();
    try {
      this.sink.end();
    } catch (error) {
      rethrowSoon(error);
    }
    if ((this.flags & SHUT_DONE) !== 0) this.done({ kind: 'ended' }, OP_CLOSE);
  }
}
