// The protocol of Redis, as its server speaks it: RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/).
// A request is an array of byte strings, or a line of words for who types by hand; redis.ts is built on it.
import { FrameDecoder, frameInvalid, frameTooLong, more } from 'portside';
import type { ByteQueue, Codec } from 'portside';

/** A request: the name of the command, and its arguments. Never empty. */
export type Request = readonly Uint8Array[];

/** An answer. Text and bytes are bulk strings, text as UTF-8; null is the null bulk string. */
export type Reply =
  | { readonly simple: string }
  | { readonly error: string }
  | number
  | bigint
  | string
  | Uint8Array
  | null
  | readonly Reply[];

/** The largest request with all its parts, in bytes. It is held in memory until it is complete. */
export const MAX_REQUEST = 1_048_576;
/** The most words of a request, its name counted. */
export const MAX_WORDS = 512;
/** The longest line of a request that is typed by hand, in bytes. */
const MAX_LINE = 4_096;
/** The longest header of an array or string with its ending: a mark, a sign and 12 digits. */
const MAX_HEADER = 16;

const NAME = 'resp';
const LF = 10;
const CR = 13;
const SPACE = 32;
const MINUS = 45;
const ZERO = 48;
const STAR = 42;
const DOLLAR = 36;

class RequestDecoder extends FrameDecoder<Request> {
  /** How far the request in front of the queue was looked at. */
  #at = 0;
  /** How many words it has; null before that is known. */
  #count: number | null = null;
  /** Where its words begin and end, as far as they were seen. */
  #ends: number[] = [];
  /** How long the word at `#at` is; null before that is known. */
  #length: number | null = null;

  constructor() {
    super(NAME);
  }

  protected next(queue: ByteQueue): Request | typeof more {
    while (this.#count === null) {
      if (queue.length === 0) return more;
      if (queue.byteAt(0) !== STAR) {
        const line = this.#line(queue);
        // An empty line is no request, as an empty array is none.
        if (line === more || line.length > 0) return line;
        continue;
      }
      const count = this.#header(queue, STAR);
      if (count === more) return more;
      if (count > MAX_WORDS)
        throw frameInvalid(NAME, 'decode', `a request of ${count} words is longer than ${MAX_WORDS}`);
      if (count > 0) this.#count = count;
      else {
        queue.skip(this.#at);
        this.#at = 0;
      }
    }
    while (this.#ends.length < this.#count * 2) if (!this.#word(queue)) return more;
    const bytes = queue.take(this.#at);
    const words: Uint8Array[] = [];
    for (let i = 0; i < this.#ends.length; i += 2) words.push(bytes.subarray(this.#ends[i], this.#ends[i + 1]));
    this.#at = 0;
    this.#count = null;
    this.#ends = [];
    return words;
  }

  /** Goes behind the next word; false when it is not there as a whole. */
  #word(queue: ByteQueue): boolean {
    if (this.#length === null) {
      const length = this.#header(queue, DOLLAR);
      if (length === more) return false;
      if (length < 0) throw frameInvalid(NAME, 'decode', 'a word of a request has no length below zero');
      if (this.#at + length + 2 > MAX_REQUEST) throw frameTooLong(NAME, 'decode', MAX_REQUEST);
      this.#length = length;
    }
    const end = this.#at + this.#length;
    if (queue.length < end + 2) return false;
    if (queue.byteAt(end) !== CR || queue.byteAt(end + 1) !== LF)
      throw frameInvalid(NAME, 'decode', 'a word does not end where its length says');
    this.#ends.push(this.#at, end);
    this.#at = end + 2;
    this.#length = null;
    return true;
  }

  /** The number of the header at `#at`, which has to begin with a mark; goes behind it. */
  #header(queue: ByteQueue, mark: number): number | typeof more {
    const from = this.#at;
    if (queue.length === from) return more;
    if (queue.byteAt(from) !== mark)
      throw frameInvalid(NAME, 'decode', `'${String.fromCharCode(mark)}' has to stand before each part of a request`);
    const end = queue.indexOf(LF, from, from + MAX_HEADER);
    if (end < 0) {
      if (queue.length >= from + MAX_HEADER) throw frameInvalid(NAME, 'decode', 'a header is too long');
      return more;
    }
    const negative = queue.byteAt(from + 1) === MINUS;
    const first = negative ? from + 2 : from + 1;
    let value = 0;
    for (let i = first; i < end - 1; i++) {
      const digit = queue.byteAt(i) - ZERO;
      if (digit < 0 || digit > 9) throw frameInvalid(NAME, 'decode', 'a length is not a number');
      value = value * 10 + digit;
    }
    if (end - 1 <= first || queue.byteAt(end - 1) !== CR)
      throw frameInvalid(NAME, 'decode', 'a length is not a number');
    this.#at = end + 1;
    return negative ? -value : value;
  }

  /** A request in one line, its words parted by spaces; empty for an empty line. */
  #line(queue: ByteQueue): Request | typeof more {
    const end = queue.indexOf(LF, this.#at, MAX_LINE);
    if (end < 0) {
      if (queue.length >= MAX_LINE) throw frameTooLong(NAME, 'decode', MAX_LINE);
      this.#at = queue.length;
      return more;
    }
    this.#at = 0;
    const line = queue.take(end + 1);
    const words: Uint8Array[] = [];
    let from = 0;
    for (let i = 0; i <= end; i++) {
      // Whatever is typed below the space parts words too: tabs, and the CR and LF at the end.
      if ((line[i] as number) > SPACE) continue;
      if (i > from) words.push(line.subarray(from, i));
      from = i + 1;
    }
    if (words.length > MAX_WORDS)
      throw frameInvalid(NAME, 'decode', `a request of ${words.length} words is longer than ${MAX_WORDS}`);
    return words;
  }
}

const NULL = Buffer.from('$-1\r\n');
const ENDING = Buffer.from('\r\n');

/** Adds the bytes of a reply to those before it. */
function put(reply: Reply, pieces: Uint8Array[]): void {
  if (reply === null) pieces.push(NULL);
  else if (typeof reply === 'string') pieces.push(Buffer.from(`$${Buffer.byteLength(reply)}\r\n${reply}\r\n`));
  else if (reply instanceof Uint8Array) pieces.push(Buffer.from(`$${reply.length}\r\n`), reply, ENDING);
  else if (typeof reply === 'number' || typeof reply === 'bigint') pieces.push(integer(reply));
  else if ('simple' in reply) pieces.push(oneLine('+', reply.simple));
  else if ('error' in reply) pieces.push(oneLine('-', reply.error));
  else {
    pieces.push(Buffer.from(`*${reply.length}\r\n`));
    for (const part of reply) put(part, pieces);
  }
}

function integer(value: number | bigint): Uint8Array {
  if (typeof value === 'number' ? !Number.isSafeInteger(value) : value !== BigInt.asIntN(64, value))
    throw frameInvalid(NAME, 'encode', `${value} is no integer of 64 bits`);
  return Buffer.from(`:${value}\r\n`);
}

function oneLine(mark: '+' | '-', text: string): Uint8Array {
  // With a line feed in it, what follows would be taken for the next reply.
  if (/[\r\n]/u.test(text)) throw frameInvalid(NAME, 'encode', 'a simple string or error must be one line');
  return Buffer.from(`${mark}${text}\r\n`);
}

/**
 * Requests in, replies out. A request that is no such thing is ERR_PORTSIDE_FRAME_INVALID; one of more than {@link MAX_REQUEST} bytes, or a line
 * of more than 4 KiB, is ERR_PORTSIDE_FRAME_TOO_LONG.
 */
export const resp: Codec<Request, Reply> = {
  name: NAME,
  decoder: () => new RequestDecoder(),
  encode(reply) {
    const pieces: Uint8Array[] = [];
    put(reply, pieces);
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  },
};
