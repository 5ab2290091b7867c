// What was read last, as it was given out and as Node gave it. Node makes a Buffer of all that it is to write: what
// is sent on as it came, as an echo, a proxy and a group do, has one already.
let lastPlain: Uint8Array | null = null;
let lastBuffer: Uint8Array | null = null;

/** Bytes without Buffer's methods: what is read must be of one kind, whichever way it came. */
export function plain(bytes: Uint8Array): Uint8Array {
  lastBuffer = bytes;
  lastPlain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return lastPlain;
}

/** The same bytes as Node writes them best. */
export function asNode(bytes: Uint8Array): Uint8Array {
  return bytes === lastPlain ? lastBuffer! : bytes;
}
