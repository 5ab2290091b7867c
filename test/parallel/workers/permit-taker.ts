import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { borrowedPermits } from '../../../src/parallel/borrowed-permits.ts';
import type { PermitTicket } from '../../../src/parallel/permit-pool.ts';
import { seededRandom } from '../../../src/sync/random.ts';
import { Gauge } from './permit-gauge.ts';

/** What a thread that takes leased permits is told. */
export interface TakerData {
  readonly ticket: PermitTicket;
  readonly gauge: SharedArrayBuffer;
  readonly slot: number;
  readonly seed: number;
  /** After so many permits each it tells its parent. */
  readonly lap: number;
  /** How many it holds at most. */
  readonly most: number;
}

// Takes and gives back as fast as it can, and waits where there are none.
const { ticket, slot, seed, lap, most, gauge: shared } = workerData as TakerData;
const gauge = new Gauge(shared);
const permits = borrowedPermits(ticket);
const random = seededRandom(seed);
let held = 0;
// The ports of permits keep nothing alive.
const alive = setInterval(() => {}, 1_000);

function take(): boolean {
  if (!permits.take()) return false;
  gauge.enter(slot);
  held += 1;
  if (gauge.took(slot) % lap === 0) parentPort?.postMessage('lap');
  return true;
}

function give(): void {
  held -= 1;
  gauge.leave(slot);
  permits.give();
}

/** Under way until there may be more; null when nobody waits. */
let more: Promise<void> | null = null;

function wait(): Promise<void> {
  const began = performance.now();
  return new Promise<void>((resolve) => {
    permits.wait(() => {
      gauge.waited(slot, performance.now() - began);
      more = null;
      // Whoever takes nothing until its wake returns has passed it on.
      if (!gauge.stopping) take();
      resolve();
    });
  });
}

parentPort?.postMessage('ready');
if (parentPort !== null) await once(parentPort, 'message');
parentPort?.unref();
while (!gauge.stopping) {
  const some = 1 + random.int(64);
  // Some phases only take, and some give nearly all back.
  const greed = random.next() * 1.2;
  let failed = false;
  for (let count = 0; count < some && !failed; count += 1) {
    if (held === most || (held > 0 && random.next() > greed)) give();
    else failed = !take();
  }
  if (failed) more ??= wait();
  if (held === 0 && more !== null) await more;
  else await new Promise(setImmediate);
}
while (held > 0) give();
permits.close();
clearInterval(alive);
parentPort?.postMessage('done');
