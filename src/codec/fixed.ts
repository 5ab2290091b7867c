import { byteCount, checkValue } from '../base/options.ts';
import { show } from '../base/show.ts';
import type { ByteQueue } from './byte-queue.ts';
import { more } from './codec.ts';
import type { Codec } from './codec.ts';
import { FrameDecoder, frameInvalid, frameTooLong } from './frame-decoder.ts';

const lengths = byteCount({ min: 1, max: 2 ** 30 });

class FixedDecoder extends FrameDecoder<Uint8Array> {
  readonly #length: number;

  constructor(name: string, length: number) {
    super(name);
    this.#length = length;
  }

  protected next(queue: ByteQueue): Uint8Array | typeof more {
    return queue.length < this.#length ? more : queue.take(this.#length);
  }
}

/** Frames of `length` bytes each. Sending a shorter one is ERR_PORTSIDE_FRAME_INVALID, a longer one ERR_PORTSIDE_FRAME_TOO_LONG. */
export function fixed(length: number): Codec<Uint8Array> {
  const name = 'fixed';
  checkValue(name, 'length', lengths, length);
  return {
    name,
    decoder: () => new FixedDecoder(name, length),
    encode(frame) {
      if (!(frame instanceof Uint8Array))
        throw frameInvalid(name, 'encode', `a frame must be bytes, got ${show(frame)}`);
      if (frame.length > length) throw frameTooLong(name, 'encode', length, frame.length);
      if (frame.length < length)
        throw frameInvalid(name, 'encode', `a frame must be ${length} bytes long, got ${frame.length}`);
      // A copy, since what is encoded must not change when the caller's bytes do.
      return frame.slice();
    },
  };
}
