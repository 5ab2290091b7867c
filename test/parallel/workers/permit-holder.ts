import { parentPort, workerData } from 'node:worker_threads';
import { borrowedPermits } from '../../../src/parallel/borrowed-permits.ts';
import type { PermitTicket } from '../../../src/parallel/permit-pool.ts';
import { seededRandom } from '../../../src/sync/random.ts';
import { Gauge } from './permit-gauge.ts';

/** What a thread that is handed permits is told. */
export interface HolderData {
  readonly ticket: PermitTicket;
  readonly gauge: SharedArrayBuffer;
  readonly slot: number;
  readonly seed: number;
}

// Each message is a connection with its permit, that is held for some turns. As an intake does, it takes before it looks whether anybody is there.
const { ticket, slot, seed, gauge: shared } = workerData as HolderData;
const gauge = new Gauge(shared);
const permits = borrowedPermits(ticket);
const random = seededRandom(seed);
let held = 0;

function give(): void {
  held -= 1;
  gauge.leave(slot);
  permits.give();
}

function turn(): void {
  while (held > 0 && random.next() < 0.7) give();
  permits.take();
  permits.give();
  if (held > 0) setImmediate(turn);
}

parentPort?.on('message', (connections: number) => {
  for (let count = 0; count < connections; count += 1) {
    permits.take();
    permits.arrived();
    gauge.took(slot);
    held += 1;
  }
  if (held === connections) setImmediate(turn);
});
