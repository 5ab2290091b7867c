const CR = 13;
const LF = 10;

/** Makes CRLF of each LF in bytes that come in pieces; one that has its CR already, in this piece or the one before, is left alone. */
export class CrlfEncoder {
  #afterCr = false;

  /** The same bytes where there is nothing to do. */
  encode(bytes: Uint8Array): Uint8Array {
    let bare = 0;
    for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) if (!this.#hasCr(bytes, at)) bare += 1;
    if (bare === 0) {
      this.#note(bytes);
      return bytes;
    }
    const encoded = new Uint8Array(bytes.length + bare);
    let from = 0;
    let to = 0;
    for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) {
      if (this.#hasCr(bytes, at)) continue;
      encoded.set(bytes.subarray(from, at), to);
      to += at - from;
      encoded[to] = CR;
      to += 1;
      from = at;
    }
    encoded.set(bytes.subarray(from), to);
    this.#note(bytes);
    return encoded;
  }

  #hasCr(bytes: Uint8Array, at: number): boolean {
    return at === 0 ? this.#afterCr : bytes[at - 1] === CR;
  }

  #note(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#afterCr = bytes.at(-1) === CR;
  }
}
