import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { choose, guard, map, never, select, sync } from '../../src/sync/evt.ts';
import { Queue, turn } from './support.ts';

describe('map', () => {
  test('calls its function once, at the commit, and only for the one that is chosen', async () => {
    const queue = new Queue<number>();
    const calls: string[] = [];
    const evt = map(
      map(queue.evt, (value) => {
        calls.push(`inner ${value}`);
        return value + 1;
      }),
      (value) => {
        calls.push(`outer ${value}`);
        return `#${value}`;
      },
    );
    const lost = map(never(), () => calls.push('never'));
    const got = select(evt, lost);
    await turn();
    assert.deepEqual(calls, []);
    queue.push(1);
    assert.equal(await got, '#2');
    assert.deepEqual(calls, ['inner 1', 'outer 2']);
  });

  test('whose function throws rejects the sync and leaves no watcher', async () => {
    const queue = new Queue<number>();
    const bad = map(queue.evt, () => {
      throw new Error('bad mapping');
    });
    const got = select(bad, never(), new Queue().evt);
    queue.push(1);
    await assert.rejects(got, /bad mapping/);
    queue.push(2);
    await assert.rejects(sync(bad), /bad mapping/);
    assert.equal(queue.watchers.size, 0);
  });

  test('runs its function in the context of the sync, not of whoever woke it', async () => {
    const context = new AsyncLocalStorage<string>();
    const queue = new Queue<number>();
    const got = context.run('mine', () => sync(map(queue.evt, () => context.getStore())));
    context.run('theirs', () => queue.push(1));
    assert.equal(await got, 'mine');
  });

  test('keeps a value that has a method `then` from being taken for a promise before it is mapped', async () => {
    const queue = new Queue<{ then: string }>();
    const got = sync(map(queue.evt, (value) => value.then));
    // oxlint-disable-next-line unicorn/no-thenable -- that is what it is about
    queue.push({ then: 'a field' });
    assert.equal(await got, 'a field');
  });
});

describe('guard', () => {
  test('is evaluated once in each sync, nested ones too', async () => {
    let outer = 0;
    let inner = 0;
    const queue = new Queue<number>();
    const evt = guard(() => {
      outer++;
      return choose(
        never(),
        guard(() => {
          inner++;
          return queue.evt;
        }),
      );
    });
    const got = select(never(), evt);
    queue.watchers.wakeAll();
    queue.watchers.wakeAll();
    queue.push(1);
    assert.equal(await got, 1);
    assert.deepEqual([outer, inner], [1, 1]);
    queue.push(2);
    await sync(evt);
    assert.deepEqual([outer, inner], [2, 2]);
  });

  test('that throws rejects the sync before anything is taken or watched', async () => {
    const queue = new Queue<number>();
    queue.push(1);
    const bad = guard(() => {
      throw new Error('no');
    });
    await assert.rejects(select(queue.evt, bad), /no/);
    assert.deepEqual(queue.items, [1]);
    assert.equal(queue.watchers.size, 0);
  });
});
