import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import { systemClock } from '../../src/sync/clock.ts';
import type { Clock } from '../../src/sync/clock.ts';
import { Deadline } from '../../src/sync/deadline.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { turn } from './support.ts';

describe('a deadline', () => {
  test('expires once, when its interval has passed, to the millisecond', async () => {
    const clock = new VirtualClock();
    const at: number[] = [];
    const deadline = new Deadline(clock, () => at.push(clock.now()));
    assert.equal(deadline.armed, false);
    await clock.advance(7);
    deadline.arm(100);
    assert.equal(deadline.armed, true);
    await clock.advance(99);
    assert.deepEqual(at, []);
    await clock.advance(1);
    assert.deepEqual(at, [107]);
    assert.equal(deadline.armed, false);
    await clock.advance(1_000);
    assert.deepEqual(at, [107]);
    assert.equal(clock.armed, 0);
  });

  test('is put off by a touch, which sets no timer', async () => {
    const clock = new VirtualClock();
    const at: number[] = [];
    const deadline = new Deadline(clock, () => at.push(clock.now()));
    deadline.touch();
    assert.equal(deadline.armed, false);
    deadline.arm(100);
    for (let i = 0; i < 1_000; i++) deadline.touch();
    assert.equal(clock.everArmed, 1);
    await clock.advance(60);
    deadline.touch();
    await clock.advance(60);
    deadline.touch();
    // One timer for each interval that passed, not one for each touch.
    assert.equal(clock.everArmed, 2);
    await clock.advance(99);
    assert.deepEqual(at, []);
    await clock.advance(1);
    assert.deepEqual(at, [220]);
  });

  test('that is disarmed does not expire, and leaves no timer', async () => {
    const clock = new VirtualClock();
    const deadline = new Deadline(clock, () => assert.fail('it was disarmed'));
    deadline.arm(10);
    deadline.disarm();
    deadline.disarm();
    assert.deepEqual([deadline.armed, clock.armed], [false, 0]);
    deadline.arm(10);
    deadline.arm(Infinity);
    assert.deepEqual([deadline.armed, clock.armed], [false, 0]);
    await clock.advance(100);
  });

  test('may be armed anew, for longer or shorter, also while it expires', async () => {
    const clock = new VirtualClock();
    const at: number[] = [];
    const deadline = new Deadline(clock, () => {
      at.push(clock.now());
      if (at.length < 3) deadline.arm(5);
    });
    deadline.arm(100);
    deadline.arm(200);
    await clock.advance(150);
    deadline.arm(10);
    await clock.advance(20);
    assert.deepEqual(at, [160, 165, 170]);
  });

  test('costs no timer of its own: ten thousand arm one', async () => {
    const clock = new VirtualClock();
    let expired = 0;
    const all = Array.from({ length: 10_000 }, () => new Deadline(clock, () => expired++));
    for (const deadline of all) deadline.arm(30_000);
    assert.deepEqual([clock.armed, clock.everArmed], [1, 1]);
    for (const deadline of all) deadline.touch();
    assert.equal(clock.everArmed, 1);
    await clock.advance(30_000);
    assert.deepEqual([expired, clock.armed], [10_000, 0]);
  });

  test('belongs to its clock', async () => {
    const clocks = [new VirtualClock(), new VirtualClock()] as const;
    const expired: number[] = [];
    for (const [n, clock] of clocks.entries()) new Deadline(clock, () => expired.push(n)).arm(10);
    await clocks[1].advance(10);
    assert.deepEqual(expired, [1]);
    assert.equal(clocks[0].armed, 1);
  });

  test('with others expires in the order of the times, also when the timer comes late and finds all due', () => {
    let now = 0;
    let timer = (): void => assert.fail('no timer was set');
    const late: Clock = {
      ...systemClock,
      now: () => now,
      after: (_, fn) => {
        timer = fn;
        return { cancel() {}, ref() {} };
      },
    };
    const log: string[] = [];
    const make = (name: string): Deadline => new Deadline(late, () => log.push(name));
    const touched = make('touched, 60');
    touched.arm(50);
    make('55').arm(55);
    make('70').arm(70);
    make('20').arm(20);
    now = 10;
    touched.touch();
    now = 100;
    timer();
    assert.deepEqual(log, ['20', '55', 'touched, 60', '70']);
  });

  test('that was disarmed or touched by one that expired before it, in the same go, does not expire', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const first = new Deadline(clock, () => {
      log.push('first');
      second.disarm();
      third.touch();
      fourth.arm(10);
    });
    const second = new Deadline(clock, () => log.push('second'));
    const third = new Deadline(clock, () => log.push(`third at ${clock.now()}`));
    const fourth = new Deadline(clock, () => log.push(`fourth at ${clock.now()}`));
    first.arm(5);
    for (const deadline of [second, third, fourth]) deadline.arm(5);
    await clock.advance(5);
    // Those that are due together were all found by one timer. The touch came at the very moment it was due.
    assert.deepEqual(log, ['first']);
    assert.deepEqual([second.armed, third.armed, fourth.armed], [false, true, true]);
    await clock.advance(20);
    assert.deepEqual(log, ['first', 'third at 10', 'fourth at 15']);
  });

  test('that throws stops no other; it is an uncaught exception', async () => {
    await capturingUncaught(async (caught) => {
      const clock = new VirtualClock();
      let other = false;
      new Deadline(clock, () => {
        throw new Error('in a deadline');
      }).arm(5);
      new Deadline(clock, () => {
        other = true;
      }).arm(5);
      await clock.advance(5);
      await turn();
      assert.equal(other, true);
      assert.deepEqual(caught.map(String), ['Error: in a deadline']);
    });
  });

  test('armed with 0 on expiry lets the loop go on in between', async () => {
    const clock = new VirtualClock();
    let times = 0;
    const deadline = new Deadline(clock, () => {
      if (++times < 5) deadline.arm(0);
    });
    deadline.arm(0);
    await clock.advance(0);
    assert.deepEqual([times, clock.everArmed], [5, 5]);
  });

  test('is never early, and somebody may wait for nothing else', async () => {
    const begun = performance.now();
    await new Promise<void>((resolve) => {
      new Deadline(systemClock, resolve).arm(12.5);
    });
    const passed = performance.now() - begun;
    assert.ok(passed >= 12.5, `${passed} ms passed`);
  });

  test('keeps the process alive while it is armed, and no longer', () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const deadline = new Deadline(systemClock, () => {});
    deadline.arm(60_000);
    assert.equal(timers(), before + 1);
    deadline.disarm();
    assert.equal(timers(), before);
  });

  test('expires in nobody’s context, since the timer is everybody’s', async () => {
    const clock = new VirtualClock();
    const context = new AsyncLocalStorage<string>();
    let seen: string | undefined = 'not called';
    context.run('the first who arms', () => new Deadline(clock, () => {}).arm(10));
    context.run('another', () => new Deadline(clock, () => (seen = context.getStore())).arm(10));
    await clock.advance(10);
    assert.equal(seen, undefined);
  });

  test('refuses what is no time', () => {
    const deadline = new Deadline(new VirtualClock(), () => {});
    for (const wrong of [-1, Number.NaN, '5' as never]) {
      assert.throws(() => deadline.arm(wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    assert.equal(deadline.armed, false);
  });

  test('agrees with a list of times that is searched, for any program', async () => {
    const which = fc.nat(31);
    const command = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('arm' as const), which, ms: fc.nat(150) }) },
      fc.record({ kind: fc.constant('touch' as const), which }),
      fc.record({ kind: fc.constant('disarm' as const), which }),
      fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(20) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 50, maxLength: 150, size: 'max' }), async (program) => {
        const clock = new VirtualClock();
        const log: [number, number][] = [];
        const all = Array.from({ length: 32 }, (_, n) => new Deadline(clock, () => log.push([n, clock.now()])));
        const model: ({ ms: number; due: number } | undefined)[] = all.map(() => undefined);
        for (const step of program) {
          const before = log.length;
          if (step.kind === 'arm') {
            all[step.which]?.arm(step.ms);
            model[step.which] = { ms: step.ms, due: clock.now() + step.ms };
          } else if (step.kind === 'touch') {
            all[step.which]?.touch();
            const one = model[step.which];
            if (one !== undefined) one.due = clock.now() + one.ms;
          } else if (step.kind === 'disarm') {
            all[step.which]?.disarm();
            model[step.which] = undefined;
          } else {
            const end = clock.now() + step.ms;
            await clock.advance(step.ms);
            const expected: [number, number][] = [];
            for (const [n, one] of model.entries()) {
              if (one === undefined || one.due > end) continue;
              expected.push([n, one.due]);
              model[n] = undefined;
            }
            const news = log.slice(before);
            assert.deepEqual(news.toSorted(byTime), expected.toSorted(byTime));
            assert.deepEqual(
              news.map(([, time]) => time),
              news.map(([, time]) => time).toSorted((a, b) => a - b),
            );
          }
          assert.deepEqual(
            all.map(({ armed }) => armed),
            model.map((one) => one !== undefined),
          );
          assert.equal(clock.armed, model.some((one) => one !== undefined) ? 1 : 0);
        }
      }),
      { numRuns: 150 },
    );
  });
});

function byTime(a: readonly [number, number], b: readonly [number, number]): number {
  return a[1] - b[1] || a[0] - b[0];
}
