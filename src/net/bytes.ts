import { markAsUntransferable } from 'node:worker_threads';

// Copies of borrowed bytes are carved from one larger piece, as small allocations of their own cost more than the copy.
const PIECE = 65_536;
/** Larger copies get memory of their own, so that keeping one doesn't keep a whole piece. */
const SMALL = 4_096;

let piece = newPiece();
let used = 0;

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
