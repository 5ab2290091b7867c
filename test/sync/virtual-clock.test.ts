import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

function sleep(clock: VirtualClock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

describe('a virtual clock', () => {
  test('stands still until it is told to move', async () => {
    const clock = new VirtualClock();
    let fired = 0;
    clock.after(1, () => fired++);
    clock.after(-5, () => fired++);
    await clock.settle();
    assert.deepEqual([clock.now(), clock.wall(), fired, clock.armed], [0, Date.UTC(2025, 0, 1), 0, 2]);
  });

  test('moves both clocks, and begins where it is told', async () => {
    const clock = new VirtualClock({ now: 1_000, wall: 5 });
    await clock.advance(10.5);
    assert.deepEqual([clock.now(), clock.wall()], [1_010.5, 15.5]);
    clock.jumpWall(-100);
    assert.deepEqual([clock.now(), clock.wall()], [1_010.5, -84.5]);
  });

  test('fires in the order of the times, and of the setting where they are the same, each at its time', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const note = (name: string) => () => void log.push(`${name} at ${clock.now()}`);
    clock.after(20, note('d'));
    clock.after(10, note('b'));
    clock.after(10, note('c'));
    clock.after(Number.NaN, note('a'));
    clock.after(Infinity, note('never'));
    await clock.advance(19);
    assert.deepEqual(log, ['a at 0', 'b at 10', 'c at 10']);
    await clock.advance(1);
    assert.equal(log.at(-1), 'd at 20');
    assert.deepEqual([clock.armed, clock.everArmed], [1, 5]);
  });

  test('lets promises settle between steps, so that what they set is in time', async () => {
    const clock = new VirtualClock();
    const log: number[] = [];
    void (async () => {
      for (let i = 0; i < 3; i++) {
        await sleep(clock, 10);
        await Promise.resolve();
        log.push(clock.now());
      }
    })();
    await clock.advance(25);
    assert.deepEqual(log, [10, 20]);
    await clock.advance(5);
    assert.deepEqual(log, [10, 20, 30]);
  });

  test('runs tasks in order, from a fresh stack, before it moves the time', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    clock.soon(() => {
      log.push('first');
      clock.soon(() => log.push(`third at ${clock.now()}`));
      void Promise.resolve().then(() => log.push('reaction'));
    });
    clock.soon(() => log.push('second'));
    clock.after(5, () => {
      log.push('timer');
      clock.soon(() => log.push(`task at ${clock.now()}`));
    });
    clock.after(5, () => log.push('next timer'));
    assert.deepEqual(log, []);
    await clock.advance(5);
    assert.deepEqual(log, ['first', 'reaction', 'second', 'third at 0', 'timer', 'task at 5', 'next timer']);
  });

  test('takes back a timer, and only that one', async () => {
    const clock = new VirtualClock();
    const log: number[] = [];
    const handles = [0, 1, 2, 3].map((n) => clock.after(10, () => log.push(n)));
    handles[2]?.cancel();
    handles[2]?.cancel();
    handles[1]?.ref(false);
    clock.after(5, () => handles[0]?.cancel());
    await clock.advance(10);
    handles[3]?.cancel();
    assert.deepEqual(log, [1, 3]);
    assert.equal(clock.armed, 0);
  });

  test('runs a promise to its end, whatever time that takes', async () => {
    const clock = new VirtualClock();
    const value = await clock.run(
      (async () => {
        await sleep(clock, 3_600_000);
        await sleep(clock, 3_600_000);
        return clock.now();
      })(),
    );
    assert.equal(value, 7_200_000);
    const failing = async (): Promise<void> => {
      await sleep(clock, 5);
      throw new Error('inner');
    };
    await assert.rejects(clock.run(failing()), /inner/);
    assert.equal(await clock.run(Promise.resolve(1)), 1);
  });

  test('stops moving as soon as the promise has settled', async () => {
    const clock = new VirtualClock();
    clock.after(50, () => assert.fail('too far'));
    await clock.run(sleep(clock, 10));
    assert.equal(clock.now(), 10);
  });

  test('says so when nothing can wake a promise any more', async () => {
    const clock = new VirtualClock();
    clock.after(10, () => {});
    clock.after(Infinity, () => {});
    const stuck = new Promise(() => {});
    await assert.rejects(clock.run(stuck), { code: 'ERR_PORTSIDE_TIMEOUT', message: /no timer is left/ });
    assert.equal(clock.now(), 10);
  });

  test('gives up on a promise that only a heartbeat keeps company', async () => {
    const clock = new VirtualClock();
    const beat = (): void => void clock.after(1_000, beat);
    beat();
    await assert.rejects(clock.run(new Promise(() => {}), { limit: 10_500 }), {
      code: 'ERR_PORTSIDE_TIMEOUT',
      message: /10500 ms/,
    });
    assert.equal(clock.now(), 10_000);
  });

  test('waits for turns of the real loop that a promise hangs on', async () => {
    const clock = new VirtualClock();
    const real = new Promise<string>((resolve) => {
      setImmediate(() => setImmediate(() => setImmediate(() => resolve('real'))));
    });
    assert.equal(await clock.run(real), 'real');
  });

  test('rejects the call that moved the time when a timer or task throws, and goes on afterwards', async () => {
    const clock = new VirtualClock();
    let fired = false;
    clock.after(5, () => {
      throw new Error('timer');
    });
    clock.after(6, () => {
      fired = true;
    });
    await assert.rejects(clock.advance(10), /timer/);
    assert.equal(clock.now(), 5);
    await clock.advance(1);
    assert.equal(fired, true);
    clock.soon(() => {
      throw new Error('task');
    });
    await assert.rejects(clock.settle(), /task/);
  });

  test('calls back in the context of the one who asked, as real timers do', async () => {
    const clock = new VirtualClock();
    const context = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    context.run('asker', () => {
      clock.after(1, () => seen.push(context.getStore()));
      clock.soon(() => seen.push(context.getStore()));
    });
    await context.run('mover', () => clock.advance(1));
    assert.deepEqual(seen, ['asker', 'asker']);
  });

  test('refuses what is no time', async () => {
    const clock = new VirtualClock();
    for (const wrong of [-1, Number.NaN, Infinity]) {
      await assert.rejects(clock.advance(wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    assert.throws(() => clock.jumpWall(Number.NaN), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => new VirtualClock({ now: Number.NaN }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });

  test('fires like a sorted list would, for any program of settings, takings-back and moves', async () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), ms: fc.integer({ min: -1, max: 30 }), again: fc.boolean() }),
      fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(40) }),
      fc.record({ kind: fc.constant('move' as const), ms: fc.nat(20) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 40 }), async (program) => {
        const clock = new VirtualClock();
        const log: string[] = [];
        const expected: string[] = [];
        const handles: { cancel(): void; ref(on: boolean): void }[] = [];
        let model: { id: number; due: number; again: boolean }[] = [];
        let modelNow = 0;
        let ids = 0;
        const set = (ms: number, again: boolean): void => {
          const id = handles.length;
          handles.push(
            clock.after(ms, () => {
              log.push(`${id} at ${clock.now()}`);
              if (again) set(7, false);
            }),
          );
        };
        for (const step of program) {
          if (step.kind === 'set') {
            set(step.ms, step.again);
            model.push({ id: ids++, due: modelNow + Math.max(0, step.ms), again: step.again });
          } else if (step.kind === 'cancel') {
            handles[step.which]?.cancel();
            model = model.filter(({ id }) => id !== step.which);
          } else {
            const end = modelNow + step.ms;
            for (;;) {
              const due = model.filter((timer) => timer.due <= end).toSorted((a, b) => a.due - b.due || a.id - b.id);
              const next = due[0];
              if (next === undefined) break;
              model.splice(model.indexOf(next), 1);
              modelNow = Math.max(modelNow, next.due);
              expected.push(`${next.id} at ${modelNow}`);
              if (next.again) model.push({ id: ids++, due: modelNow + 7, again: false });
            }
            modelNow = end;
            await clock.advance(step.ms);
          }
        }
        assert.deepEqual(log, expected);
        assert.equal(clock.armed, model.length);
      }),
      { numRuns: 60 },
    );
  });
});
