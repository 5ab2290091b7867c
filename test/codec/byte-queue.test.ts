import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { OptionsError } from '../../src/base/options.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

function queueOf(...chunks: string[]): ByteQueue {
  const queue = new ByteQueue();
  for (const chunk of chunks) queue.append(Uint8Array.from(Buffer.from(chunk)));
  return queue;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

interface Search {
  readonly op: 'indexOf';
  readonly what: number | Uint8Array;
  readonly from: number;
  readonly limit: number | undefined;
}

type Op =
  | Search
  | { readonly op: 'append' | 'unshift'; readonly bytes: Uint8Array }
  | { readonly op: 'take' | 'skip' | 'peek' | 'byteAt' | 'takeChunk'; readonly n: number }
  | { readonly op: 'takeAll' };

const letters = (minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ min: 0, max: 2, minLength, maxLength });
/** Long ones repeat a short pattern, so that a failure can be read. */
const long = (min: number, max: number): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(letters(1, 7), fc.integer({ min, max }))
    .map(([pattern, size]) => Uint8Array.from({ length: size }, (_, i) => pattern[i % pattern.length] ?? 0));
const chunkBytes = fc.oneof(
  { weight: 12, arbitrary: letters(0, 4) },
  { weight: 2, arbitrary: long(100, 160) },
  { weight: 1, arbitrary: long(2000, 5000) },
);
const share = fc.double({ min: 0, max: 1, noNaN: true });
const ops: fc.Arbitrary<Op[]> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.record({ op: fc.constant('append' as const), bytes: chunkBytes }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('unshift' as const), bytes: chunkBytes }) },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constantFrom('take' as const, 'skip' as const),
        n: fc.oneof(
          share,
          fc.constant(0),
          share.map((n) => n / 20),
        ),
      }),
    },
    { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('peek' as const, 'byteAt' as const), n: share }) },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constant('takeChunk' as const),
        n: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant(Infinity)),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ op: 'takeAll' as const }) },
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant('indexOf' as const),
        what: fc.oneof(fc.integer({ min: 0, max: 3 }), letters(0, 7), letters(8, 40)),
        from: share,
        limit: fc.option(share, { nil: undefined }),
      }),
    },
  ),
  { maxLength: 80, size: 'max' },
);

/** The same by the plainest means. */
class Model {
  bytes = Buffer.alloc(0);

  take(n: number): Buffer {
    const taken = Buffer.from(this.bytes.subarray(0, n));
    this.bytes = this.bytes.subarray(n);
    return taken;
  }

  indexOf(what: number | Uint8Array, from: number, limit: number): number {
    const run = typeof what === 'number' ? [what] : [...what];
    for (let i = from; i + run.length <= limit; i++) if (run.every((byte, j) => this.bytes[i + j] === byte)) return i;
    return -1;
  }
}

describe('a byte queue', () => {
  test('does what a plain array of bytes does', () => {
    fc.assert(
      fc.property(ops, (steps) => {
        const queue = new ByteQueue();
        const model = new Model();
        const given: Uint8Array[] = [];
        // Whoever took bytes writes over them: neither may the queue notice, nor may the queue write into them.
        const compare = (taken: Uint8Array, expected: Uint8Array): void => {
          assert.deepEqual(text(taken), text(expected));
          taken.fill(0xee);
          given.push(taken);
        };
        for (const step of steps) {
          const n = 'n' in step ? Math.floor(step.n * queue.length) : 0;
          if (step.op === 'append') {
            queue.append(step.bytes.slice());
            model.bytes = Buffer.concat([model.bytes, step.bytes]);
          } else if (step.op === 'unshift') {
            queue.unshift(step.bytes.slice());
            model.bytes = Buffer.concat([step.bytes, model.bytes]);
          } else if (step.op === 'take') compare(queue.take(n), model.take(n));
          else if (step.op === 'takeAll') compare(queue.takeAll(), model.take(model.bytes.length));
          else if (step.op === 'takeChunk') {
            const taken = queue.takeChunk(step.n);
            assert.ok(taken.length <= step.n && (taken.length > 0 || model.bytes.length === 0));
            compare(taken, model.take(taken.length));
          } else if (step.op === 'skip') {
            queue.skip(n);
            model.take(n);
          } else if (step.op === 'peek') {
            assert.equal(text(queue.peek(n)), text(model.bytes.subarray(0, n)));
          } else if (step.op === 'byteAt') {
            if (n < queue.length) assert.equal(queue.byteAt(n), model.bytes[n]);
          } else if (step.op === 'indexOf') {
            const from = Math.floor(step.from * queue.length);
            const limit = step.limit === undefined ? undefined : Math.floor(step.limit * (queue.length + 5));
            assert.equal(
              queue.indexOf(step.what, from, limit),
              model.indexOf(step.what, from, Math.min(limit ?? Infinity, model.bytes.length)),
            );
          }
          assert.equal(queue.length, model.bytes.length);
        }
        for (const taken of given) assert.ok(taken.every((byte) => byte === 0xee));
        assert.equal(text(queue.takeAll()), text(model.bytes));
      }),
      { numRuns: 1000 },
    );
  });

  test('gives views of what lies in one chunk, and the chunk itself when it is taken whole', () => {
    const queue = new ByteQueue();
    const chunk = Uint8Array.from(Buffer.from('abcdef'));
    queue.append(chunk);
    assert.equal(queue.peek(2).buffer, chunk.buffer);
    assert.equal(queue.take(2).buffer, chunk.buffer);
    assert.equal(queue.takeChunk(1).buffer, chunk.buffer);
    assert.equal(queue.takeAll().buffer, chunk.buffer);
    queue.append(chunk);
    assert.equal(queue.takeChunk(), chunk);
    queue.append(chunk);
    assert.equal(queue.takeAll(), chunk);
    assert.equal(queue.takeAll().length, 0);
    assert.equal(queue.takeChunk().length, 0);
  });

  test('gives plain Uint8Arrays, whatever was appended', () => {
    const queue = new ByteQueue();
    for (let i = 0; i < 8; i++) queue.append(Buffer.from('abcd'));
    const given = [
      queue.takeChunk(),
      queue.takeChunk(1),
      queue.take(2),
      queue.peek(1),
      queue.take(5),
      queue.take(0),
      queue.takeAll(),
      queue.takeAll(),
      queue.takeChunk(),
    ];
    for (const bytes of given) assert.equal(Object.getPrototypeOf(bytes), Uint8Array.prototype);
  });

  test('finds a run across any number of borders, and not beyond the limit', () => {
    const queue = queueOf('ab', 'c', 'd', '', 'ef', 'abcdef');
    const run = Buffer.from('bcdefa');
    assert.equal(queue.indexOf(run), 1);
    assert.equal(queue.indexOf(run, 2), -1);
    assert.equal(queue.indexOf(run, 0, 7), 1);
    assert.equal(queue.indexOf(run, 0, 6), -1);
    assert.equal(queue.indexOf(0x66, 0, 5), -1);
    assert.equal(queue.indexOf(0x66, 0, 6), 5);
    assert.equal(queue.indexOf(0x66, 6), 11);
    assert.equal(queue.indexOf(0x66, 500), -1);
    assert.equal(queue.indexOf(new Uint8Array(0), 3), 3);
    assert.equal(queue.indexOf(new Uint8Array(0), 13), -1);
  });

  test('refuses counts and positions that it does not have, and stays as it is', () => {
    const queue = queueOf('abc', 'def');
    for (const wrong of [
      () => queue.take(7),
      () => queue.take(-1),
      () => queue.take(1.5),
      () => queue.take(NaN),
      () => queue.peek(7),
      () => queue.skip(7),
      () => queue.skip(-1),
      () => queue.byteAt(6),
      () => queue.byteAt(-1),
      () => queue.takeChunk(-1),
      () => queue.indexOf(1, -1),
      () => queue.indexOf(1, 0, -1),
      () => new ByteQueue().byteAt(0),
      () => new ByteQueue().take(1),
    ]) {
      assert.throws(wrong, OptionsError);
    }
    assert.equal(text(queue.takeAll()), 'abcdef');
  });

  test('looks at each of many chunks a few times at most, however they are searched and taken', () => {
    let looks = 0;
    class Counted extends Uint8Array {
      override get length(): number {
        looks += 1;
        return this.byteLength;
      }
    }
    const queue = new ByteQueue();
    const chunks = 4000;
    for (let i = 0; i < chunks; i++) {
      const seen = queue.length;
      queue.append(new Counted(200).fill(7));
      assert.equal(queue.indexOf(8, seen), -1);
      assert.equal(queue.indexOf(Uint8Array.of(7, 8), Math.max(0, seen - 1)), -1);
      assert.equal(queue.byteAt(0), 7);
      assert.equal(queue.peek(Math.min(250, queue.length))[0], 7);
      assert.equal(queue.byteAt(queue.length - 1), 7);
    }
    while (queue.length > 0) {
      queue.take(Math.min(150, queue.length));
      if (queue.length > 0) assert.equal(queue.indexOf(7), 0);
    }
    assert.ok(looks < chunks * 80, `${looks} looks at ${chunks} chunks`);
  });

  test('holds many single bytes in little more than their number', () => {
    const queue = new ByteQueue();
    const used = (): number => {
      gc();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = used();
    for (let i = 0; i < 200_000; i++) queue.append(Uint8Array.of(i));
    const grown = used() - before;
    assert.ok(grown < 1_500_000, `${grown} bytes for 200,000`);
    for (let i = 0; i < 200_000; i++) assert.equal(queue.take(1)[0], i & 255);
  });

  test('lets go of chunks as soon as they are taken', async () => {
    const queue = new ByteQueue();
    const refs: WeakRef<ArrayBufferLike>[] = [];
    const fill = (): void => {
      for (let i = 0; i < 20; i++) {
        const chunk = new Uint8Array(1000);
        refs.push(new WeakRef(chunk.buffer));
        queue.append(chunk);
      }
    };
    fill();
    assert.equal(queue.indexOf(1, 19_500), -1);
    queue.skip(10_500);
    await turn();
    gc();
    assert.deepEqual(
      refs.map((ref) => ref.deref() !== undefined),
      Array.from({ length: 20 }, (_, i) => i >= 10),
    );
    queue.skip(queue.length);
    await turn();
    gc();
    assert.ok(refs.every((ref) => ref.deref() === undefined));
  });
});
