import { PortsideError } from '../base/errors.ts';
import type { ByteQueue } from '../codec/byte-queue.ts';
import { none } from '../sync/evt.ts';
import type { Link } from './link.ts';

const LF = 10;
const CR = 13;

/**
 * Takes the bytes up to and with a delimiter. Remembers how far it has looked. `tail`: at the end of the input, the rest counts without a delimiter too.
 */
export function untilDelimiter(
  delimiter: Uint8Array,
  limit: number,
  tail: boolean,
  link: Link,
): (queue: ByteQueue, ended: boolean) => Uint8Array | null | typeof none {
  let seen = 0;
  const needle = delimiter.length === 1 ? delimiter[0]! : delimiter;
  return (queue, ended) => {
    const at = queue.indexOf(needle, seen);
    if (at >= 0 && at + delimiter.length <= limit) return queue.take(at + delimiter.length);
    if (at >= 0 || queue.length > limit) {
      throw new PortsideError(
        'ERR_PORTSIDE_LIMIT',
        `no delimiter came within ${limit} bytes`,
        link.detail('readUntil'),
      );
    }
    seen = Math.max(0, queue.length - delimiter.length + 1);
    if (!ended) return none;
    if (queue.length === 0) return null;
    if (tail) return queue.takeAll();
    throw new PortsideError(
      'ERR_PORTSIDE_UNEXPECTED_END',
      'the input ended before the delimiter',
      link.detail('readUntil'),
    );
  };
}

/** A line as text, without its ending. */
export function lineOf(bytes: Uint8Array): string {
  let end = bytes.length;
  if (end > 0 && bytes[end - 1] === LF) end -= 1;
  if (end > 0 && end < bytes.length && bytes[end - 1] === CR) end -= 1;
  return Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('utf8');
}
