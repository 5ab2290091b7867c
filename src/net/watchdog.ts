import { IDLE, queueOf } from '../sync/timers.ts';
import type { Due, TimerQueue } from '../sync/timers.ts';
import { watches } from './deadlines.ts';
import type { Deadlines, DeadlineName } from './deadlines.ts';
import { takenOf } from './linger.ts';
import type { Link } from './link.ts';

/** Nothing is put off for longer, so that a time never overflows a timer. */
const LONGEST = 86_400_000;

/**
 * Holds one connection to its deadlines of first byte, idleness, reading and life: one entry in the queue that all deadlines of a
 * clock share, whatever happens on the connection. A byte only notes the time.
 */
export class Watchdog implements Due {
  /** @internal */
  slot: number = IDLE;
  readonly #link: Link;
  readonly #queue: TimerQueue;
  /** Shared by many connections, and changed in place. */
  readonly #limits: Deadlines;
  // Numbers from the beginning, so that V8 keeps them in place: else each time that is noted is an object of its own.
  readonly #born: number = 0;
  #opened = 0;
  #input = 0;
  #output = 0;
  #reading = 0;
  #mute = true;
  /** There is more output than the high-water mark allows, of which the peer has taken so much. */
  #owing = false;
  #taken = -1;

  constructor(link: Link, limits: Deadlines, age: number) {
    this.#link = link;
    this.#limits = limits;
    this.#queue = queueOf(link.clock);
    const now = this.#queue.clock.now();
    this.#born = now - age;
    this.#input = this.#output = this.#reading = now;
    // When handshakes were over is not known of those that were before it.
    this.#opened = link.settings.opening === null ? this.#born : now;
    this.#mute = link.received === 0;
    this.#queue.put(this);
  }

  /** The handshakes are over: the time to the first byte begins. */
  opened(): void {
    this.#opened = this.#input = this.#queue.clock.now();
    this.again();
  }

  /** Bytes came. */
  input(): void {
    this.#mute = false;
    this.#input = this.#queue.clock.now();
  }

  /** Bytes were sent. */
  output(): void {
    this.#output = this.#queue.clock.now();
    const link = this.#link;
    if (link.channel.queued <= link.settings.highWaterMark) return;
    this.#owing = true;
    this.#taken = takenOf(link);
  }

  /** All output is with the kernel. */
  drained(): void {
    if (!this.#owing) return;
    this.#owing = false;
    this.#output = this.#queue.clock.now();
  }

  /** Somebody begins to wait for bytes. */
  reads(): void {
    if (this.#limits.read === Infinity || !this.#link.waitsForInput) return;
    this.#reading = this.#queue.clock.now();
    this.#queue.put(this);
  }

  /** The limits were changed. */
  again(): void {
    this.#queue.remove(this);
    if (watches(this.#limits)) this.#queue.put(this);
  }

  stop(): void {
    this.#queue.remove(this);
  }

  due(): number {
    return Math.min(
      this.#born + this.#limits.life,
      this.#firstByteDue,
      this.#idleDue,
      this.#readDue,
      this.#queue.clock.now() + LONGEST,
    );
  }

  expire(): void {
    const now = this.#queue.clock.now();
    const { firstByte, idle, read, life } = this.#limits;
    if (this.#born + life <= now) this.#miss('life', life);
    else if (this.#firstByteDue <= now) this.#miss('firstByte', firstByte);
    else if (this.#readDue <= now) this.#miss('read', read);
    else if (this.#idleDue <= now && !this.#moves(now)) this.#miss('idle', idle);
    else this.#queue.put(this);
  }

  /** Whether the peer took some of the output since it was looked last: nobody tells, and it is no idleness. */
  #moves(now: number): boolean {
    const link = this.#link;
    if (link.channel.queued === 0) return false;
    const taken = takenOf(link);
    if (taken === this.#taken) return false;
    this.#taken = taken;
    this.#output = now;
    return true;
  }

  get #firstByteDue(): number {
    const link = this.#link;
    return this.#mute && !link.opening && !link.inputOver ? this.#opened + this.#limits.firstByte : Infinity;
  }

  /** What handshakes send and get is not told here; they have a deadline of their own. */
  get #idleDue(): number {
    return this.#link.opening ? Infinity : Math.max(this.#input, this.#output) + this.#limits.idle;
  }

  get #readDue(): number {
    return this.#link.waitsForInput ? Math.max(this.#reading, this.#input) + this.#limits.read : Infinity;
  }

  #miss(deadline: DeadlineName, after: number): void {
    this.#link.miss(deadline, after);
  }
}
