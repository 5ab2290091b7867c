import type { PortsideError } from '../../base/errors.ts';
import type { TimerHandle } from '../../sync/clock.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import type { Address } from '../address.ts';
import { deafSink } from '../contract.ts';
import type { Channel, ChannelEnd, Released, Sink, SocketOption } from '../contract.ts';
import { ChunkQueue } from './chunk-queue.ts';
import type { End, EndOwner } from './end.ts';
import { outside } from './outside.ts';

/** What is left to happen to a channel. */
type Phase = 'open' | 'flushing' | 'closing' | 'told' | 'released';

/** A channel over an end of a connection in memory. Its sink hears everything from turns of the network's clock. */
export class MemoryChannel implements Channel, EndOwner {
  sink: Sink = deafSink;
  readonly #end: End;
  readonly #queue: ChunkQueue = new ChunkQueue();
  #phase: Phase = 'open';
  #why: ChannelEnd | null = null;
  #flowing = false;
  #endTold = false;
  #shut: boolean;
  #wantsWritable = false;
  #writeFailed = false;
  #scheduled = false;
  #readAt = 0;
  #slow: TimerHandle | null = null;

  constructor(end: End) {
    this.#end = end;
    this.#shut = end.finOut;
    end.owner = this;
  }

  get local(): Address {
    return this.#end.local;
  }

  get remote(): Address {
    return this.#end.remote;
  }

  get queued(): number {
    return this.#queue.bytes;
  }

  get closed(): boolean {
    return this.#why !== null;
  }

  flow(on: boolean): void {
    if (this.#flowing === on || this.#phase !== 'open') return;
    this.#flowing = on;
    if (on) this.stirred();
  }

  send(bytes: Uint8Array): number {
    if (this.#phase !== 'open' || this.#shut) return 0;
    if (bytes.length === 0) return this.#queue.bytes;
    if (this.#end.error !== null) {
      this.#failWrite();
      return 0;
    }
    const { out } = this.#end;
    // Always a copy: what arrives is the reader's for ever, and what is queued may be a view that another backend lent.
    const own = new Uint8Array(bytes);
    const room = this.#queue.bytes > 0 ? 0 : out.room;
    if (room >= own.length) {
      out.push(own);
      return 0;
    }
    if (room > 0) out.push(own.slice(0, room));
    this.#queue.push(own.subarray(room));
    out.watch();
    return this.#queue.bytes;
  }

  sendAll(chunks: readonly Uint8Array[]): number {
    for (const chunk of chunks) this.send(chunk);
    return this.#phase === 'open' && !this.#shut ? this.#queue.bytes : 0;
  }

  wantWritable(): void {
    if (this.#phase !== 'open') return;
    this.#wantsWritable = true;
    this.stirred();
  }

  shutdown(): void {
    if (this.#phase !== 'open' || this.#shut) return;
    this.#shut = true;
    if (this.#end.error !== null) this.#failWrite();
    else if (this.#queue.bytes === 0) {
      this.#end.fin();
      this.stirred();
    }
  }

  destroy(how: 'flush' | 'drop' | 'reset'): void {
    if (this.#phase === 'told' || this.#phase === 'released') return;
    const before = this.#why?.kind;
    if (how === 'flush') {
      if (this.#phase !== 'open') return;
      this.#phase = 'flushing';
      this.#stopReading();
      if (this.#queue.bytes === 0) this.#close({ kind: 'closed' }, false);
      else this.stirred();
    } else if (how === 'drop') {
      if (before !== undefined && before !== 'closed') return;
      this.#close({ kind: 'dropped', unsent: this.#queue.bytes }, false);
    } else if (before === undefined || before === 'closed' || before === 'dropped') {
      // Unix sockets have no RST.
      this.#close({ kind: 'aborted' }, this.#end.local.family !== 'unix');
    }
  }

  release(): Released | null {
    if (this.#phase !== 'open' || this.#queue.bytes > 0) return null;
    this.#phase = 'released';
    this.#stopReading();
    this.#end.owner = null;
    // Unread bytes stay in the end's own buffer, where the next owner finds them.
    return { kind: 'memory', end: this.#end, unread: [], ended: this.#end.finIn };
  }

  set(option: SocketOption): void {
    if (option.kind !== 'keepAlive' || this.#phase === 'told' || this.#phase === 'released') return;
    this.#end.keepAlive = option.on ? option.delay : null;
    this.#end.out.watch();
  }

  ref(_on: boolean): void {
    // Nothing outside of the process can reach an end, so an idle one never keeps it alive.
  }

  /** Asks for a turn. */
  stirred(): void {
    if (this.#scheduled || this.#phase === 'told' || this.#phase === 'released') return;
    this.#scheduled = true;
    this.#end.link.network.clock.soon(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    outside.runInAsyncScope(this.#step);
  };

  readonly #step = (): void => {
    if (this.#phase === 'open' || this.#phase === 'flushing') this.#pump();
    if (this.#phase === 'open') this.#read();
    if (this.#phase === 'open' || this.#phase === 'flushing') this.#conclude();
    if (this.#phase === 'closing' && this.#why !== null) this.#tell(this.#why);
  };

  #pump(): void {
    const end = this.#end;
    while (this.#queue.bytes > 0 && end.error === null) {
      const { room } = end.out;
      if (room === 0) break;
      end.out.push(this.#queue.shift(room));
    }
    if (this.#queue.bytes > 0) return;
    if (this.#phase === 'flushing') this.#close({ kind: 'closed' }, false);
    else if (this.#shut) end.fin();
  }

  #read(): void {
    const end = this.#end;
    // What comes while this batch is handed on waits for the next turn, so that one channel can't hold up the others.
    for (let left = end.inbox.chunks; left > 0 && end.inbox.bytes > 0; left--) {
      if (!this.#flowing) return;
      const max = this.#allowance();
      if (max === 0) return;
      const bytes = end.take(max);
      if (max !== Number.POSITIVE_INFINITY)
        this.#readAt = end.link.network.clock.now() + (bytes.length / end.link.plan.slowRate) * 1000;
      try {
        this.sink.data(bytes, false);
      } catch (error) {
        rethrowSoon(error);
      }
      if (this.#phase !== 'open') return;
    }
    if (!this.#flowing) return;
    if (end.inbox.bytes > 0) this.stirred();
    else if (end.finIn && !this.#endTold) {
      this.#endTold = true;
      try {
        this.sink.end();
      } catch (error) {
        rethrowSoon(error);
      }
    }
  }

  #conclude(): void {
    const end = this.#end;
    const { error } = end;
    if (error !== null && this.#tellsOf(error)) {
      this.#close(error.code === 'ETIMEDOUT' ? { kind: 'failed', error } : { kind: 'reset', error }, false);
      return;
    }
    if (this.#wantsWritable && this.#queue.bytes === 0) {
      this.#wantsWritable = false;
      try {
        this.sink.writable();
      } catch (thrown) {
        rethrowSoon(thrown);
      }
    }
    if (this.#phase === 'open' && this.#endTold && end.finOut) this.#close({ kind: 'ended' }, false);
  }

  // With flow on, bytes and the end come before the error. With flow off only what concerns the output is told.
  #tellsOf(error: PortsideError): boolean {
    if (this.#phase === 'flushing') return true;
    if (this.#flowing) return this.#end.inbox.bytes === 0 && (!this.#end.finIn || this.#endTold);
    return this.#writeFailed || this.#queue.bytes > 0 || error.code === 'ETIMEDOUT';
  }

  #failWrite(): void {
    this.#writeFailed = true;
    this.stirred();
  }

  /** Bytes that may be read now; 0 when a slow reader has to wait. */
  #allowance(): number {
    const { plan, network } = this.#end.link;
    if (plan.slowRate === 0 || (plan.slowSide !== 'both' && plan.slowSide !== this.#end.side))
      return Number.POSITIVE_INFINITY;
    const wait = this.#readAt - network.clock.now();
    if (wait > 0) {
      this.#slow ??= network.clock.after(wait, () => {
        this.#slow = null;
        this.stirred();
      });
      return 0;
    }
    return Math.ceil(plan.slowRate / 20);
  }

  #stopReading(): void {
    this.#flowing = false;
    this.#slow?.cancel();
    this.#slow = null;
  }

  #close(why: ChannelEnd, hard: boolean): void {
    this.#phase = 'closing';
    this.#why = why;
    this.#stopReading();
    this.#queue.clear();
    this.#end.close(hard);
    this.stirred();
  }

  #tell(why: ChannelEnd): void {
    this.#phase = 'told';
    try {
      this.sink.close(why);
    } catch (error) {
      rethrowSoon(error);
    }
  }
}
