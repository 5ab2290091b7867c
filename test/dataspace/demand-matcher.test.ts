import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { matchDemand } from '../../src/dataspace/demand.ts';
import { _, capture } from '../../src/dataspace/hole.ts';
import type { Self } from '../../src/dataspace/self.ts';
import { publishersOf } from '../../src/dataspace/watch.ts';
import { Bench, demand, fails, has, wants } from './demand-bench.ts';

describe('a matcher', () => {
  test('keeps up with what goes, ends and comes again before it has looked', async () => {
    const bench = await new Bench().open();
    const wanted = await bench.want('a');
    await bench.supply();
    const task = bench.tasks[0] as { self: Self };
    void bench.by((self) => {
      wanted.withdraw();
      self.quit(task.self.id, 'away');
    });
    const next = await bench.want('a');
    assert.deepEqual(bench.states(), ['a starting']);
    await bench.drop(next);
    assert.deepEqual(bench.news(), ['start a', 'end a: quit away', 'start a', 'end a: quit no demand']);
    assert.deepEqual(bench.states(), []);
  });

  test('tells a task to quit that does not stop in the time it was given', async () => {
    const bench = await new Bench().open({ stop: () => bench.log.push('stop'), stopTimeout: 50 });
    const wanted = await bench.want('a');
    await bench.supply();
    await bench.drop(wanted);
    await bench.clock.advance(49);
    assert.deepEqual(bench.news(), ['start a', 'stop']);
    await bench.clock.advance(1);
    assert.deepEqual([bench.news(), bench.states()], [['end a: quit not stopped within 50 ms'], []]);
  });

  test('that is withdrawn stops its tasks and starts nothing any more', async () => {
    const bench = await new Bench().open({ whileStarting: 'wait' });
    await bench.want('a');
    await bench.supply();
    await bench.want('b');
    await bench.want('c');
    await bench.task(fails);
    bench.news();
    await bench.atMatcher(() => bench.matcher.withdraw());
    await bench.want('d');
    await bench.clock.advance(100_000);
    assert.deepEqual(bench.news(), ['end a: quit no demand', 'end b: quit no demand']);
    assert.deepEqual(bench.states(), []);
  });

  test('that ends takes its tasks and timers with it', async () => {
    const bench = await new Bench().open({ startTimeout: 1_000 });
    await bench.want('a');
    await bench.by((self) => self.quit(bench.matcherSelf.id, 'enough'));
    assert.deepEqual(bench.news(), ['start a', 'end a: linked']);
    assert.equal(bench.clock.armed, 0);
  });

  test('outlives a task that fails in its first turn', async () => {
    const bench = await new Bench().open({ start: fails, restart: { limit: 1, delay: 1 } });
    await bench.want('a');
    await bench.clock.advance(1);
    assert.deepEqual(bench.states(), ['a given up']);
  });

  test('says what is wrong with its options', async () => {
    const bench = await new Bench().open();
    const start = (): void => undefined;
    await bench.by((self) => {
      const wrong = { code: 'ERR_PORTSIDE_OPTIONS' };
      assert.throws(() => matchDemand(self, { demand, supply: publishersOf(has(capture('other'))), start }), {
        ...wrong,
        message: /same names/,
      });
      assert.throws(() => matchDemand(self, { demand: [], start }), wrong);
      assert.throws(() => matchDemand(self, { demand: wants('a', _) as never, start }), wrong);
      assert.throws(() => matchDemand(self, { demand, start: 1 as never }), wrong);
      assert.throws(() => publishersOf(wants(capture('x'), capture('x'))), wrong);
      assert.throws(() => publishersOf('x', 'anybody' as never), wrong);
    });
    const state = { code: 'ERR_PORTSIDE_STATE' };
    assert.throws(() => matchDemand(bench.matcherSelf, { demand, start }), state);
    assert.throws(() => bench.matcher.withdraw(), state);
  });
});
