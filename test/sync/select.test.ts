import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { always, choose, guard, makeEvt, never, none, select, sync } from '../../src/sync/evt.ts';
import { Scope } from '../../src/sync/scope.ts';
import { seededRandom } from '../../src/sync/random.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { Queue, stateOf, turn } from './support.ts';

describe('sync and select', () => {
  test('take at once what is ready, and leave no watcher', async () => {
    const queue = new Queue<number>();
    queue.push(1, 2);
    assert.equal(await sync(queue.evt), 1);
    assert.equal(await select(never(), queue.evt), 2);
    assert.equal(queue.watchers.size, 0);
  });

  test('wait for what becomes ready', async () => {
    const queue = new Queue<string>();
    const got = sync(queue.evt);
    assert.equal(await stateOf(got), 'pending');
    queue.push('late');
    assert.equal(await got, 'late');
    assert.equal(queue.watchers.size, 0);
  });

  test('commit exactly one; those that are not chosen have consumed nothing', async () => {
    const queues = [new Queue<number>(), new Queue<number>(), new Queue<number>()];
    const ready = select(...queues.map(({ evt }) => evt));
    for (const queue of queues) queue.push(7);
    assert.equal(await ready, 7);
    assert.deepEqual(
      queues.map(({ taken }) => taken).toSorted((a, b) => a - b),
      [0, 0, 1],
    );
    for (const queue of queues) assert.equal(queue.watchers.size, 0);
    // The two that were left are still there.
    assert.equal(await select(...queues.map(({ evt }) => evt)), 7);
    assert.equal(await select(...queues.map(({ evt }) => evt)), 7);
    assert.equal(
      queues.reduce((sum, { taken }) => sum + taken, 0),
      3,
    );
  });

  test('try again when a take fails after its wake', async () => {
    let stock = 0;
    let tries = 0;
    let wake = (): void => {};
    const evt = makeEvt({
      take: () => {
        tries++;
        return stock > 0 ? stock-- : none;
      },
      watch: (fn) => {
        wake = fn;
        return () => (wake = () => {});
      },
    });
    const got = sync(evt);
    wake();
    wake();
    assert.equal(tries, 3);
    assert.equal(await stateOf(got), 'pending');
    stock = 5;
    wake();
    assert.equal(await got, 5);
    wake();
    assert.equal(stock, 4);
  });

  test('poll again when a wake or the abort comes from inside a take or a watch', async () => {
    const queue = new Queue<number>();
    const pushes = makeEvt<never>({
      take: () => none,
      watch: () => {
        queue.push(1);
        return () => {};
      },
    });
    assert.equal(await select(queue.evt, pushes), 1);
    assert.equal(queue.watchers.size, 0);

    const controller = new AbortController();
    const aborts = makeEvt<never>({
      take: () => none,
      watch: () => {
        controller.abort('from a watch');
        return () => {};
      },
    });
    await assert.rejects(sync(choose(queue.evt, aborts), { signal: controller.signal }), (e) => e === 'from a watch');
    assert.equal(queue.watchers.size, 0);
  });

  test('poll all again when a take that fails makes another case ready', async () => {
    const queue = new Queue<string>();
    let wake = (): void => {};
    let passes = false;
    const passing = makeEvt<never>({
      take: () => {
        if (passes) queue.push('passed on');
        return none;
      },
      watch: (fn) => {
        wake = fn;
        return () => {};
      },
    });
    const got = select(passing, queue.evt);
    passes = true;
    wake();
    assert.equal(await got, 'passed on');
    assert.equal(queue.watchers.size, 0);
  });

  test('never take twice when one take wakes another case of the same select', async () => {
    const other = new Queue<string>();
    let wake = (): void => {};
    let open = false;
    const first = makeEvt({
      take: () => {
        if (!open) return none;
        other.push('not this one');
        return 'this one';
      },
      watch: (fn) => {
        wake = fn;
        return () => {};
      },
    });
    const got = select(first, other.evt);
    open = true;
    wake();
    assert.equal(await got, 'this one');
    assert.deepEqual(other.items, ['not this one']);
  });

  test('reject with what a take throws, now or after a wake, and stop watching the others', async () => {
    const queue = new Queue<number>();
    const boom = new Error('boom');
    const now = makeEvt<never>({
      take: () => {
        throw boom;
      },
      watch: () => () => {},
    });
    await assert.rejects(sync(now), boom);

    let broken = false;
    let wake = (): void => {};
    let watched = 0;
    const later = makeEvt<never>({
      take: () => {
        if (broken) throw boom;
        return none;
      },
      watch: (fn) => {
        wake = fn;
        watched++;
        return () => void watched--;
      },
    });
    const got = select(queue.evt, later, never());
    assert.equal(watched, 1);
    broken = true;
    wake();
    await assert.rejects(got, boom);
    assert.equal(watched, 0);
    assert.equal(queue.watchers.size, 0);
  });

  test('reject when a watch throws, and stop watching those before it', async () => {
    const queue = new Queue<number>();
    const full = makeEvt<never>({
      take: () => none,
      watch: () => {
        throw new RangeError('too many');
      },
    });
    const controller = new AbortController();
    await assert.rejects(sync(choose(queue.evt, full), { signal: controller.signal }), RangeError);
    assert.equal(queue.watchers.size, 0);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });

  test('keep what was taken when an unwatch throws; that is an uncaught exception', async () => {
    await capturingUncaught(async (caught) => {
      const queue = new Queue<number>();
      const bad = makeEvt<never>({
        take: () => none,
        watch: () => () => {
          throw new Error('unwatch');
        },
      });
      const got = select(bad, queue.evt);
      queue.push(3);
      assert.equal(await got, 3);
      await turn();
      assert.deepEqual(caught.map(String), ['Error: unwatch']);
      assert.equal(queue.watchers.size, 0);
    });
  });

  test('reject with the reason of the signal, before or while waiting, and have consumed nothing', async () => {
    const queue = new Queue<number>();
    queue.push(1);
    const reason = new Error('enough');
    let guards = 0;
    const guarded = guard(() => {
      guards++;
      return queue.evt;
    });
    await assert.rejects(sync(guarded, { signal: AbortSignal.abort(reason) }), reason);
    assert.deepEqual([queue.items, guards], [[1], 0]);

    queue.items.length = 0;
    const controller = new AbortController();
    const got = sync(queue.evt, { signal: controller.signal });
    controller.abort(reason);
    queue.push(2);
    await assert.rejects(got, reason);
    assert.deepEqual(queue.items, [2]);
    assert.equal(queue.watchers.size, 0);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });

  test('take nothing when a guard calls the wait off', async () => {
    const controller = new AbortController();
    const queue = new Queue<number>();
    queue.push(1);
    const off = guard(() => {
      controller.abort('off');
      return queue.evt;
    });
    await assert.rejects(sync(off, { signal: controller.signal }), (e) => e === 'off');
    assert.deepEqual(queue.items, [1]);
  });

  test('give what was taken when the abort comes after the commit', async () => {
    const controller = new AbortController();
    const queue = new Queue<number>();
    const got = sync(queue.evt, { signal: controller.signal });
    queue.push(9);
    controller.abort();
    assert.equal(await got, 9);
  });

  test('may wait for the same event twice, and for nested choices', async () => {
    const queue = new Queue<number>();
    const got = select(queue.evt, queue.evt, choose(never(), choose(queue.evt, never())));
    queue.push(1, 2);
    assert.equal(await got, 1);
    assert.deepEqual(queue.items, [2]);
    assert.equal(queue.watchers.size, 0);
    const silent = select();
    assert.equal(await stateOf(silent), 'pending');
  });

  test('choose among ready ones fairly, and the same way for the same seed', async () => {
    const draw = (seed: number): Promise<string> =>
      new Scope({ parent: null, random: seededRandom(seed) }).run(async () => {
        let text = '';
        for (let i = 0; i < 300; i++) text += await select(always('a'), always('b'), always('c'));
        return text;
      });
    const text = await draw(1);
    for (const letter of 'abc') {
      const count = text.split(letter).length - 1;
      assert.ok(count > 60 && count < 140, `${letter} was chosen ${count} times of 300`);
    }
    assert.equal(await draw(1), text);
    assert.notEqual(await draw(2), text);
  });

  test('serve those who wait for the same queue in the order in which they came', async () => {
    const queue = new Queue<number>();
    const got = [1, 2, 3].map(async (n) => [n, await select(never(), queue.evt)]);
    await turn();
    queue.push(10);
    queue.push(20, 30);
    assert.deepEqual(await Promise.all(got), [
      [1, 10],
      [2, 20],
      [3, 30],
    ]);
  });

  test('throw nothing synchronously, not even for what is no source', async () => {
    await assert.rejects(select(7 as never), { code: 'ERR_PORTSIDE_OPTIONS' });
    await assert.rejects(sync('x' as never), { code: 'ERR_PORTSIDE_OPTIONS', message: /must be an Evt, a promise/ });
  });
});
