import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { expectTypeOf } from 'expect-type';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { more } from '../../src/codec/codec.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { decodeAll, decodeEach } from '../../src/codec/decode-all.ts';
import { delimiter } from '../../src/codec/delimiter.ts';
import { fixed } from '../../src/codec/fixed.ts';
import { FrameDecoder, frameInvalid } from '../../src/codec/frame-decoder.ts';
import { jsonLines } from '../../src/codec/json-lines.ts';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import type { StandardSchemaV1 } from '../../src/codec/standard-schema.ts';
import { PortsideError } from '../../src/base/errors.ts';
import { OptionsError } from '../../src/base/options.ts';
import { assertSplitInvariant } from '../support/split.ts';

const INVALID = 'ERR_PORTSIDE_FRAME_INVALID';
const TOO_LONG = 'ERR_PORTSIDE_FRAME_TOO_LONG';
const UNEXPECTED_END = 'ERR_PORTSIDE_UNEXPECTED_END';

type Row = readonly [input: string | readonly number[], frames: readonly unknown[], error?: string];

/** Holds a codec to a table of inputs; bytes are latin1 text or numbers, frames of bytes are latin1 text. */
function expect(codec: Codec<unknown, never>, rows: readonly Row[]): void {
  for (const [input, frames, error] of rows) {
    const bytes = typeof input === 'string' ? Buffer.from(input, 'latin1') : Buffer.from(input);
    const outcome = assertSplitInvariant(codec, bytes);
    const given = outcome.frames.map((frame) =>
      frame instanceof Uint8Array ? Buffer.from(frame).toString('latin1') : frame,
    );
    assert.deepEqual({ given, error: outcome.error }, { given: frames, error }, `for ${JSON.stringify(input)}`);
  }
}

function encodes(codec: Codec<unknown, never>, frame: unknown): string {
  return Buffer.from(codec.encode(frame as never)).toString('latin1');
}

function refuses(codec: Codec<unknown, never>, frame: unknown, code: string): void {
  assert.throws(
    () => codec.encode(frame as never),
    (error) => error instanceof PortsideError && error.code === code && error.op === 'encode',
  );
}

describe('lines', () => {
  test('end in LF or CRLF, and the last one at the end of input', () => {
    expect(lines(), [
      ['', []],
      ['a\nb\r\n\n\r\nc', ['a', 'b', '', '', 'c']],
      ['a\rb\n', ['a\rb']],
      ['a\r\r\n', ['a\r']],
      ['a\r', ['a\r']],
      ['\xc3\xa4\n\xef\xbb\xbfx\n', ['ä', '\ufeffx']],
    ]);
    expect(lines({ openEnd: false }), [
      ['a\nb', ['a'], UNEXPECTED_END],
      ['a\n', ['a']],
    ]);
  });

  test('are no longer than the limit, their ending not counted', () => {
    expect(lines({ maxLength: 3 }), [
      ['abc\nabc\r\nabc', ['abc', 'abc', 'abc']],
      ['abcd\n', [], TOO_LONG],
      ['ok\nabcd', ['ok'], TOO_LONG],
      ['abc\rd', [], TOO_LONG],
      ['abc\r', [], TOO_LONG],
      ['abc\r\r\n', [], TOO_LONG],
      ['ab\r\r\n', ['ab\r']],
      ['\xc3\xa4\xc3\xa4\n', [], TOO_LONG],
    ]);
    const whole = `${'x'.repeat(65_536)}\r\n`;
    assert.equal(decodeAll(lines(), [Buffer.from(whole)])[0]?.length, 65_536);
    assert.throws(() => decodeAll(lines(), [Buffer.from(`x${whole}`)]), {
      code: TOO_LONG,
      message: 'lines: a frame is longer than its limit of 65536 bytes',
    });
  });

  test('that are not UTF-8 are an error, replaced, or left as bytes', () => {
    expect(lines(), [
      ['a\n\xff\nb\n', ['a'], INVALID],
      ['\xc3\n\xa4\n', [], INVALID],
      ['\xed\xa0\x80\n', [], INVALID],
      ['a\n\xc3', ['a'], INVALID],
    ]);
    expect(lines({ fatal: false }), [['a\xff\n\xc3', ['a\ufffd', '\ufffd']]]);
    expect(lines({ encoding: 'bytes' }), [['a\xff\r\n\xc3', ['a\xff', '\xc3']]]);
    // One input's error leaves the next untouched.
    expect(lines(), [['\xc3\xa4\n', ['ä']]]);
  });

  test('are sent with the ending that was chosen', () => {
    assert.equal(encodes(lines(), 'ä'), '\xc3\xa4\n');
    assert.equal(encodes(lines({ ending: '\r\n' }), ''), '\r\n');
    assert.equal(encodes(lines({ encoding: 'bytes', ending: '\r\n' }), Uint8Array.of(97)), 'a\r\n');
    assert.equal(encodes(lines({ ending: '\r\n' }), 'a\r'), 'a\r\r\n');
  });

  test('that would not arrive as they are, are refused', () => {
    for (const frame of ['a\nb', 'a\r', '\ud800', 5, undefined]) refuses(lines(), frame, INVALID);
    refuses(lines({ ending: '\r\n' }), '\n', INVALID);
    refuses(lines({ maxLength: 3 }), 'abcd', TOO_LONG);
    refuses(lines({ maxLength: 3 }), 'ää', TOO_LONG);
    assert.equal(encodes(lines({ fatal: false }), '\ud800'), '\xef\xbf\xbd\n');
    const bytes = lines({ encoding: 'bytes', maxLength: 3 });
    refuses(bytes, Buffer.from('\n'), INVALID);
    refuses(bytes, Buffer.from('\r'), INVALID);
    refuses(bytes, 'a', INVALID);
    refuses(bytes, new Uint8Array(4), TOO_LONG);
  });

  test('check their options', () => {
    assert.throws(() => lines({ maxLenght: 5 } as never), /did you mean "maxLength"/);
    assert.throws(
      () => lines({ maxLength: 0, ending: '\r' } as never),
      (error: OptionsError) => error.problems.length === 2,
    );
  });
});

describe('delimiter', () => {
  test('stands behind each frame, and input that ends without it is cut off', () => {
    expect(delimiter('\r\n.\r\n'), [
      ['a\r\n.\r\n\r\n.\r\n', ['a', '']],
      ['a\r\n.\r\r\n.\r\n', ['a\r\n.\r']],
      ['a\r\n.\r\nb', ['a'], UNEXPECTED_END],
      ['a\r\n.\r', [], UNEXPECTED_END],
    ]);
    expect(delimiter(Uint8Array.of(0), { openEnd: true }), [['a\0\0b', ['a', '', 'b']]]);
    expect(delimiter('aa'), [['xaaaaa', ['x', ''], UNEXPECTED_END]]);
  });

  test('comes within the limit', () => {
    expect(delimiter('--', { maxLength: 3 }), [
      ['abc--abcd--', ['abc'], TOO_LONG],
      ['abc-', [], UNEXPECTED_END],
      ['abcde', [], TOO_LONG],
    ]);
    expect(delimiter('--', { maxLength: 3, openEnd: true }), [
      ['abc', ['abc']],
      ['abc-', [], TOO_LONG],
    ]);
  });

  test('is not found within what is sent', () => {
    assert.equal(encodes(delimiter('ab'), Buffer.from('ba')), 'baab');
    refuses(delimiter('ab'), Buffer.from('xaby'), INVALID);
    refuses(delimiter('aba'), Buffer.from('xab'), INVALID);
    refuses(delimiter('a', { maxLength: 1 }), Buffer.from('bb'), TOO_LONG);
    refuses(delimiter('a'), 'b', INVALID);
  });

  test('is a copy: the bytes that it was made from may change', () => {
    const mark = Uint8Array.of(1);
    const codec = delimiter(mark);
    mark[0] = 2;
    expect(codec, [[[2, 1], ['\x02']]]);
  });

  test('is at least one byte and at most 256', () => {
    for (const mark of ['', new Uint8Array(0), 'x'.repeat(257), 5])
      assert.throws(() => delimiter(mark as never), OptionsError);
    expect(delimiter('x'.repeat(256)), [[`a${'x'.repeat(256)}`, ['a']]]);
  });
});

describe('a length in front', () => {
  test('has from 1 to 8 bytes, in either order', () => {
    assert.equal(encodes(lengthPrefix({ bytes: 3 }), Buffer.from('abc')), '\0\0\x03abc');
    assert.equal(encodes(lengthPrefix({ bytes: 3, endian: 'little' }), Buffer.from('abc')), '\x03\0\0abc');
    expect(lengthPrefix({ bytes: 2 }), [
      ['\0\x02ab\0\0\0\x01c', ['ab', '', 'c']],
      ['\0\x02a', [], UNEXPECTED_END],
      ['\0', [], UNEXPECTED_END],
    ]);
    const frame = Buffer.alloc(300, 1);
    assert.deepEqual(
      decodeAll(lengthPrefix({ bytes: 2, endian: 'little' }), [Buffer.of(44, 1), frame]).map((bytes) => bytes.length),
      [300],
    );
  });

  test('is refused above the limit before the frame comes, up to 2^64', () => {
    const ff = [255, 255, 255, 255, 255, 255, 255, 255];
    for (const bytes of [4, 5, 6, 7, 8] as const) expect(lengthPrefix({ bytes }), [[ff.slice(0, bytes), [], TOO_LONG]]);
    expect(lengthPrefix({ bytes: 8 }), [[[0, 32, 0, 0, 0, 0, 0, 1], [], TOO_LONG]]);
    const decoder = lengthPrefix({ bytes: 4 }).decoder();
    const queue = new ByteQueue();
    queue.append(Buffer.of(0, 0x10, 0, 0));
    assert.equal(decoder.decode(queue), more);
    const over = new ByteQueue();
    over.append(Buffer.of(0, 0x10, 0, 1));
    assert.throws(() => lengthPrefix({ bytes: 4 }).decoder().decode(over), {
      message: 'length-prefix: a frame of 1048577 bytes is longer than its limit of 1048576 bytes',
    });
  });

  test('may count itself', () => {
    const codec = lengthPrefix({ bytes: 2, includesPrefix: true });
    assert.equal(encodes(codec, Buffer.from('abc')), '\0\x05abc');
    expect(codec, [
      ['\0\x05abc\0\x02', ['abc', '']],
      ['\0\x01', [], INVALID],
      ['\0\0', [], INVALID],
    ]);
    const small = lengthPrefix({ bytes: 1, includesPrefix: true });
    assert.equal(encodes(small, new Uint8Array(254)).length, 255);
    refuses(small, new Uint8Array(255), TOO_LONG);
  });

  test('may be a varint, of no more bytes than it needs', () => {
    const codec = lengthPrefix({ bytes: 'varint' });
    for (const length of [0, 1, 127, 128, 16_383, 16_384, 1_000_000]) {
      const frame = new Uint8Array(length);
      const bytes = codec.encode(frame);
      assert.equal(bytes.length - length, length < 128 ? 1 : length < 16_384 ? 2 : 3);
      assert.deepEqual(decodeAll(codec, [bytes]), [frame]);
    }
    expect(codec, [
      [[0x80, 0x00], [], INVALID],
      [[0x81, 0x80, 0x00], [], INVALID],
      [[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80], [], TOO_LONG],
      [[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], [], TOO_LONG],
      [[0x80], [], UNEXPECTED_END],
    ]);
    for (let length = 100; length < 140; length++) {
      const itself = lengthPrefix({ bytes: 'varint', includesPrefix: true });
      assert.deepEqual(decodeAll(itself, [itself.encode(new Uint8Array(length))]), [new Uint8Array(length)]);
    }
  });

  test('must be able to say it', () => {
    refuses(lengthPrefix({ bytes: 1 }), new Uint8Array(256), TOO_LONG);
    refuses(lengthPrefix({ bytes: 4, maxLength: 5 }), new Uint8Array(6), TOO_LONG);
    refuses(lengthPrefix({ bytes: 4 }), 'text', INVALID);
    assert.throws(() => lengthPrefix({} as never), /options\.bytes is required/);
    assert.throws(() => lengthPrefix({ bytes: 9 } as never), OptionsError);
    assert.throws(
      () => lengthPrefix({ bytes: 'varint', endian: 'big' }),
      /options\.endian has no meaning for a varint/,
    );
  });
});

test('frames of a fixed length are no longer and no shorter', () => {
  expect(fixed(2), [
    ['', []],
    ['abcd', ['ab', 'cd']],
    ['abc', ['ab'], UNEXPECTED_END],
  ]);
  refuses(fixed(2), new Uint8Array(1), INVALID);
  refuses(fixed(2), new Uint8Array(3), TOO_LONG);
  const bytes = Uint8Array.of(1, 2);
  const sent = fixed(2).encode(bytes);
  bytes[0] = 9;
  assert.deepEqual([...sent], [1, 2]);
  assert.throws(() => fixed(0), OptionsError);
});

/** A schema as a library would make it: `{ id: number-like text }` in, `{ id: number }` out. */
function schemaOf<I, O>(validate: StandardSchemaV1<I, O>['~standard']['validate']): StandardSchemaV1<I, O> {
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

const idSchema = schemaOf<{ id: string }, { id: number }>((value) => {
  if (typeof value !== 'object' || value === null || !('id' in value))
    return { issues: [{ message: 'must have an id' }] };
  const id = Number(value.id);
  return Number.isNaN(id)
    ? { issues: [{ message: 'must be a number', path: ['list', { key: 0 }, 'id'] }] }
    : { value: { id } };
});

describe('json lines', () => {
  test('are one value on each line', () => {
    expect(jsonLines(), [
      ['{"a":[1,2]}\n"x"\r\n null \n5', [{ a: [1, 2] }, 'x', null, 5]],
      ['1\n\n', [1], INVALID],
      ['1\n{\n', [1], INVALID],
      ['"\xff"\n', [], INVALID],
      ['\xef\xbb\xbf1\n', [], INVALID],
    ]);
    expect(jsonLines({ openEnd: false, maxLength: 3 }), [
      ['12', [], UNEXPECTED_END],
      ['123\n1234\n', [123], TOO_LONG],
    ]);
  });

  test('are held against a schema, whose result is what comes out', () => {
    const codec = jsonLines({ schema: idSchema });
    expect(codec, [
      ['{"id":"7"}\n', [{ id: 7 }]],
      ['{"id":"x"}\n', [], INVALID],
    ]);
    assert.throws(
      () => decodeAll(codec, [Buffer.from('{"id":"x"}\n')]),
      (error: PortsideError) => {
        assert.equal(error.message, 'json-lines: a value does not fit the schema: list.0.id: must be a number');
        assert.ok(Array.isArray(error.cause));
        return true;
      },
    );
    expectTypeOf(codec).toEqualTypeOf<Codec<{ id: number }, { id: string }>>();
    expectTypeOf(jsonLines({ maxLength: 5 })).toEqualTypeOf<Codec<unknown>>();
  });

  test('tell a few issues, however many there are', () => {
    const many = schemaOf(() => ({
      issues: Array.from({ length: 1000 }, (_, i) => ({ message: `${i}`.repeat(200) })),
    }));
    assert.throws(
      () => decodeAll(jsonLines({ schema: many }), [Buffer.from('1\n')]),
      (error: Error) => error.message.length < 600 && error.message.endsWith('and 997 more'),
    );
  });

  test('do not wait for a schema, and nothing of it is left unhandled', async () => {
    for (const later of [schemaOf(async (value) => ({ value })), schemaOf(() => Promise.reject(new Error('late')))]) {
      assert.throws(() => decodeAll(jsonLines({ schema: later }), [Buffer.from('1\n')]), {
        code: INVALID,
        message: /asynchronously/,
      });
    }
    // An unhandled rejection would fail the test after this turn.
    await new Promise(setImmediate);
  });

  test('make a schema that throws an error of the frame', () => {
    const broken = schemaOf(() => {
      throw new RangeError('deep');
    });
    assert.throws(
      () => decodeAll(jsonLines({ schema: broken }), [Buffer.from('1\n')]),
      (error: PortsideError) => error.code === INVALID && error.cause instanceof RangeError,
    );
  });

  test('take schemas that are functions, and refuse what is no schema', () => {
    const arrow = Object.assign(() => {}, idSchema);
    expect(jsonLines({ schema: arrow }), [['{"id":1}\n', [{ id: 1 }]]]);
    for (const schema of [
      {},
      { '~standard': null },
      { '~standard': { version: 2, validate() {} } },
      () => 1,
      null,
      'x',
    ]) {
      assert.throws(() => jsonLines({ schema } as never), OptionsError);
    }
  });

  test('refuse what JSON cannot say', () => {
    assert.equal(encodes(jsonLines(), { a: 'b\n\ud800' }), '{"a":"b\\n\\ud800"}\n');
    const circle: unknown[] = [];
    circle.push(circle);
    const cross = {
      toJSON: (): never => {
        throw new Error('no');
      },
    };
    for (const value of [undefined, () => 1, Symbol('x'), 1n, circle, cross]) refuses(jsonLines(), value, INVALID);
    refuses(jsonLines({ maxLength: 3 }), 'ab', TOO_LONG);
  });

  test('nested deep are frames or errors of a frame, and no other', () => {
    assertSplitInvariant(jsonLines(), Buffer.from(`${'['.repeat(60)}${']'.repeat(60)}\n`));
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    // Whether JSON.stringify can do it depends on the engine's version.
    try {
      assert.equal(jsonLines().encode(deep).length, 200_002);
    } catch (error) {
      assert.equal((error as PortsideError).code, INVALID);
    }
    assert.throws(() => decodeAll(jsonLines(), [Buffer.from(`${'['.repeat(500_000)}\n`)]), { code: INVALID });
  });
});

describe('a decoder', () => {
  test('takes whole frames only, so that another can go on behind it', () => {
    const queue = new ByteQueue();
    queue.append(Buffer.from('12\nrest\0\0\0\x05ab'));
    const first = lines().decoder();
    assert.equal(first.decode(queue), '12');
    assert.deepEqual(Buffer.from(fixed(4).decoder().decode(queue) as Uint8Array).toString(), 'rest');
    const third = lengthPrefix({ bytes: 4 }).decoder();
    assert.equal(third.decode(queue), more);
    assert.equal(queue.length, 6);
  });

  test('of one input knows nothing of another', () => {
    const codec = lines({ maxLength: 3 });
    const [a, b] = [new ByteQueue(), new ByteQueue()];
    const [first, second] = [codec.decoder(), codec.decoder()];
    a.append(Buffer.from('abcdef'));
    b.append(Buffer.from('ab'));
    assert.equal(second.decode(b), more);
    assert.throws(() => first.decode(a), { code: TOO_LONG });
    b.append(Buffer.from('c\n'));
    assert.equal(second.decode(b), 'abc');
  });

  test('of one own stays failed after whatever it threw', () => {
    class Odd extends FrameDecoder<number> {
      protected next(queue: ByteQueue): number | typeof more {
        if (queue.length === 0) return more;
        const byte = queue.byteAt(0);
        if (byte % 2 === 0) throw frameInvalid(this.name, 'decode', 'a byte is even');
        queue.skip(1);
        return byte;
      }
    }
    const odd: Codec<number> = { name: 'odd', decoder: () => new Odd('odd'), encode: (frame) => Uint8Array.of(frame) };
    assert.deepEqual(decodeAll(odd, [Uint8Array.of(1, 3)]), [1, 3]);
    assert.deepEqual(assertSplitInvariant(odd, Uint8Array.of(1, 2, 3)), { frames: [1], error: INVALID });
  });
});

test('frames come one by one before the error that follows them', () => {
  const given: string[] = [];
  assert.throws(
    () => {
      for (const line of decodeEach(lines(), [Buffer.from('a\nb\n'), Buffer.from('\xff\n', 'latin1')]))
        given.push(line);
    },
    { code: INVALID },
  );
  assert.deepEqual(given, ['a', 'b']);
});
