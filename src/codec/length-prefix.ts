import { boolean, byteCount, check, oneOf, required, table } from '../base/options.ts';
import { show } from '../base/show.ts';
import type { ByteQueue } from './byte-queue.ts';
import { more } from './codec.ts';
import type { Codec } from './codec.ts';
import { FrameDecoder, frameInvalid, frameTooLong } from './frame-decoder.ts';

/** Settings of {@link lengthPrefix}. */
export interface LengthPrefixOptions {
  /** How many bytes the length has, or `varint` for unsigned LEB128 (as in Protocol Buffers). */
  readonly bytes: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 'varint';
  /** The order of the length's bytes, `big` being the network's. A varint has its own. @default 'big' */
  readonly endian?: 'big' | 'little' | undefined;
  /** The longest frame, in bytes without its prefix. @default 1048576 */
  readonly maxLength?: number | undefined;
  /** Whether the length counts the prefix too. @default false */
  readonly includesPrefix?: boolean | undefined;
}

const lengthPrefixTable = table(
  'lengthPrefix',
  {
    bytes: required(oneOf(1, 2, 3, 4, 5, 6, 7, 8, 'varint')),
    endian: oneOf('big', 'little'),
    maxLength: byteCount({ min: 0, max: 2 ** 30 }),
    includesPrefix: boolean(),
  },
  ({ bytes, endian }, problem) => {
    if (bytes === 'varint' && endian !== undefined) problem('endian', 'has no meaning for a varint');
  },
);

// 8 × 7 bits go beyond 2^53; a length of more bytes than that is too long whatever it says.
const LONGEST_VARINT = 8;

interface Rules {
  readonly name: string;
  readonly bytes: number | 'varint';
  readonly little: boolean;
  readonly maxLength: number;
  readonly includesPrefix: boolean;
}

class LengthPrefixDecoder extends FrameDecoder<Uint8Array> {
  readonly #rules: Rules;
  /** The prefix of the frame that is being waited for, once it is read: how long it is, and what follows it. */
  #prefix = 0;
  #payload = 0;

  constructor(rules: Rules) {
    super(rules.name);
    this.#rules = rules;
  }

  protected next(queue: ByteQueue): Uint8Array | typeof more {
    if (this.#prefix === 0 && !this.#readPrefix(queue)) return more;
    if (queue.length < this.#prefix + this.#payload) return more;
    queue.skip(this.#prefix);
    this.#prefix = 0;
    return queue.take(this.#payload);
  }

  #readPrefix(queue: ByteQueue): boolean {
    const { bytes } = this.#rules;
    const size = bytes === 'varint' ? this.#sizeOfVarint(queue) : bytes;
    if (size === 0 || queue.length < size) return false;
    let value = 0;
    // The most significant byte comes first; above 2^53 the sum is no longer exact, but always above every limit.
    const step = bytes === 'varint' ? 128 : 256;
    const fromEnd = bytes === 'varint' || this.#rules.little;
    for (let i = 0; i < size; i++) value = value * step + (queue.byteAt(fromEnd ? size - 1 - i : i) % step);
    this.#accept(value, size);
    return true;
  }

  /** How many bytes the varint in front has; 0 when it is not there as a whole. */
  #sizeOfVarint(queue: ByteQueue): number {
    const most = Math.min(queue.length, LONGEST_VARINT);
    for (let i = 0; i < most; i++) {
      const byte = queue.byteAt(i);
      if (byte >= 128) continue;
      if (byte === 0 && i > 0) throw frameInvalid(this.name, 'decode', 'a varint has more bytes than it needs');
      return i + 1;
    }
    if (most === LONGEST_VARINT) throw frameTooLong(this.name, 'decode', this.#rules.maxLength);
    return 0;
  }

  #accept(value: number, size: number): void {
    const { includesPrefix, maxLength } = this.#rules;
    const payload = includesPrefix ? value - size : value;
    if (payload < 0)
      throw frameInvalid(this.name, 'decode', `a length of ${value} can't count its own prefix of ${size} bytes`);
    if (payload > maxLength) throw frameTooLong(this.name, 'decode', maxLength, payload);
    this.#prefix = size;
    this.#payload = payload;
  }
}

function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

function encode(rules: Rules, frame: Uint8Array): Uint8Array {
  const { name, bytes, little, maxLength, includesPrefix } = rules;
  if (!(frame instanceof Uint8Array)) throw frameInvalid(name, 'encode', `a frame must be bytes, got ${show(frame)}`);
  if (frame.length > maxLength) throw frameTooLong(name, 'encode', maxLength, frame.length);
  let size = bytes === 'varint' ? sizeOfVarint(frame.length) : bytes;
  // Counting itself may make a varint one byte longer, and never two.
  if (bytes === 'varint' && includesPrefix) size = sizeOfVarint(frame.length + size);
  const value = includesPrefix ? frame.length + size : frame.length;
  if (bytes !== 'varint' && value >= 256 ** bytes) {
    throw frameTooLong(name, 'encode', 256 ** bytes - 1 - (includesPrefix ? bytes : 0), frame.length);
  }
  const out = new Uint8Array(size + frame.length);
  const step = bytes === 'varint' ? 128 : 256;
  let rest = value;
  for (let i = 0; i < size; i++) {
    const mark = bytes === 'varint' && i < size - 1 ? 128 : 0;
    out[bytes === 'varint' || little ? i : size - 1 - i] = (rest % step) + mark;
    rest = Math.floor(rest / step);
  }
  out.set(frame, size);
  return out;
}

/**
 * Frames of bytes, each with its length in front of it.
 *
 * A frame longer than `maxLength` bytes (1 MiB by default) is ERR_PORTSIDE_FRAME_TOO_LONG, told by its length alone before
 * any of it is kept; so is one that is sent and longer than its prefix can say. A varint with needless bytes, and a
 * length that is to count its prefix and is less than that, is ERR_PORTSIDE_FRAME_INVALID.
 */
export function lengthPrefix(options: LengthPrefixOptions): Codec<Uint8Array> {
  const given: LengthPrefixOptions = check(lengthPrefixTable, options);
  const { bytes, endian = 'big', maxLength = 1_048_576, includesPrefix = false } = given;
  const rules: Rules = { name: 'length-prefix', bytes, little: endian === 'little', maxLength, includesPrefix };
  return { name: rules.name, decoder: () => new LengthPrefixDecoder(rules), encode: (frame) => encode(rules, frame) };
}
