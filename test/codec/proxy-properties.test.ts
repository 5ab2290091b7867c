import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import { addressWords, formatIPv6, formatIPv6Mixed } from '../../src/codec/address-words.ts';
import { readHost } from '../../src/codec/proxy-address.ts';
import { couldBeProxyHeader, encodeProxyHeader } from '../../src/codec/proxy-header.ts';
import type { ProxyAddress, ProxyHeader } from '../../src/codec/proxy-header.ts';
import { cut } from '../support/split.ts';
import { outcomeOf, v2 } from './proxy-support.ts';

const port = fc.integer({ min: 0, max: 65_535 });
const group = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  fc.constant(0xffff),
  fc.integer({ min: 1, max: 255 }),
  fc.integer({ min: 0, max: 65_535 }),
);
const groups = fc.array(group, { minLength: 8, maxLength: 8 });
const wide = (all: readonly number[]): string => all.map((each) => each.toString(16)).join(':');
/** What the system makes of an address. */
const canonical = (host: string): string => new SocketAddress({ family: 'ipv6', address: host, port: 0 }).address;

const ipv4 = fc.tuple(fc.ipV4(), port).map(([host, number]): ProxyAddress => ({ family: 'ipv4', host, port: number }));
const ipv6 = fc
  .tuple(groups, port)
  .map(([all, number]): ProxyAddress => ({ family: 'ipv6', host: canonical(wide(all)), port: number }));
const name = fc.stringMatching(/^[^\0]{1,25}$/u);
const unix = fc
  .oneof(
    fc.constant(''),
    name,
    name.map((abstract) => `\0${abstract}`),
  )
  .map((path): ProxyAddress => ({ family: 'unix', path }));
const pair = (each: fc.Arbitrary<ProxyAddress>): fc.Arbitrary<[ProxyAddress, ProxyAddress]> => fc.tuple(each, each);
// Those with a form of their own are left out.
const tlvs = fc.array(
  fc
    .tuple(fc.constantFrom(1, 2, 0x30, 0xe0, 0xef, 0xf0, 0xff), fc.uint8Array({ maxLength: 40 }))
    .map(([type, value]) => ({ type, value })),
  { maxLength: 5 },
);

describe('any header', () => {
  test('of version 2 comes back as it was encoded, however it is cut, with what follows it', () => {
    fc.assert(
      fc.property(
        fc.oneof(pair(ipv4), pair(ipv6), pair(unix)),
        fc.constantFrom('stream', 'datagram'),
        tlvs,
        fc.boolean(),
        fc.uint8Array({ maxLength: 20 }),
        fc.array(fc.nat(600), { maxLength: 6 }),
        ([source, destination], transport, extensions, checksum, rest, places) => {
          const bytes = encodeProxyHeader(
            { version: 2, source, destination, transport, tlvs: extensions },
            { checksum },
          );
          const outcome = outcomeOf(cut(Buffer.concat([bytes, rest]), places));
          assert.equal(outcome.code, null, outcome.message);
          const header = outcome.header as ProxyHeader;
          assert.deepEqual(
            [header.version, header.command, header.source, header.destination, header.transport, header.tlvs],
            [2, 'proxy', source, destination, transport, extensions],
          );
          assert.equal(outcome.rest, Buffer.from(rest).toString('latin1'));
          assert.equal(couldBeProxyHeader(bytes), 'yes');
        },
      ),
    );
  });

  test('of version 1 comes back as it was encoded, however it is cut, with what follows it', () => {
    fc.assert(
      fc.property(
        fc.oneof(pair(ipv4), pair(ipv6)),
        fc.uint8Array({ maxLength: 20 }),
        fc.array(fc.nat(130), { maxLength: 6 }),
        ([source, destination], rest, places) => {
          const bytes = encodeProxyHeader({ version: 1, source, destination });
          assert.ok(bytes.length <= 107);
          const outcome = outcomeOf(cut(Buffer.concat([bytes, rest]), places));
          assert.deepEqual([outcome.header?.source, outcome.header?.destination], [source, destination]);
          assert.equal(outcome.rest, Buffer.from(rest).toString('latin1'));
        },
      ),
    );
  });
});

describe('any input', () => {
  test('is a header or the house’s error, the same however it is cut', () => {
    const body = fc.uint8Array({ maxLength: 300 });
    const command = fc.constantFrom('20', '21', '21', '21', '22', '31');
    const family = fc.constantFrom('00', '11', '12', '21', '31', '10', '41', '13');
    const near = fc.oneof(
      fc
        .tuple(command, family, body)
        .map(([first, second, bytes]) => v2(first, second, Buffer.from(bytes).toString('hex'))),
      // Extensions that nearly fit, behind addresses.
      fc
        .array(fc.constantFrom(0, 0, 1, 2, 3, 4, 5, 0x20, 0x21, 255), { maxLength: 60 })
        .map((bytes) => v2('21', '11', `${'00'.repeat(12)}${Buffer.from(bytes).toString('hex')}`)),
      fc
        .array(fc.constantFrom('TCP4', 'TCP6', 'UNKNOWN', ' ', ' ', '1.2.3.4', '::1', '80', '\r', '\n', '\r\n', 'x'), {
          maxLength: 14,
        })
        .map((words) => Buffer.from(`PROXY ${words.join('')}`)),
      fc.uint8Array({ maxLength: 40 }),
    );
    fc.assert(
      fc.property(near, fc.array(fc.nat(400), { maxLength: 8 }), (bytes, places) => {
        const whole = outcomeOf([bytes]);
        assert.deepEqual(outcomeOf(cut(bytes, places)), whole);
        if (whole.code !== null) assert.match(whole.code, /^ERR_PORTSIDE_(?:PROXY_HEADER|UNEXPECTED_END)$/u);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('addresses', () => {
  test('of IPv6 are written as the system writes them, and read in every form', () => {
    fc.assert(
      fc.property(groups, (all) => {
        const words = wordsOf(wide(all));
        assert.ok(words !== null);
        assert.equal(formatIPv6Mixed(words), canonical(wide(all)));
        assert.deepEqual(wordsOf(formatIPv6Mixed(words)), words);
        assert.deepEqual(wordsOf(formatIPv6(words)), words);
        assert.deepEqual(wordsOf(wide(all).toUpperCase()), words);
      }),
      { numRuns: 1_000 },
    );
  });

  test('are read where the system reads them, and nowhere else', () => {
    const pieces = fc.array(
      fc.constantFrom('0', '1', 'f', 'ffff', '12345', ':', ':', '::', '.', '255', '256', '01', ' '),
      {
        maxLength: 17,
      },
    );
    fc.assert(
      fc.property(pieces, (parts) => {
        const text = parts.join('');
        assert.equal(readHost('ipv6', text, addressWords()), isAddress('ipv6', text), text);
        assert.equal(readHost('ipv4', text, addressWords()), isAddress('ipv4', text), text);
      }),
      { numRuns: 5_000 },
    );
  });
});

function wordsOf(host: string): Uint32Array | null {
  const words = addressWords();
  return readHost('ipv6', host, words) ? words : null;
}

function isAddress(family: 'ipv4' | 'ipv6', address: string): boolean {
  try {
    new SocketAddress({ family, address, port: 0 });
    return true;
  } catch {
    return false;
  }
}
