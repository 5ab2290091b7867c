import { PortsideError } from '../../base/errors.ts';
import { tcpAddress } from '../address.ts';
import type { Address } from '../address.ts';
import { failure } from './failure.ts';
import {
  ARENA_BYTES,
  CTL_ARENA,
  CTL_DEFERRED,
  CTL_EVENTS,
  CTL_FAMILY,
  CTL_HOST,
  CTL_ID,
  CTL_OPS,
  CTL_PATH,
  CTL_PORT,
  CTL_RESULTS,
  CTL_SCOPE,
  EV_ACCEPT,
  EV_CLOSED,
  EV_CONNECT,
  EV_DATA,
  EV_END,
  EV_READABLE,
  EV_READ_ERROR,
  EV_REST,
  EV_SHUT,
  EV_WRITE_ERROR,
  OP_INTS,
  OPS,
  TUPLE_INTS,
} from './layout.ts';
import type { Addon } from './layout.ts';
import { loadNative } from './load.ts';
import { ownBytes } from '../own-bytes.ts';

/** Up to so many bytes a loop is faster than a call. */
const FEW = 16;

/** What the core tells a channel. None of these is called inside a call of the contract, except those marked. */
export interface ChannelEvents {
  readonly gen: number;
  onData(at: number, length: number): void;
  /** There is something to read by itself; 1: the peer's end is among it. */
  onReadable(ended: number): void;
  onEnd(): void;
  onReadError(errno: number): void;
  /** May come inside a send. */
  onWriteError(errno: number): void;
  /** May come inside a send. */
  onRest(bytes: number): void;
  /** May come inside a send. */
  onShut(): void;
  /** May come inside a send. */
  onClosed(): void;
}

/** What the core tells of a listener (EV_ACCEPT) or a dial (EV_CONNECT, with an errno or 0). */
export interface SocketEvents {
  readonly gen: number;
  onReady(errno: number): void;
}

/** Something to do from a fresh stack, after the next flush. */
export interface Task {
  run(): void;
}

/** The core's side of this thread: what is gathered for it, and the turns that it calls. */
export class NativeLoop {
  readonly addon: Addon;
  readonly ctl: Int32Array;
  readonly ops: Int32Array;
  readonly arena: Uint8Array;
  /** What borrowed views are views of. */
  slab: ArrayBuffer;
  /** Whether somebody was given such a view in this turn. */
  lent = false;
  #slabBytes: Buffer;
  readonly channels: (ChannelEvents | undefined)[] = [];
  readonly sockets: Map<number, SocketEvents> = new Map();
  readonly #id: Float64Array;
  readonly #events: Int32Array;
  readonly #results: Int32Array;
  #deferred: Task[] = [];
  #over: Task[] = [];
  #refs = 0;
  #inTurn = false;
  /** Results that were taken over. */
  #applied = 0;
  /** The event being told, and how many there are. */
  #at = 0;
  #count = 0;

  constructor(addon: Addon) {
    const buffers = addon.open(() => this.#turn());
    if (typeof buffers === 'number') throw failure('open', -buffers);
    this.addon = addon;
    this.ctl = new Int32Array(buffers.ctl);
    this.#id = new Float64Array(buffers.ctl, CTL_ID * Int32Array.BYTES_PER_ELEMENT, 1);
    this.ops = new Int32Array(buffers.ops);
    this.arena = new Uint8Array(buffers.arena);
    this.slab = buffers.slab;
    this.#slabBytes = Buffer.from(buffers.slab);
    this.#events = new Int32Array(buffers.events);
    this.#results = new Int32Array(buffers.results);
    // What was sent just before process.exit() still leaves, as it does with node:net.
    process.on('exit', () => this.flush());
  }

  /** Keeps the process alive until {@link unref} was called as often. */
  ref(): void {
    if (this.#refs++ === 0) this.addon.ref(1);
  }

  unref(): void {
    if (--this.#refs > 0) return;
    this.addon.ref(0);
    const { ctl } = this;
    if ((ctl[CTL_OPS] as number) + (ctl[CTL_DEFERRED] as number) + (ctl[CTL_RESULTS] as number) > 0) this.#visit();
  }

  /** Runs the task in a turn of its own, after what is gathered was sent. */
  defer(task: Task): void {
    this.#deferred.push(task);
    this.ctl[CTL_DEFERRED] = 1;
    if (this.#refs === 0) this.#visit();
  }

  /** Before it sleeps the loop comes by, as long as something keeps it alive. Where nothing does it comes once more. */
  #visit(): void {
    if (!this.#inTurn) this.addon.wake();
  }

  /** Runs the task at the end of the present turn, or, outside of one, as {@link NativeLoop.defer} does. */
  last(task: Task): void {
    if (this.#inTurn) this.#over.push(task);
    else this.defer(task);
  }

  /** Sends what is gathered, and applies what came of it. Calls no sink. */
  flush(): void {
    if (this.ctl[CTL_OPS] === 0) return;
    this.addon.flush();
    this.apply();
  }

  /** Takes the results of a flush over into the channels. Calls no sink. */
  apply(): void {
    const { ctl } = this;
    // One that needs room flushes, and what comes of that is added: the call within goes on where this one is.
    while (this.#applied < (ctl[CTL_RESULTS] as number)) this.#tell(this.#results, this.#applied++ * TUPLE_INTS);
    this.#applied = 0;
    ctl[CTL_RESULTS] = 0;
  }

  /** Makes sure that an operation with that many bytes of arena can be gathered, by a flush if need be. */
  room(bytes: number): void {
    const { ctl } = this;
    if ((ctl[CTL_OPS] as number) >= OPS || (ctl[CTL_ARENA] as number) + bytes > ARENA_BYTES) this.flush();
  }

  /** Gathers an operation; {@link room} was asked for. Its index comes back. */
  push(slot: number, gen: number, code: number, at: number, length: number): number {
    const { ctl, ops } = this;
    const index = ctl[CTL_OPS] as number;
    const base = index * OP_INTS;
    ops[base] = slot;
    ops[base + 1] = gen;
    ops[base + 2] = code;
    ops[base + 3] = at;
    ops[base + 4] = length;
    ops[base + 5] = 0;
    ctl[CTL_OPS] = index + 1;
    if (index === 0 && this.#refs === 0) this.#visit();
    return index;
  }

  /** Gathers an operation without bytes. */
  control(slot: number, gen: number, code: number, value = 0): void {
    this.room(0);
    this.push(slot, gen, code, value, 0);
  }

  /**
   * What the present batch still holds for a channel that is given away: copies of the bytes, and EV_END or EV_READ_ERROR when that is among it, else 0.
   */
  rest(slot: number, gen: number, unread: Uint8Array[]): number {
    const events = this.#events;
    let last = 0;
    for (let i = this.#at + 1; i < this.#count; i++) {
      const base = i * TUPLE_INTS;
      if (events[base] !== slot || events[base + 1] !== gen) continue;
      const code = events[base + 2] as number;
      if (code === EV_DATA) unread.push(this.copy(events[base + 3] as number, events[base + 4] as number));
      else if (code === EV_END || code === EV_READ_ERROR) last = code;
    }
    return last;
  }

  /** Bytes of the slab as a view that is good until the next turn. */
  view(at: number, length: number): Uint8Array {
    if (this.#slabBytes.length === 0) this.#slabAnew();
    this.lent = true;
    return new Uint8Array(this.slab, at, length);
  }

  /** Bytes of the slab, copied into memory that is the taker's for ever. */
  copy(at: number, length: number): Uint8Array {
    if (this.#slabBytes.length === 0) this.#slabAnew();
    const from = this.#slabBytes;
    const bytes = ownBytes(length);
    if (length > FEW) from.copy(bytes, 0, at, at + length);
    else for (let i = 0; i < length; i++) bytes[i] = from[at + i] as number;
    return bytes;
  }

  /** Somebody has transferred it away. Its memory is the core's all the same. */
  #slabAnew(): void {
    this.slab = this.addon.slab();
    this.#slabBytes = Buffer.from(this.slab);
  }

  /** The number that the core left in two control words. */
  idFound(): number {
    return this.#id[0] as number;
  }

  /** The address that the core left in the control words, when it is not a unix one. */
  addressFound(): Address {
    const { ctl } = this;
    const at = CTL_HOST;
    const host = this.addon.host(
      ctl[CTL_FAMILY] as number,
      ctl[at] as number,
      ctl[at + 1] as number,
      ctl[at + 2] as number,
      ctl[at + 3] as number,
      ctl[CTL_SCOPE] as number,
    );
    return tcpAddress(host, ctl[CTL_PORT] as number);
  }

  /** Puts an IPv4 address, as the number that a channel keeps, into the control words. */
  tellNumber(address: number): void {
    const { ctl } = this;
    ctl[CTL_FAMILY] = 4;
    ctl[CTL_PORT] = address % 65536;
    ctl[CTL_SCOPE] = 0;
    ctl[CTL_HOST] = Math.floor(address / 65536) | 0;
    ctl[CTL_PATH] = 0;
  }

  /** Puts an address into the control words; of a unix one, whether it has a path. */
  tellAddress(address: Address): void {
    const { ctl } = this;
    if (address.family === 'ipv4' || address.family === 'ipv6') {
      // The interface of a zone may be gone.
      if (this.addon.words(address.host, address.port) < 0)
        this.addon.words(address.host.replace(/%.*/u, ''), address.port);
      return;
    }
    ctl[CTL_FAMILY] = 1;
    ctl[CTL_PATH] = address.family === 'unix' ? address.path.length : 0;
  }

  /** Asks the system for an address; null when it has none to tell. */
  address(slot: number, gen: number, peer: boolean): Address | null {
    const found = this.addon.address(slot, gen, peer ? 1 : 0);
    if (typeof found === 'string') return { family: 'unix', path: found };
    return found < 0 ? null : this.addressFound();
  }

  #turn(): void {
    const { ctl } = this;
    this.#inTurn = true;
    this.lent = false;
    const events = this.#events;
    // It is JavaScript's to write too; what is not there is not told.
    const count = Math.min(ctl[CTL_EVENTS] as number, events.length / TUPLE_INTS);
    // Whoever is given away by a task takes along what was read of it just now.
    this.#at = -1;
    this.#count = count;
    this.apply();
    if (ctl[CTL_DEFERRED] !== 0) {
      const tasks = this.#deferred;
      this.#deferred = [];
      ctl[CTL_DEFERRED] = 0;
      for (const task of tasks) task.run();
    }
    for (let i = 0; i < count; i++) {
      this.#at = i;
      this.#tell(events, i * TUPLE_INTS);
    }
    this.#count = 0;
    const over = this.#over;
    if (over.length > 0) {
      // Whoever hears of an end may count on its descriptor being closed.
      this.flush();
      // Ends that these bring about join the list.
      for (const task of over) task.run();
      this.#over = [];
    }
    this.#inTurn = false;
  }

  #tell(tuples: Int32Array, base: number): void {
    const slot = tuples[base] as number;
    const gen = tuples[base + 1];
    const code = tuples[base + 2] as number;
    if (code >= EV_ACCEPT) {
      const socket = this.sockets.get(slot);
      if (socket !== undefined && socket.gen === gen)
        socket.onReady(code === EV_CONNECT ? (tuples[base + 3] as number) : 0);
      return;
    }
    const channel = this.channels[slot];
    if (channel === undefined || channel.gen !== gen) return;
    switch (code) {
      case EV_DATA:
        channel.onData(tuples[base + 3] as number, tuples[base + 4] as number);
        break;
      case EV_READABLE:
        channel.onReadable(tuples[base + 3] as number);
        break;
      case EV_END:
        channel.onEnd();
        break;
      case EV_READ_ERROR:
        channel.onReadError(tuples[base + 3] as number);
        break;
      case EV_WRITE_ERROR:
        channel.onWriteError(tuples[base + 3] as number);
        break;
      case EV_REST:
        channel.onRest(tuples[base + 3] as number);
        break;
      case EV_SHUT:
        channel.onShut();
        break;
      case EV_CLOSED:
        channel.onClosed();
        break;
    }
  }
}

let loop: NativeLoop | undefined;

/** The loop of this thread, made at first use. Throws ERR_PORTSIDE_UNSUPPORTED, with the reason, where the core does not load. */
export function nativeLoop(): NativeLoop {
  if (loop !== undefined) return loop;
  const loaded = loadNative();
  if ('reason' in loaded) {
    throw new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `the native transport can't be used: ${loaded.reason}`, {
      op: 'load',
    });
  }
  loop = new NativeLoop(loaded.addon);
  return loop;
}
