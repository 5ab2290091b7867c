import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { ClosedError, PortsideError } from '../base/errors.ts';
import { check, checkValue, integer, table } from '../base/options.ts';
import { Hub } from './hub.ts';
import type { Wire } from './hub.ts';
import { counters, COUNTERS_BYTES, EVERYBODY, Outbox, PARENT, PLACES } from './outbox.ts';
import type { Batch } from './outbox.ts';
import { outside } from './outside.ts';
import type { SwitchboardTicket } from './switchboard-link.ts';
import type { WorkerChannel } from './worker-channel.ts';

export { connectSwitchboard } from './switchboard-link.ts';
export type { SwitchboardLink, SwitchboardTicket } from './switchboard-link.ts';

/** Options of a {@link Switchboard}. */
export interface SwitchboardOptions {
  /**
   * Messages that may be on their way to one worker, or from one: further ones to it are dropped, and counted, and further ones from it are not let out.
   * @default 10000
   */
  limit?: number | undefined;
}

const switchboardTable = table('Switchboard', { limit: integer({ min: 1, max: 1_000_000 }) });
const indexRule = integer({ min: 0 });

/** A worker with a ticket. */
interface Member {
  readonly index: number;
  readonly incarnation: number;
  readonly port: MessagePort;
  readonly shared: Int32Array;
  readonly outbox: Outbox;
  /** `waiting` until its first sign of life: nothing is sent to it, and nobody knows of it. */
  state: 'waiting' | 'open' | 'gone';
  /** Messages from it that came, by their numbers. */
  took: number;
}

interface Losses {
  /** To it. */
  dropped: number;
  /** From it. */
  lost: number;
}

/**
 * The parent's side of the channels: every message between workers goes through it, so that all agree on who is there, and a worker that
 * hangs or ends holds up nobody. Its ports keep no thread alive.
 */
export class Switchboard implements Wire {
  /** It is no worker. */
  readonly self: null = null;
  readonly #limit: number;
  readonly #hub = new Hub();
  readonly #members = new Map<number, Member>();
  readonly #losses = new Map<number, Losses>();
  #incarnations = 0;
  #closed = false;
  /** What the parent's own ends are to hear. One who makes a worker leave while he hears of another is told in his turn. */
  #news: (() => void)[] = [];
  #telling = false;

  /** Throws ERR_PORTSIDE_OPTIONS for wrong options. */
  constructor(options?: SwitchboardOptions) {
    const checked: SwitchboardOptions = check(switchboardTable, options);
    this.#limit = checked.limit ?? 10_000;
    this.#hub.connect(this);
  }

  /**
   * Makes the ticket of a worker that is to be started: for `connectSwitchboard` there. It is a member from its first sign of life on.
   * Throws ERR_PORTSIDE_STATE when one with this index has not left, and ERR_PORTSIDE_CLOSED.
   */
  join(index: number): { ticket: SwitchboardTicket; transfer: MessagePort[] } {
    checkValue('join', 'index', indexRule, index);
    if (this.#closed) throw new ClosedError('join: the switchboard is closed', { op: 'join' });
    if (this.#members.has(index)) {
      throw new PortsideError('ERR_PORTSIDE_STATE', `join: worker ${index} has not left`, { op: 'join' });
    }
    const { port1: port, port2 } = new MessageChannel();
    const buffer = new SharedArrayBuffer(COUNTERS_BYTES);
    const shared = new Int32Array(buffer);
    const outbox = new Outbox(port, shared, counters.workerTook, this.#limit);
    this.#incarnations += 1;
    const incarnation = this.#incarnations;
    const member: Member = { index, incarnation, port, shared, outbox, state: 'waiting', took: 0 };
    this.#members.set(index, member);
    port.on('message', (batch: Batch) => outside(() => this.#take(member, batch)));
    // All that it sent was heard before.
    port.on('close', () => this.#gone(member));
    port.unref();
    return { ticket: { index, port: port2, shared: buffer, limit: this.#limit }, transfer: [port2] };
  }

  /**
   * A worker has ended, or is to be one no more: what it sent is passed on, and then all are told that it has gone. One that ends is noticed without this,
   * at some time. Idempotent.
   */
  leave(index: number): void {
    const member = this.#members.get(index);
    if (member !== undefined) this.#leave(member);
  }

  /** The parent's own end of a channel. */
  channel<T = unknown>(name: string): WorkerChannel<T> {
    return this.#hub.channel<T>(name);
  }

  /**
   * Messages to a worker that it never took, over all that had this index: those above the limit, those that could not be read there, and those that were
   * on their way when it left.
   */
  dropped(index: number): number {
    const member = this.#members.get(index);
    const missed = member === undefined ? 0 : Atomics.load(member.shared, counters.workerMissed);
    return (this.#losses.get(index)?.dropped ?? 0) + missed;
  }

  /**
   * Messages from a worker that never came, over all that had this index: it ended before it let them out, or they could not be read here, as a value that is
   * nested some thousand levels deep, together with others of its turn.
   */
  lost(index: number): number {
    return this.#losses.get(index)?.lost ?? 0;
  }

  /** All leave, and nobody can join. The parent's own ends stay, with nobody else there. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const member of this.#members.values()) this.#leave(member);
    this.#tell(() => this.#hub.disconnect());
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  // The parent is never told that it is too fast: it drops instead.
  mustHaveRoom(): void {}

  broadcast(channel: string, value: unknown): void {
    this.#spread(PARENT, channel, value);
  }

  send(to: number, incarnation: number, channel: string, value: unknown): boolean {
    return this.#put(to, incarnation, PARENT, channel, value);
  }

  /** To all workers but the one that it is from. */
  #spread(from: number, channel: string, value: unknown): void {
    for (const member of this.#members.values()) if (member.index !== from) this.#give(member, from, channel, value);
  }

  #put(to: number, incarnation: number, from: number, channel: string, value: unknown): boolean {
    const member = this.#members.get(to);
    return member?.incarnation === incarnation && this.#give(member, from, channel, value);
  }

  #give(member: Member, from: number, channel: string, value: unknown): boolean {
    if (member.state !== 'open') return false;
    if (member.outbox.full) {
      this.#lossesOf(member.index).dropped += 1;
      return false;
    }
    member.outbox.put(from, 0, channel, value);
    return true;
  }

  #take(member: Member, batch: Batch, acknowledge = true): void {
    if (member.state === 'gone') return;
    if (member.state === 'waiting') this.#open(member);
    const missed = (batch[0] as number) - member.took;
    if (missed > 0) this.#lossesOf(member.index).lost += missed;
    member.took = batch[0] as number;
    for (let i = 1; i < batch.length; i += PLACES) {
      const to = batch[i] as number;
      const channel = batch[i + 2] as string;
      const value = batch[i + 3];
      if (to === EVERYBODY) this.#spread(member.index, channel, value);
      else if (to !== PARENT) this.#put(to, batch[i + 1] as number, member.index, channel, value);
      if (to < 0 && this.#hub.hears(channel)) this.#news.push(() => this.#hub.take(member.index, channel, value));
      member.took += 1;
    }
    if (acknowledge) Atomics.store(member.shared, counters.parentTook, member.took | 0);
    if (this.#news.length === 0) return;
    // Whoever hears it here may change it.
    for (const { outbox } of this.#members.values()) outbox.flush();
    this.#tell();
  }

  #open(member: Member): void {
    const { index, incarnation } = member;
    for (const other of this.#members.values()) {
      if (other.state !== 'open') continue;
      other.outbox.notice(index, incarnation);
      member.outbox.notice(other.index, other.incarnation);
    }
    member.state = 'open';
    this.#tell(() => this.#hub.joined(index, incarnation));
  }

  #leave(member: Member): void {
    outside(() => this.#takeRest(member));
    this.#gone(member);
  }

  #gone(member: Member): void {
    if (this.#members.get(member.index) !== member) return;
    const { index, outbox, port, shared } = member;
    this.#members.delete(index);
    outbox.flush();
    const dropped = outbox.waiting + Atomics.load(shared, counters.workerMissed);
    const lost = Math.max(0, (Atomics.load(shared, counters.workerSent) - member.took) | 0);
    if (dropped > 0) this.#lossesOf(index).dropped += dropped;
    if (lost > 0) this.#lossesOf(index).lost += lost;
    const known = member.state === 'open';
    member.state = 'gone';
    port.close();
    if (!known) return;
    for (const other of this.#members.values()) if (other.state === 'open') other.outbox.notice(index, 0);
    this.#tell(() => this.#hub.gone(index));
  }

  /** What it sent before it ended is here, but may not have had its turn. */
  #takeRest(member: Member): void {
    for (;;) {
      const next: { message: Batch } | undefined = receiveMessageOnPort(member.port);
      if (next === undefined) return;
      // One that has not ended goes on meanwhile, until it has no room: so it is not told of any.
      this.#take(member, next.message, false);
    }
  }

  #tell(news?: () => void): void {
    if (news !== undefined) this.#news.push(news);
    if (this.#telling) return;
    this.#telling = true;
    outside(() => {
      // They don't throw: receivers' errors are the process's.
      for (const each of this.#news) each();
    });
    this.#news = [];
    this.#telling = false;
  }

  #lossesOf(index: number): Losses {
    let losses = this.#losses.get(index);
    if (losses === undefined) this.#losses.set(index, (losses = { dropped: 0, lost: 0 }));
    return losses;
  }
}
