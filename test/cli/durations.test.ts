import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/cli/durations.ts';

describe('a time on the command line', () => {
  const right: readonly (readonly [string, number])[] = [
    ['0', 0],
    ['250', 250],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5s', 1_500],
    ['1.1s', 1_100],
    ['0.001s', 1],
    ['90m', 5_400_000],
    ['2h', 7_200_000],
    ['0.5h', 1_800_000],
    ['007', 7],
    ['1.0', 1],
    ['8760h', 31_536_000_000],
  ];
  for (const [text, ms] of right) {
    test(`${text} is ${ms} ms`, () => assert.deepEqual(parseDuration(text), { ok: true, ms }));
  }

  const TIME = 'It has to be a time: milliseconds, or a number with ms, s, m or h, as in 30s.';
  const wrong: readonly (readonly [string, string])[] = [
    ['', TIME],
    ['-1', TIME],
    ['+1s', TIME],
    ['1e3', TIME],
    ['0x10', TIME],
    ['.5s', TIME],
    ['5.s', TIME],
    ['1m30s', TIME],
    ['s', TIME],
    ['30d', TIME],
    ['Infinity', `${TIME} It can not be without a limit.`],
    ['none', `${TIME} It can not be without a limit.`],
    ['30 s', `${TIME} Did you mean 30s?`],
    ['30S', `${TIME} Did you mean 30s?`],
    [' 30', `${TIME} Did you mean 30?`],
    ['30sec', `${TIME} Did you mean 30s?`],
    ['5 minutes', `${TIME} Did you mean 5m?`],
    ['1hr', `${TIME} Did you mean 1h?`],
    ['1.5ms', 'It has to come to whole milliseconds.'],
    ['0.0001s', 'It has to come to whole milliseconds.'],
    ['8761h', 'It has to be a year (8760h) at most.'],
    ['999999999999h', 'It has to be a year (8760h) at most.'],
    ['9999999999999', TIME],
  ];
  for (const [text, message] of wrong) {
    test(`${JSON.stringify(text)} is told`, () => assert.deepEqual(parseDuration(text), { ok: false, message }));
  }

  test('none is without a limit, where that is allowed', () => {
    assert.deepEqual(parseDuration('none', { none: true }), { ok: true, ms: Infinity });
    assert.deepEqual(parseDuration('9000h', { none: true }), {
      ok: false,
      message: 'It has to be a year (8760h) at most; none is no limit.',
    });
    const { message } = parseDuration('x', { none: true }) as { message: string };
    assert.match(message, /as in 30s; or none\.$/u);
    assert.match((parseDuration('None', { none: true }) as { message: string }).message, /Did you mean none\?$/u);
  });

  test('has a shortest one', () => {
    assert.deepEqual(parseDuration('1', { min: 1 }), { ok: true, ms: 1 });
    assert.deepEqual(parseDuration('0', { min: 1 }), { ok: false, message: 'It has to be 1ms or more.' });
    assert.deepEqual(parseDuration('0.5s', { min: 1_000, none: true }), {
      ok: false,
      message: 'It has to be 1s or more, or none.',
    });
  });

  test('any time that is written is read as the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 31_536_000_000 }), (ms) => {
        assert.deepEqual(parseDuration(formatDuration(ms)), { ok: true, ms });
      }),
    );
    for (const [ms, text] of [
      [0, '0ms'],
      [1_500, '1500ms'],
      [30_000, '30s'],
      [3_600_000, '1h'],
      [Infinity, 'none'],
    ] as const)
      assert.equal(formatDuration(ms), text);
  });

  test('whatever is given, there is an answer, and a right one is a whole number', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{0,4}\.?\d{0,4}[a-zA-Z ]{0,4}$/u)), (text) => {
        const result = parseDuration(text);
        if (result.ok) assert.ok(Number.isSafeInteger(result.ms) && result.ms >= 0);
        else assert.match(result.message, /^It has to /u);
      }),
    );
  });
});
