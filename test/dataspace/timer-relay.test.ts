import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { timerRelay } from '../../src/dataspace/drivers/timer-relay.ts';
import type { TimerDriverOptions } from '../../src/dataspace/drivers/timer-driver.ts';
import { cancelTimer, setTimer } from '../../src/dataspace/drivers/timer-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { ActorId } from '../../src/dataspace/endpoint.ts';
import type { Boot, OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { TimerBench } from './timer-bench.ts';

/** A nested space with a relay in it, and an actor that does as it is told. */
class Inner {
  readonly bench: TimerBench;
  self!: Self;
  #source!: OutsideSource;
  /** Of the actor that stands for the space, and of the relay in it. */
  id: ActorId = 0;
  relay: ActorId = 0;

  constructor(bench: TimerBench) {
    this.bench = bench;
  }

  boot(options?: TimerDriverOptions): Boot {
    return (inner) => {
      this.relay = inner.spawn(timerRelay(options));
      inner.spawn((self) => {
        this.self = self;
        this.#source = self.outside();
        this.bench.listen(self);
      });
    };
  }

  async open(options?: TimerDriverOptions): Promise<this> {
    await this.bench.by((self) => {
      this.id = self.spawnSpace(this.boot(options));
    });
    return this;
  }

  async by(fn: (self: Self) => void): Promise<void> {
    this.#source.enter(() => fn(this.self));
    await this.bench.clock.settle();
  }

  letGo(): void {
    this.#source.release();
  }
}

/** All that is told was heard within. */
function quietBench(): Promise<TimerBench> {
  return new TimerBench().open({}, false);
}

describe('a relay of timers', () => {
  test('gives a nested space timers by the labels that it knows, and those of two spaces do not meet', async () => {
    const bench = await quietBench();
    const one = await new Inner(bench).open();
    const other = await new Inner(bench).open();
    await one.by((self) => self.send(setTimer(['tea', 1], 10, 'relative')));
    await other.by((self) => {
      self.send(setTimer(['tea', 1], bench.clock.wall() + 20, 'absolute'));
      self.send(cancelTimer(['tea', 1]));
      self.send(setTimer(['tea', 1], 30, 'relative'));
      self.send(setTimer(['tea', 1], -1, 'relative'));
    });
    await bench.clock.advance(100);
    assert.deepEqual(
      bench.fired.map(({ label, now, at }) => [label, now, at]),
      [0, 10, 30].map((now) => [['tea', 1], now, 1_000_000 + now]),
    );
  });

  test('passes on what was refused, and refuses what is too much by itself', async () => {
    const bench = await quietBench();
    const inner = await new Inner(bench).open({ maxTimers: 2 });
    await inner.by((self) => {
      self.send(setTimer('bad', Number.NaN, 'relative'));
      self.send(setTimer('a', 10, 'relative'));
      self.send(setTimer('b', 10, 'relative'));
    });
    assert.deepEqual(bench.refused.splice(0), [
      '"b": 2 timers are set, and there may not be more',
      '"bad": the time must be a finite number of milliseconds, got NaN',
    ]);
    await inner.by((self) => self.send(setTimer('c', 10, 'relative')));
    await bench.clock.advance(10);
    assert.deepEqual(bench.news(), [
      ['a', 10],
      ['c', 10],
    ]);
    await inner.by((self) => {
      self.send(setTimer('d', 10, 'relative'));
      self.send(setTimer('e', 10, 'relative'));
      self.send(cancelTimer('d'));
      self.send(setTimer('f', 10, 'relative'));
    });
    assert.deepEqual(bench.refused, []);
  });

  test('cancels all of a label, and what is on its way out is not told within any more', async () => {
    const bench = await quietBench();
    const inner = await new Inner(bench).open();
    await inner.by((self) => {
      self.send(setTimer('a', 10, 'relative'));
      self.send(setTimer('a', 20, 'relative'));
      self.send(setTimer('b', 20, 'relative'));
      self.send(setTimer('c', -1, 'relative'));
      self.send(cancelTimer('c'));
    });
    await bench.clock.advance(15);
    assert.deepEqual(bench.news(), [['a', 10]]);
    await inner.by((self) => self.send(cancelTimer('a')));
    await bench.clock.advance(15);
    assert.deepEqual(bench.news(), [['b', 20]]);
    assert.equal(bench.clock.armed, 0);
  });

  for (const [how, end] of [
    ['quits', (inner) => inner.by((self) => self.quit(inner.relay, 'enough'))],
    ['has its space ended from outside', (inner) => inner.bench.by((self) => self.quit(inner.id, 'enough'))],
    ['has its space ended from within', (inner) => inner.by((self) => self.atMeta.quit('enough'))],
    [
      'ends in the turn in which it is asked',
      (inner) =>
        inner.by((self) => {
          self.send(setTimer('late', 20_000, 'relative'));
          self.quit(inner.relay, 'enough');
        }),
    ],
  ] as readonly (readonly [string, (inner: Inner) => Promise<void>])[]) {
    test(`that ${how} leaves no timer outside`, async () => {
      const bench = await quietBench();
      const inner = await new Inner(bench).open();
      await inner.by((self) => {
        self.send(setTimer('a', 10_000, 'relative'));
        self.send(setTimer('b', bench.clock.wall() + 10_000, 'absolute'));
      });
      assert.equal(bench.clock.armed, 1);
      await end(inner);
      await bench.clock.settle();
      assert.equal(bench.clock.armed, 0);
      inner.letGo();
      bench.letGo();
      await bench.clock.settle();
      assert.deepEqual(await bench.done, { state: 'idle', failed: 0, failures: [] });
      assert.ok(!bench.ends.some(({ name, reason }) => name === 'timer relay' && reason.kind !== 'quit'));
      assert.equal(bench.ends.filter(({ name }) => name === 'timer relay').length, 1, 'who stayed behind is gone too');
    });
  }

  test('takes back nothing but what is pending', async () => {
    const bench = await quietBench();
    const inner = await new Inner(bench).open();
    let cancelled = 0;
    await bench.by((self) => {
      self.subscribe(cancelTimer(_), {
        onMessage: () => {
          cancelled += 1;
        },
      });
    });
    await inner.by((self) => {
      self.send(setTimer('a', 10, 'relative'));
      self.send(setTimer('b', 20, 'relative'));
    });
    await bench.clock.advance(10);
    await inner.by((self) => self.quit(inner.relay, 'enough'));
    assert.equal(cancelled, 1);
  });

  test('that ends before anybody has seen it leaves no timer outside either', async () => {
    const bench = await quietBench();
    await bench.by((self) => {
      const id = self.spawnSpace((inner) => {
        inner.send(setTimer('a', 10_000, 'relative'));
        inner.quit(inner.spawn(timerRelay()), 'at once');
        const relay = inner.spawn(timerRelay());
        inner.spawn((one) => {
          one.send(setTimer('b', 10_000, 'relative'));
          one.quit(relay, 'a little later');
        });
      });
      void id;
    });
    assert.equal(bench.clock.armed, 0);
    bench.letGo();
    await bench.clock.settle();
    assert.equal((await bench.done).failed, 0);
    assert.ok(!bench.space.inspect().actors.some(({ name }) => name === 'timer relay'));
  });

  test('reaches the driver through several spaces, and takes back through all of them', async () => {
    const bench = await quietBench();
    const inner = new Inner(bench);
    let middle = 0;
    await bench.by((self) => {
      middle = self.spawnSpace((outer) => {
        outer.spawn(timerRelay());
        outer.spawn((one) => {
          one.spawnSpace(inner.boot());
        });
      });
    });
    await inner.by((self) => {
      self.send(setTimer('deep', 10, 'relative'));
      self.send(setTimer('deep', 20, 'relative'));
      self.send(setTimer('deeper', 50, 'relative'));
    });
    await bench.clock.advance(10);
    await inner.by((self) => self.send(cancelTimer('deep')));
    await bench.clock.advance(10);
    assert.deepEqual(bench.news(), [['deep', 10]]);
    await bench.by((self) => self.quit(middle, 'enough'));
    assert.equal(bench.clock.armed, 0);
    assert.deepEqual(
      bench.space
        .inspect()
        .actors.map(({ name }) => name)
        .filter((name) => name === 'timer relay'),
      [],
    );
  });

  test('has no place on the ground', async () => {
    const space = new Dataspace();
    space.spawn(timerRelay());
    const { failures } = await space.run();
    assert.deepEqual(
      failures.map(({ reason }) => reason.kind === 'failed' && reason.error.code),
      ['ERR_PORTSIDE_STATE'],
    );
    assert.throws(() => timerRelay({ maxTimers: 1.5 }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});
