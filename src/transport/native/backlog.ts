/** Output that waits for the kernel, in order, held by reference. */
export class Backlog {
  /** Bytes that wait. */
  bytes = 0;
  #chunks: Uint8Array[] = [];
  #first = 0;
  /** Bytes of the first chunk that are gone. */
  from = 0;

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  /** The first chunk; there is one while `bytes` is not 0. */
  get head(): Uint8Array {
    return this.#chunks[this.#first] as Uint8Array;
  }

  /** Takes that many bytes off, no more than the first chunk has left. */
  taken(count: number): void {
    this.bytes -= count;
    this.from += count;
    if (this.from < this.head.length) return;
    this.from = 0;
    this.#first++;
    if (this.#first < 64 || this.#first * 2 < this.#chunks.length) return;
    this.#chunks = this.#chunks.slice(this.#first);
    this.#first = 0;
  }
}
