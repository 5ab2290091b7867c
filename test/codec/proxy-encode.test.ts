import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { encodeProxyHeader, proxyTlvs } from '../../src/codec/proxy-header.ts';
import type { ProxyHeaderInit, ProxyTlv } from '../../src/codec/proxy-header.ts';
import { INET, INVALID, headerOf, inet, v2 } from './proxy-support.ts';

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
