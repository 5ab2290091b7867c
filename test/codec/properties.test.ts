import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { decodeAll } from '../../src/codec/decode-all.ts';
import { delimiter } from '../../src/codec/delimiter.ts';
import { fixed } from '../../src/codec/fixed.ts';
import { jsonLines } from '../../src/codec/json-lines.ts';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import { isPortsideError } from '../../src/base/errors.ts';
import { assertSplitInvariant, cut, outcomeOf } from '../support/split.ts';

interface Case {
  readonly name: string;
  readonly codec: Codec<unknown, never>;
  /** Encodes what the arbitrary makes. */
  readonly encode: (frame: unknown) => Uint8Array;
  readonly frames: fc.Arbitrary<unknown>;
  /** What input is made of that comes near the codec's own rules. */
  readonly alphabet: readonly (number | string)[];
  /** The longest input that may wait: the frame and what it stands in. */
  readonly waits: number;
}

function caseOf<T>(
  name: string,
  codec: Codec<T>,
  frames: fc.Arbitrary<T>,
  alphabet: readonly (number | string)[],
  waits: number,
): Case {
  return { name, codec, encode: (frame) => codec.encode(frame as T), frames, alphabet, waits };
}

const upTo = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const lineAlphabet = ['\n', '\r', '\r\n', 'a', 'ä', 0xc3, 0xff, '\u{1F600}'];
const sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x80, 0xff];

const cases: readonly Case[] = [
  caseOf('lines', lines({ maxLength: 7 }), fc.string({ unit: 'grapheme', maxLength: 7 }), lineAlphabet, 8),
  caseOf(
    'lines with CRLF',
    lines({ maxLength: 7, ending: '\r\n', openEnd: false }),
    fc.string({ maxLength: 7 }),
    lineAlphabet,
    8,
  ),
  caseOf('lines not fatal', lines({ maxLength: 7, fatal: false }), fc.string({ maxLength: 7 }), lineAlphabet, 8),
  caseOf('lines of bytes', lines({ maxLength: 7, encoding: 'bytes' }), upTo(7), lineAlphabet, 8),
  caseOf('delimiter of one byte', delimiter('\0', { maxLength: 6 }), upTo(6), [0, 1, 0xff], 6),
  caseOf('delimiter that overlaps itself', delimiter('aba', { maxLength: 6 }), upTo(6), ['a', 'b', 'c'], 8),
  caseOf(
    'delimiter of one letter, open',
    delimiter(Uint8Array.of(97, 97), { maxLength: 6, openEnd: true }),
    upTo(6),
    ['a', 'aa', 'b'],
    7,
  ),
  ...([1, 2, 3, 4, 5, 6, 7, 8] as const).flatMap((bytes) =>
    (['big', 'little'] as const).map((endian) =>
      caseOf(
        `length of ${bytes} bytes, ${endian}`,
        lengthPrefix({ bytes, endian, maxLength: 6 }),
        upTo(6),
        sizes,
        6 + bytes,
      ),
    ),
  ),
  caseOf(
    'length with prefix',
    lengthPrefix({ bytes: 2, maxLength: 6, includesPrefix: true }),
    upTo(6),
    [0, 0, 0, ...sizes],
    8,
  ),
  caseOf('varint', lengthPrefix({ bytes: 'varint', maxLength: 200 }), upTo(200), sizes, 202),
  caseOf(
    'varint with prefix',
    lengthPrefix({ bytes: 'varint', maxLength: 200, includesPrefix: true }),
    upTo(200),
    sizes,
    202,
  ),
  caseOf('fixed', fixed(3), fc.uint8Array({ minLength: 3, maxLength: 3 }), [0, 1], 3),
  caseOf(
    'json lines',
    jsonLines({ maxLength: 24 }),
    fc.jsonValue({ stringUnit: 'grapheme' }),
    ['\n', '{', '}', '[', ']', '"', ':', ',', '1', 'null', ' ', 0xff],
    25,
  ),
];

const bytesOf = (parts: readonly (number | string)[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Uint8Array.of(part) : Buffer.from(part))));

/** Frames and their bytes, without those that the codec has to refuse. */
function encoded(each: Case, frames: readonly unknown[]): { kept: unknown[]; chunks: Uint8Array[] } {
  const kept: unknown[] = [];
  const chunks: Uint8Array[] = [];
  for (const frame of frames) {
    try {
      chunks.push(each.encode(frame));
      kept.push(frame);
    } catch (error) {
      assert.ok(isPortsideError(error) && error.code.startsWith('ERR_PORTSIDE_FRAME_'), String(error));
    }
  }
  return { kept, chunks };
}

const plain = (frame: unknown): unknown => (frame instanceof Uint8Array ? [...frame] : frame);
const places = fc.array(fc.nat(), { maxLength: 12 });

for (const each of cases) {
  describe(each.name, () => {
    test('gives back what was encoded, however it is cut', () => {
      let refused = 0;
      let all = 0;
      fc.assert(
        fc.property(fc.array(each.frames, { maxLength: 8 }), places, (frames, at) => {
          const { kept, chunks } = encoded(each, frames);
          refused += frames.length - kept.length;
          all += frames.length;
          const bytes = Buffer.concat(chunks);
          // JSON has no -0 and no undefined: what it says is what it gives back.
          const expected =
            each.codec.name === 'json-lines'
              ? kept.map((frame) => JSON.parse(JSON.stringify(frame)) as unknown)
              : kept.map(plain);
          assert.deepEqual(decodeAll(each.codec, cut(new Uint8Array(bytes), at)).map(plain), expected);
          if (bytes.length < 60) assertSplitInvariant(each.codec, bytes);
        }),
      );
      assert.ok(refused < all * 0.7, `${refused} of ${all} frames were refused`);
    });

    test('makes the same of any input, however it is cut, and fails by its own errors alone', () => {
      const seen = new Set<string | undefined>();
      fc.assert(
        fc.property(
          fc.oneof(
            { weight: 5, arbitrary: fc.array(fc.constantFrom(...each.alphabet), { maxLength: 30 }).map(bytesOf) },
            { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }) },
          ),
          places,
          (bytes, at) => {
            const whole = assertSplitInvariant(each.codec, bytes);
            assert.deepEqual(outcomeOf(each.codec, cut(bytes, at)), whole);
            seen.add(whole.error);
          },
        ),
        { numRuns: 300 },
      );
      assert.ok(seen.has(undefined) && seen.size > 1, `only ${[...seen].join()} came up`);
    });

    test('fails before more waits than its limit and one chunk', () => {
      fc.assert(
        fc.property(
          fc.array(fc.array(fc.constantFrom(...each.alphabet), { minLength: 1, maxLength: 5 }).map(bytesOf), {
            maxLength: 40,
          }),
          (chunks) => {
            const decoder = each.codec.decoder();
            const queue = new ByteQueue();
            for (const chunk of chunks) {
              queue.append(new Uint8Array(chunk));
              try {
                while (typeof decoder.decode(queue) !== 'symbol');
              } catch {
                return;
              }
              assert.ok(queue.length <= each.waits, `${queue.length} bytes wait`);
            }
          },
        ),
      );
    });
  });
}
