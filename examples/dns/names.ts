/** The longest that a name may be on the wire, with its last, empty label. */
const LONGEST = 255;
const LONGEST_LABEL = 63;

const DOT = 0x2e;
const BACKSLASH = 0x5c;

/** A name, and where what follows it begins. */
export interface ReadName {
  /** As zone files write it (RFC 1035 section 5.1), in lower case, without the last dot; `.` for the root. */
  readonly name: string;
  readonly end: number;
}

/** Reads a name that is written in full, as those of questions are. Null for what is none. */
export function readName(bytes: Uint8Array, start: number): ReadName | null {
  const labels: string[] = [];
  for (let at = start; ;) {
    const length = bytes[at];
    if (length === undefined || length > LONGEST_LABEL || at - start >= LONGEST) return null;
    at += 1;
    if (length === 0) return { name: labels.length === 0 ? '.' : labels.join('.'), end: at };
    if (at + length >= bytes.length || at + length - start >= LONGEST) return null;
    let label = '';
    for (const byte of bytes.subarray(at, at + length)) label += written(byte);
    labels.push(label);
    at += length;
  }
}

// A dot within a label, or a byte that is no character, must not make two names look alike.
function written(byte: number): string {
  if (byte === DOT || byte === BACKSLASH) return `\\${String.fromCharCode(byte)}`;
  if (byte <= 0x20 || byte >= 0x7f) return `\\${String(byte).padStart(3, '0')}`;
  return String.fromCharCode(byte).toLowerCase();
}

/** Where the name that begins here ends, by a pointer perhaps; what a pointer points at is not looked at. −1 for none. */
export function skipName(bytes: Uint8Array, start: number): number {
  for (let at = start; at - start < LONGEST;) {
    const length = bytes[at];
    if (length === undefined) return -1;
    if (length === 0) return at + 1;
    if (length >= 0xc0) {
      const low = bytes[at + 1];
      // A pointer forward, or to itself, could go round for ever in whoever follows it.
      return low === undefined || (((length & 0x3f) << 8) | low) >= start ? -1 : at + 2;
    }
    if (length > LONGEST_LABEL) return -1;
    at += 1 + length;
  }
  return -1;
}

/** The bytes that {@link readName} reads as this name. */
export function writeName(name: string): Uint8Array {
  if (name === '.') return new Uint8Array(1);
  const bytes: number[] = [];
  let label: number[] = [];
  const end = (): void => {
    bytes.push(label.length, ...label);
    label = [];
  };
  for (const [piece] of name.matchAll(/\\\d{3}|\\?./gu)) {
    if (piece === '.') end();
    else if (piece.length === 4) label.push(Number(piece.slice(1)));
    else label.push(piece.charCodeAt(piece.length - 1));
  }
  end();
  return Uint8Array.from([...bytes, 0]);
}
