import type { ByteQueue } from './byte-queue.ts';

/** What a decoder answers when no frame is complete: more bytes are needed. The same symbol in every copy of the package. */
export const more: unique symbol = Symbol.for('portside.more') as typeof more;

/**
 * How frames are made of bytes, and bytes of frames: `In` is what comes out of the input, `Out` what may be sent.
 * A codec has no state and serves any number of connections.
 */
export interface Codec<In, Out = In> {
  /** `lines`, `length-prefix`, …; it begins the messages of errors. */
  readonly name: string;
  /** A decoder for one input, at its beginning. */
  decoder(): Decoder<In>;
  /**
   * The bytes of one frame. They are the caller's and are not changed afterwards. A frame that the decoder would not
   * give back as it is throws ERR_PORTSIDE_FRAME_INVALID or ERR_PORTSIDE_FRAME_TOO_LONG.
   */
  encode(frame: Out): Uint8Array;
}

/**
 * Takes frames off a queue of bytes, for one input.
 *
 * Call `decode` until it gives `more`, then again when bytes were added; when the input has ended, call `end` until it gives
 * `more`. Only the decoder takes from the queue meanwhile. It takes whole frames, so that what is left between two calls
 * begins with the first byte of a frame, and it remembers how far it has looked.
 *
 * Both throw ERR_PORTSIDE_FRAME_INVALID or ERR_PORTSIDE_FRAME_TOO_LONG for a bad frame. After an error they throw that
 * error for ever: where the next frame begins is not known.
 */
export interface Decoder<T> {
  /** The next frame, or `more`. */
  decode(queue: ByteQueue): T | typeof more;
  /**
   * The next frame when no bytes will be added, or `more` when the input ended in order. Throws ERR_PORTSIDE_UNEXPECTED_END
   * when it ended in the middle of a frame.
   */
  end(queue: ByteQueue): T | typeof more;
}
