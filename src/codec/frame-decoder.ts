import { PortsideError } from '../base/errors.ts';
import type { ByteQueue } from './byte-queue.ts';
import { more } from './codec.ts';
import type { Decoder } from './codec.ts';

/**
 * A decoder to build one's own on: write `next`, and `rest` where the end of the input can end a frame. It stays failed
 * after whatever they throw.
 */
export abstract class FrameDecoder<T> implements Decoder<T> {
  /** The codec's name, for errors. */
  protected readonly name: string;
  #failed = false;
  #failure: unknown;

  constructor(name: string) {
    this.name = name;
  }

  decode(queue: ByteQueue): T | typeof more {
    if (this.#failed) throw this.#failure;
    try {
      return this.next(queue);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  end(queue: ByteQueue): T | typeof more {
    if (this.#failed) throw this.#failure;
    try {
      const frame = this.next(queue);
      if (frame !== more || queue.length === 0) return frame;
      return this.rest(queue);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** The next frame, taken off the queue, or `more` with nothing taken. The queue may be empty. */
  protected abstract next(queue: ByteQueue): T | typeof more;

  /**
   * What to make of bytes that are no complete frame when the input has ended; the queue is not empty. By default that is
   * ERR_PORTSIDE_UNEXPECTED_END.
   */
  protected rest(queue: ByteQueue): T | typeof more {
    const text = `${this.name}: the input ended in the middle of a frame, ${queue.length} bytes into it`;
    throw new PortsideError('ERR_PORTSIDE_UNEXPECTED_END', text, { op: 'decode' });
  }

  #fail(error: unknown): unknown {
    this.#failed = true;
    this.#failure = error;
    return error;
  }
}

/** A frame that is longer than its limit: the error for `next` and `encode` to throw. `length` is told when it is known. */
export function frameTooLong(name: string, op: 'decode' | 'encode', limit: number, length?: number): PortsideError {
  const found = length === undefined ? 'a frame is' : `a frame of ${length} bytes is`;
  return new PortsideError('ERR_PORTSIDE_FRAME_TOO_LONG', `${name}: ${found} longer than its limit of ${limit} bytes`, {
    op,
  });
}

/** A frame that doesn't follow its format: the error for `next` and `encode` to throw. `what` says what is wrong with it. */
export function frameInvalid(name: string, op: 'decode' | 'encode', what: string, cause?: unknown): PortsideError {
  return new PortsideError('ERR_PORTSIDE_FRAME_INVALID', `${name}: ${what}`, { op, cause });
}
