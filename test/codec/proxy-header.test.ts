import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { more } from '../../src/codec/codec.ts';
import { ProxyHeaderDecoder, couldBeProxyHeader } from '../../src/codec/proxy-header.ts';
import { OptionsError } from '../../src/base/options.ts';
import { SIGNATURE, UNEXPECTED_END, outcomeOf, refused, splitInvariant, v2 } from './proxy-support.ts';

describe('a decoder of headers', () => {
  test('gives one header, and then nothing, and leaves the rest alone', () => {
    const line = 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n';
    const decoder = new ProxyHeaderDecoder();
    const queue = new ByteQueue();
    queue.append(Buffer.from(line + line));
    assert.notEqual(decoder.decode(queue), more);
    assert.equal(decoder.decode(queue), more);
    assert.equal(decoder.end(queue), more);
    assert.equal(Buffer.from(queue.takeAll()).toString(), line);
  });

  test('refuses an input that begins otherwise at its first wrong byte', () => {
    const rows = ['GET / HTTP/1.1\r\n', 'PROXX', 'PROXYTCP4', '\r\n\r\n\0\r\nQUIT\r', '\x16\x03\x01', '\r\n\r\nHELO'];
    for (const text of rows) {
      refused(Buffer.from(text, 'latin1'), /there is none; the input begins with something else/);
      assert.equal(couldBeProxyHeader(Buffer.from(text, 'latin1')), 'no');
    }
  });

  test('refuses an input without any bytes at its end', () => {
    assert.deepEqual(outcomeOf([]), {
      header: null,
      code: UNEXPECTED_END,
      message: 'the input ended before its PROXY header',
      rest: '',
    });
  });

  test('takes the versions that it is told, and no other', () => {
    const one = Buffer.from('PROXY UNKNOWN\r\n');
    const two = v2('20', '00');
    assert.equal(splitInvariant(one, { versions: [1] }).header?.version, 1);
    assert.equal(splitInvariant(two, { versions: [2] }).header?.version, 2);
    assert.match(splitInvariant(one, { versions: [2] }).message, /version 1, which is not taken here/);
    assert.match(splitInvariant(two, { versions: [1] }).message, /version 2, which is not taken here/);
  });

  test('refuses settings that are wrong', () => {
    const wrong = [{ versions: [] }, { versions: [3] }, { maxLength: 106 }, { maxLength: 65_552 }, { maxlength: 1 }];
    for (const options of wrong) assert.throws(() => new ProxyHeaderDecoder(options as never), OptionsError);
  });

  test('tells by at most 12 bytes whether there can be a header', () => {
    for (const bytes of [Buffer.from('PROXY TCP4 '), Buffer.from(`${SIGNATURE}21`, 'hex')]) {
      const enough = bytes[0] === 80 ? 6 : 12;
      for (let i = 0; i <= bytes.length; i++) {
        assert.equal(couldBeProxyHeader(bytes.subarray(0, i)), i < enough ? 'more' : 'yes');
        if (i === 0 || i > enough) continue;
        const wrong = new Uint8Array(bytes.subarray(0, i));
        wrong[i - 1] = (wrong[i - 1] as number) ^ 64;
        assert.equal(couldBeProxyHeader(wrong), 'no');
      }
    }
  });
});
