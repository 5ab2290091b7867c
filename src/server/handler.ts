import type { Codec } from '../codec/codec.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Context } from './context.ts';
import type { FrameStream } from './frame-stream.ts';

/**
 * Serves one connection, which is closed in order when it returns; a read that it left waiting sees the end of the input then. What it throws ends that connection only, abruptly.
 */
export type HandlerFunction<Data = unknown, Ctx = unknown> = (
  connection: Connection<Data>,
  context: Context<Ctx>,
) => void | Promise<void>;

/** What the callbacks of a handler have in common. */
export interface Callbacks<Data = unknown, Ctx = unknown> {
  /** A client came, and its handshakes are over. */
  open?(connection: Connection<Data>, context: Context<Ctx>): void;
  /** The peer ended its side. Without it, the end of the input flushes and closes. */
  end?(connection: Connection<Data>): void;
  /** All output is with the kernel, after it was above the high-water mark or `flushed()` waited for it. */
  drain?(connection: Connection<Data>): void;
  /** The server is coming to its end, and this connection should too. */
  draining?(connection: Connection<Data>): void;
  /** It is over; comes once and last, for every connection that was opened. */
  close?(connection: Connection<Data>, reason: CloseReason): void;
}

/**
 * Serves connections by plain callbacks: the fast path. They are never awaited and must not block; reading pauses by itself
 * while the connection's own output is above its high-water mark. The handler ends the connection; without `end`, the end of the
 * input flushes and closes. What a callback throws (or a promise that it returns rejects with) ends that connection only, unless `onError` answers `'keep'`.
 */
export interface Protocol<Data = unknown, Ctx = unknown> extends Callbacks<Data, Ctx> {
  /**
   * Asks for bytes that are only lent: `data` gets them where the transport has read them, and they are good until it returns. Then the next read overwrites them: what is
   * kept has to be copied before, and a callback that goes on after an `await` finds other bytes. Writing them, to any connection and under corks, is safe as long as it is
   * asked for before `data` returns. It saves the copy of each read on the native transport; on the others they are yours as without it, so that a mistake
   * shows on the native one only. @default false
   */
  readonly borrow?: boolean | undefined;
  /** Bytes arrived; they are yours for ever, unless `borrow` is on. */
  data?(connection: Connection<Data>, bytes: Uint8Array): void;
}

/**
 * A {@link Protocol} on a codec: called once for each frame. Made by `defineHandler(codec, { frame })`. What is no frame ends the connection with the codec's error, by way of
 * `onError`, which can't keep it: where the next frame would begin is not known.
 */
export interface FramedProtocol<In = unknown, Data = unknown, Ctx = unknown> extends Callbacks<Data, Ctx> {
  readonly codec: Codec<In, never>;
  /**
   * A frame arrived. While the connection's own output is above its high-water mark, the next one waits. What is written before it returns leaves together with the replies
   * to the frames that arrived together.
   */
  frame(connection: Connection<Data>, frame: In): void;
}

/** A function on a codec: the frames come and go by the stream. Made by `defineHandler(codec, fn)`. */
export type FramedFunction<In, Out, Data = unknown, Ctx = unknown> = (
  frames: FrameStream<In, Out>,
  connection: Connection<Data>,
  context: Context<Ctx>,
) => void | Promise<void>;

/** What serves connections: a function, or an object of callbacks. */
export type Handler<Data = unknown, Ctx = unknown> =
  | HandlerFunction<Data, Ctx>
  | Protocol<Data, Ctx>
  | FramedProtocol<never, Data, Ctx>;
