import { makeEvt, none, Watchers } from '../../src/sync/evt.ts';
import type { Evt } from '../../src/sync/evt.ts';

/** A queue that can be waited for, and that counts those who watch it. */
export class Queue<T> {
  readonly items: T[] = [];
  readonly watchers: Watchers = new Watchers();
  /** How often something was taken, by whatever way. */
  taken = 0;

  readonly evt: Evt<T> = makeEvt({
    take: () => {
      if (this.items.length === 0) return none;
      this.taken++;
      return this.items.shift() as T;
    },
    watch: (wake) => this.watchers.add(wake),
  });

  push(...items: T[]): void {
    this.items.push(...items);
    this.watchers.wake(() => this.items.length > 0);
  }
}

/** One turn of the loop: all promises that can settle have settled after it. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** What became of a promise, without waiting for it. */
export async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'fulfilled' | 'rejected'> {
  let state: 'pending' | 'fulfilled' | 'rejected' = 'pending';
  promise.then(
    () => (state = 'fulfilled'),
    () => (state = 'rejected'),
  );
  await turn();
  return state;
}
