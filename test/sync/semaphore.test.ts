import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { always, choose, never, none, select, sync } from '../../src/sync/evt.ts';
import { Semaphore } from '../../src/sync/semaphore.ts';
import type { Permit } from '../../src/sync/semaphore.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { stateOf, turn } from './support.ts';

function counts({ available, waiting, size }: Semaphore): string {
  return `${available} of ${size}, ${waiting} wait`;
}

describe('a semaphore', () => {
  test('gives as many permits as it has', async () => {
    const semaphore = new Semaphore(2);
    const first = semaphore.tryAcquire();
    const second = await semaphore.acquire();
    assert.ok(first !== null);
    assert.equal(semaphore.tryAcquire(), null);
    assert.equal(counts(semaphore), '0 of 2, 0 wait');
    first.release();
    second.release();
    assert.equal(counts(semaphore), '2 of 2, 0 wait');
    assert.equal(new Semaphore(0).tryAcquire(), null);
  });

  test('takes a permit back once, however often it is released', () => {
    const semaphore = new Semaphore(1);
    const permit = semaphore.tryAcquire() as Permit;
    assert.equal(permit.released, false);
    permit[Symbol.dispose]();
    permit.release();
    assert.equal(permit.released, true);
    assert.equal(counts(semaphore), '1 of 1, 0 wait');
  });

  test('serves those who wait in the order in which they came, be it by promise or by event', async () => {
    const semaphore = new Semaphore(1);
    const held = await semaphore.acquire();
    const order: string[] = [];
    const use = async (name: string, wait: Promise<Permit>): Promise<void> => {
      const permit = await wait;
      order.push(name);
      await turn();
      permit.release();
    };
    const all = [
      use('promise 1', semaphore.acquire()),
      use('event 1', select(never(), semaphore)),
      use('promise 2', semaphore.acquire()),
      use('event 2', sync(semaphore.acquireEvt())),
      use('promise 3', semaphore.acquire()),
    ];
    assert.equal(semaphore.waiting, 5);
    held.release();
    await Promise.all(all);
    assert.deepEqual(order, ['promise 1', 'event 1', 'promise 2', 'event 2', 'promise 3']);
    assert.equal(counts(semaphore), '1 of 1, 0 wait');
  });

  test('lets nobody who waits by event be overtaken for ever by those who wait by promise', async () => {
    const semaphore = new Semaphore(1);
    const held = await semaphore.acquire();
    let served = false;
    const patient = select(semaphore, never()).then((permit) => {
      served = true;
      permit.release();
    });
    held.release();
    for (let i = 0; i < 5 && !served; i++) (await semaphore.acquire()).release();
    assert.equal(served, true);
    await patient;
  });

  test('gives a permit that a watcher leaves to the next', async () => {
    const semaphore = new Semaphore(1);
    const held = await semaphore.acquire();
    let wakes = 0;
    const end = semaphore.acquireEvt().watch(() => void wakes++);
    const next = semaphore.acquire();
    held.release();
    assert.equal(wakes, 1);
    (await next).release();
    assert.equal(wakes, 2);
    assert.equal(semaphore.available, 1);
    end();
    assert.equal(semaphore.waiting, 0);
  });

  test('comes to an end when a watcher that takes nothing watches again at each wake', async () => {
    const semaphore = new Semaphore(1);
    const held = await semaphore.acquire();
    let wakes = 0;
    const watch = (): (() => void) => {
      const end = semaphore.acquireEvt().watch(() => {
        assert.ok(++wakes < 10, 'woken without end');
        end();
        watch();
      });
      return end;
    };
    watch();
    held.release();
    assert.equal(wakes, 1);
    assert.notEqual(semaphore.tryAcquire(), null);
    await turn();
    assert.deepEqual([wakes, semaphore.waiting], [2, 1]);
  });

  test('stops no other when a watcher throws', async () => {
    await capturingUncaught(async (caught) => {
      const semaphore = new Semaphore(1);
      const held = await semaphore.acquire();
      const end = semaphore.acquireEvt().watch(() => {
        throw new Error('watcher');
      });
      const next = semaphore.acquire();
      held.release();
      await next;
      await turn();
      assert.deepEqual(caught.map(String), ['Error: watcher']);
      end();
    });
  });

  test('loses no permit when a wait is called off, before, while or after it waits', async () => {
    const semaphore = new Semaphore(1);
    await assert.rejects(semaphore.acquire({ signal: AbortSignal.abort('early') }), (e) => e === 'early');
    assert.equal(semaphore.available, 1);

    const held = await semaphore.acquire();
    const controller = new AbortController();
    const off = semaphore.acquire({ signal: controller.signal });
    const next = semaphore.acquire();
    controller.abort('late');
    held.release();
    await assert.rejects(off, (e) => e === 'late');
    const permit = await next;

    const race = new AbortController();
    const granted = semaphore.acquire({ signal: race.signal });
    permit.release();
    race.abort();
    (await granted).release();
    assert.equal(counts(semaphore), '1 of 1, 0 wait');
    assert.equal(getEventListeners(race.signal, 'abort').length, 0);
  });

  test('that is not chosen keeps its permit', async () => {
    const semaphore = new Semaphore(1);
    // Chance decides between the two: enough draws to see both.
    const chosen = new Set<string>();
    for (let i = 0; i < 100; i++) {
      const value = await select(semaphore, always('other'));
      chosen.add(typeof value === 'string' ? value : 'permit');
      assert.equal(semaphore.available, value === 'other' ? 1 : 0);
      if (typeof value !== 'string') value.release();
    }
    assert.deepEqual([...chosen].toSorted(), ['other', 'permit']);
  });

  test('keeps its permit, and forgets the wait, when a select on it is called off', async () => {
    const semaphore = new Semaphore(0);
    const controller = new AbortController();
    const waiting = sync(choose(semaphore, never()), { signal: controller.signal });
    assert.equal(semaphore.waiting, 1);
    controller.abort('off');
    await assert.rejects(waiting, (e) => e === 'off');
    semaphore.resize(1);
    assert.equal(counts(semaphore), '1 of 1, 0 wait');
  });

  test('refuses those who are too many', async () => {
    const semaphore = new Semaphore(0, { maxWaiting: 2 });
    const first = semaphore.acquire();
    const second = sync(semaphore.acquireEvt());
    await assert.rejects(semaphore.acquire(), { code: 'ERR_PORTSIDE_LIMIT' });
    await assert.rejects(select(semaphore, never()), { code: 'ERR_PORTSIDE_LIMIT' });
    assert.equal(semaphore.waiting, 2);
    semaphore.resize(2);
    await Promise.all([first, second]);
    assert.equal(new Semaphore(0, {}).waiting, 0);
  });

  test('lets ten thousand wait by default', async () => {
    const semaphore = new Semaphore(0);
    const waits = Array.from({ length: 10_000 }, () => semaphore.acquire());
    await assert.rejects(semaphore.acquire(), { code: 'ERR_PORTSIDE_LIMIT', message: /^10000 wait/ });
    semaphore.resize(10_000);
    await Promise.all(waits);
  });

  test('may grow and shrink while permits are out', async () => {
    const semaphore = new Semaphore(3);
    const held = [1, 2, 3].map(() => semaphore.tryAcquire() as Permit);
    semaphore.resize(1);
    assert.equal(counts(semaphore), '0 of 1, 0 wait');
    const next = semaphore.acquire();
    held[0]?.release();
    held[1]?.release();
    assert.equal(await stateOf(next), 'pending');
    held[2]?.release();
    await next;
    const more = [semaphore.acquire(), semaphore.acquire()];
    semaphore.resize(3);
    await Promise.all(more);
    assert.equal(counts(semaphore), '0 of 3, 0 wait');
  });

  test('refuses numbers that are none', () => {
    for (const wrong of [-1, 1.5, Number.NaN, Infinity, '1' as never]) {
      assert.throws(() => new Semaphore(wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
      assert.throws(() => new Semaphore(1).resize(wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    assert.throws(() => new Semaphore(1, { maxWaiting: -1 }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });

  test('in the hands of somebody who takes without waiting gives none that is not there', () => {
    const semaphore = new Semaphore(1);
    const evt = semaphore.acquireEvt();
    assert.notEqual(evt.take(), none);
    assert.equal(evt.take(), none);
    assert.equal(semaphore.acquireEvt(), evt);
  });
});
