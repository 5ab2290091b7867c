/** Output that waits for the kernel, in order, held by reference. */
export class Backlog {
  /** Bytes that wait. */
  bytes = 0;
  #chunks: Uint8Array[] = [];
  /** How long they were when they came: their memory is the sender's, who may transfer or resize it. */
  #lengths: number[] = [];
  #first = 0;
  /** Bytes of the first chunk that are gone. */
  from = 0;

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#lengths.push(chunk.length);
    this.bytes += chunk.length;
  }

  /** The first chunk, or null when its memory is gone; there is one while `bytes` is not 0. */
  get head(): Uint8Array | null {
    const chunk = this.#chunks[this.#first] as Uint8Array;
    const length = this.#length;
    if (chunk.length === length) return chunk;
    return chunk.length > length ? chunk.subarray(0, length) : null;
  }

  /** Bytes of the first chunk that wait. */
  get left(): number {
    return this.#length - this.from;
  }

  /** Takes that many bytes off, no more than the first chunk has left. */
  taken(count: number): void {
    this.bytes -= count;
    this.from += count;
    if (this.from < this.#length) return;
    this.from = 0;
    this.#first++;
    if (this.#first < 64 || this.#first * 2 < this.#chunks.length) return;
    this.#chunks = this.#chunks.slice(this.#first);
    this.#lengths = this.#lengths.slice(this.#first);
    this.#first = 0;
  }

  get #length(): number {
    return this.#lengths[this.#first] as number;
  }
}
