import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unhandled } from './unhandled.ts';

/** Something that a seed decides, and that keeps its promises or throws. */
export interface Played {
  /** What happened, line by line. */
  readonly trace: readonly string[];
  /** What came of each part of it. */
  readonly outcomes: readonly string[];
  run(): Promise<void>;
}

/** Which schedules are played, and what has to come of them. */
export interface Plan {
  readonly first: number;
  readonly count: number;
  /** Seeds that are played twice. */
  readonly again: readonly number[];
  /** What has to come about at least 20 times; where everything goes well, or nothing does, nothing was tested. */
  readonly outcomes: readonly string[];
  /** Schedules from which on that is so. */
  readonly enough: number;
}

// One schedule again, with its trace: PORTSIDE_SEED=<seed> node --test test/<folder>/schedules.test.ts
const ONLY = process.env['PORTSIDE_SEED'];
// The share of the schedules that is played, where others play them all: on the older Nodes of the matrix.
const SHARE = Number(process.env['PORTSIDE_SCHEDULES'] ?? 1);

/** Tests that promises are kept on many schedules, and that a seed replays. */
export function testSchedules(schedule: (seed: number) => Played, plan: Plan): void {
  const { first, again, outcomes, enough } = plan;
  const count = Math.ceil(plan.count * SHARE);
  const which = ONLY === undefined ? `${count} schedules` : 'a schedule';

  test(`keeps its promises on ${which}`, { timeout: 300_000 }, async (t) => {
    const rejections = unhandled();
    const seeds = ONLY === undefined ? Array.from({ length: count }, (_, i) => first + i) : [Number(ONLY)];
    const counts = new Map<string, number>();
    for (const seed of seeds) {
      const played = schedule(seed);
      try {
        await played.run();
      } catch (error) {
        const tail = ONLY === undefined ? played.trace.slice(-10) : played.trace;
        t.diagnostic(`seed ${seed} failed; run it again with PORTSIDE_SEED=${seed}. Its trace ends with:`);
        for (const line of tail) t.diagnostic(line);
        throw error;
      }
      if (ONLY !== undefined) for (const line of played.trace) t.diagnostic(line);
      for (const outcome of played.outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    }
    assert.deepEqual(await rejections(), []);
    t.diagnostic(JSON.stringify(Object.fromEntries([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)))));
    if (ONLY !== undefined || count < enough) return;
    for (const outcome of outcomes)
      assert.ok((counts.get(outcome) ?? 0) >= 20, `${outcome}: ${counts.get(outcome) ?? 0}`);
  });

  test('a seed replays: the same trace, line for line', async () => {
    for (const seed of again) {
      const [one, two] = [schedule(seed), schedule(seed)];
      await one.run();
      await two.run();
      assert.ok(one.trace.length > 0);
      assert.deepEqual(two.trace, one.trace);
      assert.deepEqual(two.outcomes, one.outcomes);
    }
  });
}
