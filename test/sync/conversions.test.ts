import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { EventEmitter, getEventListeners } from 'node:events';
import { after, always, at, never, select, sync, toEvt } from '../../src/sync/evt.ts';
import { Scope } from '../../src/sync/scope.ts';
import { Semaphore } from '../../src/sync/semaphore.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { Queue, stateOf, turn } from './support.ts';

describe('promises and signals', () => {
  test('a promise gives its value as often as it is asked', async () => {
    const evt = toEvt(Promise.resolve(5));
    assert.equal(await sync(evt), 5);
    assert.equal(await sync(evt), 5);
    assert.equal(await select(never(), Promise.resolve('direct')), 'direct');
  });

  test('a rejection makes the sync reject, and never becomes an unhandled rejection', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    try {
      const failing = Promise.reject(new Error('failed'));
      const evt = toEvt(failing);
      await turn();
      await turn();
      assert.deepEqual(unhandled, []);
      await assert.rejects(sync(evt), /failed/);
      await assert.rejects(select(never(), evt), /failed/);
    } finally {
      process.off('unhandledRejection', note);
    }
  });

  test('a loop that selects on one long-lived promise adds one reaction to it, not one each time', async () => {
    let reactions = 0;
    class Counted<T> extends Promise<T> {
      // oxlint-disable-next-line unicorn/no-thenable -- the promise's own method is what is counted
      override then<A = T, B = never>(
        yes?: ((value: T) => A | PromiseLike<A>) | null,
        no?: ((reason: unknown) => B | PromiseLike<B>) | null,
      ): Promise<A | B> {
        reactions++;
        return super.then(yes, no);
      }
    }
    const forever = new Counted<never>(() => {});
    const queue = new Queue<number>();
    for (let i = 0; i < 100; i++) {
      const got = select(forever, queue.evt);
      queue.push(i);
      assert.equal(await got, i);
    }
    assert.equal(reactions, 1);
  });

  test('a thenable that throws or answers at once is as good as a promise', async () => {
    // oxlint-disable-next-line unicorn/no-thenable -- that is what it is about
    const eager = { then: (yes: (value: number) => void) => yes(1) } as PromiseLike<number>;
    const broken = {
      // oxlint-disable-next-line unicorn/no-thenable -- that is what it is about
      then: () => {
        throw new Error('broken thenable');
      },
    } as unknown as PromiseLike<number>;
    assert.equal(await sync(eager), 1);
    await assert.rejects(sync(broken), /broken thenable/);
  });

  test('a signal gives its reason, and keeps no listener', async () => {
    const controller = new AbortController();
    const queue = new Queue<number>();
    for (let i = 0; i < 20; i++) {
      const got = select(controller.signal, queue.evt);
      queue.push(i);
      assert.equal(await got, i);
    }
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    const got = select(queue.evt, controller.signal);
    controller.abort('stop');
    assert.equal(await got, 'stop');
    assert.equal(await sync(controller.signal), 'stop');
    assert.equal(queue.watchers.size, 0);
  });

  test('a watch on what is ready already wakes soon, but not from inside and not when it was ended', async () => {
    const settled = toEvt(Promise.resolve());
    await turn();
    for (const evt of [settled, always(1), toEvt(AbortSignal.abort()), new Semaphore(1).acquireEvt()]) {
      let wakes = 0;
      const end = evt.watch(() => void wakes++);
      assert.equal(wakes, 0);
      await turn();
      assert.equal(wakes, 1);
      end();
      evt.watch(() => void wakes++)();
      await turn();
      assert.equal(wakes, 1);
    }
  });

  test('anything else is refused, with what it was', () => {
    for (const [value, shown] of [
      [null, 'null'],
      [7, '7'],
      [new EventEmitter(), 'an? EventEmitter'],
    ] as const) {
      assert.throws(() => toEvt(value), { code: 'ERR_PORTSIDE_OPTIONS', message: new RegExp(`got ${shown}`) });
    }
  });
});

describe('time', () => {
  function inScope<T>(fn: (clock: VirtualClock) => T): T {
    const clock = new VirtualClock();
    return new Scope({ parent: null, clock }).run(() => fn(clock));
  }

  test('after counts from the beginning of each sync, by the clock of its scope', async () => {
    const evt = after(100);
    await inScope(async (clock) => {
      await clock.advance(1_000);
      for (let i = 0; i < 2; i++) {
        const got = sync(evt);
        await clock.advance(99);
        assert.equal(await stateOf(got), 'pending');
        await clock.advance(1);
        assert.equal(await stateOf(got), 'fulfilled');
      }
      assert.equal(clock.armed, 0);
    });
  });

  test('a timer that was not chosen is taken back', async () => {
    await inScope(async (clock) => {
      const queue = new Queue<number>();
      const got = select(queue.evt, after(1_000));
      await turn();
      assert.equal(clock.armed, 1);
      queue.push(1);
      assert.equal(await got, 1);
      assert.equal(clock.armed, 0);
    });
  });

  test('at waits for the wall clock, and notices when it jumps', async () => {
    await inScope(async (clock) => {
      const hour = 3_600_000;
      const alarm = sync(at(clock.wall() + hour));
      await clock.advance(hour - 1);
      assert.equal(await stateOf(alarm), 'pending');
      await clock.advance(1);
      assert.equal(await stateOf(alarm), 'fulfilled');

      const jumped = sync(at(clock.wall() + hour));
      clock.jumpWall(hour);
      await clock.advance(10_000);
      assert.equal(await stateOf(jumped), 'fulfilled');
      await sync(at(clock.wall()));
      assert.equal(clock.armed, 0);
    });
  });

  test('Infinity is never, 0 is at once, and what is no time is refused', async () => {
    await inScope(async (clock) => {
      await sync(after(0));
      const got = select(after(Infinity), at(Infinity));
      await turn();
      assert.equal(clock.armed, 0);
      assert.equal(await stateOf(got), 'pending');
    });
    for (const wrong of [-1, Number.NaN, '1' as never]) {
      assert.throws(() => after(wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    assert.throws(() => at(Number.NaN), { code: 'ERR_PORTSIDE_OPTIONS' });
  });

  test('by the system clock it is never early', async () => {
    for (const ms of [0.4, 1.5, 3, 7.9]) {
      const begun = performance.now();
      await sync(after(ms));
      const passed = performance.now() - begun;
      assert.ok(passed >= ms, `${passed} ms passed of ${ms}`);
    }
  });
});
