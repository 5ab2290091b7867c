import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { OptionsError, checkValue } from '../../src/base/options.ts';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { more } from '../../src/codec/codec.ts';
import { ProxyHeaderDecoder, proxyTlvs } from '../../src/codec/proxy-header.ts';
import type { ProxyHeader } from '../../src/codec/proxy-header.ts';
import { effectiveRemote } from '../../src/net/proxy-in.ts';
import { proxyOutRule, proxyPreamble } from '../../src/net/proxy-out.ts';
import type { ProxyOutOptions } from '../../src/net/proxy-out.ts';
import type { Address } from '../../src/transport/address.ts';
import type { Channel } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { ends, onEachTransport, reading } from './proxy-support.ts';

const client: Address = { family: 'ipv4', host: '192.0.2.7', port: 4321 };
const door: Address = { family: 'ipv4', host: '198.51.100.1', port: 25 };
const wide: Address = { family: 'ipv6', host: '2001:db8::1', port: 25 };
const path: Address = { family: 'unix', path: '/run/a.sock' };
const unnamed: Address = { family: 'unix', path: '' };
const name: Address = { family: 'memory', name: 'chat' };

const channel = { local: { ...client, port: 1 }, remote: { ...door, port: 2 } } as unknown as Channel;

function bytesOf(options: ProxyOutOptions, on: Channel = channel): Uint8Array {
  return proxyPreamble(checkValue('connect', 'proxy', proxyOutRule, options), on);
}

function line(options: ProxyOutOptions, on?: Channel): string {
  return Buffer.from(bytesOf(options, on)).toString('latin1');
}

function read(bytes: Uint8Array): ProxyHeader {
  const queue = new ByteQueue();
  queue.append(bytes);
  const header = new ProxyHeaderDecoder().decode(queue);
  assert.ok(header !== more && queue.length === 0);
  return header;
}

describe('the header that is sent', () => {
  test('for a client tells where it came from and where it went', () => {
    assert.equal(
      line({ version: 1, source: client, destination: door }),
      'PROXY TCP4 192.0.2.7 198.51.100.1 4321 25\r\n',
    );
    const header = read(bytesOf({ source: client, destination: door }));
    assert.deepEqual(
      [header.version, header.command, header.source, header.destination, header.transport],
      [2, 'proxy', client, door, 'stream'],
    );
  });

  test('for this side’s own connection says so, in version 2', () => {
    assert.deepEqual(Buffer.from(bytesOf('local')).toString('hex'), '0d0a0d0a000d0a515549540a20000000');
  });

  test('tells the connection’s own addresses where none are given', () => {
    assert.equal(line({ version: 1 }), 'PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n');
    assert.equal(line({ version: 1, source: client }), 'PROXY TCP4 192.0.2.7 198.51.100.1 4321 2\r\n');
    assert.equal(line({ version: 1, destination: door }), 'PROXY TCP4 192.0.2.7 198.51.100.1 1 25\r\n');
  });

  test('carries Unix sockets and mixed families in version 2, and says UNKNOWN in version 1', () => {
    const rows: [Address, Address, Address | null][] = [
      [path, unnamed, path],
      [unnamed, path, unnamed],
      [client, wide, client],
      [wide, client, wide],
      [client, path, null],
      [name, name, null],
      [name, client, null],
      [client, name, null],
    ];
    for (const [source, destination, told] of rows) {
      assert.deepEqual(effectiveRemote(read(bytesOf({ source, destination }))), told);
      assert.equal(line({ version: 1, source, destination }), 'PROXY UNKNOWN\r\n');
    }
  });

  test('carries extensions and a checksum', () => {
    const tlvs = [...proxyTlvs({ authority: 'example.org' }), { type: 0xe0, value: Uint8Array.of(1) }];
    const bytes = bytesOf({ source: client, destination: door, tlvs, checksum: true });
    assert.deepEqual(read(bytes).tlvs, tlvs);
    assert.equal(bytes.length, bytesOf({ source: client, destination: door, tlvs }).length + 7);
    const last = bytes.length - 1;
    bytes[last] = (bytes[last] as number) ^ 1;
    assert.throws(() => read(bytes), /checksum/);
  });

  test('passes on what another proxy’s header told', () => {
    const before = read(
      bytesOf({ source: client, destination: door, tlvs: proxyTlvs({ alpn: 'h2', ssl: { cn: 'me' } }) }),
    );
    assert.ok(before.source !== null && before.destination !== null);
    const { source, destination, tlvs } = before;
    assert.deepEqual(read(bytesOf({ source, destination, tlvs })), before);
  });
});

onEachTransport('a header of a connection’s own addresses', (transport) => {
  for (const version of [1, 2] as const) {
    test(`in version ${version} tells the receiver what it knows already`, async (t) => {
      const { server, client: near } = await ends(t, transport);
      near.send(bytesOf({ version }, near));
      const { header } = await reading(server).result;
      assert.deepEqual(header?.source, server.remote);
      assert.deepEqual(header.destination, server.local);
    });
  }
});

describe('a header on a connection in memory', () => {
  test('without addresses tells none', () => {
    const [near] = memoryNetwork().pair();
    assert.equal(line({ version: 1 }, near), 'PROXY UNKNOWN\r\n');
    assert.equal(read(bytesOf({}, near)).source, null);
  });
});

describe('options of the header that is sent', () => {
  test('are told all that is wrong with them', () => {
    const value = new Uint8Array(1);
    const rows: [unknown, RegExp][] = [
      ['LOCAL', /proxy must be "local" or an object/],
      [{ version: 3 }, /proxy\.version/],
      [{ source: '192.0.2.7' }, /proxy\.source/],
      [{ source: { family: 'ipv4', host: '::1', port: 1 } }, /proxy\.source\.host must be a numeric IPv4 address/],
      [{ source: { family: 'ipv6', host: '1.2.3.4', port: 1 } }, /proxy\.source\.host must be a numeric IPv6 address/],
      [{ source: { family: 'ipv4', host: 'localhost', port: 1 } }, /proxy\.source\.host/],
      [{ destination: { family: 'ipv4', host: '1.2.3.4', port: 65_536 } }, /proxy\.destination\.port/],
      [{ source: { family: 'unix', path: 'x'.repeat(109) } }, /proxy\.source\.path/],
      [{ tlvs: [{ type: 256, value }] }, /proxy\.tlvs\[0\]\.type/],
      [{ tlvs: [{ type: 1, value: 'h2' }] }, /proxy\.tlvs\[0\]\.value/],
      [{ tlvs: [{ type: 3, value }] }, /proxy\.tlvs must fit/],
      [{ tlvs: [{ type: 4, value }] }, /proxy\.tlvs must fit/],
      [{ tlvs: [{ type: 1, value: new Uint8Array(65_310) }] }, /proxy\.tlvs must fit/],
      [{ version: 1, tlvs: [{ type: 1, value }] }, /proxy\.tlvs can only be sent in version 2/],
      [{ version: 1, checksum: true }, /proxy\.checksum can only be sent in version 2/],
      [{ sorce: client }, /did you mean "source"/],
    ];
    for (const [options, says] of rows) {
      assert.throws(
        () => bytesOf(options as ProxyOutOptions),
        (error) => error instanceof OptionsError && says.test(error.message),
        JSON.stringify(options),
      );
    }
  });

  test('that are right can be sent on any connection', () => {
    const most: ProxyOutOptions = { tlvs: [{ type: 1, value: new Uint8Array(65_309) }], checksum: true };
    const mixed = { local: path, remote: unnamed } as unknown as Channel;
    assert.equal(bytesOf(most, mixed).length, 65_551);
    assert.equal(line({ version: 1, tlvs: [], checksum: false }).slice(0, 11), 'PROXY TCP4 ');
    const zone: ProxyOutOptions = { source: { family: 'ipv6', host: 'fe80::1%eth0', port: 1 }, destination: wide };
    assert.deepEqual(read(bytesOf(zone)).source, { family: 'ipv6', host: 'fe80::1', port: 1 });
  });
});
