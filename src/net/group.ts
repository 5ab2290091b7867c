import { PortsideError } from '../base/errors.ts';
import { check, byteCount, fn, oneOf, table } from '../base/options.ts';
import type { Connection } from './connection.ts';
import { link } from './connection.ts';
import type { Link } from './link.ts';

/** Options of a {@link Group}. */
export interface GroupOptions {
  /**
   * What becomes of a member that does not take what is sent: `drop` leaves the message out for it, whole, and counts it; `close` aborts it. @default 'drop'
   */
  slow?: 'drop' | 'close' | undefined;
  /** Bytes queued at a member above which it is slow. A message that would take it over its own `writeLimit` finds it slow too. @default 1048576 */
  limit?: number | undefined;
  /**
   * Hears of each message that was left out, and of each member that was closed, for being slow; once all the others were sent to. What is sent
   * from within it finds slow members too, but does not call it again. What it throws, `send` throws.
   */
  onSlow?: ((member: Connection, queued: number) => void) | undefined;
}

const groupTable = table('Group', {
  slow: oneOf('drop', 'close'),
  limit: byteCount({ min: 1 }),
  onSlow: fn<(member: Connection, queued: number) => void>(),
});

/**
 * Sends the same bytes to many connections, without copying them. Members leave by themselves when they are over.
 * One that is slow never holds up the others: what becomes of it is the group's `slow` policy.
 */
export class Group<Data = unknown> implements Iterable<Connection<Data>> {
  readonly #members = new Map<Connection<Data>, () => void>();
  readonly #slow: 'drop' | 'close';
  readonly #limit: number;
  readonly #onSlow: GroupOptions['onSlow'];
  #dropped = 0;
  #telling = false;

  constructor(options?: GroupOptions) {
    const checked: GroupOptions = check(groupTable, options);
    this.#slow = checked.slow ?? 'drop';
    this.#limit = checked.limit ?? 1_048_576;
    this.#onSlow = checked.onSlow;
  }

  /** How many members there are. */
  get size(): number {
    return this.#members.size;
  }

  /** Messages that were left out for slow members, counted per member. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether a connection is a member. */
  has(member: Connection<Data>): boolean {
    return this.#members.has(member);
  }

  /** Adds a member, until it is over or deleted. One that is over already is not added. */
  add(member: Connection<Data>): this {
    const inside = link(member);
    if (inside.reason !== null || this.#members.has(member)) return this;
    const unhook = inside.onClose(() => this.#members.delete(member));
    this.#members.set(member, unhook);
    return this;
  }

  /** Takes a member out; it stays open. Whether it was one. */
  delete(member: Connection<Data>): boolean {
    this.#members.get(member)?.();
    return this.#members.delete(member);
  }

  [Symbol.iterator](): IterableIterator<Connection<Data>> {
    return this.#members.keys();
  }

  /**
   * Sends to every member but `except`; returns to how many. Don't change the bytes afterwards. A member whose output was ended is passed over.
   * Throws ERR_PORTSIDE_OPTIONS for what is neither bytes nor text.
   */
  send(message: Uint8Array | string, options?: { except?: Connection<Data> | undefined }): number {
    const bytes = typeof message === 'string' ? Buffer.from(message, 'utf8') : message;
    if (!(bytes instanceof Uint8Array)) {
      throw new PortsideError('ERR_PORTSIDE_OPTIONS', 'send: what is sent must be bytes (Uint8Array) or a string', {
        op: 'send',
      });
    }
    const except = options?.except;
    let sent = 0;
    let slow: Connection<Data>[] | null = null;
    for (const member of this.#members.keys()) {
      if (member === except) continue;
      const inside = link(member);
      if (inside.outputEnded) continue;
      if (this.#isSlow(inside, bytes.length)) {
        (slow ??= []).push(member);
        continue;
      }
      void inside.write(bytes);
      sent += 1;
    }
    if (slow !== null) this.#tooSlow(slow);
    return sent;
  }

  #isSlow({ queued, settings }: Link, more: number): boolean {
    return queued > this.#limit || (queued > settings.highWaterMark && queued + more > settings.writeLimit);
  }

  #tooSlow(slow: readonly Connection<Data>[]): void {
    this.#dropped += slow.length;
    const told = slow.map((member) => ({ member, queued: member.queuedBytes }));
    if (this.#slow === 'close') {
      for (const { member, queued } of told) {
        this.delete(member);
        member.abort(new Error(`it did not take what the group sent; ${queued} bytes were queued`));
      }
    }
    if (this.#onSlow === undefined || this.#telling) return;
    this.#telling = true;
    try {
      for (const { member, queued } of told) this.#onSlow(member, queued);
    } finally {
      this.#telling = false;
    }
  }
}
