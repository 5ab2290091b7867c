import { ByteQueue } from '../codec/byte-queue.ts';
import { more } from '../codec/codec.ts';
import type { Decoder } from '../codec/codec.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import type { Consumer } from '../net/consumer.ts';
import { closeBoth } from '../net/half-close.ts';
import type { FramedProtocol } from './handler.ts';
import { enter, leave } from './ambient.ts';
import { call, guard } from './protocol-consumer.ts';
import type { Fail } from './protocol-consumer.ts';

/**
 * Serves one connection by a protocol object on a codec. Frames wait while its output is above the high-water mark. The replies to frames that came together leave together,
 * as far as they are written before `frame` returns.
 */
export class FramedConsumer implements Consumer {
  readonly rests = true;
  readonly #protocol: FramedProtocol;
  readonly #fail: Fail;
  readonly #decoder: Decoder<unknown>;
  readonly #queue: ByteQueue = new ByteQueue();
  #ended = false;
  #pumping = false;
  /** What it has is somebody else's, or of no use any more. */
  #left = false;

  constructor(protocol: FramedProtocol, fail: Fail) {
    this.#protocol = protocol;
    this.#fail = fail;
    this.#decoder = protocol.codec.decoder();
  }

  data(connection: Connection, bytes: Uint8Array): void {
    this.#queue.append(bytes);
    this.#pump(connection);
  }

  end(connection: Connection): void {
    this.#ended = true;
    this.#pump(connection);
  }

  writable(connection: Connection): void {
    if (this.#protocol.drain !== undefined) call(connection, this.#fail, () => this.#protocol.drain?.(connection));
    this.#pump(connection);
  }

  close(connection: Connection, reason: CloseReason): void {
    this.#left = true;
    if (this.#protocol.close !== undefined)
      call(connection, this.#fail, () => this.#protocol.close?.(connection, reason));
  }

  partial(): boolean {
    return this.#queue.length > 0;
  }

  giveBack(): readonly Uint8Array[] {
    this.#left = true;
    const chunks: Uint8Array[] = [];
    while (this.#queue.length > 0) chunks.push(this.#queue.takeChunk());
    return chunks;
  }

  takeBack(connection: Connection, bytes: readonly Uint8Array[]): void {
    this.#left = false;
    for (const chunk of bytes) this.#queue.append(chunk);
    this.#pump(connection);
  }

  /** Calls for each frame that there is. */
  #pump(connection: Connection): void {
    if (this.#pumping) return;
    this.#pumping = true;
    const inside = link(connection);
    const before = enter(connection);
    try {
      while (!this.#left && !inside.rests) {
        const frame = this.#next(connection);
        if (frame === more) break;
        // The next one may be there already, and a system call for each reply would cost more than the reply.
        if (this.#queue.length > 0) inside.outlet.beginBatch();
        try {
          const done: unknown = this.#protocol.frame(connection, frame);
          if (done !== undefined) guard(done, connection, this.#fail);
        } catch (error) {
          // The replies to the frames before are not to be lost with this one.
          inside.endBatch();
          this.#fail(error, connection);
        }
      }
    } finally {
      leave(before);
      this.#pumping = false;
      inside.endBatch();
    }
    if (this.#ended && !this.#left && !inside.rests) this.#finish(connection);
  }

  /** The next frame, or `more`. What is no frame ends the connection. */
  #next(connection: Connection): unknown {
    try {
      const frame = this.#queue.length > 0 ? this.#decoder.decode(this.#queue) : more;
      return frame === more && this.#ended ? this.#decoder.end(this.#queue) : frame;
    } catch (error) {
      this.#left = true;
      link(connection).endBatch();
      // Where the next frame begins is not known.
      this.#fail(error, connection, true);
      return more;
    }
  }

  #finish(connection: Connection): void {
    this.#left = true;
    if (this.#protocol.end === undefined) closeBoth(link(connection));
    else call(connection, this.#fail, () => this.#protocol.end?.(connection));
  }
}
