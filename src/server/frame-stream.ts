import type { Codec } from '../codec/codec.ts';
import type { Connection } from '../net/connection.ts';

/** The frames of one connection: iterate over what comes, send what goes. */
export interface FrameStream<In, Out> extends AsyncIterableIterator<In, undefined> {
  /** Queues one frame; resolves as `Connection.write` does. Throws the codec's error for a frame that it can't write. */
  send(frame: Out): Promise<void>;
}

/** The frames of a connection by a codec. */
export function frameStream<In, Out>(connection: Connection, codec: Codec<In, Out>): FrameStream<In, Out> {
  const frames = connection.frames(codec);
  return {
    next: () => frames.next(),
    return: () => Promise.resolve({ value: undefined, done: true }),
    send: (frame) => connection.write(codec.encode(frame)),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
