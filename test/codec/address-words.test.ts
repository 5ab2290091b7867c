import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { addressWords, formatIPv4, formatIPv6, readAddress } from '../../src/codec/address-words.ts';

const runs = { numRuns: 2_000 };

/** The words as one number of 128 bits. */
function valueOf(words: Uint32Array): bigint {
  return words.reduce((value, word) => (value << 32n) | BigInt(word), 0n);
}

function read(text: string): { family: 0 | 4 | 6; value: bigint } {
  const words = addressWords().fill(0xdead_beef);
  const family = readAddress(text, words);
  return { family, value: valueOf(words) };
}

/** An IPv6 address in the spelling of the URL standard, which is RFC 5952's for what is not mapped. */
function byUrl(text: string): string {
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

/** The value of IPv6 text by way of the URL standard's parser. */
function valueByUrl(text: string): bigint {
  const [left = '', right] = byUrl(text).split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const zeros = right === undefined ? 0 : 8 - groups(left).length - groups(right).length;
  const all = [...groups(left), ...Array.from({ length: zeros }, () => '0'), ...groups(right ?? '')];
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** By Node, which knows fewer zones than there are: a network card may be called `br_lan`. */
function familyOf(text: string): 0 | 4 | 6 {
  const bare = text.replace(/%.+$/su, '');
  const family = isIP(bare);
  if (family === 6) return valueByUrl(bare) >> 32n === 0xffffn ? 4 : 6;
  return family === 4 && bare === text ? 4 : 0;
}

function character(of: string): fc.Arbitrary<string> {
  return fc.constantFrom(...of.split(''));
}

const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
const zeros = fc.constantFrom('0', '00', '0000', '');
const groups = fc
  .array(fc.oneof(group, zeros, fc.constantFrom('ffff', 'FFFF', '00001', 'g')), { minLength: 1, maxLength: 9 })
  .map((parts) => parts.join(':'));
const loose = fc.string({ unit: character('0123456789abcdefF:::...%gx_/ '), maxLength: 46 });
const quads = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 300 }).map(String), fc.constantFrom('', '00', '01', '255', '256')), {
    minLength: 3,
    maxLength: 5,
  })
  .map((parts) => parts.join('.'));
const tail = fc.tuple(fc.oneof(groups, fc.constantFrom('::ffff', ':', '::', '::FFFF', '::ffff:0')), quads);
const text = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  groups,
  quads,
  loose,
  tail.map(([head, quad]) => `${head}:${quad}`),
);
/** One character more, less or other than in a right address. */
const slipped = fc
  .tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(40), fc.constantFrom('', ':', '.', '0', 'f', '::', '%'), fc.nat(1))
  .map(([right, at, what, cut]) => right.slice(0, at) + what + right.slice(at + cut));

describe('reading a numeric address', () => {
  test('accepts what Node takes for an address, with any zone, and nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(text, slipped), (candidate) => {
        assert.equal(read(candidate).family, familyOf(candidate), candidate);
      }),
      { numRuns: 20_000 },
    );
  });

  test('gives the value that the URL standard gives', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV6(), groups), (candidate) => {
        fc.pre(isIP(candidate) === 6);
        const { family, value } = read(candidate);
        const right = valueByUrl(candidate);
        assert.equal(value, family === 4 ? right & 0xffff_ffffn : right, candidate);
      }),
      runs,
    );
    fc.assert(
      fc.property(fc.ipV4(), (candidate) => {
        const right = candidate.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
        assert.deepEqual(read(candidate), { family: 4, value: right });
      }),
      runs,
    );
  });

  test('takes a mapped address for the IPv4 that it carries, in each of its spellings', () => {
    const right = read('192.0.2.129');
    for (const spelling of [
      '::ffff:192.0.2.129',
      '::FFFF:c000:281',
      '0:0:0:0:0:ffff:192.0.2.129',
      '::ffff:c000:0281%1',
    ])
      assert.deepEqual(read(spelling), right, spelling);
    for (const other of ['::192.0.2.129', '::fffe:192.0.2.129', '::1:ffff:192.0.2.129', '64:ff9b::192.0.2.129'])
      assert.equal(read(other).family, 6, other);
  });

  test('passes over a zone, which IPv6 alone has, and not an empty one', () => {
    const zone = fc.string({ unit: character('abcxyzETH0189.-_'), maxLength: 8 });
    fc.assert(
      fc.property(fc.oneof(text, slipped), zone, (candidate, name) => {
        fc.pre(!candidate.includes('%'));
        const zoned = `${candidate}%${name}`;
        assert.equal(read(zoned).family, familyOf(zoned), zoned);
        if (familyOf(zoned) !== 0) assert.deepEqual(read(zoned), read(candidate));
      }),
      runs,
    );
    assert.equal(read('fe80::1%eth0').family, 6);
    assert.equal(read('::%lo').family, 6);
    for (const wrong of ['fe80::1%', '::ffff:192.0.2.1%', '192.0.2.1%eth0', '%eth0'])
      assert.equal(read(wrong).family, 0);
  });
});

describe('writing a numeric address', () => {
  test('writes IPv6 as RFC 5952 wants it, which reads back as the same', () => {
    const word = fc.oneof(fc.constantFrom(0, 1, 0x1_0000, 0xffff), fc.integer({ min: 0, max: 0xffff_ffff }));
    fc.assert(
      fc.property(fc.array(word, { minLength: 4, maxLength: 4 }), (list) => {
        const words = Uint32Array.from(list);
        const written = formatIPv6(words);
        assert.equal(written, byUrl(written));
        assert.equal(valueByUrl(written), valueOf(words));
      }),
      runs,
    );
    const examples = {
      '0:0:0:0:0:0:0:0': '::',
      '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
      '1:0:2:3:4:5:6:7': '1:0:2:3:4:5:6:7',
    };
    for (const [long, short] of Object.entries(examples)) {
      const words = addressWords();
      readAddress(long, words);
      assert.equal(formatIPv6(words), short);
    }
  });

  test('writes IPv4 as it was read', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const words = addressWords();
        readAddress(address, words);
        assert.equal(formatIPv4(words), address);
      }),
      runs,
    );
  });
});
