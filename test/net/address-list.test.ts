import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OptionsError, checkValue } from '../../src/base/options.ts';
import { AddressList, addressListRule, isAddressEntry } from '../../src/net/address-list.ts';
import { formatIPv4, formatIPv6 } from '../../src/codec/address-words.ts';
import { tcpAddress } from '../../src/transport/address.ts';

/** A network, with how long an address of its family is. */
interface Network {
  readonly bits: 32 | 128;
  readonly value: bigint;
  readonly prefix: number;
}

function textOf(bits: 32 | 128, value: bigint): string {
  const words = Uint32Array.from([96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffff_ffffn)));
  return bits === 32 ? formatIPv4(words) : formatIPv6(words);
}

function entryOf({ bits, value, prefix }: Network): string {
  return `${textOf(bits, value)}/${prefix}`;
}

function covers({ bits, value, prefix }: Network, address: bigint): boolean {
  return value >> BigInt(bits - prefix) === address >> BigInt(bits - prefix);
}

/** Networks that lie close together, so that they touch, overlap and hold each other; and some from anywhere. */
function network(bits: 32 | 128): fc.Arbitrary<Network> {
  const all = (1n << BigInt(bits)) - 1n;
  // Not the block of the mapped addresses, which are the other family's.
  const base = bits === 32 ? 0x0a00_0000n : 0x2001_0db8n << 96n;
  const value = fc.oneof(
    fc.bigInt({ min: 0n, max: 255n }).map((low) => base + low),
    fc.bigInt({ min: 0n, max: 255n }).map((low) => base + (low << BigInt(bits - 20))),
    fc.bigInt({ min: 1n << 48n, max: all > 1n << 48n ? all : (1n << 48n) + all }).map((any) => any & all),
    fc.constantFrom(all, all - 1n, all >> 1n, (all >> 1n) + 1n),
  );
  const prefix = fc.oneof(fc.integer({ min: bits - 8, max: bits }), fc.integer({ min: 0, max: bits }));
  return fc.tuple(value, prefix).map(([any, length]) => {
    const below = BigInt(bits - length);
    return { bits, value: (any >> below) << below, prefix: length };
  });
}

function problemsOf(entries: readonly unknown[]): readonly string[] {
  try {
    void new AddressList(entries as string[]);
  } catch (error) {
    assert.ok(error instanceof OptionsError);
    assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
    return error.problems.map(({ path, message }) => `${path} ${message}`);
  }
  return [];
}

describe('a list of addresses', () => {
  test('has an address when one of its networks covers it, whatever overlaps or touches', () => {
    const families = fc.constantFrom(32 as const, 128 as const);
    fc.assert(
      fc.property(
        families.chain((bits) =>
          fc.tuple(
            fc.constant(bits),
            fc.array(network(bits), { maxLength: 40 }),
            fc.array(network(bits === 32 ? 128 : 32), { maxLength: 5 }),
            fc.array(network(bits), { minLength: 1, maxLength: 20 }),
          ),
        ),
        ([bits, networks, others, near]) => {
          const list = new AddressList([...networks, ...others].map(entryOf));
          const all = (1n << BigInt(bits)) - 1n;
          // The edges are where a search goes wrong.
          const probes = [...networks, ...near].flatMap(({ value, prefix }) => {
            const last = value + (1n << BigInt(bits - prefix)) - 1n;
            return [value - 1n, value, last, last + 1n].filter((probe) => probe >= 0n && probe <= all);
          });
          for (const probe of probes) {
            const mapped = bits === 128 && probe >> 32n === 0xffffn;
            if (mapped) continue;
            const text = textOf(bits, probe);
            assert.equal(
              list.has(text),
              networks.some((each) => covers(each, probe)),
              text,
            );
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('takes IPv4-mapped IPv6 for the IPv4 that it carries, in entries and in what is looked up', () => {
    const list = new AddressList(['192.0.2.0/24', '::ffff:198.51.100.0/120', '::/64']);
    assert.ok(list.has('::ffff:192.0.2.7') && list.has('::FFFF:c000:0207') && list.has('198.51.100.255'));
    assert.ok(!list.has('198.51.101.0') && !list.has('::ffff:203.0.113.1'), 'a mapped address is not in ::/64');
    assert.ok(list.has('::192.0.2.7'), 'an IPv4-compatible one is IPv6, and in ::/64');
    assert.ok(!new AddressList(['192.0.2.0/24']).has('::192.0.2.7'));
  });

  test('does not look at zones', () => {
    const list = new AddressList(['fe80::/64']);
    assert.ok(list.has('fe80::1%eth0') && list.has('fe80::1') && !list.has('fe80:1::1%eth0'));
  });

  test('has nothing that is no numeric address, whatever it is told to have', () => {
    const list = new AddressList(['any']);
    for (const text of [
      '',
      'localhost',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '::1::',
      '[::1]',
      '1.2.3.4:80',
      'any',
      'unix',
    ])
      assert.equal(list.has(text), false, text);
  });

  test('an empty list has nobody, and says its size', () => {
    const list = new AddressList([]);
    assert.equal(list.size, 0);
    assert.ok(!list.has('127.0.0.1') && !list.has('::1') && !list.hasAddress({ family: 'unix', path: '' }));
  });

  test('keeps its entries as they were given, whatever becomes of the array', () => {
    const given = ['loopback', '10.0.0.0/8', '10.0.0.0/8'];
    const list = new AddressList(given);
    given.push('any');
    assert.deepEqual(list.entries, ['loopback', '10.0.0.0/8', '10.0.0.0/8']);
    assert.equal(list.size, 3);
    assert.ok(!list.has('192.0.2.1'));
    assert.throws(() => (list.entries as string[]).push('any'), TypeError);
  });
});

describe('the words of a list of addresses', () => {
  const words: Record<string, { readonly in: readonly string[]; readonly out: readonly string[] }> = {
    loopback: {
      in: ['127.0.0.1', '127.255.255.255', '::1', '::ffff:127.0.0.1'],
      out: ['126.0.0.1', '128.0.0.0', '::2', '::'],
    },
    private: {
      in: ['10.0.0.0', '10.255.255.255', '172.16.0.0', '172.31.255.255', '192.168.1.1', 'fc00::', 'fdff::1'],
      out: ['11.0.0.0', '172.15.255.255', '172.32.0.0', '192.169.0.0', 'fe00::', 'fbff::', '127.0.0.1'],
    },
    'link-local': {
      in: ['169.254.0.1', '169.254.255.255', 'fe80::1%eth0', 'febf::1'],
      out: ['169.253.255.255', '169.255.0.0', 'fec0::', 'fe7f::'],
    },
    any: { in: ['0.0.0.0', '255.255.255.255', '::', 'ffff::', '::ffff:1.2.3.4'], out: [] },
    unix: { in: [], out: ['127.0.0.1', '::1'] },
    memory: { in: [], out: ['127.0.0.1', '::1'] },
  };
  for (const [word, { in: inside, out }] of Object.entries(words)) {
    test(`"${word}" is what its name says`, () => {
      const list = new AddressList([word]);
      for (const host of inside) assert.ok(list.has(host) && list.hasAddress(tcpAddress(host, 1)), host);
      for (const host of out) assert.ok(!list.has(host) && !list.hasAddress(tcpAddress(host, 1)), host);
      assert.equal(list.hasAddress({ family: 'unix', path: '/run/x.sock' }), word === 'unix' || word === 'any');
      assert.equal(list.hasAddress({ family: 'memory', name: 'x' }), word === 'memory' || word === 'any');
    });
  }
});

describe('wrong entries', () => {
  test('are told all at once, each with what is wrong and what is right', () => {
    const told: [unknown, RegExp][] = [
      [
        '10.0.0.1/8',
        /no bits set below its prefix, got "10\.0\.0\.1\/8"; write "10\.0\.0\.0\/8", or "10\.0\.0\.1" alone/,
      ],
      ['2001:db8::1/32', /write "2001:db8::\/32", or "2001:db8::1" alone/],
      ['::ffff:10.0.0.1/104', /write "10\.0\.0\.0\/8", or "10\.0\.0\.1" alone/],
      ['10.0.0.0/33', /prefix length from 0 to 32/],
      ['2001:db8::/129', /prefix length from 0 to 128/],
      ['::ffff:10.0.0.0/8', /prefix length from 96 to 128/],
      ['10.0.0.0/', /prefix length/],
      ['10.0.0.0/08', /prefix length/],
      ['10.0.0.0/255.0.0.0', /prefix length/],
      ['lopback', /did you mean "loopback"\?/],
      ['example.org', /must be an address .*, a CIDR .*, or one of loopback, private, link-local, any, unix, memory/],
      ['toString', /must be an address/],
      ['', /must be an address/],
      [' 10.0.0.1', /got " 10\.0\.0\.1"/],
      ['fe80::1%eth0', /no zone.*write "fe80::1"/],
      ['[::1]:80', /without brackets and port.*write "::1"/],
      ['10.0.0.1:80', /write "10\.0\.0\.1"/],
      [7, /got 7/],
    ];
    const problems = problemsOf(['127.0.0.1', ...told.map(([entry]) => entry)]);
    assert.equal(problems.length, told.length);
    for (const [i, [entry, message]] of told.entries()) {
      assert.match(problems[i]!, message);
      assert.ok(problems[i]!.startsWith(`entries[${i + 1}] `), problems[i]);
      assert.equal(isAddressEntry(entry), false);
    }
  });

  test('what is written instead is right', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(128), (address, prefix) => {
        const entry = `${address}/${prefix}`;
        const [problem] = problemsOf([entry]);
        const right = /write "([^"]+)", or "([^"]+)" alone/u.exec(problem ?? '');
        if (right === null) return;
        assert.ok(new AddressList([right[1]!]).has(address) && new AddressList([right[2]!]).has(address), problem);
      }),
      { numRuns: 1_000 },
    );
  });

  test('the rule takes what the list takes, and what is no list is told as such', () => {
    assert.deepEqual(checkValue('serve', 'deny', addressListRule, ['any', '::1']), ['any', '::1']);
    assert.throws(
      () => checkValue('serve', 'deny', addressListRule, ['any', '::1/0']),
      /serve: deny\[1\] must have no bits/,
    );
    assert.throws(() => checkValue('serve', 'deny', addressListRule, '10.0.0.0/8'), /deny must be a list/);
    assert.ok(isAddressEntry('10.0.0.0/8') && isAddressEntry('private') && isAddressEntry('::1/128'));
  });

  test('a network of each length is accepted, and one bit below it is not', () => {
    for (const [address, bits] of [
      ['255.255.255.255', 32],
      ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 128],
    ] as const) {
      assert.equal(isAddressEntry(`${address}/${bits}`), true);
      for (let prefix = 0; prefix < bits; prefix++) {
        assert.equal(isAddressEntry(`${address}/${prefix}`), false, `${prefix}`);
        const value = ((1n << BigInt(prefix)) - 1n) << BigInt(bits - prefix);
        assert.equal(isAddressEntry(`${textOf(bits, value)}/${prefix}`), true, `${prefix}`);
      }
    }
  });
});
