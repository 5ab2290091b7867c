import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { seededRandom, systemRandom } from '../../src/sync/random.ts';

describe('random numbers', () => {
  test('a seed gives the same draws in every release', () => {
    const random = seededRandom(42);
    const draws = Array.from({ length: 5 }, () => random.int(1_000_000));
    const fork = random.fork();
    assert.deepEqual([...draws, fork.int(1000), random.int(1000)], GOLDEN);
  });

  test('the same seed gives the same, another seed something else', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
        const draw = (seed: number): number[] => {
          const random = seededRandom(seed);
          return [random.next(), random.next(), random.fork().next(), random.next()];
        };
        assert.deepEqual(draw(a), draw(a));
        if (a !== b) assert.notDeepEqual(draw(a), draw(b));
      }),
    );
  });

  test('a fork neither repeats its source nor disturbs it by its own draws', () => {
    const one = seededRandom(7);
    const two = seededRandom(7);
    const fork = one.fork();
    two.fork();
    const forked = Array.from({ length: 100 }, () => fork.next());
    const rest = Array.from({ length: 100 }, () => one.next());
    assert.deepEqual(
      rest,
      Array.from({ length: 100 }, () => two.next()),
    );
    assert.equal(forked.filter((draw) => rest.includes(draw)).length, 0);
  });

  test('every whole number below the bound comes up about as often', () => {
    for (const random of [seededRandom(1), systemRandom, systemRandom.fork()]) {
      for (const below of [1, 2, 7, 10]) {
        const counts = Array.from({ length: below }, () => 0);
        for (let i = 0; i < below * 1000; i++) counts[random.int(below)]! += 1;
        for (const count of counts) assert.ok(count > 800 && count < 1200, `${count} of 1000 expected`);
      }
    }
  });

  test('draws lie from 0 up to 1, and use the whole range', () => {
    for (const random of [seededRandom(3), systemRandom]) {
      const draws = Array.from({ length: 10_000 }, () => random.next());
      assert.ok(draws.every((draw) => draw >= 0 && draw < 1));
      const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length;
      assert.ok(Math.abs(mean - 0.5) < 0.03, `the mean is ${mean}`);
      assert.ok(Math.max(...draws) > 0.99 && Math.min(...draws) < 0.01);
    }
    assert.ok(seededRandom(1).int(2 ** 32) >= 0);
  });

  test('bounds and seeds that are none are refused', () => {
    for (const wrong of [0, -1, 1.5, Number.NaN, 2 ** 32 + 1]) {
      assert.throws(() => seededRandom(1).int(wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
      assert.throws(() => systemRandom.int(wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    assert.throws(() => seededRandom(0.5), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});

const GOLDEN: readonly number[] = [542769, 152135, 201041, 367609, 529070, 783, 590];
