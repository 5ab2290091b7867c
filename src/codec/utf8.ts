// Both keep a byte order mark: what it means is the protocol's business.
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });

/** Bytes as text; undefined when they are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    // The decoder has one error, and it says no more than this.
    return undefined;
  }
}

/** Bytes as text, with U+FFFD for what is not UTF-8. */
export function fromLooseUtf8(bytes: Uint8Array): string {
  return lenient.decode(bytes);
}

/** Whether UTF-8 can carry a text: it has no half of a surrogate pair. */
export function isWellFormed(text: string): boolean {
  // In every Node since 20, and not in the ES2023 types.
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}
