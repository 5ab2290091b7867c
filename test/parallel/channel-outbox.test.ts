import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { setImmediate as turn } from 'node:timers/promises';
import { COUNTERS_BYTES, counters, Outbox } from '../../src/parallel/outbox.ts';

/** An outbox, what arrives of it, and how far the other side says that it is. */
function outbox(t: TestContext, limit = 10): { out: Outbox; come: () => unknown[][]; took: (count: number) => void } {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const shared = new Int32Array(new SharedArrayBuffer(COUNTERS_BYTES));
  const come = (): unknown[][] => {
    const all: unknown[][] = [];
    for (;;) {
      const next: { message: unknown[] } | undefined = receiveMessageOnPort(port2);
      if (next === undefined) return all;
      all.push(next.message);
    }
  };
  const took = (count: number): void => void Atomics.store(shared, counters.workerTook, count | 0);
  return { out: new Outbox(port1, shared, counters.workerTook, limit), come, took };
}

describe('what goes to another thread', () => {
  test('goes in one piece at the end of the turn, numbered from its first', async (t) => {
    const { out, come } = outbox(t);
    out.put(1, 0, 'a', 'x');
    out.notice(2, 7);
    out.put(1, 0, 'b', 'y');
    assert.deepEqual(come(), []);
    await turn();
    assert.deepEqual(come(), [[0, 1, 0, 'a', 'x', 2, 7, null, undefined, 1, 0, 'b', 'y']]);
    out.put(1, 0, 'a', 'z');
    out.flush();
    await turn();
    assert.deepEqual(come(), [[2, 1, 0, 'a', 'z']]);
    out.flush(true);
    out.flush();
    assert.deepEqual(come(), [[3]]);
  });

  test('goes earlier when there is much of it', (t) => {
    const { out, come } = outbox(t);
    for (let i = 0; i < 65; i += 1) out.put(1, 0, 'a', i);
    const [first, ...rest] = come();
    assert.deepEqual([first?.[0], first?.length, rest], [0, 1 + 64 * 4, []]);
    out.flush();
    assert.deepEqual(come(), [[64, 1, 0, 'a', 64]]);
  });

  test('leaves a gap for what can’t be posted, and for nothing beside it', (t) => {
    const { out, come } = outbox(t);
    out.put(1, 0, 'a', 'x');
    out.notice(2, 0);
    out.put(1, 0, 'a', () => 'not to be cloned');
    out.put(1, 0, 'a', 'y');
    out.flush();
    assert.deepEqual(come(), [
      [0, 1, 0, 'a', 'x'],
      [1, 2, 0, null, undefined],
      [2, 1, 0, 'a', 'y'],
    ]);
  });

  test('is full by what the other side has not taken, also after numbers that 32 bits can’t hold', (t) => {
    const { out, took } = outbox(t, 3);
    for (let i = 0; i < 3; i += 1) {
      assert.equal(out.full, false);
      out.put(1, 0, 'a', i);
    }
    assert.deepEqual([out.full, out.waiting, out.sent], [true, 3, 3]);
    took(1);
    assert.deepEqual([out.full, out.waiting], [false, 2]);
    // As if it had gone round: the counter of the other side is far before, and far behind, at once.
    took(3 - 2 ** 32 - 1);
    assert.equal(out.waiting, 1);
  });
});
