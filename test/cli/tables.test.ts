import assert from 'node:assert/strict';
import { test } from 'node:test';
import { howLong, howMuch } from '../../src/cli/admin/tables.ts';

test('bytes are told in three digits and a unit, whatever rounding makes of them', () => {
  const amounts = [0, 999, 1_000, 1_023, 1_024, 10_188, 10_189, 1_023_000, 1_023_999, 1_572_864, 2 ** 50];
  assert.deepEqual(amounts.map(howMuch), [
    '0',
    '999',
    '1.0k',
    '1.0k',
    '1.0k',
    '9.9k',
    '10k',
    '999k',
    '1.0M',
    '1.5M',
    '1024T',
  ]);
});

test('times are told by their two largest units', () => {
  const times = [0, 340, 12_000, 303_000, 7_800_000, 273_600_000];
  assert.deepEqual(times.map(howLong), ['0ms', '340ms', '12s', '5m 3s', '2h 10m', '3d 4h']);
});
