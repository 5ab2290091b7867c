import { checkValue, integer } from '../base/options.ts';

// A chunk shorter than SMALL is copied behind its predecessor once CROWDED chunks wait, so that a peer who sends
// byte by byte can't make the queue much larger than what it holds.
const SMALL = 128;
const CROWDED = 8;
const GATHER = 2048;

// memchr: much faster on long stretches than Uint8Array.prototype.indexOf, and it takes any Uint8Array.
type Search = (this: Uint8Array, value: number | Uint8Array, from: number) => number;
const { indexOf: search } = Buffer.prototype as { readonly indexOf: Search };

const nothing: Uint8Array = new Uint8Array(0);

/**
 * Bytes in the order in which they came, kept as the chunks that they came in.
 *
 * Chunks that are appended belong to the queue, and bytes that are taken belong to the taker; neither is copied, except
 * that `take` joins what lies in several chunks, and tiny chunks are gathered when many of them wait. Adding and taking cost the
 * same however much waits, and chunks are let go as soon as their last byte is taken. What is taken may be a view of
 * a larger chunk, and keeps that in memory. It is always a plain Uint8Array, though a Buffer was appended: else how a chunk
 * was cut would decide what `toString` does.
 *
 * Positions count from the first byte that waits. A count or position that is not a whole number within the queue is a
 * mistake of the program and throws ERR_PORTSIDE_OPTIONS.
 */
export class ByteQueue {
  // A ring of chunks whose size is a power of two; it is made when a second chunk has to wait.
  #ring: (Uint8Array | undefined)[] = [undefined];
  #head = 0;
  #count = 0;
  /** Bytes of the first chunk that are taken already. */
  #skipped = 0;
  #length = 0;
  // Where the last search was: chunk number `#at` begins at position `#start` (negative for a chunk partly taken).
  #at = 0;
  #start = 0;
  /** What the last chunk is a part of, when it is one that tiny chunks are gathered in. */
  #gather: Uint8Array | null = null;

  /** How many bytes wait. */
  get length(): number {
    return this.#length;
  }

  /** Adds bytes at the end. They belong to the queue from now on: don't change them. */
  append(bytes: Uint8Array): void {
    const size = bytes.length;
    if (size === 0) return;
    if (size < SMALL && this.#count >= CROWDED) this.#append(bytes);
    else {
      this.#gather = null;
      this.#push(bytes);
    }
    this.#length += size;
  }

  /** Puts bytes back before all others. They belong to the queue from now on. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#cutFirst();
    if (this.#count === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = bytes;
    this.#count += 1;
    this.#length += bytes.length;
    this.#rewind();
  }

  /** Takes the first `n` bytes: a view when they lie in one chunk, else a copy. */
  take(n: number): Uint8Array {
    const bytes = this.peek(n);
    this.#drop(n);
    return bytes;
  }

  /** Takes all bytes: the chunk itself when there is but one, else a copy. */
  takeAll(): Uint8Array {
    return this.take(this.#length);
  }

  /** Takes the first chunk, or as much of it as `max` allows, without a copy. Empty when nothing waits. */
  takeChunk(max: number = Number.POSITIVE_INFINITY): Uint8Array {
    if (this.#count === 0) return nothing;
    const bytes = this.#view(this.#skipped, Math.min(this.#first().length, this.#skipped + count('max', max)));
    this.#drop(bytes.length);
    return bytes;
  }

  /** The first `n` bytes, which go on waiting: a view when they lie in one chunk, else a copy. Don't change them. */
  peek(n: number): Uint8Array {
    if (n === 0) return nothing;
    this.#within('n', n, 1, this.#length);
    if (n <= this.#first().length - this.#skipped) return this.#view(this.#skipped, this.#skipped + n);
    return this.#copy(0, n);
  }

  /** The byte at a position; the position must be less than `length`. */
  byteAt(position: number): number {
    this.#within('position', position, 0, this.#length - 1);
    const first = this.#first();
    // The first chunk is looked at without moving the search: a header in front must not make it walk back and forth.
    if (this.#skipped + position < first.length) return first[this.#skipped + position] as number;
    const chunk = this.#seek(position);
    return chunk[position - this.#start] as number;
  }

  /** Lets go of the first `n` bytes. */
  skip(n: number): void {
    this.#within('n', n, 0, this.#length);
    this.#drop(n);
  }

  /**
   * Where a byte or a run of bytes is first found, or -1: it begins at `from` or later and ends at `limit` (`length` by
   * default) or sooner. What lies before `from` is not looked at; pass how far you have looked, less the length of
   * the run but one, so that nothing is looked at twice. An empty run is found at `from`.
   */
  indexOf(what: number | Uint8Array, from: number = 0, limit: number = this.#length): number {
    const end = Math.min(count('limit', limit), this.#length);
    count('from', from);
    if (typeof what === 'number') return this.#indexOfByte(what, from, end);
    if (what.length > 1) return this.#indexOfRun(what, from, end);
    if (what.length === 1) return this.#indexOfByte(what[0] as number, from, end);
    return from <= end ? from : -1;
  }

  #indexOfByte(byte: number, from: number, end: number): number {
    let position = from;
    while (position < end) {
      const chunk = this.#seek(position);
      const found = searchIn(chunk, byte, position - this.#start, end - this.#start);
      if (found >= 0) return this.#start + found;
      position = this.#start + chunk.length;
    }
    return -1;
  }

  #indexOfRun(run: Uint8Array, from: number, end: number): number {
    let position = from;
    while (position + run.length <= end) {
      const chunk = this.#seek(position);
      const border = this.#start + chunk.length;
      if (position + run.length <= border) {
        const found = searchIn(chunk, run, position - this.#start, end - this.#start);
        if (found >= 0) return this.#start + found;
        position = border - run.length + 1;
        continue;
      }
      // Those that begin before the border and end behind it: in a copy no longer than two runs, searched as a whole.
      const window = this.#copy(position, Math.min(border + run.length - 1, end));
      const found = search.call(window, run, 0);
      if (found >= 0) return position + found;
      position = Math.min(border, position + window.length - run.length + 1);
    }
    return -1;
  }

  #first(): Uint8Array {
    return this.#ring[this.#head] as Uint8Array;
  }

  #chunk(number: number): Uint8Array {
    return this.#ring[(this.#head + number) & (this.#ring.length - 1)] as Uint8Array;
  }

  #view(start: number, end: number): Uint8Array {
    const first = this.#first();
    if (start === 0 && end === first.length && first.constructor === Uint8Array) return first;
    return new Uint8Array(first.buffer, first.byteOffset + start, end - start);
  }

  /** The chunk of a position, from where the last one was found; `#start` is its first byte's position afterwards. */
  #seek(position: number): Uint8Array {
    if (position < this.#start) {
      if (position < this.#start / 2) this.#rewind();
      while (position < this.#start) {
        this.#at -= 1;
        this.#start -= this.#chunk(this.#at).length;
      }
    }
    let chunk = this.#chunk(this.#at);
    while (position >= this.#start + chunk.length) {
      this.#start += chunk.length;
      this.#at += 1;
      chunk = this.#chunk(this.#at);
    }
    return chunk;
  }

  #rewind(): void {
    this.#at = 0;
    this.#start = -this.#skipped;
  }

  #copy(from: number, to: number): Uint8Array {
    const bytes = new Uint8Array(to - from);
    // The search stays where it is: a taker's copy is of the front, and looking on goes on at the back.
    const at = this.#at;
    const start = this.#start;
    let position = from;
    while (position < to) {
      const chunk = this.#seek(position);
      const part = chunk.subarray(position - this.#start, Math.min(chunk.length, to - this.#start));
      bytes.set(part, position - from);
      position += part.length;
    }
    this.#at = at;
    this.#start = start;
    return bytes;
  }

  #drop(n: number): void {
    this.#length -= n;
    this.#start -= n;
    this.#skipped += n;
    while (this.#count > 0 && this.#skipped >= this.#first().length) {
      this.#skipped -= this.#first().length;
      this.#ring[this.#head] = undefined;
      this.#head = (this.#head + 1) & (this.#ring.length - 1);
      this.#count -= 1;
      this.#at -= 1;
    }
    if (this.#at < 0) this.#rewind();
    if (this.#count > 0) return;
    this.#gather = null;
    // A burst must not leave its ring behind.
    if (this.#ring.length > CROWDED) {
      this.#ring = [undefined];
      this.#head = 0;
    }
  }

  #push(bytes: Uint8Array): void {
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#count) & (this.#ring.length - 1)] = bytes;
    this.#count += 1;
  }

  #append(bytes: Uint8Array): void {
    const slot = (this.#head + this.#count - 1) & (this.#ring.length - 1);
    const last = this.#ring[slot] as Uint8Array;
    // What was given out as a view stays as it is: only bytes that nobody has seen are written.
    if (this.#gather !== null && last.length + bytes.length <= this.#gather.length) {
      this.#gather.set(bytes, last.length);
      this.#ring[slot] = this.#gather.subarray(0, last.length + bytes.length);
      return;
    }
    this.#gather = new Uint8Array(GATHER);
    this.#gather.set(bytes);
    this.#push(this.#gather.subarray(0, bytes.length));
  }

  #cutFirst(): void {
    if (this.#skipped === 0) return;
    if (this.#count === 1) this.#gather = null;
    this.#ring[this.#head] = this.#first().subarray(this.#skipped);
    this.#skipped = 0;
  }

  #grow(): void {
    const ring: (Uint8Array | undefined)[] = [];
    for (let i = 0; i < this.#count; i++) ring.push(this.#chunk(i));
    for (let i = this.#count; i < this.#count * 2; i++) ring.push(undefined);
    this.#ring = ring;
    this.#head = 0;
  }

  #within(name: string, value: number, min: number, max: number): void {
    if (!Number.isSafeInteger(value) || value < min || value > max)
      checkValue('ByteQueue', name, integer({ min, max }), value);
  }
}

const counts = integer({ min: 0, infinite: true });

function count(name: string, value: number): number {
  if ((Number.isSafeInteger(value) && value >= 0) || value === Number.POSITIVE_INFINITY) return value;
  return checkValue('ByteQueue', name, counts, value);
}

/** A search in one chunk that doesn't look far behind `end`, and finds only what ends there or sooner. */
function searchIn(chunk: Uint8Array, what: number | Uint8Array, from: number, end: number): number {
  const reach = end + GATHER < chunk.length ? chunk.subarray(0, end) : chunk;
  const found = search.call(reach, what, from);
  return found >= 0 && found + (typeof what === 'number' ? 1 : what.length) <= end ? found : -1;
}
