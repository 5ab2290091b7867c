import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { more } from '../../src/codec/codec.ts';
import { ProxyHeaderDecoder, encodeProxyHeader, proxyTlvs } from '../../src/codec/proxy-header.ts';
import {
  INET,
  UNEXPECTED_END,
  headerOf,
  inet,
  outcomeOf,
  plain,
  refused,
  splitInvariant,
  tlv,
  v2,
} from './proxy-support.ts';

describe('version 2', () => {
  test('tells IPv4 addresses, as the bytes of its specification', () => {
    assert.deepEqual(headerOf(Buffer.concat([v2('21', '11', INET), Buffer.from('rest')]), 'rest'), {
      version: 2,
      command: 'proxy',
      ...inet,
      transport: 'stream',
      ...plain,
    });
    assert.equal(headerOf(v2('21', '12', INET)).transport, 'datagram');
  });

  test('tells IPv6 addresses, and keeps mapped ones as they are', () => {
    const host = '20010db8000000000000000000000001';
    const mapped = '00000000000000000000ffffc0000201';
    const header = headerOf(v2('21', '21', `${host}${mapped}00500051`));
    assert.deepEqual(header.source, { family: 'ipv6', host: '2001:db8::1', port: 80 });
    assert.deepEqual(header.destination, { family: 'ipv6', host: '::ffff:192.0.2.1', port: 81 });
  });

  test('tells Unix sockets: files, abstract names, and those without a name', () => {
    const path = (text: string): string => Buffer.from(text).toString('hex').padEnd(216, '0');
    const rows: [string, string][] = [
      ['/run/a.sock', '/run/a.sock'],
      ['', ''],
      ['\0abstract', '\0abstract'],
      ['\0a\0b', '\0a\0b'],
      ['/run/a\0junk', '/run/a'],
      ['/'.padEnd(108, 'x'), '/'.padEnd(108, 'x')],
    ];
    for (const [given, told] of rows) {
      const header = headerOf(v2('21', '31', path(given) + path('/b')));
      assert.deepEqual(header.source, { family: 'unix', path: told });
      assert.deepEqual(header.destination, { family: 'unix', path: '/b' });
    }
  });

  test('LOCAL tells nothing, and what it carries is skipped, whatever it is', () => {
    const local = { version: 2, command: 'local', source: null, destination: null, transport: null, ...plain };
    for (const [family, body] of [
      ['00', ''],
      ['11', INET],
      ['ff', 'abcdef'],
      ['11', `${INET}ffffff`],
    ] as const) {
      assert.deepEqual(headerOf(Buffer.concat([v2('20', family, body), Buffer.from('x')]), 'x'), local);
    }
  });

  test('without a family or a transport it tells nothing, and what it carries is skipped', () => {
    const unspecified = { version: 2, command: 'proxy', source: null, destination: null, transport: null, ...plain };
    for (const family of ['00', '01', '10', '20', '30']) {
      assert.deepEqual(headerOf(v2('21', family, 'ffffffff')), unspecified);
      assert.deepEqual(headerOf(v2('21', family)), unspecified);
    }
  });

  test('is refused as soon as it can be known', () => {
    const rows: [Buffer, RegExp, number][] = [
      [v2('11', '11', INET), /version 2, got 1/, 13],
      [v2('31', '11', INET), /version 2, got 3/, 13],
      [v2('22', '11', INET), /LOCAL \(0\) or PROXY \(1\), got 2/, 13],
      [v2('2f', '11', INET), /LOCAL \(0\) or PROXY \(1\), got 15/, 13],
      [v2('21', '41', INET), /family must be from 0 to 3, got 4/, 14],
      [v2('21', 'f1', INET), /family must be from 0 to 3, got 15/, 14],
      [v2('21', '13', INET), /transport must be from 0 to 2, got 3/, 14],
      [v2('21', '11', '', 4081), /4097 bytes long, and 4096 is the limit/, 16],
      [v2('20', '00', '', 65_535), /65551 bytes long, and 4096 is the limit/, 16],
      [v2('21', '11', INET.slice(2)), /take 12 bytes, and it has 11/, 27],
      [v2('21', '21', INET), /take 36 bytes, and it has 12/, 28],
      [v2('21', '31', INET), /take 216 bytes, and it has 12/, 28],
    ];
    for (const [bytes, says, soon] of rows) {
      refused(bytes, says);
      const decoder = new ProxyHeaderDecoder();
      const queue = new ByteQueue();
      queue.append(bytes.subarray(0, soon - 1));
      assert.equal(decoder.decode(queue), more);
      queue.append(bytes.subarray(soon - 1, soon));
      assert.throws(() => decoder.decode(queue), says, `at byte ${soon} of ${bytes.toString('hex')}`);
    }
  });

  test('that is cut off is no header', () => {
    const bytes = v2('21', '11', INET);
    for (let i = 1; i < bytes.length; i++)
      refused(bytes.subarray(0, i), new RegExp(`ended ${i} bytes into its PROXY header`, 'u'), UNEXPECTED_END);
  });

  test('of the limit’s length is taken, and of one byte more is not', () => {
    const bytes = v2('21', '11', INET + tlv(4, new Uint8Array(200)));
    assert.equal(splitInvariant(bytes, { maxLength: bytes.length }).code, null);
    assert.match(
      splitInvariant(bytes, { maxLength: bytes.length - 1 }).message,
      /231 bytes long, and 230 is the limit/,
    );
  });

  test('gives its extensions, known and unknown, in order and without padding', () => {
    const header = headerOf(
      v2(
        '21',
        '11',
        INET +
          tlv(1, 'h2') +
          tlv(4, 'pad') +
          tlv(2, 'exämple.org') +
          tlv(5, Uint8Array.of(0, 255)) +
          tlv(0x30, 'blue') +
          tlv(0xe0, 'mine') +
          tlv(0xe0, '') +
          tlv(2, 'second'),
      ),
    );
    assert.equal(header.alpn, 'h2');
    assert.equal(header.authority, 'exämple.org', 'the first one counts');
    assert.deepEqual(header.uniqueId, Uint8Array.of(0, 255));
    assert.equal(header.netns, 'blue');
    assert.equal(header.ssl, null);
    assert.deepEqual(
      header.tlvs.map(({ type, value }) => [type, Buffer.from(value).toString('latin1')]),
      [
        [1, 'h2'],
        [2, Buffer.from('exämple.org').toString('latin1')],
        [5, '\0\xff'],
        [0x30, 'blue'],
        [0xe0, 'mine'],
        [0xe0, ''],
        [2, 'second'],
      ],
    );
  });

  test('does not take for text what is not UTF-8, and gives the bytes', () => {
    const header = headerOf(v2('21', '11', INET + tlv(2, Uint8Array.of(0xff)) + tlv(1, Uint8Array.of(0xc3))));
    assert.deepEqual([header.authority, header.alpn], [null, null]);
    assert.deepEqual(header.tlvs[0], { type: 2, value: Uint8Array.of(0xff) });
  });

  test('tells what it knows of the client’s TLS', () => {
    const subs =
      tlv(0x21, 'TLSv1.3') + tlv(0x22, 'söm') + tlv(0x23, 'AES') + tlv(0x24, 'RSA-SHA256') + tlv(0x25, 'RSA2048');
    const { ssl } = headerOf(v2('21', '11', INET + tlv(0x20, Buffer.from(`0700000000${subs}`, 'hex'))));
    assert.ok(ssl !== null);
    const { tlvs, ...told } = ssl;
    assert.deepEqual(told, {
      tls: true,
      certOnConnection: true,
      certInSession: true,
      verified: true,
      verifyResult: 0,
      version: 'TLSv1.3',
      cn: 'söm',
      cipher: 'AES',
      sigAlg: 'RSA-SHA256',
      keyAlg: 'RSA2048',
    });
    assert.deepEqual(
      tlvs.map(({ type }) => type),
      [0x21, 0x22, 0x23, 0x24, 0x25],
    );
  });

  test('says verified only of a certificate that was there and good', () => {
    const rows: [string, boolean, number][] = [
      ['0100000000', false, 0],
      ['0300000000', true, 0],
      ['0500000000', true, 0],
      ['0700000012', false, 18],
      ['00ffffffff', false, 4_294_967_295],
    ];
    for (const [value, verified, verifyResult] of rows) {
      const { ssl } = headerOf(v2('21', '11', INET + tlv(0x20, Buffer.from(value, 'hex'))));
      assert.deepEqual([ssl?.verified, ssl?.verifyResult], [verified, verifyResult], value);
    }
  });

  test('is refused when an extension does not fit', () => {
    const ssl = (hex: string): string => tlv(0x20, Buffer.from(hex, 'hex'));
    const rows: [string, RegExp][] = [
      ['01', /ends in the head of an extension, of type 1$/],
      ['0100', /ends in the head of an extension, of type 1$/],
      ['010001', /type 1 is 1 bytes long where 0 are left/],
      [`${tlv(1, 'h2')}e0ffff00`, /type 224 is 65535 bytes long where 1 are left/],
      [`${tlv(4, '')}040001`, /type 4 is 1 bytes long where 0 are left/],
      [tlv(5, new Uint8Array(129)), /unique id is 129 bytes long, and 128 is the limit/],
      [ssl('01000000'), /tells of TLS is 4 bytes long, and 5 is the least/],
      [ssl('010000000021'), /ends in the head of an extension, of type 33$/],
      [ssl('010000000021000241'), /type 33 is 2 bytes long where 1 are left/],
      [tlv(3, 'abc'), /one checksum, of 4 bytes/],
      [tlv(3, 'abcde'), /one checksum, of 4 bytes/],
      [tlv(3, 'abcd') + tlv(3, 'abcd'), /one checksum, of 4 bytes/],
      [tlv(3, Uint8Array.of(0, 0, 0, 0)), /checksum is not that of its bytes/],
    ];
    for (const [extensions, says] of rows) refused(v2('21', '11', INET + extensions), says);
  });

  test('with a checksum is refused when any bit of it is changed', () => {
    const tlvs = proxyTlvs({ authority: 'example.org' });
    const bytes = encodeProxyHeader({ version: 2, ...inet, tlvs }, { checksum: true });
    assert.equal(headerOf(bytes).authority, 'example.org');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      const outcome = outcomeOf([changed]);
      const at = bit >> 3;
      // A command or family that tells nothing is obeyed before any checksum is looked for; and one whose type is changed is none.
      const silent = (at === 12 || at === 13) && outcome.header?.source === null;
      const hidden = at === bytes.length - 7 && outcome.header !== null;
      assert.equal(outcome.code !== null, !silent && !hidden, `bit ${bit & 7} of byte ${at}`);
    }
  });

  test('with a checksum in the middle is taken', () => {
    // As HAProxy 2.6 sent it.
    const bytes =
      '0d0a0d0a000d0a515549540a2111002c7f0000017f000001d8daaf150300046cdc6a7305001637463030303030313a443844415f3642303131313542';
    const header = headerOf(Buffer.from(`${bytes}6869`, 'hex'), 'hi');
    assert.deepEqual(header.source, { family: 'ipv4', host: '127.0.0.1', port: 55_514 });
    assert.equal(Buffer.from(header.uniqueId ?? []).toString(), '7F000001:D8DA_6B01115B');
  });

  test('keeps nothing of the chunk that it came in', () => {
    const chunk = new Uint8Array(65_536);
    chunk.set(v2('21', '11', INET + tlv(5, 'id')));
    const decoder = new ProxyHeaderDecoder();
    const queue = new ByteQueue();
    queue.append(chunk);
    const header = decoder.decode(queue);
    assert.ok(header !== more && header.uniqueId !== null);
    assert.ok(header.uniqueId.buffer.byteLength < 100);
    chunk.fill(0);
    assert.equal(Buffer.from(header.uniqueId).toString(), 'id');
  });
});
