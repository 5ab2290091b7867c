import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { more } from '../../src/codec/codec.ts';
import { crc32c } from '../../src/codec/proxy-crc32c.ts';
import { ProxyHeaderDecoder, couldBeProxyHeader, encodeProxyHeader, proxyTlvs } from '../../src/codec/proxy-header.ts';
import type { ProxyHeader, ProxyHeaderInit, ProxyTlv } from '../../src/codec/proxy-header.ts';
import { OptionsError } from '../../src/base/options.ts';
import { SIGNATURE, outcomeOf, splitInvariant, tlv, v2 } from './proxy-support.ts';

const INVALID = 'ERR_PORTSIDE_PROXY_HEADER';
const UNEXPECTED_END = 'ERR_PORTSIDE_UNEXPECTED_END';

const plain = { alpn: null, authority: null, uniqueId: null, netns: null, ssl: null, tlvs: [] };
const INET = '0a000001c0a8010bdbfc01bb';
const inet = {
  source: { family: 'ipv4', host: '10.0.0.1', port: 56_316 },
  destination: { family: 'ipv4', host: '192.168.1.11', port: 443 },
} as const;

function headerOf(bytes: Uint8Array, rest = ''): ProxyHeader {
  const outcome = splitInvariant(bytes);
  assert.ok(outcome.header !== null, outcome.message);
  assert.equal(outcome.rest, rest);
  return outcome.header;
}

function refused(bytes: Uint8Array, says: RegExp, code: string = INVALID): void {
  const outcome = splitInvariant(bytes);
  assert.equal(outcome.code, code, JSON.stringify(outcome));
  assert.match(outcome.message, says);
}

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

describe('version 1', () => {
  test('tells both addresses, and leaves what follows', () => {
    const line = 'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n';
    assert.deepEqual(headerOf(Buffer.from(`${line}GET / HTTP/1.1\r\n`), 'GET / HTTP/1.1\r\n'), {
      version: 1,
      command: 'proxy',
      source: { family: 'ipv4', host: '192.168.0.1', port: 56_324 },
      destination: { family: 'ipv4', host: '192.168.0.11', port: 443 },
      transport: 'stream',
      ...plain,
    });
  });

  test('takes the longest lines of its specification', () => {
    const wide = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
    const lines = [
      'PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n',
      `PROXY TCP6 ${wide} ${wide} 65535 65535\r\n`,
      `PROXY UNKNOWN ${wide} ${wide} 65535 65535\r\n`,
    ];
    assert.deepEqual(
      lines.map((line) => line.length),
      [56, 104, 107],
    );
    for (const line of lines) assert.equal(headerOf(Buffer.from(line)).version, 1);
  });

  test('gives IPv6 in the text that the system gives it', () => {
    const rows = [
      ['::1', '::1'],
      ['::', '::'],
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
      ['2001:0db8:0001:0000:0000:0ab9:C0A8:0102', '2001:db8:1::ab9:c0a8:102'],
      ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
      ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
      ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
      ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
      ['::ffff:c000:201', '::ffff:192.0.2.1'],
      ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ] as const;
    for (const [given, host] of rows) {
      const { source } = headerOf(Buffer.from(`PROXY TCP6 ${given} ::2 0 1\r\n`));
      assert.deepEqual(source, { family: 'ipv6', host, port: 0 });
    }
  });

  test('UNKNOWN tells nothing, whatever else is in its line, and is given as local', () => {
    for (const line of ['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN \r\n', 'PROXY UNKNOWN 1 2  three \u00ff\r\n']) {
      assert.deepEqual(headerOf(Buffer.from(`${line}x`, 'latin1'), 'x'), {
        version: 1,
        command: 'local',
        source: null,
        destination: null,
        transport: null,
        ...plain,
      });
    }
  });

  test('is refused in any other form', () => {
    const rows: [string, RegExp][] = [
      ['PROXY \r\n', /TCP4, TCP6 or UNKNOWN/],
      ['PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n', /TCP4, TCP6 or UNKNOWN/],
      ['PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n', /TCP4, TCP6 or UNKNOWN/],
      ['PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n', /TCP4, TCP6 or UNKNOWN/],
      ['PROXY UNKNOWNS\r\n', /TCP4, TCP6 or UNKNOWN/],
      ['PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n', /six words/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n', /six words/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n', /six words/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n', /six words/],
      ['PROXY TCP4 ::1 1.2.3.4 1 2\r\n', /source is no IPv4/],
      ['PROXY TCP4 1.2.3.4 ::1 1 2\r\n', /destination is no IPv4/],
      ['PROXY TCP6 1.2.3.4 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 ::1 1.2.3.4 1 2\r\n', /destination is no IPv6/],
      ['PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n', /source is no IPv4/],
      ['PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n', /source is no IPv4/],
      ['PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n', /source is no IPv4/],
      ['PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n', /source is no IPv4/],
      ['PROXY TCP4 localhost 1.2.3.4 1 2\r\n', /source is no IPv4/],
      ['PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 ::1::2 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 1:2:3:4::5:6:7:8 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 12345::1 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 ::1.2.3.4:1 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 ::1.2.3.04 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP6 :1:2:3:4:5:6:7 ::1 1 2\r\n', /source is no IPv6/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n', /source port/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n', /source port/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n', /source port/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n', /destination port/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 1 -1\r\n', /destination port/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n', /CR LF/],
      ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r \r\n', /CR LF/],
      ['PROXY UNKNOWN a\rb\r\n', /CR LF/],
      ['PROXY UNKNOWN a\nb\r\n', /CR LF/],
    ];
    for (const [line, says] of rows) refused(Buffer.from(`${line}rest`), says);
  });

  test('is refused when its line does not end within 107 bytes', () => {
    const line = (length: number): Buffer => Buffer.from(`${'PROXY UNKNOWN '.padEnd(length - 2, 'x')}\r\n`);
    assert.equal(headerOf(line(107)).command, 'local');
    refused(line(108), /no end within 107 bytes/);
    assert.equal(outcomeOf([line(200).subarray(0, 107)]).code, INVALID, 'without waiting for more');
    assert.equal(outcomeOf([line(200).subarray(0, 106)]).code, UNEXPECTED_END);
  });

  test('that is cut off is no header', () => {
    const line = Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n');
    for (let i = 1; i < line.length; i++)
      refused(line.subarray(0, i), new RegExp(`ended ${i} bytes into its PROXY header`, 'u'), UNEXPECTED_END);
  });
});

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

describe('encoding', () => {
  const text = (header: ProxyHeaderInit): string => Buffer.from(encodeProxyHeader(header)).toString('latin1');
  const hex = (header: ProxyHeaderInit, checksum = false): string =>
    Buffer.from(encodeProxyHeader(header, { checksum })).toString('hex');
  const v4 = (host: string, port = 1): NonNullable<ProxyHeaderInit['source']> => ({ family: 'ipv4', host, port });
  const v6 = (host: string, port = 1): NonNullable<ProxyHeaderInit['source']> => ({ family: 'ipv6', host, port });
  const unix = (path: string): NonNullable<ProxyHeaderInit['source']> => ({ family: 'unix', path });

  test('of version 1 is its line', () => {
    assert.equal(text({ version: 1, ...inet }), 'PROXY TCP4 10.0.0.1 192.168.1.11 56316 443\r\n');
    assert.equal(
      text({ version: 1, source: v6('FE80:0::1%eth0', 0), destination: v6('::ffff:1.2.3.4', 65_535) }),
      'PROXY TCP6 fe80::1 ::ffff:102:304 0 65535\r\n',
    );
  });

  test('of version 1 says UNKNOWN for what it can’t carry', () => {
    const rows: ProxyHeaderInit[] = [
      { version: 1 },
      { version: 1, command: 'local' },
      { version: 1, source: unix('/a'), destination: unix('/b') },
      { version: 1, source: v4('1.2.3.4'), destination: v6('::1') },
      { version: 1, source: v4('1.2.3.4'), destination: unix('') },
      { version: 1, ...inet, transport: 'datagram' },
    ];
    for (const row of rows) assert.equal(text(row), 'PROXY UNKNOWN\r\n');
  });

  test('of version 2 is its bytes', () => {
    const tlvs: ProxyTlv[] = [{ type: 0xe0, value: Uint8Array.of(1, 2) }];
    assert.equal(hex({ version: 2, command: 'local' }), v2('20', '00').toString('hex'));
    assert.equal(hex({ version: 2 }), v2('21', '00').toString('hex'));
    assert.equal(hex({ version: 2, ...inet }), v2('21', '11', INET).toString('hex'));
    assert.equal(hex({ version: 2, ...inet, transport: 'datagram' }), v2('21', '12', INET).toString('hex'));
    assert.equal(hex({ version: 2, ...inet, tlvs }), v2('21', '11', `${INET}e000020102`).toString('hex'));
    const paths = '2f61'.padEnd(216, '0') + '0062'.padEnd(216, '0');
    assert.equal(
      hex({ version: 2, source: unix('/a'), destination: unix('\0b') }),
      v2('21', '31', paths).toString('hex'),
    );
  });

  test('of version 2 writes IPv4 beside IPv6 as mapped, and nothing for what has no common family', () => {
    const mapped = '00000000000000000000ffff01020304';
    const one = `${'0'.repeat(31)}1`;
    assert.equal(
      hex({ version: 2, source: v4('1.2.3.4', 2), destination: v6('::1', 3) }),
      v2('21', '21', `${mapped}${one}00020003`).toString('hex'),
    );
    assert.equal(
      hex({ version: 2, source: v6('::1', 3), destination: v4('1.2.3.4', 2) }),
      v2('21', '21', `${one}${mapped}00030002`).toString('hex'),
    );
    assert.equal(hex({ version: 2, source: unix('/a'), destination: v4('1.2.3.4') }), v2('21', '00').toString('hex'));
  });

  test('refuses what can’t be sent', () => {
    const bytes = new Uint8Array(0);
    const rows: [unknown, RegExp][] = [
      [{ version: 3 }, /version must be 1 or 2, got 3/],
      [{ version: 2, source: v4('1.2.3.4') }, /go together/],
      [{ version: 2, destination: v4('1.2.3.4') }, /go together/],
      [{ version: 2, command: 'local', ...inet }, /local has no addresses/],
      [{ version: 2, source: v4('1.2.3'), destination: v4('1.2.3.4') }, /source is no IPv4 address: "1.2.3"/],
      [{ version: 1, source: v4('::1'), destination: v4('1.2.3.4') }, /source is no IPv4 address/],
      [{ version: 1, source: v6('1.2.3.4'), destination: v6('::1') }, /source is no IPv6 address/],
      [{ version: 1, source: v4('1.2.3.4\r\n'), destination: v4('1.2.3.4') }, /source is no IPv4 address/],
      [{ version: 2, source: v4('1.2.3.4'), destination: v4('1.2.3.4', 65_536) }, /destination port/],
      [{ version: 2, source: v4('1.2.3.4', 1.5), destination: v4('1.2.3.4') }, /source port/],
      [{ version: 2, source: unix('x'.repeat(109)), destination: unix('') }, /path longer/],
      [{ version: 1, ...inet, tlvs: [{ type: 1, value: bytes }] }, /neither extensions nor a checksum/],
      [{ version: 2, ...inet, tlvs: [{ type: 256, value: bytes }] }, /type of an extension/],
      [{ version: 2, ...inet, tlvs: [{ type: 3, value: bytes }] }, /header's own business/],
      [{ version: 2, ...inet, tlvs: [{ type: 4, value: bytes }] }, /header's own business/],
      [{ version: 2, ...inet, tlvs: [{ type: 1, value: 'h2' }] }, /must be bytes/],
      [{ version: 2, ...inet, tlvs: [{ type: 1, value: new Uint8Array(65_536) }] }, /must be bytes, 65535 or less/],
      [{ version: 2, ...inet, tlvs: [{ type: 1, value: new Uint8Array(65_535) }] }, /65566 bytes long, and 65551/],
    ];
    for (const [header, message] of rows)
      assert.throws(() => encodeProxyHeader(header as ProxyHeaderInit), { code: INVALID, message, op: 'encode' });
    assert.throws(() => encodeProxyHeader({ version: 1, ...inet }, { checksum: true }), { code: INVALID });
  });

  test('of extensions refuses what can’t be sent', () => {
    const rows: [unknown, RegExp][] = [
      [{ authority: '\ud800' }, /authority must be a text/],
      [{ alpn: 1 }, /alpn must be a text/],
      [{ uniqueId: new Uint8Array(129) }, /uniqueId may have 128 bytes, got 129/],
      [{ ssl: { verifyResult: -1 } }, /ssl.verifyResult/],
      [{ ssl: { cn: '\ud800' } }, /ssl.cn must be a text/],
    ];
    for (const [extensions, message] of rows)
      assert.throws(() => proxyTlvs(extensions as never), { code: INVALID, message });
  });

  test('of a header that was read gives its bytes again', () => {
    const ssl = {
      certOnConnection: true,
      verifyResult: 0,
      version: 'TLSv1.3',
      cn: 'c',
      cipher: 'x',
      sigAlg: 's',
      keyAlg: 'k',
    };
    const tlvs = proxyTlvs({ alpn: 'h2', authority: 'a.example', uniqueId: Uint8Array.of(1), netns: 'n', ssl });
    const bytes = encodeProxyHeader({ version: 2, ...inet, tlvs }, { checksum: true });
    const header = headerOf(bytes);
    assert.deepEqual(
      [header.ssl?.tls, header.ssl?.certInSession, header.ssl?.verified, header.ssl?.cn],
      [true, true, true, 'c'],
    );
    assert.deepEqual(encodeProxyHeader(header, { checksum: true }), bytes);
    const without = headerOf(encodeProxyHeader({ version: 2, ...inet, tlvs: proxyTlvs({ ssl: { tls: false } }) })).ssl;
    assert.deepEqual([without?.tls, without?.verified, without?.verifyResult], [false, false, 1]);
  });
});
