import { writeSync } from 'node:fs';
import { emitKeypressEvents } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';
import { styleText } from 'node:util';
import type { Key } from './keys.ts';
import type { Size } from './screen.ts';
import type { Line, Look } from './text.ts';

/** The other screen, without a cursor, and without a next line for what is too long. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l';
/** What is between them is shown at once, by terminals that know it. */
const TOGETHER = '\x1b[?2026h';
const SHOW = '\x1b[?2026l';

const COLOURS: readonly Look[] = ['red', 'green', 'yellow', 'cyan'];

/** Where it is shown: the standard output of a process. */
export type TerminalOutput = WriteStream & { readonly fd: number };

/** What a terminal is told of keys and its size. */
export interface TerminalListener {
  key(key: Key): void;
  resized(): void;
  /** Nobody is there any more. */
  gone(): void;
}

/** What can be drawn on. */
export type Surface = Pick<Terminal, 'size' | 'draw'>;

/** A terminal that is drawn on as a whole. However the process ends, short of SIGKILL, it is left as it was. */
export class Terminal implements Disposable {
  readonly #input: ReadStream;
  readonly #output: TerminalOutput;
  readonly #listener: TerminalListener;
  readonly #colours: boolean;
  #open = true;
  /** What is on it. */
  #drawn: readonly string[] | null = null;

  /** Takes it over. */
  constructor(input: ReadStream, output: TerminalOutput, listener: TerminalListener) {
    this.#input = input;
    this.#output = output;
    this.#listener = listener;
    this.#colours = output.hasColors();
    process.once('exit', this.#left);
    emitKeypressEvents(input);
    input.setRawMode(true);
    input.on('keypress', this.#pressed).on('end', this.#gone).on('error', this.#gone).resume();
    output.on('resize', this.#resized).on('error', this.#gone);
    output.write(ENTER);
  }

  get size(): Size {
    const { columns, rows } = this.#output;
    // A terminal may say that it has none.
    return { columns: columns > 0 ? columns : 80, rows: rows > 0 ? rows : 24 };
  }

  /** Shows lines, from the top; only those that are others than before are written. */
  draw(lines: readonly Line[]): void {
    if (!this.#open) return;
    const next = lines.map((line) => this.#painted(line));
    const before = this.#drawn;
    let text = before === null ? '\x1b[2J' : '';
    for (const [i, line] of next.entries()) if (line !== before?.[i]) text += `\x1b[${i + 1};1H${line}\x1b[K`;
    if (before !== null && next.length < before.length) text += `\x1b[${next.length + 1};1H\x1b[J`;
    this.#drawn = next;
    if (text !== '') this.#output.write(`${TOGETHER}${text}${SHOW}`);
  }

  /** Gives it back. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#input.off('keypress', this.#pressed).off('end', this.#gone).off('error', this.#gone).pause();
    this.#output.off('resize', this.#resized).off('error', this.#gone);
    process.off('exit', this.#left);
    this.#left();
  }

  #painted(line: Line): string {
    let text = '';
    for (const { text: part, look } of line)
      text +=
        look === 'plain' || (!this.#colours && COLOURS.includes(look))
          ? part
          : styleText(look, part, { validateStream: false });
    return text;
  }

  readonly #pressed = (text: string | undefined, key: Omit<Key, 'text'> | undefined): void => {
    this.#listener.key({ text, name: key?.name, ctrl: key?.ctrl });
  };

  readonly #resized = (): void => {
    this.#drawn = null;
    this.#listener.resized();
  };

  readonly #gone = (): void => this.#listener.gone();

  /** At once, as nothing may come after it. */
  readonly #left = (): void => {
    if (!this.#open) return;
    this.#open = false;
    try {
      this.#input.setRawMode(false);
      writeSync(this.#output.fd, LEAVE);
    } catch {
      // There is no terminal any more.
    }
  };
}
