import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { INVALID, UNEXPECTED_END, headerOf, outcomeOf, plain, refused } from './proxy-support.ts';

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
