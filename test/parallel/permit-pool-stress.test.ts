import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { PermitPool } from '../../src/parallel/permit-pool.ts';
import type { Loan } from '../../src/parallel/permit-pool.ts';
import { systemClock } from '../../src/sync/clock.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { watchLeaks } from '../support/leaks.ts';
import { Gauge, SLOTS } from './workers/permit-gauge.ts';
import type { HolderData } from './workers/permit-holder.ts';
import type { TakerData } from './workers/permit-taker.ts';

/** Milliseconds in which every wait has to be over, on a machine that is busy with other things. */
const BOUND = 10_000;

const slots: readonly number[] = Array.from({ length: SLOTS }, (_, slot) => slot);

interface Hand {
  readonly worker: Worker;
  readonly loan: Loan;
}

/** Threads that take leased permits. */
class Takers {
  readonly gauge = new Gauge();
  readonly pool: PermitPool;
  readonly hands: Hand[] = [];
  readonly #random: Random;
  readonly #lap: number;
  readonly #most: number;
  #done = 0;
  #ready = 0;
  onLap: () => void = () => {};

  constructor(limit: number, lap: number, most: number, seed: number) {
    this.pool = new PermitPool({ connections: limit }, systemClock);
    this.#random = seededRandom(seed);
    this.#lap = lap;
    this.#most = most;
    for (const slot of slots) this.hire(slot);
  }

  hire(slot: number): void {
    const loan = this.pool.lend('leased');
    const { shared } = this.gauge;
    const seed = this.#random.int(2 ** 31);
    const data: TakerData = { ticket: loan.ticket, gauge: shared, slot, seed, lap: this.#lap, most: this.#most };
    const worker = new Worker(new URL('workers/permit-taker.ts', import.meta.url), {
      workerData: data,
      transferList: [...loan.transfer],
    });
    worker.on('message', (message: string) => {
      if (message === 'ready') this.#begin(worker);
      else if (message === 'done') this.#done += 1;
      else if (this.hands[slot]!.worker === worker) this.onLap();
    });
    this.hands[slot] = { worker, loan };
  }

  /** The first begin together, so that nobody is ahead. */
  #begin(worker: Worker): void {
    this.#ready += 1;
    if (this.#ready > SLOTS) worker.postMessage('go');
    else if (this.#ready === SLOTS) for (const hand of this.hands) hand.worker.postMessage('go');
  }

  /** Ends one in the middle of whatever it does, and hires another. */
  async kill(slot: number): Promise<void> {
    const { worker, loan } = this.hands[slot]!;
    await worker.terminate();
    this.gauge.wipe(slot);
    loan.end();
    this.hire(slot);
  }

  /** All give back what they have, and end. */
  async stop(): Promise<void> {
    const exits = this.hands.map(({ worker }) => once(worker, 'exit'));
    this.gauge.stop();
    await Promise.all(exits);
    assert.equal(this.#done, SLOTS, 'nobody hangs in a wait');
    assert.equal(this.gauge.inUse, 0);
    assert.equal(this.pool.used - this.pool.unused, 0, 'all were given back');
    for (const { loan } of this.hands) loan.end();
    assert.equal(this.pool.used, 0);
    assert.equal(this.pool.waiting, 0);
  }
}

/** As many laps of anybody, one after another, and more until so many permits were in use at once. */
async function laps(
  takers: Takers,
  count: number,
  highest: number,
  each: (lap: number) => void | Promise<void>,
): Promise<void> {
  for (let lap = 0; lap < count || takers.gauge.highest < highest; lap += 1) {
    await new Promise<void>((resolve) => {
      takers.onLap = resolve;
    });
    await each(lap);
  }
}

describe('leased permits, taken by four threads as fast as they can', () => {
  for (const limit of [1, 2, 3, 5, 64, 200]) {
    test(`never go above ${limit} while threads are terminated, and all come back`, async () => {
      const noLeaks = watchLeaks();
      const takers = new Takers(limit, 500, limit, limit);
      const random = seededRandom(limit);
      await laps(takers, 60, limit, async (lap) => {
        if (lap % 4 === 3) await takers.kill(random.int(SLOTS));
      });
      await takers.stop();
      assert.ok(takers.gauge.highest <= limit, `${takers.gauge.highest} were in use`);
      assert.equal(takers.gauge.highest, limit, 'each permit was used');
      assert.ok(takers.gauge.longest < BOUND, `somebody waited for ${takers.gauge.longest} ms`);
      await noLeaks();
    });
  }

  test('never go above limits that change meanwhile, and those that are over them go back', async () => {
    const takers = new Takers(200, 500, 200, 7);
    const { pool, gauge } = takers;
    const random = seededRandom(7);
    await laps(takers, 60, 0, async (lap) => {
      if (lap % 6 === 5) await takers.kill(random.int(SLOTS));
      const limit = 2 + random.int(100);
      pool.resize({ connections: limit });
      // From here on nobody goes above the limit, except by those that were taken already: each thread may be about to count one.
      const most = Math.max(limit, gauge.inUse + SLOTS);
      gauge.forgetHighest();
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
      assert.ok(gauge.highest <= most, `${gauge.highest} are above ${most}, with a limit of ${limit}`);
    });
    // Nobody has any when there are none, and all go on when there are some again.
    pool.resize({ connections: 0 });
    while (pool.used > 0) await new Promise(setImmediate);
    assert.equal(gauge.inUse, 0);
    pool.resize({ connections: 40 });
    await laps(takers, 4, 0, () => {});
    await takers.stop();
  });

  test('are had by each in turn when there is but one', async () => {
    const takers = new Takers(1, 100, 1, 1);
    const { gauge } = takers;
    const waited = (): number[] => slots.map((slot) => gauge.waits(slot));
    while (Math.min(...waited()) < 300) await new Promise(setImmediate);
    const waits = waited();
    await takers.stop();
    assert.equal(gauge.highest, 1);
    // A thread may take and give many times while no other one runs, but of those that wait none is passed over.
    assert.ok(Math.max(...waits) < 3 * 300, `not in turn: ${waits.join(', ')}`);
    assert.ok(gauge.longest < BOUND);
  });

  test('are had by each when there are fewer than threads', async () => {
    const takers = new Takers(3, 100, 1, 3);
    const { gauge } = takers;
    while (!slots.every((slot) => gauge.takes(slot) > 1_000)) await new Promise(setImmediate);
    await takers.stop();
    assert.ok(gauge.highest <= 3);
    assert.ok(gauge.longest < BOUND);
  });
});

describe('handed permits, given back by four threads as fast as they can', () => {
  for (const limit of [1, 3, 60, 200]) {
    test(`never go above ${limit} while threads are terminated, and all come back`, async () => {
      const noLeaks = watchLeaks();
      const gauge = new Gauge();
      const pool = new PermitPool({ connections: limit }, systemClock);
      const random = seededRandom(limit);
      const hire = (slot: number): Hand => {
        const loan = pool.lend('handed');
        const data: HolderData = { ticket: loan.ticket, gauge: gauge.shared, slot, seed: random.int(2 ** 31) };
        const worker = new Worker(new URL('workers/permit-holder.ts', import.meta.url), {
          workerData: data,
          transferList: [...loan.transfer],
        });
        return { worker, loan };
      };
      const hands = slots.map(hire);
      let handed = 0;
      for (let round = 0; round < 12; round += 1) {
        const end = handed + 2_000;
        while (handed < end) {
          const slot = random.int(SLOTS);
          const { worker, loan } = hands[slot]!;
          if (pool.take()) {
            gauge.enter(slot);
            loan.handed();
            worker.postMessage(1);
            handed += 1;
          } else await new Promise<void>((resolve) => void pool.wait(resolve));
        }
        const slot = random.int(SLOTS);
        const { worker, loan } = hands[slot]!;
        await worker.terminate();
        gauge.wipe(slot);
        loan.end();
        hands[slot] = hire(slot);
      }
      assert.ok(gauge.highest <= limit, `${gauge.highest} were in use`);
      assert.equal(gauge.highest, limit, 'each permit was used');
      // Those that are out come back without anybody's end: as many waits are answered as there are permits.
      for (let count = 0; count < limit; count += 1)
        while (!pool.take()) await new Promise<void>((resolve) => void pool.wait(resolve));
      assert.equal(gauge.inUse, 0);
      assert.equal(pool.used, limit);
      for (let count = 0; count < limit; count += 1) pool.give();
      for (const { worker, loan } of hands) {
        assert.equal(loan.end(), 0);
        await worker.terminate();
      }
      assert.equal(pool.used, 0);
      await noLeaks();
    });
  }
});
