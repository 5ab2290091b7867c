import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkValue } from '../../src/base/options.ts';
import { clientKey, clientPrefixesRule } from '../../src/server/client-key.ts';
import type { Address, TcpAddress } from '../../src/transport/address.ts';

function ipv4(host: string, port = 1): TcpAddress {
  return { family: 'ipv4', host, port };
}

function ipv6(host: string, port = 1): TcpAddress {
  return { family: 'ipv6', host, port };
}

/** The value of an address in full text. */
function valueOf(groups: readonly number[]): bigint {
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

const octets = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });
const groups = fc
  .array(fc.nat(0xffff), { minLength: 8, maxLength: 8 })
  .filter(([first = 0]) => first !== 0 && (first & 0xffc0) !== 0xfe80);
/** A second address that has some leading bits of the first. */
const near = (bits: number): fc.Arbitrary<bigint> => fc.nat(bits).map((shared) => 1n << BigInt(bits - shared));

describe('the client that a peer counts as', () => {
  test('is the whole IPv4 address, whatever the port', () => {
    assert.equal(clientKey(ipv4('192.0.2.1', 1000)), '192.0.2.1');
    assert.equal(clientKey(ipv4('192.0.2.1', 1001)), '192.0.2.1');
    assert.notEqual(clientKey(ipv4('192.0.2.2')), '192.0.2.1');
  });

  test('is the /64 of an IPv6 address, however it is written', () => {
    const client = clientKey(ipv6('2001:db8:1:2:3:4:5:6'));
    assert.equal(client, '2001:db8:1:2::/64');
    for (const same of ['2001:db8:1:2::1', '2001:0DB8:0001:0002:ffff::', '2001:db8:1:2::192.0.2.1'])
      assert.equal(clientKey(ipv6(same)), client, same);
    for (const other of ['2001:db8:1:3::1', '2001:db8:2:2::1', '2001:db9:1:2::1'])
      assert.notEqual(clientKey(ipv6(other)), client);
  });

  test('is the IPv4 address that a mapped one carries', () => {
    assert.equal(clientKey(ipv6('::ffff:192.0.2.1')), clientKey(ipv4('192.0.2.1')));
    assert.equal(clientKey(ipv6('::ffff:c000:201'), { ipv4: 24, ipv6: 64 }), '192.0.2.0/24');
  });

  test('is the whole address and its zone on a link, where all share one /64', () => {
    assert.equal(clientKey(ipv6('fe80::1%eth0')), 'fe80::1%eth0');
    const clients = ['fe80::1%eth0', 'fe80::2%eth0', 'fe80::1%eth1', 'febf::1'].map((host) => clientKey(ipv6(host)));
    assert.equal(new Set(clients).size, 4);
  });

  test('is one for all peers of Unix domain sockets, and one for all of memory sockets', () => {
    const peers: Address[] = [
      { family: 'unix', path: '' },
      { family: 'unix', path: '/run/x.sock' },
      { family: 'memory', name: 'a' },
      { family: 'memory', name: 'b' },
    ];
    assert.deepEqual(
      peers.map((peer) => clientKey(peer)),
      ['unix', 'unix', 'memory', 'memory'],
    );
  });

  test('is the same for two IPv4 addresses exactly when they share the prefix', () => {
    fc.assert(
      fc.property(octets, near(32), fc.nat(32), (first, flip, prefix) => {
        const value = first.reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
        const other = (value ^ flip) & 0xffff_ffffn;
        const text = [24n, 16n, 8n, 0n].map((shift) => (other >> shift) & 255n).join('.');
        const prefixes = { ipv4: prefix, ipv6: 64 };
        const same = clientKey(ipv4(first.join('.')), prefixes) === clientKey(ipv4(text), prefixes);
        assert.equal(same, value >> BigInt(32 - prefix) === other >> BigInt(32 - prefix));
      }),
      { numRuns: 1_000 },
    );
  });

  test('is the same for two IPv6 addresses exactly when they share the prefix', () => {
    fc.assert(
      fc.property(groups, near(128), fc.nat(128), (first, flip, prefix) => {
        const value = valueOf(first);
        const other = (value ^ flip) & ((1n << 128n) - 1n);
        // Another block has rules of its own.
        fc.pre(other >> 112n !== 0n && other >> 118n !== 0xfe80n >> 6n);
        const text = Array.from({ length: 8 }, (_, i) => ((other >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
        const prefixes = { ipv4: 32, ipv6: prefix };
        const one = clientKey(ipv6(first.map((group) => group.toString(16)).join(':')), prefixes);
        const same = one === clientKey(ipv6(text.join(':')), prefixes);
        assert.equal(same, value >> BigInt(128 - prefix) === other >> BigInt(128 - prefix));
      }),
      { numRuns: 1_000 },
    );
  });

  test('never is the same for peers of different families, with any prefixes', () => {
    fc.assert(
      fc.property(fc.nat(32), fc.nat(128), (v4, v6) => {
        const prefixes = { ipv4: v4, ipv6: v6 };
        const peers: Address[] = [
          ipv4('0.0.0.0'),
          ipv6('::'),
          { family: 'unix', path: '' },
          { family: 'memory', name: '' },
        ];
        assert.equal(new Set(peers.map((peer) => clientKey(peer, prefixes))).size, 4);
      }),
    );
  });

  test('the rule for prefixes takes lengths that an address has', () => {
    assert.deepEqual(checkValue('serve', 'clients', clientPrefixesRule, { ipv6: 56 }), { ipv6: 56 });
    assert.throws(() => checkValue('serve', 'clients', clientPrefixesRule, { ipv4: 33, ipv6: -1 }), {
      code: 'ERR_PORTSIDE_OPTIONS',
      message: /clients\.ipv4 .*clients\.ipv6 /,
    });
  });
});
