import { printable } from './printable.ts';
import type { Screen, View } from './view.ts';

const LF = 10;
const CR = 13;
/** Bytes of one line; what has no end till then is shown in pieces. */
const LONGEST = 65_536;

/**
 * Lines as they come, with LF or CRLF at their end. On a terminal an arrow says which way each went, and what could steer the terminal is shown as what it is; what is typed there
 * is to be seen already. Elsewhere the lines of the server alone are written, as bytes, each with an LF.
 */
export class LineView implements View {
  readonly #screen: Screen;
  readonly #out = new LineSplitter();
  readonly #in = new LineSplitter();

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  sent(bytes: Uint8Array): string | null {
    const { terminal, echoes } = this.#screen;
    return terminal && !echoes ? shown('-> ', this.#out.push(bytes)) : null;
  }

  received(bytes: Uint8Array): Uint8Array | string | null {
    const pieces = this.#in.push(bytes);
    return this.#screen.terminal ? shown('<- ', pieces) : plain(pieces);
  }

  rest(): Uint8Array | string | null {
    const { terminal } = this.#screen;
    const received = this.#in.rest();
    if (!terminal) return plain(received);
    const text = `${shown('-> ', this.#out.rest()) ?? ''}${shown('<- ', received) ?? ''}`;
    return text === '' ? null : text;
  }
}

/** A line without its end, or a piece of one. */
interface Piece {
  readonly bytes: Buffer;
  /** Whether its end was seen. */
  readonly whole: boolean;
}

class LineSplitter {
  #kept: Buffer[] = [];
  #length = 0;

  push(bytes: Uint8Array): Piece[] {
    const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const pieces: Piece[] = [];
    let from = 0;
    for (let at = input.indexOf(LF); at !== -1; at = input.indexOf(LF, from)) {
      this.#keep(input.subarray(from, at));
      const line = this.#take();
      pieces.push({ bytes: line.at(-1) === CR ? line.subarray(0, -1) : line, whole: true });
      from = at + 1;
    }
    // A copy, as a few bytes would keep alive the whole piece that they came in.
    this.#keep(Buffer.from(input.subarray(from)));
    if (this.#length >= LONGEST) pieces.push({ bytes: this.#take(), whole: false });
    return pieces;
  }

  rest(): Piece[] {
    return this.#length === 0 ? [] : [{ bytes: this.#take(), whole: false }];
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#kept.push(bytes);
    this.#length += bytes.length;
  }

  #take(): Buffer {
    const [only] = this.#kept;
    const bytes = this.#kept.length === 1 && only !== undefined ? only : Buffer.concat(this.#kept);
    this.#kept = [];
    this.#length = 0;
    return bytes;
  }
}

function shown(arrow: string, pieces: readonly Piece[]): string | null {
  return pieces.length === 0 ? null : pieces.map(({ bytes }) => `${arrow}${printable(bytes.toString())}\n`).join('');
}

const END = Buffer.from('\n');

function plain(pieces: readonly Piece[]): Uint8Array | null {
  return pieces.length === 0
    ? null
    : Buffer.concat(pieces.flatMap(({ bytes, whole }) => (whole ? [bytes, END] : [bytes])));
}
