import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { copyOf, ownBytes } from '../../src/transport/own-bytes.ts';

describe('memory that is whoever’s asked for it', () => {
  test('can be had by others after somebody has taken away what small pieces are carved from', () => {
    const { buffer } = ownBytes(10);
    assert.throws(() => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }), { name: 'DataCloneError' });
    try {
      (buffer as ArrayBuffer & { transfer(): ArrayBuffer }).transfer();
    } catch (error) {
      // Newer Nodes refuse that too.
      assert.ok(error instanceof TypeError);
    }
    const bytes = copyOf(Uint8Array.of(1, 2, 3));
    assert.deepEqual([...bytes], [1, 2, 3]);
    assert.notEqual(ownBytes(10).length, 0);
  });
});
