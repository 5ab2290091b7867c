import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { systemClock } from '../../src/sync/clock.ts';
import { turn } from './support.ts';

const DAY = 24 * 60 * 60 * 1_000;

function timers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

describe('the system clock', () => {
  test('moves on by itself, without stepping back', () => {
    const begun = systemClock.now();
    assert.ok(Math.abs(systemClock.wall() - Date.now()) < 1_000);
    let last = begun;
    for (let i = 0; i < 1_000; i++) {
      const now = systemClock.now();
      assert.ok(now >= last);
      last = now;
    }
  });

  test('calls back from a fresh stack, in the order of asking, when the present turn is over', async () => {
    const log: string[] = [];
    systemClock.soon(() => log.push('first'));
    systemClock.soon(() => log.push('second'));
    await Promise.resolve();
    assert.deepEqual(log, []);
    await turn();
    assert.deepEqual(log, ['first', 'second']);
  });

  test('takes a timer back, and lets it keep the process alive or not', () => {
    const before = timers();
    const timer = systemClock.after(DAY, () => assert.fail('a day has passed'));
    assert.equal(timers(), before + 1);
    timer.ref(false);
    assert.equal(timers(), before);
    timer.ref(true);
    assert.equal(timers(), before + 1);
    timer.cancel();
    timer.cancel();
    assert.equal(timers(), before);
  });

  test('waits longer than the longest timer of Node', (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    let fired = 0;
    systemClock.after(40 * DAY, () => fired++);
    const cancelled = systemClock.after(40 * DAY, () => assert.fail('it was taken back'));
    context.mock.timers.tick(2 ** 31 - 1);
    cancelled.cancel();
    context.mock.timers.tick(40 * DAY - 2 ** 31);
    assert.equal(fired, 0);
    context.mock.timers.tick(1);
    assert.equal(fired, 1);
  });

  test('rounds fractions of a millisecond up', (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    let fired = false;
    systemClock.after(1.2, () => {
      fired = true;
    });
    context.mock.timers.tick(1);
    assert.equal(fired, false);
    context.mock.timers.tick(1);
    assert.equal(fired, true);
  });
});
