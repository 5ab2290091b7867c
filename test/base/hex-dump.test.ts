import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hexDump } from '../../src/base/hex-dump.ts';

describe('a hex dump', () => {
  test('has 16 bytes a line, with their offset and what is ASCII of them', () => {
    const bytes = Uint8Array.from({ length: 20 }, (_none, i) => 0x1c + i);
    assert.deepEqual(hexDump(bytes, 0x100), [
      '00000100  1c 1d 1e 1f 20 21 22 23  24 25 26 27 28 29 2a 2b  |.... !"#$%&\'()*+|',
      '00000110  2c 2d 2e 2f                                       |,-./|',
    ]);
    assert.deepEqual(hexDump(Uint8Array.of(0x7e, 0x7f, 0xff)), [
      '00000000  7e 7f ff                                          |~..|',
    ]);
    assert.deepEqual(hexDump(new Uint8Array()), []);
  });

  test('says all bytes, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const lines = hexDump(bytes);
        assert.equal(lines.length, Math.ceil(bytes.length / 16));
        const hex = lines.map((line) => line.slice(10, 59).replaceAll(' ', '')).join('');
        assert.deepEqual(Buffer.from(hex, 'hex'), Buffer.from(bytes));
        for (const line of lines) assert.match(line, /^[0-9a-f]{8} {2}[0-9a-f ]{49} \|[ -~]{1,16}\|$/u);
      }),
    );
  });
});
