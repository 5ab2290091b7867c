import { ByteQueue } from './byte-queue.ts';
import { more } from './codec.ts';
import type { Codec } from './codec.ts';

/**
 * All frames of an input that is there as a whole, in chunks of any size: for tests, files and recordings. The chunks
 * belong to the frames afterwards. Throws what the codec throws, and then no frames are given; {@link decodeEach} gives
 * those before the error.
 */
export function decodeAll<T>(codec: Codec<T, never>, chunks: Iterable<Uint8Array>): T[] {
  return [...decodeEach(codec, chunks)];
}

/** The frames of an input, one by one, each as soon as its bytes are there. The chunks belong to the frames afterwards. */
export function* decodeEach<T>(codec: Codec<T, never>, chunks: Iterable<Uint8Array>): Generator<T, void, undefined> {
  const decoder = codec.decoder();
  const queue = new ByteQueue();
  for (const chunk of chunks) {
    queue.append(chunk);
    for (let frame = decoder.decode(queue); frame !== more; frame = decoder.decode(queue)) yield frame;
  }
  for (let frame = decoder.end(queue); frame !== more; frame = decoder.end(queue)) yield frame;
}
