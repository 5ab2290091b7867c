import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { crc32c } from '../../src/codec/proxy-crc32c.ts';

describe('the checksum', () => {
  test('is CRC32c, by the vectors of RFC 3720, section B.4', () => {
    const rising = Uint8Array.from({ length: 32 }, (_, i) => i);
    assert.equal(crc32c(new Uint8Array(32)), 0x8a91_36aa);
    assert.equal(crc32c(new Uint8Array(32).fill(255)), 0x62a8_ab43);
    assert.equal(crc32c(rising), 0x46dd_794e);
    assert.equal(crc32c(rising.toReversed()), 0x113f_db5c);
    assert.equal(crc32c(Buffer.from('123456789')), 0xe306_9283);
    assert.equal(crc32c(new Uint8Array(0)), 0);
  });

  test('can be summed up in pieces', () => {
    const bytes = Buffer.from('123456789');
    for (let i = 0; i <= 9; i++) assert.equal(crc32c(bytes.subarray(i), crc32c(bytes.subarray(0, i))), 0xe306_9283);
  });
});
