// Copies of borrowed bytes are carved from one larger piece, as small allocations of their own cost more than the copy.
const PIECE = 65_536;
/** Larger copies get memory of their own, so that keeping one doesn't keep a whole piece. */
const SMALL = 4_096;

let piece = new Uint8Array(PIECE);
let used = 0;

/** Bytes of one's own for bytes that are only lent. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > SMALL) return bytes.slice();
  if (used + length > PIECE) {
    piece = new Uint8Array(PIECE);
    used = 0;
  }
  const copy = piece.subarray(used, used + length);
  used += length;
  copy.set(bytes);
  return copy;
}
