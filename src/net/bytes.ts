import { markAsUntransferable } from 'node:worker_threads';
import type { Connection } from './connection.ts';
import type { Consumer } from './consumer.ts';

// Copies of borrowed bytes are carved from one larger piece, as small allocations of their own cost more than the copy.
const PIECE = 65_536;
/** Larger copies get memory of their own, so that keeping one doesn't keep a whole piece. */
const SMALL = 4_096;

let piece = newPiece();
let used = 0;

/** The memory that is lent to a consumer which is being called, or null. */
let lent: ArrayBufferLike | null = null;

/** Gives a consumer what was read: as it is, when it is nobody else's or the consumer borrows, else a copy. */
export function give(consumer: Consumer, connection: Connection, bytes: Uint8Array, borrowed: boolean): void {
  if (!borrowed) consumer.data(connection, bytes);
  else if (consumer.borrows !== true) consumer.data(connection, copyOf(bytes));
  else {
    lent = bytes.buffer;
    try {
      consumer.data(connection, bytes);
    } finally {
      lent = null;
    }
  }
}

/** Bytes that may be kept: a copy of what a consumer that is being called has borrowed, and all others as they are. */
export function ownOf(bytes: Uint8Array): Uint8Array {
  return lent !== null && bytes.buffer === lent ? copyOf(bytes) : bytes;
}

/** Bytes of one's own for bytes that are only lent. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > SMALL) return bytes.slice();
  if (used + length > PIECE) {
    piece = newPiece();
    used = 0;
  }
  const copy = piece.subarray(used, used + length);
  used += length;
  copy.set(bytes);
  return copy;
}

/** One copy's owner who moved its memory to another thread would take everybody's with it: that is refused (DataCloneError), as for Node's own pool. */
function newPiece(): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(PIECE);
  markAsUntransferable(made.buffer);
  return made;
}
