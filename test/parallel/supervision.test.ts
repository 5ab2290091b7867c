import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Supervision, restartTimes } from '../../src/parallel/supervision.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

function supervise(options = {}): { clock: VirtualClock; died: (index?: number) => number | null } {
  const clock = new VirtualClock();
  const supervision = new Supervision(restartTimes(options), clock);
  return { clock, died: (index = 0) => supervision.died(index) };
}

describe('when workers that died are started again', () => {
  test('after 100 ms, then twice as long each time, and never longer than maxDelay', () => {
    const { died } = supervise({ limit: 100 });
    assert.deepEqual(
      Array.from({ length: 10 }, () => died()),
      [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000],
    );
  });

  test('each worker for itself, and anew when it has lived for longer than twice the longest wait', async () => {
    const { clock, died } = supervise({ limit: 100, maxDelay: 1_000 });
    assert.deepEqual([died(0), died(0), died(1), died(0)], [100, 200, 100, 400]);
    await clock.advance(2_000);
    assert.equal(died(0), 800);
    await clock.advance(2_001);
    assert.equal(died(0), 100);
  });

  test('not at all when more than `limit` of all workers died within `within`', async () => {
    const { clock, died } = supervise({ limit: 3, within: 1_000 });
    assert.deepEqual([died(0), died(1), died(2), died(3)], [100, 100, 100, null]);
    const other = supervise({ limit: 3, within: 1_000 });
    for (let i = 0; i < 20; i += 1) {
      assert.notEqual(other.died(i), null);
      await other.clock.advance(400);
    }
    await clock.advance(0);
    assert.equal(supervise({ limit: 0 }).died(), null, 'the first is one too many');
  });

  test('delay 0 is at once, and maxDelay is never shorter than delay', () => {
    const { died } = supervise({ delay: 0, limit: 9 });
    assert.deepEqual([died(), died()], [0, 0]);
    assert.equal(supervise({ delay: 5_000, maxDelay: 1_000 }).died(), 5_000);
  });
});
