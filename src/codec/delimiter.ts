import { boolean, byteCount, check, checkValue, table, that } from '../base/options.ts';
import { show } from '../base/show.ts';
import type { ByteQueue } from './byte-queue.ts';
import { more } from './codec.ts';
import type { Codec } from './codec.ts';
import { FrameDecoder, frameInvalid, frameTooLong } from './frame-decoder.ts';

/** Settings of {@link delimiter}. */
export interface DelimiterOptions {
  /** The longest frame, in bytes without its delimiter. @default 65536 */
  readonly maxLength?: number | undefined;
  /** Whether a last frame may do without a delimiter; else that is ERR_PORTSIDE_UNEXPECTED_END. @default false */
  readonly openEnd?: boolean | undefined;
}

const delimiterTable = table('delimiter', { maxLength: byteCount({ min: 1, max: 2 ** 30 }), openEnd: boolean() });
const LONGEST = 256;
const marks = that<string | Uint8Array>(`a string or bytes, 1 to ${LONGEST} bytes long`, (value) => {
  if (typeof value === 'string') return value !== '' && Buffer.byteLength(value) <= LONGEST;
  return value instanceof Uint8Array && value.length > 0 && value.length <= LONGEST;
});

class DelimiterDecoder extends FrameDecoder<Uint8Array> {
  readonly #mark: Uint8Array;
  readonly #limit: number;
  readonly #openEnd: boolean;
  #seen = 0;

  constructor(name: string, mark: Uint8Array, limit: number, openEnd: boolean) {
    super(name);
    this.#mark = mark;
    this.#limit = limit;
    this.#openEnd = openEnd;
  }

  protected next(queue: ByteQueue): Uint8Array | typeof more {
    const size = this.#mark.length;
    const end = queue.indexOf(this.#mark, this.#seen, this.#limit + size);
    if (end < 0) {
      if (queue.length >= this.#limit + size) throw frameTooLong(this.name, 'decode', this.#limit);
      this.#seen = Math.max(0, queue.length - size + 1);
      return more;
    }
    this.#seen = 0;
    const frame = queue.take(end);
    queue.skip(size);
    return frame;
  }

  protected override rest(queue: ByteQueue): Uint8Array | typeof more {
    if (!this.#openEnd) return super.rest(queue);
    if (queue.length > this.#limit) throw frameTooLong(this.name, 'decode', this.#limit);
    this.#seen = 0;
    return queue.takeAll();
  }
}

/**
 * Frames of bytes, each with a delimiter behind it: some bytes, or a string as UTF-8, 256 bytes at most.
 *
 * A frame longer than `maxLength` bytes (64 KiB by default) is ERR_PORTSIDE_FRAME_TOO_LONG; sending one that the delimiter
 * would be found in too early is ERR_PORTSIDE_FRAME_INVALID. Input that ends without a delimiter is
 * ERR_PORTSIDE_UNEXPECTED_END, unless `openEnd` says that what is left is a frame.
 */
export function delimiter(mark: string | Uint8Array, options?: DelimiterOptions): Codec<Uint8Array> {
  const end = bytesOf(checkValue('delimiter', 'mark', marks, mark));
  const { maxLength = 65_536, openEnd = false }: DelimiterOptions = check(delimiterTable, options);
  const name = 'delimiter';
  return {
    name,
    decoder: () => new DelimiterDecoder(name, end, maxLength, openEnd),
    encode(frame) {
      if (!(frame instanceof Uint8Array))
        throw frameInvalid(name, 'encode', `a frame must be bytes, got ${show(frame)}`);
      if (frame.length > maxLength) throw frameTooLong(name, 'encode', maxLength, frame.length);
      const bytes = Buffer.alloc(frame.length + end.length);
      bytes.set(frame);
      bytes.set(end, frame.length);
      // Looked for in the whole: the frame's tail and the delimiter's head may make one too.
      if (bytes.indexOf(end) < frame.length)
        throw frameInvalid(name, 'encode', 'the delimiter would be found within the frame');
      return bytes;
    },
  };
}

function bytesOf(mark: string | Uint8Array): Uint8Array {
  return typeof mark === 'string' ? Buffer.from(mark) : mark.slice();
}
