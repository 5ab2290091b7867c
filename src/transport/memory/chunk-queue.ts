/** Chunks in order, as they came, and how many bytes they are. The front is taken without moving the rest. */
export class ChunkQueue {
  #chunks: Uint8Array[] = [];
  #head = 0;
  #bytes = 0;

  /** Bytes in the queue. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Chunks in the queue. */
  get chunks(): number {
    return this.#chunks.length - this.#head;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Puts chunks before all others. */
  putBack(chunks: readonly Uint8Array[]): void {
    this.#chunks.splice(this.#head, 0, ...chunks);
    for (const chunk of chunks) this.#bytes += chunk.length;
  }

  /** Joins a chunk to the last one, unless there is none or both would be longer than `limit`. */
  join(chunk: Uint8Array, limit: number): boolean {
    const last = this.chunks === 0 ? undefined : this.#chunks.at(-1);
    if (last === undefined || last.length + chunk.length > limit) return false;
    this.#chunks[this.#chunks.length - 1] = joined(last, chunk);
    this.#bytes += chunk.length;
    return true;
  }

  /** Takes the first chunk, cut to `max` bytes. The queue must not be empty, nor `max` 0. A piece is a copy, so that no two takers share memory. */
  shift(max: number): Uint8Array {
    const chunk = this.#chunks[this.#head] as Uint8Array;
    if (chunk.length > max) {
      this.#chunks[this.#head] = chunk.subarray(max);
      this.#bytes -= max;
      return chunk.slice(0, max);
    }
    this.#bytes -= chunk.length;
    this.#head++;
    if (this.#head === this.#chunks.length) {
      this.#chunks.length = 0;
      this.#head = 0;
    } else if (this.#head >= 256) {
      // Half of a long queue may be holes otherwise; a copy for every 256 taken costs little.
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    } else {
      this.#chunks[this.#head - 1] = EMPTY;
    }
    return chunk;
  }

  /** Drops everything; returns how many bytes that was. */
  clear(): number {
    const bytes = this.#bytes;
    this.#chunks.length = 0;
    this.#head = 0;
    this.#bytes = 0;
    return bytes;
  }
}

const EMPTY = new Uint8Array(0);

/** Two chunks as one. */
export function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
