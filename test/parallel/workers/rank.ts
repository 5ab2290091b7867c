import { threadId } from 'node:worker_threads';

/** Where workers meet: how many have come, and their threads. */
export interface Muster {
  readonly muster: Int32Array;
}

/** For so many workers. */
export function newMuster(count: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer((count + 1) * Int32Array.BYTES_PER_ELEMENT));
}

/** Waits until all have come, and tells which of them this is: threads are numbered in the order of their starts. */
export function beginTogether({ muster }: Muster, count: number): number {
  const place = Atomics.add(muster, 0, 1) + 1;
  Atomics.store(muster, place, threadId);
  for (let i = 1; i <= count; i += 1) {
    while (Atomics.load(muster, i) === 0) Atomics.wait(muster, i, 0, 10);
  }
  return [...muster.subarray(1)].toSorted((a, b) => a - b).indexOf(threadId);
}
