import { boolean, byteCount, check, oneOf, table } from '../base/options.ts';
import { show } from '../base/show.ts';
import type { ByteQueue } from './byte-queue.ts';
import { more } from './codec.ts';
import type { Codec } from './codec.ts';
import { FrameDecoder, frameInvalid, frameTooLong } from './frame-decoder.ts';
import { fromLooseUtf8, fromUtf8, isWellFormed } from './utf8.ts';

/** Settings of `lines`. */
export interface LinesOptions {
  /** The longest line, in bytes without its ending. @default 65536 */
  readonly maxLength?: number | undefined;
  /** What a line is: `utf8` for strings, `bytes` for Uint8Arrays. @default 'utf8' */
  readonly encoding?: 'utf8' | 'bytes' | undefined;
  /** Whether a line that is not UTF-8 is an error; else U+FFFD stands for what is wrong. @default true */
  readonly fatal?: boolean | undefined;
  /** What is sent behind each line; both are always understood. @default '\n' */
  readonly ending?: '\n' | '\r\n' | undefined;
  /** Whether a last line may do without an ending; else that is ERR_PORTSIDE_UNEXPECTED_END. @default true */
  readonly openEnd?: boolean | undefined;
}

const linesTable = table('lines', {
  maxLength: byteCount({ min: 1, max: 2 ** 28 }),
  encoding: oneOf('utf8', 'bytes'),
  fatal: boolean(),
  ending: oneOf('\n', '\r\n'),
  openEnd: boolean(),
});

const LF = 10;
const CR = 13;

/** How lines are cut from bytes, the same for all codecs that are made of lines. */
export interface LineRules {
  readonly name: string;
  readonly maxLength: number;
  readonly openEnd: boolean;
}

/** Cuts lines that end in LF or CRLF; `read` makes of each what the codec gives. */
export class LineDecoder<T> extends FrameDecoder<T> {
  readonly #rules: LineRules;
  readonly #read: (line: Uint8Array) => T;
  #seen = 0;

  constructor(rules: LineRules, read: (line: Uint8Array) => T) {
    super(rules.name);
    this.#rules = rules;
    this.#read = read;
  }

  protected next(queue: ByteQueue): T | typeof more {
    const limit = this.#rules.maxLength;
    const end = queue.indexOf(LF, this.#seen, limit + 2);
    if (end < 0) {
      this.#seen = Math.min(queue.length, limit + 2);
      // One byte over the limit may still turn out to be the CR of an ending.
      if (queue.length > limit + 1 || (queue.length > limit && queue.byteAt(limit) !== CR))
        throw frameTooLong(this.name, 'decode', limit);
      return more;
    }
    const length = end > 0 && queue.byteAt(end - 1) === CR ? end - 1 : end;
    if (length > limit) throw frameTooLong(this.name, 'decode', limit);
    this.#seen = 0;
    const line = queue.take(length);
    queue.skip(end + 1 - length);
    return this.#read(line);
  }

  protected override rest(queue: ByteQueue): T | typeof more {
    if (!this.#rules.openEnd) return super.rest(queue);
    if (queue.length > this.#rules.maxLength) throw frameTooLong(this.name, 'decode', this.#rules.maxLength);
    this.#seen = 0;
    return this.#read(queue.takeAll());
  }
}

/** A line's bytes with the ending behind them, when the decoder would give back the same line. */
function encodeBytes(rules: LineRules, line: Uint8Array, ending: '\n' | '\r\n'): Uint8Array {
  if (!(line instanceof Uint8Array))
    throw frameInvalid(rules.name, 'encode', `a line must be bytes, got ${show(line)}`);
  const { length } = line;
  if (length > rules.maxLength) throw frameTooLong(rules.name, 'encode', rules.maxLength, length);
  if (line.includes(LF)) throw frameInvalid(rules.name, 'encode', 'a line must not have a line feed in it');
  if (ending === '\n' && line[length - 1] === CR) throw frameInvalid(rules.name, 'encode', CR_AT_END);
  const bytes = new Uint8Array(length + ending.length);
  bytes.set(line);
  if (ending === '\r\n') bytes[length] = CR;
  bytes[bytes.length - 1] = LF;
  return bytes;
}

const CR_AT_END = "a line that ends in a carriage return can't be told from its ending; the ending '\\r\\n' would do";

/** A line's text as bytes, with the ending behind it, when the decoder would give back the same line. */
export function encodeText(rules: LineRules, line: string, ending: '\n' | '\r\n', wellFormed: boolean): Uint8Array {
  if (typeof line !== 'string') throw frameInvalid(rules.name, 'encode', `a line must be a string, got ${show(line)}`);
  // No text is shorter in UTF-8 than in UTF-16 units, so that a huge one need not be encoded to be refused.
  if (line.length > rules.maxLength) throw frameTooLong(rules.name, 'encode', rules.maxLength);
  if (line.includes('\n')) throw frameInvalid(rules.name, 'encode', 'a line must not have a line feed in it');
  if (ending === '\n' && line.endsWith('\r')) throw frameInvalid(rules.name, 'encode', CR_AT_END);
  if (wellFormed && !isWellFormed(line)) {
    throw frameInvalid(
      rules.name,
      'encode',
      'a line must not have half of a surrogate pair in it, which UTF-8 has no bytes for',
    );
  }
  const bytes = Buffer.from(line + ending);
  const length = bytes.length - ending.length;
  if (length > rules.maxLength) throw frameTooLong(rules.name, 'encode', rules.maxLength, length);
  return bytes;
}

/**
 * Lines that end in LF or CRLF, as strings of UTF-8 or as bytes, without their endings. A byte order mark is kept.
 *
 * A line longer than `maxLength` bytes (64 KiB by default) is ERR_PORTSIDE_FRAME_TOO_LONG, one that is not UTF-8
 * ERR_PORTSIDE_FRAME_INVALID unless `fatal` is false. A last line without an ending is a line, unless `openEnd` is false.
 * Sending refuses lines that would not arrive as they are, with the same codes.
 */
export function lines(options?: LinesOptions & { readonly encoding?: 'utf8' | undefined }): Codec<string>;
export function lines(options: LinesOptions & { readonly encoding: 'bytes' }): Codec<Uint8Array>;
export function lines(options?: LinesOptions): Codec<string> | Codec<Uint8Array> {
  const given: LinesOptions = check(linesTable, options);
  const { maxLength = 65_536, encoding = 'utf8', fatal = true, ending = '\n', openEnd = true } = given;
  const rules: LineRules = { name: 'lines', maxLength, openEnd };
  if (encoding === 'bytes') {
    return {
      name: rules.name,
      decoder: () => new LineDecoder(rules, asBytes),
      encode: (line: Uint8Array) => encodeBytes(rules, line, ending),
    };
  }
  return {
    name: rules.name,
    decoder: () => new LineDecoder(rules, fatal ? asText : fromLooseUtf8),
    encode: (line: string) => encodeText(rules, line, ending, fatal),
  };
}

function asBytes(line: Uint8Array): Uint8Array {
  return line;
}

function asText(line: Uint8Array): string {
  const text = fromUtf8(line);
  if (text === undefined) throw frameInvalid('lines', 'decode', 'a line is not UTF-8');
  return text;
}
