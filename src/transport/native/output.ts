import { Backlog } from './backlog.ts';
import { CTL_ARENA, CTL_EPOCH, CTL_RESULTS, OP_ARENA, OP_INTS, OP_SLAB } from './layout.ts';
import { NativeSocket } from './socket.ts';

/** Writes from this size on go to the kernel at once, from the sender's memory. */
const LARGE = 16384;
/** What is gathered of a backlog before it is sent. */
const GATHER = 65536;

/**
 * The output of one connection, in order: what the core holds, then the backlog, or what is gathered for the next flush.
 * There is a backlog only while the core holds a rest or has been asked to tell when more can be written.
 */
export abstract class Output extends NativeSocket {
  /** Bytes that the core holds. */
  protected rest = 0;
  protected backlog: Backlog | null = null;
  /** STATE_TUNED when it has the options that its listener asked for, or 0. */
  tuning = 0;
  /** The number under which it came through a passage, or 0. */
  given = 0;
  /** What its giver sent along. */
  letter: Uint8Array | null = null;
  /** The errno of a failed write, or 0. */
  protected writeFailed = 0;
  /** The flush that the gathered bytes wait for, how many they are, and the last of their operations. */
  #epoch = -1;
  #gathered = 0;
  #last = 0;

  /** What lies in the slab is sent from there, or copied. */
  get takesLent(): boolean {
    return true;
  }

  get tuned(): boolean {
    return this.tuning !== 0;
  }

  get queued(): number {
    const rest = this.rest + (this.backlog === null ? 0 : this.backlog.bytes);
    return this.#epoch === this.loop.ctl[CTL_EPOCH] ? rest + this.#gathered : rest;
  }

  /** Nothing is queued any more. */
  protected forget(): void {
    this.rest = this.#gathered = 0;
    this.backlog = null;
  }

  /** Queues bytes, never empty. */
  protected put(bytes: Uint8Array): void {
    const loop = this.loop;
    const { length } = bytes;
    if (this.rest > 0 || this.backlog !== null) return this.#keep(bytes);
    if (loop.lent && bytes.buffer === loop.slab) {
      loop.room(0);
      if (this.rest > 0) this.#keep(bytes);
      else if (this.writeFailed === 0) this.#gather(OP_SLAB, bytes.byteOffset, length);
      return;
    }
    if (length >= LARGE) {
      const sent = this.#sendNow(bytes, 0);
      if (sent < length) this.#keep(sent === 0 ? bytes : bytes.subarray(sent));
      return;
    }
    loop.room(length);
    // Making room may have found out that the kernel takes no more, or nothing ever.
    if (this.rest > 0) this.#keep(bytes);
    else if (this.writeFailed === 0) this.#gatherCopy(bytes, 0);
  }

  #gatherCopy(bytes: Uint8Array, from: number): void {
    const { ctl, arena } = this.loop;
    const at = ctl[CTL_ARENA] as number;
    arena.set(from === 0 ? bytes : bytes.subarray(from), at);
    ctl[CTL_ARENA] = at + bytes.length - from;
    this.#gather(OP_ARENA, at, bytes.length - from);
  }

  #gather(code: number, at: number, length: number): void {
    const loop = this.loop;
    const epoch = loop.ctl[CTL_EPOCH] as number;
    if (this.#epoch !== epoch || this.#gathered === 0) {
      this.#epoch = epoch;
      this.#gathered = length;
      this.#last = loop.push(this.slot, this.gen, code, at, length);
      return;
    }
    this.#gathered += length;
    const { ops } = loop;
    const last = this.#last * OP_INTS;
    if (ops[last + 2] === code && (ops[last + 3] as number) + (ops[last + 4] as number) === at) {
      ops[last + 4] = (ops[last + 4] as number) + length;
      return;
    }
    this.#last = loop.push(this.slot, this.gen, code, at, length);
    ops[last + 5] = this.#last;
  }

  /** Gives bytes to the kernel now, behind what was gathered before them; how many it took. */
  #sendNow(bytes: Uint8Array, from: number): number {
    const loop = this.loop;
    if (this.#gathered > 0 && this.#epoch === loop.ctl[CTL_EPOCH]) loop.flush();
    if (this.rest > 0) return 0;
    if (this.writeFailed !== 0) return bytes.length - from;
    const sent = loop.addon.write(this.slot, this.gen, bytes, from);
    if (loop.ctl[CTL_RESULTS] !== 0) loop.apply();
    // A buffer that was transferred away has no bytes left to send.
    return sent < 0 ? bytes.length - from : sent;
  }

  #keep(bytes: Uint8Array): void {
    this.backlog ??= new Backlog();
    this.backlog.push(bytes.buffer === this.loop.slab ? bytes.slice() : bytes);
  }

  /** Moves the backlog on, as far as the kernel takes it. */
  protected pump(): void {
    const loop = this.loop;
    let gathered = 0;
    for (;;) {
      const backlog = this.backlog;
      if (backlog === null) return;
      const { head, left } = backlog;
      if (head === null) {
        // The sender has transferred it away, and it has no bytes left to send.
        backlog.taken(left);
      } else if (left >= LARGE) {
        const sent = this.#sendNow(head, backlog.from);
        if (this.backlog === null) return;
        backlog.taken(sent);
        if (sent < left) return;
      } else {
        if (gathered + left > GATHER) {
          loop.flush();
          gathered = 0;
        } else {
          loop.room(left);
        }
        if (this.rest > 0 || this.backlog === null) return;
        this.#gatherCopy(head, backlog.from);
        gathered += left;
        backlog.taken(left);
      }
      if (backlog.bytes === 0) this.backlog = null;
    }
  }
}
