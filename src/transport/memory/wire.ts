import type { TimerHandle } from '../../sync/clock.ts';
import type { Random } from '../../sync/random.ts';
import { joined } from './chunk-queue.ts';
import type { End } from './end.ts';
import type { Link } from './link.ts';

interface Packet {
  readonly kind: 'data' | 'fin' | 'rst';
  /** Empty for `fin` and `rst`. */
  bytes: Uint8Array;
  readonly at: number;
  next: Packet | null;
}

const NOTHING = new Uint8Array(0);
/** Joined chunks are no longer than this, as a receiver's buffers are. */
export const JOIN_LIMIT = 16_384;

/**
 * One direction of a connection. Bytes in flight and bytes in the target's buffer share one window, so a target that
 * does not read holds its source up. Faults are drawn here.
 */
export class Wire {
  readonly source: End;
  readonly target: End;
  readonly #link: Link;
  readonly #random: Random;
  readonly #mark: string;
  #head: Packet | null = null;
  #tail: Packet | null = null;
  #flying = 0;
  #freeAt = 0;
  #lastAt = 0;
  #armed = false;
  #timer: TimerHandle | null = null;
  #broken = false;
  #stall: TimerHandle | null = null;
  #stallAt = Number.POSITIVE_INFINITY;

  constructor(link: Link, source: End, target: End, random: Random, mark: string) {
    this.#link = link;
    this.source = source;
    this.target = target;
    this.#random = random;
    this.#mark = mark;
  }

  /** Bytes that may be pushed now. */
  get room(): number {
    return Math.max(0, this.#link.network.bufferSize - this.#flying - this.target.inbox.bytes);
  }

  /** Sends bytes, which are the wire's from now on; they have to fit into {@link room}. */
  push(bytes: Uint8Array): void {
    const { plan } = this.#link;
    if (plan.straight && this.#head === null && !this.#link.down) {
      this.#link.note(this.#mark, 'data', bytes.length);
      this.target.arrive(bytes, false);
      return;
    }
    this.#flying += bytes.length;
    // A slow line delivers piece by piece, 20 times a second, not a whole buffer at its last moment.
    const segment = plan.bandwidth > 0 ? Math.ceil(plan.bandwidth / 20) : bytes.length;
    let rest = bytes;
    while (rest.length > 0) {
      let size = Math.min(segment, rest.length);
      if (plan.split > 0 && size > 1 && this.#random.next() < plan.split) size = 1 + this.#random.int(size - 1);
      this.#pushPiece(size === rest.length ? rest : rest.slice(0, size));
      rest = rest.subarray(size);
    }
    this.#arm();
    this.watch();
  }

  /** Ends the direction, behind what is in flight. */
  fin(): void {
    if (this.#broken) return;
    if (this.#link.plan.straight && this.#head === null && !this.#link.down) {
      this.#link.note(this.#mark, 'fin', 0);
      this.target.ended();
      return;
    }
    this.#append('fin', NOTHING);
    this.#arm();
    this.watch();
  }

  /** Breaks the direction; what is in flight is lost. */
  rst(): void {
    if (this.#broken) return;
    this.purge();
    this.#broken = true;
    if (this.#link.plan.straight && !this.#link.down) {
      this.#link.note(this.#mark, 'rst', 0);
      this.target.fail('ECONNRESET');
      return;
    }
    this.#append('rst', NOTHING);
    this.#arm();
  }

  /** The target's buffer has room again. */
  roomy(): void {
    if (this.source.waiting) this.source.owner?.stirred();
  }

  /** Drops what is in flight. */
  purge(): void {
    if (this.#timer !== null) {
      this.#timer.cancel();
      this.#timer = null;
      this.#armed = false;
    }
    this.#head = null;
    this.#tail = null;
    this.#flying = 0;
    this.#lastAt = 0;
  }

  /** The link is up, down or gone again: goes on, or counts the time that nobody answers. */
  changed(): void {
    if (this.#link.severed && this.source.closed) this.purge();
    this.#arm();
    this.watch();
  }

  /** Counts the time without an answer while the link is down, something waits for one, and the source is alive. */
  watch(): void {
    const { network, down } = this.#link;
    const { source } = this;
    let wait = Number.POSITIVE_INFINITY;
    if (down && !source.closed && source.error === null) {
      if (this.#head !== null || source.waiting) wait = network.userTimeout;
      else if (source.keepAlive !== null) wait = source.keepAlive + network.userTimeout;
    }
    if (wait === Number.POSITIVE_INFINITY) {
      this.#stall?.cancel();
      this.#stall = null;
      this.#stallAt = wait;
      return;
    }
    const at = network.clock.now() + wait;
    if (at >= this.#stallAt) return;
    this.#stall?.cancel();
    this.#stallAt = at;
    this.#stall = network.clock.after(wait, () => {
      this.#link.note(this.#mark, 'timeout', 0);
      source.fail('ETIMEDOUT');
    });
  }

  #pushPiece(bytes: Uint8Array): void {
    const { coalesce } = this.#link.plan;
    const tail = this.#tail;
    if (
      coalesce > 0 &&
      tail?.kind === 'data' &&
      tail.bytes.length + bytes.length <= JOIN_LIMIT &&
      this.#random.next() < coalesce
    ) {
      tail.bytes = joined(tail.bytes, bytes);
      return;
    }
    this.#append('data', bytes);
  }

  #append(kind: Packet['kind'], bytes: Uint8Array): void {
    const { plan, network } = this.#link;
    let at = network.clock.now();
    if (plan.bandwidth > 0) {
      this.#freeAt = Math.max(this.#freeAt, at) + (bytes.length / plan.bandwidth) * 1000;
      at = this.#freeAt;
    }
    if (plan.latencyMax > 0) at += plan.latencyMin + this.#random.next() * (plan.latencyMax - plan.latencyMin);
    at = Math.max(at, this.#lastAt);
    this.#lastAt = at;
    const packet: Packet = { kind, bytes, at, next: null };
    if (this.#tail === null) this.#head = packet;
    else this.#tail.next = packet;
    this.#tail = packet;
  }

  #arm(): void {
    if (this.#armed || this.#head === null || this.#link.down) return;
    this.#armed = true;
    const { clock } = this.#link.network;
    const wait = this.#head.at - clock.now();
    if (wait > 0) this.#timer = clock.after(wait, this.#pop);
    else clock.soon(this.#pop);
  }

  readonly #pop = (): void => {
    this.#armed = false;
    this.#timer = null;
    const packet = this.#head;
    if (packet === null || this.#link.down) return;
    // What this turn was asked for may be gone, purged by a reset that has a later time of its own.
    if (packet.at - this.#link.network.clock.now() > 1) {
      this.#arm();
      return;
    }
    if (packet.kind !== 'rst' && this.#breaks()) return;
    this.#head = packet.next;
    if (packet.next === null) this.#tail = null;
    this.#flying -= packet.bytes.length;
    this.#link.note(this.#mark, packet.kind, packet.bytes.length);
    this.#deliver(packet);
    this.roomy();
    this.#arm();
  };

  #deliver(packet: Packet): void {
    if (packet.kind === 'rst') this.target.fail('ECONNRESET');
    else if (packet.kind === 'fin') this.target.ended();
    else {
      const { coalesce } = this.#link.plan;
      this.target.arrive(packet.bytes, coalesce > 0 && this.#random.next() < coalesce);
    }
  }

  #breaks(): boolean {
    const { plan } = this.#link;
    if (plan.reset > 0 && this.#random.next() < plan.reset) {
      this.#link.reset();
      return true;
    }
    if (plan.halfOpen > 0 && this.#random.next() < plan.halfOpen) {
      this.#link.sever();
      return true;
    }
    return false;
  }
}
