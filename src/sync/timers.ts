import { AsyncResource } from 'node:async_hooks';
import type { Clock, TimerHandle } from './clock.ts';
import { rethrowSoon } from './rethrow.ts';

/** In no queue. */
export const IDLE = -1;
/** Taken out of the queue by the present firing; it is called when its turn comes. */
export const FIRING = -2;

/** Something that is due at a time. */
export interface Due {
  /** Its place in the queue, or {@link IDLE} or {@link FIRING}. The queue writes it. */
  slot: number;
  /** When it is due, by the clock's `now()`. It may have moved later since it was put in, never earlier. */
  due(): number;
  /** Its time has come. It is out of the queue. */
  expire(): void;
}

// The one timer serves many owners, so it must not carry the async context of the one that happened to set it.
const nowhere = new AsyncResource('PORTSIDE_TIMERS');

const queues = new WeakMap<Clock, TimerQueue>();

/** The queue that all deadlines of a clock share. */
export function queueOf(clock: Clock): TimerQueue {
  let queue = queues.get(clock);
  if (queue === undefined) queues.set(clock, (queue = new TimerQueue(clock)));
  return queue;
}

/**
 * Many due times on one timer of the clock: a binary heap by the time that was known when an item was put in (its key).
 * An item that has moved later meanwhile is found out when its key comes up, and is put back. The timer keeps the
 * process alive, and there is none when nothing waits.
 */
export class TimerQueue {
  readonly clock: Clock;
  readonly #items: Due[] = [];
  // Beside the items, not in them: plain doubles, one array, no pointer to follow while sifting.
  readonly #keys: number[] = [];
  #timer: TimerHandle | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  readonly #fire = (): void => this.#onTimer();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** How many items wait. */
  get size(): number {
    return this.#items.length;
  }

  /** Puts an item in by its due time. One that is in already is moved only when it is due earlier than its key. */
  put(item: Due): void {
    const due = item.due();
    const slot = item.slot;
    if (slot < 0) {
      this.#items.push(item);
      this.#keys.push(due);
      this.#up(this.#items.length - 1, item, due);
    } else if (due < (this.#keys[slot] as number)) this.#up(slot, item, due);
    else return;
    if (item.slot === 0) this.#set(due);
  }

  /** Takes an item out; nothing happens when it isn't in. */
  remove(item: Due): void {
    const slot = item.slot;
    item.slot = IDLE;
    if (slot < 0) return;
    this.#takeOut(slot);
    if (this.#items.length === 0) this.#unset();
  }

  // Fills the place of an item that goes with the last one.
  #takeOut(slot: number): void {
    const last = this.#items.pop() as Due;
    const key = this.#keys.pop() as number;
    if (slot === this.#items.length) return;
    if (slot > 0 && key < (this.#keys[(slot - 1) >> 1] as number)) this.#up(slot, last, key);
    else this.#down(slot, last, key);
  }

  #up(from: number, item: Due, key: number): void {
    let slot = from;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      const parentKey = this.#keys[parent] as number;
      if (parentKey <= key) break;
      this.#place(slot, this.#items[parent] as Due, parentKey);
      slot = parent;
    }
    this.#place(slot, item, key);
  }

  #down(from: number, item: Due, key: number): void {
    const { length } = this.#items;
    let slot = from;
    for (;;) {
      let child = slot * 2 + 1;
      if (child >= length) break;
      if (child + 1 < length && (this.#keys[child + 1] as number) < (this.#keys[child] as number)) child++;
      const childKey = this.#keys[child] as number;
      if (childKey >= key) break;
      this.#place(slot, this.#items[child] as Due, childKey);
      slot = child;
    }
    this.#place(slot, item, key);
  }

  #place(slot: number, item: Due, key: number): void {
    this.#items[slot] = item;
    this.#keys[slot] = key;
    item.slot = slot;
  }

  // A timer that comes too early only looks; one that would come too late is replaced.
  #set(at: number): void {
    if (this.#timer !== undefined && this.#timerAt <= at) return;
    this.#unset();
    this.#timerAt = at;
    const delay = Math.max(0, Math.ceil(at - this.clock.now()));
    this.#timer = nowhere.runInAsyncScope(() => this.clock.after(delay, this.#fire));
  }

  #unset(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #onTimer(): void {
    this.#unset();
    const now = this.clock.now();
    // All that are due are taken out before the first is called: what a callback puts in anew, even with no time to
    // wait, belongs to the next firing, so that this one ends.
    const due: Due[] = [];
    while (this.#items.length > 0 && (this.#keys[0] as number) <= now) {
      const item = this.#items[0] as Due;
      const really = item.due();
      if (really > (this.#keys[0] as number)) {
        this.#down(0, item, really);
        continue;
      }
      this.#takeOut(0);
      item.slot = FIRING;
      due.push(item);
    }
    for (const item of due) this.#expire(item, now);
    if (this.#items.length > 0) this.#set(this.#keys[0] as number);
  }

  #expire(item: Due, now: number): void {
    // One that was called before it may have disarmed it, or armed it anew.
    if (item.slot !== FIRING) return;
    if (item.due() > now) {
      this.put(item);
      return;
    }
    item.slot = IDLE;
    try {
      item.expire();
    } catch (error) {
      rethrowSoon(error);
    }
  }
}
