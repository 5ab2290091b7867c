import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TickJson } from '../../src/ops/admin-status.ts';
import { History } from '../../src/ops/history.ts';
import type { HistoryJson } from '../../src/ops/history.ts';
import { VitalSigns } from '../../src/ops/vitals.ts';
import { LoopDelay } from '../../src/server/loop-delay.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { endsItsStands, standOne, standTwo } from './admin-support.ts';

endsItsStands();
leavesNothing();

/** A moment of a server that accepts one connection, and refuses another, whenever it is looked at. */
function looked(): () => TickJson {
  let looks = 0;
  const none = { denied: 0, 'not-allowed': 0, rate: 0, full: 0, 'client-full': 0, 'handshakes-full': 0, proxy: 0 };
  return () => {
    looks += 1;
    return {
      at: looks * 1_000,
      active: looks % 3,
      accepted: looks,
      bytesRead: looks * 10,
      bytesWritten: looks * 20,
      errors: 0,
      refused: { ...none, stopping: 0, full: Math.max(0, looks - 2) },
      loop: { utilization: 0.25, delayNow: 1.5 },
      cpu: { user: looks, system: 0.5 },
      memory: { rss: 3e7, heapUsed: 1e7 },
      workers: [{ utilization: 0.5 }, { utilization: 0.75 }],
    } as unknown as TickJson;
  };
}

describe('the history of a server', () => {
  test('has the last so many seconds, oldest first, with the kinds of refusals that there were', async () => {
    const clock = new VirtualClock();
    const history = new History(clock, looked(), 4);
    assert.deepEqual([history.read().at, history.read().refused], [[1_000], {}]);
    await clock.advance(2_000);
    assert.deepEqual(history.read().accepted, [1, 2, 3]);
    await clock.advance(4_000);
    const { at, active, accepted, bytesWritten, busiest, cpu, delay, refused } = history.read();
    assert.deepEqual(at, [4_000, 5_000, 6_000, 7_000]);
    assert.deepEqual(
      [active, accepted, bytesWritten],
      [
        [1, 2, 0, 1],
        [4, 5, 6, 7],
        [80, 100, 120, 140],
      ],
    );
    assert.deepEqual([busiest[0], cpu[0], delay[0]], [0.75, 4.5, 1.5]);
    assert.deepEqual(refused, { full: [2, 3, 4, 5] });
    history[Symbol.dispose]();
    assert.equal(clock.armed, 0);
  });

  test('is told by the admin endpoint, of a server on one thread and of one over workers', async () => {
    for (const at of [await standOne(), await standTwo()]) {
      await at.dial();
      const { status, text } = await at.ask('/api/history');
      const history = JSON.parse(text) as HistoryJson;
      assert.equal(status, 200);
      assert.ok(Math.abs(history.at[0]! - Date.now()) < 60_000);
      const { refused, ...columns } = history;
      assert.deepEqual(refused, {});
      for (const [name, column] of Object.entries(columns)) assert.equal(column.length, history.at.length, name);
      assert.ok(history.rss[0]! > 1e6);
    }
  });
});

describe('the vital signs', () => {
  test('tell by how much the latest timer of the last second was late', async () => {
    const vitals = new VitalSigns();
    await sleep(50);
    const end = performance.now() + 300;
    while (performance.now() < end);
    await sleep(1_000);
    const { delayNow, delayMax } = vitals.read();
    assert.ok(delayNow >= 150 && delayMax >= delayNow, `${delayNow} ${delayMax}`);
    assert.equal(vitals.read().delayNow, delayNow, 'within the same second it is the same');
    vitals[Symbol.dispose]();
  });

  test('forget what was late before, and see it when it is late again', async () => {
    const delay = new LoopDelay(0);
    for (let round = 0; round < 3; round += 1) {
      await sleep(50);
      const end = performance.now() + 300;
      while (performance.now() < end);
      await sleep(50);
      assert.ok(delay.read().max >= 150, `round ${round}`);
      do await sleep(50);
      while (delay.read().max >= 150);
    }
    delay[Symbol.dispose]();
  });
});
