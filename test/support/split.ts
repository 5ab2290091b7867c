import assert from 'node:assert/strict';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { more } from '../../src/codec/codec.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { isPortsideError } from '../../src/base/errors.ts';

/** What a codec makes of an input: the frames, and the code of the error that ended it. */
export interface Outcome<T> {
  readonly frames: readonly T[];
  readonly error: string | undefined;
}

const allowed: ReadonlySet<string> = new Set([
  'ERR_PORTSIDE_FRAME_INVALID',
  'ERR_PORTSIDE_FRAME_TOO_LONG',
  'ERR_PORTSIDE_UNEXPECTED_END',
]);

/**
 * Decodes chunks, each from memory of its own. Fails when anything but a codec's error is thrown, when a decoder that
 * failed does not stay failed, and when frames change after they were given.
 */
export function outcomeOf<T>(codec: Codec<T, never>, chunks: Iterable<Uint8Array>): Outcome<T> {
  const decoder = codec.decoder();
  const queue = new ByteQueue();
  const frames: T[] = [];
  const copies: T[] = [];
  const drain = (next: () => T | typeof more): void => {
    for (let frame = next(); frame !== more; frame = next()) {
      frames.push(frame);
      copies.push(structuredClone(frame));
    }
  };
  let error: string | undefined;
  try {
    for (const chunk of chunks) {
      // Not chunk.slice(), which is a view when it is a Buffer's.
      queue.append(new Uint8Array(chunk));
      drain(() => decoder.decode(queue));
    }
    drain(() => decoder.end(queue));
    assert.equal(queue.length, 0, 'bytes are left after an end in order');
  } catch (thrown) {
    if (!isPortsideError(thrown) || !allowed.has(thrown.code)) throw thrown;
    error = thrown.code;
    queue.append(Uint8Array.of(10, 10, 10));
    for (const again of [() => decoder.decode(queue), () => decoder.end(queue)])
      assert.throws(again, (second) => second === thrown);
  }
  assert.deepEqual(frames, copies, 'a frame changed after it was given');
  return { frames, error };
}

/** Holds a codec to giving the same frames, and the same error, however its input is cut: in two at every byte, and byte by byte. */
export function assertSplitInvariant<T>(codec: Codec<T, never>, bytes: Uint8Array): Outcome<T> {
  const whole = outcomeOf(codec, [bytes]);
  for (let i = 1; i < bytes.length; i++) {
    assert.deepEqual(
      outcomeOf(codec, [bytes.subarray(0, i), bytes.subarray(i)]),
      whole,
      `${codec.name}: cut after byte ${i} of ${bytes.length}`,
    );
  }
  assert.deepEqual(
    outcomeOf(
      codec,
      Array.from(bytes, (byte) => Uint8Array.of(byte)),
    ),
    whole,
    `${codec.name}: byte by byte`,
  );
  return whole;
}

/** Cuts bytes at some places; places beyond the end and repeated ones do no harm. */
export function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...at, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : at[i - 1], end));
}
