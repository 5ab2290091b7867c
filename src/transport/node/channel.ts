import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { PortsideError } from '../../base/errors.ts';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import { deafSink } from '../contract.ts';
import type { Channel, ChannelEnd, Released, Sink, SocketOption } from '../contract.ts';
import { systemError } from '../system-error.ts';
import { UNKNOWN, withLocal, withRemote } from './addresses.ts';
import type { Addresses } from './addresses.ts';
import {
  ASKED,
  CLOSED,
  DEAD,
  DRAINS,
  ENDING,
  END_TOLD,
  FINISHES,
  FLOW,
  FLUSH,
  FOREIGN,
  GONE,
  LEVEL,
  MUTE,
  READS,
  RELEASED,
  RESET,
  SCHEDULED,
  SHUT,
  TUNED,
  endOf,
} from './channel-state.ts';
import { drain, endedByReset, quiet, setOption, takenBy } from './internals.ts';
import { Late } from './late.ts';
import { asNode } from './plain.ts';
import { tellClose, tellData, tellEnd, tellWritable } from './tell.ts';

const CHANNEL: unique symbol = Symbol('portside.channel');

/** A socket that knows its channel, so that one set of listeners serves all sockets. */
interface Carrier extends Socket {
  [CHANNEL]?: NodeChannel | undefined;
}

type Pieces = readonly Uint8Array[];
const EMPTY = new Uint8Array(0);
// oxlint-disable-next-line typescript/unbound-method -- called with the socket as `this`
const { push } = Readable.prototype;

/** A channel over a `net.Socket` with `allowHalfOpen`, paused and unread. */
export class NodeChannel implements Channel {
  sink: Sink = deafSink;
  #socket: Carrier;
  #flags: number;
  /** What waits for flow to be on; null nearly always. */
  #late: Late | null = null;
  #unsent = 0;
  /** Those that are known. One field, as most are never asked for and an idle connection has to stay small. */
  #addresses: Addresses | null;

  /** Addresses that Node can't tell (Unix sockets) are given; null means ask the socket. `tuned`: it has the options that its listener asked for. */
  constructor(socket: Socket, local: Address | null, remote: Address | null, tuned = false) {
    this.#socket = socket;
    this.#flags = tuned ? FOREIGN | TUNED : 0;
    this.#addresses = local === null && remote === null ? null : { local, remote };
    this.#attach(socket);
  }

  /** Whether it is one of these, of this copy of the package. */
  static is(channel: Channel): channel is NodeChannel {
    return #flags in channel;
  }

  /** A channel over what another one released, or what came from elsewhere: with `known` of its addresses. */
  static adopt(socket: Socket, known: Addresses | null, unread: Pieces, ended: boolean, tuned = false): NodeChannel {
    const former = (socket as Carrier)[CHANNEL];
    const { local = null, remote = null } = former === undefined ? (known ?? {}) : (former.#addresses ?? {});
    const channel = new NodeChannel(socket, local, remote, tuned);
    channel.#flags |= (former === undefined ? FOREIGN : former.#flags & FOREIGN) | (socket.writableEnded ? SHUT : 0);
    socket.pause();
    const { destroyed } = socket;
    if (unread.length > 0 || ended || destroyed) channel.#late = Late.of(unread, ended, destroyed);
    if (destroyed) channel.#flags |= DEAD;
    return channel;
  }

  get tuned(): boolean {
    return (this.#flags & TUNED) !== 0;
  }

  get local(): Address {
    this.#addresses = withLocal(this.#addresses, this.#socket);
    return this.#addresses?.local ?? UNKNOWN;
  }

  get remote(): Address {
    this.#addresses = withRemote(this.#addresses, this.#socket);
    return this.#addresses?.remote ?? UNKNOWN;
  }

  get queued(): number {
    return (this.#flags & (GONE | DEAD)) === 0 ? this.#socket.writableLength : 0;
  }

  get progress(): number {
    return takenBy(this.#socket);
  }

  get closed(): boolean {
    return (this.#flags & GONE) !== 0 || (this.#late !== null && this.#late.onlyClose);
  }

  flow(on: boolean): void {
    const flags = this.#flags;
    if (on === ((flags & FLOW) !== 0) || (flags & (GONE | FLUSH)) !== 0) return;
    if (!on) {
      this.#flags = flags & ~FLOW;
      this.#socket.pause();
      return;
    }
    this.#flags = flags | FLOW;
    if ((flags & READS) === 0) this.attend();
    if (this.#late === null) this.#socket.resume();
    else this.#schedule();
  }

  send(bytes: Uint8Array): number {
    if ((this.#flags & MUTE) !== 0) return this.#mute();
    const socket = this.#socket;
    if (bytes.length > 0) socket.write(asNode(bytes));
    return socket.writableLength;
  }

  sendAll(chunks: readonly Uint8Array[]): number {
    if ((this.#flags & MUTE) !== 0) return this.#mute();
    const socket = this.#socket;
    socket.cork();
    for (const bytes of chunks) if (bytes.length > 0) socket.write(bytes);
    socket.uncork();
    return socket.writableLength;
  }

  wantWritable(): void {
    const flags = this.#flags;
    if ((flags & (GONE | FLUSH | ASKED)) !== 0) return;
    this.#flags = flags | ASKED;
    const socket = this.#socket;
    if (this.#settled) process.nextTick(NodeChannel.#written, this);
    else if ((flags & SHUT) !== 0) this.#listenForFinish();
    else if (!socket.writableNeedDrain) socket.write(EMPTY, () => NodeChannel.#written(this));
    else if ((flags & DRAINS) === 0) {
      this.#flags |= DRAINS;
      socket.on('drain', NodeChannel.#onDrain);
    }
  }

  shutdown(): void {
    if ((this.#flags & MUTE) !== 0) return;
    this.#flags |= SHUT;
    this.endOutput();
    // Node tells no `drain` after the end.
    if ((this.#flags & ASKED) !== 0) this.#listenForFinish();
  }

  destroy(how: 'flush' | 'drop' | 'reset'): void {
    const flags = this.#flags;
    const level = LEVEL[how];
    if ((flags & GONE) !== 0 || level <= (flags & ENDING)) return;
    const socket = this.#socket;
    this.#flags = (flags & ~(FLOW | ASKED | FLUSH)) | level;
    if ((flags & DEAD) !== 0) {
      if (this.#late !== null && this.#late.close !== null) process.nextTick(NodeChannel.#finish, this);
      return;
    }
    socket.pause();
    if (level === FLUSH) {
      if (socket.writableFinished) socket.destroy();
      else {
        this.#listenForFinish();
        this.endOutput();
      }
      return;
    }
    this.#unsent = socket.writableLength;
    // A kernel that is shutting down the output can't be told to reset it; that takes a turn at most.
    if (level === RESET && socket.writableEnded && !this.#settled && this.#unsent === 0) this.#listenForFinish();
    else if (level === RESET) this.resetSocket();
    else socket.destroy();
  }

  release(): Released | null {
    const socket = this.lend();
    if (socket === null) return null;
    const unread = this.#late?.unread ?? [];
    let ended = (this.#flags & END_TOLD) !== 0 || (this.#late?.end ?? false);
    socket.pause();
    socket.off('error', NodeChannel.#onError);
    socket.off('close', NodeChannel.#onClose);
    socket.off('drain', NodeChannel.#onDrain);
    socket.off('finish', NodeChannel.#onFinish);
    if ((this.#flags & READS) !== 0) {
      socket.off('data', NodeChannel.#onData);
      socket.off('end', NodeChannel.#onEnd);
      // The prototype's shows again.
      delete (socket as { push?: unknown }).push;
      ended = quiet(socket, unread) || ended;
    }
    this.gone();
    return { kind: 'socket', socket, unread, ended };
  }

  /** Whether flow was never on, and nothing waits for it. */
  get fresh(): boolean {
    return (this.#flags & READS) === 0 && this.#late === null;
  }

  /** The socket that could be given up; null where it is closed or has output that is not with the kernel. */
  lend(): Socket | null {
    const socket = this.#socket;
    const whole = (this.#flags & (GONE | FLUSH | DEAD)) === 0 && this.#settled;
    return whole && !socket.destroyed && socket.errored == null ? socket : null;
  }

  /** What was lent is somebody else's. */
  gone(): void {
    this.#flags = RELEASED | (this.#flags & FOREIGN);
    this.#late = null;
    this.sink = deafSink;
  }

  /** What was lent, fresh, has come to nothing: another socket over the same connection. */
  renew(socket: Socket): void {
    this.#socket.off('error', NodeChannel.#onError);
    this.#socket.off('close', NodeChannel.#onClose);
    this.#socket = socket;
    this.#flags = (this.#flags & ~(DRAINS | FINISHES)) | FOREIGN;
    this.#attach(socket);
  }

  set(option: SocketOption): void {
    if ((this.#flags & (GONE | DEAD)) !== 0) return;
    // Node turns off only what it has turned on itself.
    if (!option.on && (this.#flags & FOREIGN) !== 0) setOption(this.#socket, option, true);
    setOption(this.#socket, option, option.on);
  }

  ref(on: boolean): void {
    if ((this.#flags & (GONE | DEAD)) !== 0) return;
    if (on) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Output and, if it was ended, its end are with the kernel. */
  get #settled(): boolean {
    if ((this.#flags & DEAD) !== 0) return true;
    const socket = this.#socket;
    return socket.writableLength === 0 && (socket.writableFinished || !socket.writableEnded);
  }

  /** A send that can't be. One on a connection whose failure waits for flow brings the failure out. */
  #mute(): 0 {
    const late = this.#late;
    if ((this.#flags & ENDING) === 0 && late !== null && late.error !== null && !late.urgent) {
      late.urgent = true;
      if (late.close !== null) this.#schedule();
    }
    return 0;
  }

  #attach(socket: Carrier): void {
    // Node forgets the peer's address at the end, unless it was asked for before.
    if (this.#addresses === null || this.#addresses.remote === null) void socket.remoteAddress;
    socket[CHANNEL] = this;
    socket.on('error', NodeChannel.#onError);
    socket.on('close', NodeChannel.#onClose);
  }

  #listenForFinish(): void {
    if ((this.#flags & FINISHES) !== 0) return;
    this.#flags |= FINISHES;
    this.#socket.on('finish', NodeChannel.#onFinish);
  }

  /** Listens to what is read. The socket is paused in so many words, so that this does not start it. */
  protected attend(): void {
    this.#flags |= READS;
    this.#socket.on('data', NodeChannel.#onData);
    this.#socket.on('end', NodeChannel.#onEnd);
    this.#socket.push = NodeChannel.#push;
  }

  protected endOutput(): void {
    this.#socket.end();
  }

  protected failure(op: string, error: Error): PortsideError {
    return systemError(op, error, { remote: formatAddress(this.remote) });
  }

  protected resetSocket(): void {
    const socket = this.#socket;
    if (socket.remoteFamily === undefined) socket.destroy();
    else socket.resetAndDestroy();
  }

  #schedule(): void {
    if ((this.#flags & SCHEDULED) !== 0) return;
    this.#flags |= SCHEDULED;
    process.nextTick(NodeChannel.#deliver, this);
  }

  #tellClose(end: ChannelEnd): void {
    this.#flags = (this.#flags | CLOSED) & ~(FLOW | ASKED);
    this.#late = null;
    tellClose(this.sink, end);
  }

  get #end(): ChannelEnd {
    return endOf(this.#flags, this.#unsent, this.#late?.error ?? null, this.#socket.writableFinished);
  }

  // What follows runs as a listener, with the socket as `this`, or from the tick queue with the channel as argument:
  // no connection has functions of its own.

  static #onData(this: Carrier, bytes: Uint8Array): void {
    const channel = this[CHANNEL]!;
    if ((channel.#flags & FLOW) === 0) {
      // Node can't pause a socket that it destroyed already, and hands out what it had read.
      if ((channel.#flags & (GONE | FLUSH)) === 0) (channel.#late ??= new Late()).unread.push(bytes);
      return;
    }
    tellData(channel.sink, bytes);
  }

  /**
   * `readable.push`, which Node calls with what it has read. While nothing is buffered and flow is on, the bytes go straight to the sink; the
   * way through the stream's buffer and its `data` event costs some 4 % of a small message. A Node that doesn't call it goes that way.
   */
  static #push(this: Carrier, chunk: Uint8Array | null, encoding?: BufferEncoding): boolean {
    const channel = this[CHANNEL]!;
    const straight =
      chunk !== null &&
      (channel.#flags & (FLOW | GONE | FLUSH)) === FLOW &&
      channel.#late === null &&
      this.readableFlowing === true &&
      this.readableLength === 0;
    if (!straight) return push.call(this, chunk, encoding);
    tellData(channel.sink, chunk);
    return true;
  }

  static #onEnd(this: Carrier): void {
    const channel = this[CHANNEL]!;
    if ((channel.#flags & (GONE | FLUSH | END_TOLD)) !== 0) return;
    if (endedByReset(this)) {
      this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' }));
      return;
    }
    // Node tells the end of a paused socket when nothing is buffered.
    if ((channel.#flags & FLOW) === 0 || channel.#late !== null) (channel.#late ??= new Late()).end = true;
    else channel.#tellEnd();
  }

  #tellEnd(): void {
    this.#flags |= END_TOLD;
    tellEnd(this.sink);
  }

  static #onError(this: Carrier, error: Error & { syscall?: string; op?: string }): void {
    const channel = this[CHANNEL]!;
    if ((channel.#flags & GONE) !== 0) return;
    if (!this.destroyed) {
      // TLS tells of alerts, and of what happened below, and lets the socket be. Nothing failed that has ended in both directions.
      const over = this.readableEnded && this.writableEnded && this.writableLength === 0;
      this.destroy(over ? undefined : error);
      return;
    }
    const late = (channel.#late ??= new Late());
    channel.#flags |= DEAD;
    const op = error.syscall ?? error.op ?? 'write';
    late.error = channel.failure(op, error);
    late.urgent = op !== 'read' || this.writableLength > 0;
    drain(this, late.unread);
    if ((channel.#flags & ASKED) !== 0) process.nextTick(NodeChannel.#written, channel);
  }

  static #onClose(this: Carrier): void {
    const channel = this[CHANNEL]!;
    if ((channel.#flags & (CLOSED | RELEASED)) !== 0) return;
    channel.#flags |= DEAD;
    const late = channel.#late;
    if (late === null || (channel.#flags & ENDING) !== 0) {
      channel.#tellClose(channel.#end);
      return;
    }
    late.close = channel.#end;
    NodeChannel.#deliver(channel);
  }

  /** Tells what was held back, as far as flow lets it. */
  static #deliver(channel: NodeChannel): void {
    channel.#flags &= ~SCHEDULED;
    const late = channel.#late;
    if (late === null || (channel.#flags & (GONE | FLUSH)) !== 0) return;
    while ((channel.#flags & FLOW) !== 0 && late.unread.length > 0) tellData(channel.sink, late.unread.shift()!);
    // A sink may have destroyed or released the channel.
    if (channel.#late !== late || (channel.#flags & (GONE | FLUSH)) !== 0) return;
    const flows = (channel.#flags & FLOW) !== 0;
    if (flows && late.end) {
      late.end = false;
      channel.#tellEnd();
      if (channel.#late !== late || (channel.#flags & (GONE | FLUSH)) !== 0) return;
    }
    if (late.close !== null) {
      const told = late.error === null && late.onlyClose;
      if (told || late.urgent || (channel.#flags & FLOW) !== 0) channel.#tellClose(late.close);
    } else if (flows && late.error === null) {
      channel.#late = null;
      if ((channel.#flags & FLOW) !== 0) channel.#socket.resume();
    }
  }

  static #finish(channel: NodeChannel): void {
    if ((channel.#flags & (CLOSED | RELEASED)) === 0) channel.#tellClose(channel.#end);
  }

  static #written(channel: NodeChannel): void {
    if ((channel.#flags & ASKED) === 0) return;
    // A socket that Node is about to declare dead: whether output was lost is known then.
    if ((channel.#flags & DEAD) === 0 ? channel.#socket.destroyed : channel.#late?.urgent === true) return;
    channel.#flags &= ~ASKED;
    if (!channel.#settled) {
      channel.wantWritable();
      return;
    }
    tellWritable(channel.sink);
  }

  static #onDrain(this: Carrier): void {
    NodeChannel.#written(this[CHANNEL]!);
  }

  static #onFinish(this: Carrier): void {
    const channel = this[CHANNEL]!;
    if ((channel.#flags & FLUSH) !== 0) this.destroy();
    else if ((channel.#flags & RESET) !== 0) channel.resetSocket();
    else NodeChannel.#written(channel);
  }
}
