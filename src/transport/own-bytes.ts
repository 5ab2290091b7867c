import { Buffer } from 'node:buffer';
import { markAsUntransferable } from 'node:worker_threads';

// Small pieces are carved from a larger one, as allocations of their own cost more than what is done with them.
const PIECE = 65_536;
/** Larger ones get memory of their own, so that keeping one doesn't keep a whole piece. */
const SMALL = 4_096;

let piece = newPiece();
let used = 0;

/** Memory that is whoever's asked for it, for ever. What is in it at first is somebody's garbage: all of it has to be written over before anybody sees it. */
export function ownBytes(length: number): Uint8Array {
  if (length > SMALL) return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  // Older Nodes let `transfer()` take its memory all the same, and leave nothing to carve from.
  if (used + length > PIECE || piece.byteLength === 0) {
    piece = newPiece();
    used = 0;
  }
  const bytes = new Uint8Array(piece, used, length);
  used += length;
  return bytes;
}

/** Bytes of one's own for bytes that are only lent. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = ownBytes(bytes.length);
  copy.set(bytes);
  return copy;
}

/** One owner who moved its memory to another thread would take everybody's with it: that is refused (DataCloneError), as for Node's own pool. */
function newPiece(): ArrayBuffer {
  const made = new ArrayBuffer(PIECE);
  markAsUntransferable(made);
  return made;
}
