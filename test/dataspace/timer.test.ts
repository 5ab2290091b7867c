import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { timerDriver } from '../../src/dataspace/drivers/timer-driver.ts';
import { cancelTimer, setTimer, timerExpired } from '../../src/dataspace/drivers/timer-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { Datum } from '../../src/dataspace/topic-types.ts';
import { TimerBench } from './timer-bench.ts';

const WALL = 1_000_000;
const LOOK = 10_000;

describe('a relative timer', () => {
  test('expires when its time is over, and not before; the message says the time by the wall clock', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => self.send(setTimer('a', 50, 'relative')));
    await bench.clock.advance(49.5);
    assert.deepEqual(bench.fired, []);
    await bench.clock.advance(0.5);
    assert.deepEqual(bench.fired, [{ label: 'a', now: 50, at: WALL + 50 }]);
    await bench.clock.advance(100_000);
    assert.equal(bench.fired.length, 1);
  });

  test('is set by each message: the same label twice expires twice', async () => {
    const bench = await new TimerBench().open();
    await bench.by((self) => {
      self.send(setTimer('a', 10, 'relative'));
      self.send(setTimer('a', 30, 'relative'));
      self.send(setTimer('a', 10, 'relative'));
    });
    await bench.clock.advance(30);
    assert.deepEqual(bench.news(), [
      ['a', 10],
      ['a', 10],
      ['a', 30],
    ]);
  });

  test('does not mind where the wall clock jumps to', async () => {
    const bench = await new TimerBench().open();
    for (const jump of [3_600_000, -7_200_000]) {
      const begun = bench.clock.now();
      await bench.by((self) => self.send(setTimer(jump, 60_000, 'relative')));
      bench.clock.jumpWall(jump);
      await bench.clock.advance(59_999);
      assert.deepEqual(bench.news(), []);
      await bench.clock.advance(1);
      assert.deepEqual(bench.news(), [[jump, begun + 60_000]]);
    }
  });

  test('may last a fraction of a millisecond, and longer than a timer of Node', async () => {
    const bench = await new TimerBench().open();
    const long = 2 ** 31 + 0.5;
    await bench.by((self) => {
      self.send(setTimer('long', long, 'relative'));
      self.send(setTimer('short', 0.25, 'relative'));
    });
    await bench.clock.advance(0.25);
    assert.deepEqual(bench.news(), [['short', 0.25]]);
    await bench.clock.advance(long - 1);
    assert.deepEqual(bench.news(), []);
    await bench.clock.advance(1);
    assert.deepEqual(bench.news(), [['long', long]]);
  });
});

describe('an absolute timer', () => {
  test('expires when the wall clock shows its time, and not before', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => self.send(setTimer('a', WALL + 25_000.5, 'absolute')));
    await bench.clock.advance(25_000);
    assert.deepEqual(bench.fired, []);
    await bench.clock.advance(0.5);
    assert.deepEqual(bench.fired, [{ label: 'a', now: 25_000.5, at: WALL + 25_000.5 }]);
  });

  test('expires soon after the wall clock has jumped beyond its time', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => self.send(setTimer('a', WALL + 86_400_000, 'absolute')));
    await bench.clock.advance(3_000);
    bench.clock.jumpWall(86_400_000);
    await bench.clock.advance(LOOK);
    assert.deepEqual(bench.fired, [{ label: 'a', now: LOOK, at: WALL + 86_400_000 + LOOK }]);
  });

  test('waits longer where the wall clock has jumped back, even at the last moment', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => self.send(setTimer('a', WALL + 5_000, 'absolute')));
    await bench.clock.advance(4_999);
    bench.clock.jumpWall(-60_000);
    await bench.clock.advance(60_000);
    assert.deepEqual(bench.fired, []);
    await bench.clock.advance(1);
    assert.deepEqual(bench.news(), [['a', 65_000]]);
  });
});

describe('timers', () => {
  test('that are due together are sent together, the earliest first, and of equal ones the one set first', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => {
      self.send(setTimer(['absolute', -3], WALL - 3, 'absolute'));
      self.send(setTimer(['relative', -1], -1, 'relative'));
      self.send(setTimer(['relative', -4], -4, 'relative'));
      self.send(setTimer(['relative', -3], -3, 'relative'));
      self.send(setTimer(['absolute', -2], WALL - 2, 'absolute'));
      self.send(setTimer(['relative', -4, 'again'], -4, 'relative'));
    });
    assert.deepEqual(bench.news(), [
      [['relative', -4], 0],
      [['relative', -4, 'again'], 0],
      [['absolute', -3], 0],
      [['relative', -3], 0],
      [['absolute', -2], 0],
      [['relative', -1], 0],
    ]);
  });

  test('that are negative, zero or past expire at once, without a timer of the clock', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => {
      self.send(setTimer('zero', 0, 'relative'));
      self.send(setTimer('past', 1, 'absolute'));
      self.send(setTimer('now', WALL, 'absolute'));
      self.send(setTimer('negative', -1e9, 'relative'));
    });
    assert.deepEqual(
      bench.news().map(([label]) => label),
      ['negative', 'past', 'zero', 'now'],
    );
    assert.equal(bench.clock.everArmed, 0);
  });

  test('share one timer of the clock, which is there only while they are', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => {
      for (let i = 0; i < 1_000; i++) {
        self.send(setTimer(i, 1_000 - i, 'relative'));
        self.send(setTimer(i, WALL + 1_000 - i, 'absolute'));
      }
    });
    assert.equal(bench.clock.armed, 1);
    const { everArmed } = bench.clock;
    await bench.by((self) => {
      for (let i = 0; i < 1_000; i++) self.send(setTimer('later', 2_000 + i, 'relative'));
      self.send(cancelTimer('later'));
    });
    assert.equal(bench.clock.everArmed, everArmed, 'one that comes in time was set again');
    await bench.clock.advance(500);
    assert.equal(bench.fired.length, 1_000);
    assert.equal(bench.clock.armed, 1);
    await bench.clock.advance(500);
    assert.equal(bench.fired.length, 2_000);
    assert.equal(bench.clock.armed, 0);
    const times = bench.fired.map(({ now }) => now);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
  });

  test('keep the space running while they are set, and no longer', async () => {
    const bench = await new TimerBench().open();
    await bench.by((self) => {
      self.send(setTimer('a', 70, 'relative'));
      self.send(setTimer('b', 5_000, 'relative'));
    });
    bench.letGo();
    let over = 0;
    void bench.done.then(() => {
      over = bench.clock.now();
    });
    await bench.clock.advance(60);
    await bench.spawn((self) => self.send(cancelTimer('b')));
    assert.equal(over, 0);
    await bench.clock.advance(10_000);
    assert.equal(over, 70);
    assert.deepEqual(await bench.done, { state: 'idle', failed: 0, failures: [] });
    assert.equal(bench.clock.armed, 0);
  });

  test('are gone with their driver, and nobody waits for them', async () => {
    const bench = await new TimerBench().open();
    await bench.by((self) => self.send(setTimer('a', 70, 'relative')));
    assert.equal(bench.clock.armed, 1);
    await bench.by((self) => self.quit(bench.driver, 'enough'));
    assert.equal(bench.clock.armed, 0);
    bench.letGo();
    await bench.clock.advance(100);
    assert.equal((await bench.done).state, 'idle');
    assert.deepEqual(bench.fired, []);
  });

  test('that were set by an actor expire although it has ended', async () => {
    const bench = await new TimerBench().open();
    await bench.spawn((self) => self.send(setTimer('legacy', 5, 'relative')));
    await bench.clock.advance(5);
    assert.deepEqual(bench.news(), [['legacy', 5]]);
  });

  test('go by the time of the machine where there is no other', { timeout: 20_000 }, async () => {
    const space = new Dataspace();
    const begun = performance.now();
    const fired: [Datum, number, number][] = [];
    space.spawn(timerDriver());
    space.spawn((self) => {
      self.subscribe(timerExpired(_, _), {
        onMessage: ({ topic: { label, at } }) => void fired.push([label, performance.now() - begun, at]),
      });
      self.send(setTimer('relative', 20.5, 'relative'));
      self.send(setTimer('absolute', Date.now() + 40, 'absolute'));
      self.send(setTimer('never', 1e12, 'relative'));
      self.send(setTimer('at once', -1, 'relative'));
      self.send(cancelTimer('never'));
    });
    assert.deepEqual(await space.run(), { state: 'idle', failed: 0, failures: [] });
    assert.deepEqual(
      fired.map(([label]) => label),
      ['at once', 'relative', 'absolute'],
    );
    assert.ok(fired.every(([, , at]) => Math.abs(at - Date.now()) < 20_000));
    assert.ok((fired[1]?.[1] ?? 0) >= 20.5);
  });
});

describe('cancelTimer', () => {
  test('takes back all that are set by its label, and none of another', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => {
      self.send(setTimer('a', 10, 'relative'));
      self.send(setTimer('a', WALL + 20, 'absolute'));
      self.send(setTimer('a', 30, 'relative'));
      self.send(setTimer('b', 30, 'relative'));
    });
    await bench.clock.advance(10);
    await bench.by((self) => self.send(cancelTimer('a')));
    await bench.by((self) => self.send(cancelTimer('a')));
    await bench.by((self) => self.send(cancelTimer('nobody knows')));
    await bench.clock.advance(100_000);
    assert.deepEqual(bench.news(), [
      ['a', 10],
      ['b', 30],
    ]);
  });

  test('compares labels by value, whatever plain data they are', async () => {
    const job = record('job', ['of', 'number']).of<{ of: string; number: number }>();
    const labels = (): Datum[] => [
      ['list', 1, null, true],
      job('ann', 5),
      Uint8Array.of(1, 2, 3),
      5,
      '5',
      null,
      [job('bob', 1), [Uint8Array.of()]],
      Number.NaN,
    ];
    const bench = await new TimerBench().open();
    await bench.by((self) => {
      for (const label of labels()) self.send(setTimer(label, 10, 'relative'));
      for (const label of labels()) self.send(cancelTimer(label));
      self.send(setTimer('left', 10, 'relative'));
    });
    await bench.clock.advance(10);
    assert.deepEqual(bench.news(), [['left', 10]]);

    const one = await new TimerBench().open();
    await one.by((self) => {
      self.send(setTimer('5', 10, 'relative'));
      self.send(setTimer(5, 10, 'relative'));
      self.send(cancelTimer(5));
    });
    await one.clock.advance(10);
    assert.deepEqual(one.news(), [['5', 10]]);
  });

  test('wins over an expiry that was not sent, be it overdue', async () => {
    const bench = await new TimerBench(WALL).open();
    await bench.by((self) => {
      self.send(setTimer('a', -100, 'relative'));
      self.send(setTimer('a', WALL - 100, 'absolute'));
      self.send(setTimer('b', -100, 'relative'));
      self.send(cancelTimer('a'));
    });
    assert.deepEqual(bench.news(), [['b', 0]]);
    // It comes at the very moment, before the driver's turn.
    await bench.spawn((self) => {
      const source = self.outside();
      self.clock.after(10, () => {
        source.enter(() => self.send(cancelTimer('c')));
        source.release();
      });
      self.send(setTimer('c', 10, 'relative'));
    });
    await bench.clock.advance(50);
    assert.deepEqual(bench.news(), []);
    assert.equal(bench.clock.armed, 0);
  });

  test('does not reach those that are set after it', async () => {
    const bench = await new TimerBench().open();
    await bench.by((self) => {
      self.send(setTimer('a', 10, 'relative'));
      self.send(cancelTimer('a'));
      self.send(setTimer('a', 20, 'relative'));
    });
    await bench.clock.advance(20);
    assert.deepEqual(bench.news(), [['a', 20]]);
  });
});

describe('what makes no sense', () => {
  test('is refused in words, and harms nothing', async () => {
    const bench = await new TimerBench().open();
    await bench.by((self) => {
      self.send(setTimer('nan', Number.NaN, 'relative'));
      self.send(setTimer('endless', Number.POSITIVE_INFINITY, 'absolute'));
      self.send(setTimer('text', '5' as never, 'relative'));
      self.send(setTimer(['kind', 1], 5, 'sideways' as never));
      self.send(setTimer('kind', 5, null as never));
      self.send(setTimer('good', 5, 'relative'));
    });
    assert.deepEqual(bench.refused, [
      '"nan": the time must be a finite number of milliseconds, got NaN',
      '"endless": the time must be a finite number of milliseconds, got Infinity',
      '"text": the time must be a finite number of milliseconds, got "5"',
      '["kind", 1]: the kind must be "relative" or "absolute", got "sideways"',
      '"kind": the kind must be "relative" or "absolute", got null',
    ]);
    await bench.clock.advance(5);
    assert.deepEqual(bench.news(), [['good', 5]]);
  });

  test('is refused when too many are set, until one has expired or was cancelled', async () => {
    const bench = await new TimerBench().open({ maxTimers: 2 });
    const set = (label: string, ms = 10): Promise<void> =>
      bench.by((self) => self.send(setTimer(label, ms, 'relative')));
    await set('a');
    await set('b', 20);
    await set('c');
    assert.deepEqual(bench.refused.splice(0), ['"c": 2 timers are set, and there may not be more']);
    await bench.clock.advance(10);
    await set('d');
    await set('e');
    assert.deepEqual(bench.refused.splice(0).length, 1);
    await bench.by((self) => self.send(cancelTimer('d')));
    await set('f', 10);
    await bench.clock.advance(100);
    assert.deepEqual(bench.refused, []);
    assert.deepEqual(bench.news(), [
      ['a', 10],
      ['b', 20],
      ['f', 20],
    ]);
  });

  test('as an option is an error of whoever gives it', () => {
    assert.throws(() => timerDriver({ maxTimers: -1 }), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => timerDriver({ max: 1 } as never), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});
