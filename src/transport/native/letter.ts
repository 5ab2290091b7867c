import { STATE_LETTER, STATE_UNREAD } from './layout.ts';

/** Bytes of a letter's length, in front of it. */
const LENGTH = 4;

/** Puts a letter in front of what was read of a channel that is given away, and says so in the words of its state; 0 when there is none. */
export function enclose(letter: Uint8Array | null, pieces: Uint8Array[]): number {
  if (letter === null) return 0;
  const length = new Uint8Array(LENGTH);
  new DataView(length.buffer).setUint32(0, letter.length);
  pieces.unshift(length, letter);
  return STATE_LETTER | STATE_UNREAD;
}

/** Takes them apart. The letter gets memory of its own: what was read is the reader's to do with as it likes. */
export function disclose(bytes: Uint8Array): { readonly letter: Uint8Array; readonly rest: Uint8Array } {
  const end = LENGTH + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return { letter: bytes.slice(LENGTH, end), rest: bytes.subarray(end) };
}
