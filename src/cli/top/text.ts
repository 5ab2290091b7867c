import { printable } from '../connect/printable.ts';

/** How a piece of text looks. */
export type Look = 'plain' | 'bold' | 'dim' | 'inverse' | 'red' | 'green' | 'yellow' | 'cyan';

/** A piece of a line. Made by {@link span}: it has nothing that steers a terminal. */
export interface Span {
  readonly text: string;
  readonly look: Look;
  /** Columns of a terminal. */
  readonly width: number;
}

/** A line of a screen. */
export type Line = readonly Span[];

/** Characters that take no column of their own, and those that take two. */
const NONE = /^[\p{Mn}\p{Me}]$/u;
const TWO =
  /^[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]$/u;

function columnsOf(character: string): number {
  if (character <= '~') return 1;
  return NONE.test(character) ? 0 : TWO.test(character) ? 2 : 1;
}

/** How many columns a text takes that has no controls. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

/** A stranger's text in one line: what would steer a terminal is shown as `\x1b`, and a tab as a blank. */
export function harmless(text: string): string {
  return printable(text).replaceAll('\t', ' ');
}

/** A piece of text that may be a stranger's. */
export function span(text: string, look: Look = 'plain'): Span {
  const shown = harmless(text);
  return { text: shown, look, width: widthOf(shown) };
}

/** A text cut to some columns; what is cut ends in `…`. */
export function clip(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  return columns < 1 ? '' : `${within(text, columns - 1)}…`;
}

/** As many of some characters, from the first on, as some columns have room for. */
function within(characters: Iterable<string>, columns: number): string {
  let kept = '';
  let left = columns;
  for (const character of characters) {
    left -= columnsOf(character);
    if (left < 0) break;
    kept += character;
  }
  return kept;
}

/** The end of a text, as much of it as some columns have room for. */
export function tail(text: string, columns: number): string {
  const characters = Array.from(text);
  return characters.slice(characters.length - Array.from(within(characters.toReversed(), columns)).length).join('');
}

/** A text that may be a stranger's in lines, broken at blanks where there are any; nothing of it is left out. */
export function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of harmless(text).split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && widthOf(longer) > columns) {
      lines.push(line);
      line = word;
    } else line = longer;
    while (widthOf(line) > columns) {
      const first = within(line, columns) || String.fromCodePoint(line.codePointAt(0)!);
      lines.push(first);
      line = line.slice(first.length);
    }
  }
  return [...lines, line];
}

/** A text in exactly so many columns. */
export function fit(text: string, columns: number, side: 'left' | 'right' = 'left'): string {
  const shown = clip(harmless(text), columns);
  const blanks = ' '.repeat(Math.max(0, columns - widthOf(shown)));
  return side === 'left' ? shown + blanks : blanks + shown;
}

/** A line cut to some columns. */
export function clipLine(line: Line, columns: number): Line {
  const kept: Span[] = [];
  let left = columns;
  for (const piece of line) {
    if (piece.width > left) {
      if (left > 0) kept.push(span(clip(piece.text, left), piece.look));
      break;
    }
    kept.push(piece);
    left -= piece.width;
  }
  return kept;
}

/** Two lines as one: `left` from the left, and `right` at the right edge where there is room for both. */
export function spread(left: Line, right: Line, columns: number): Line {
  const room = columns - lineWidth(left) - lineWidth(right);
  return room < 1 ? left : [...left, span(' '.repeat(room)), ...right];
}

/** How many columns a line takes. */
export function lineWidth(line: Line): number {
  return line.reduce((sum, { width }) => sum + width, 0);
}

/** A line without its looks. */
export function plainText(line: Line): string {
  return line
    .map(({ text }) => text)
    .join('')
    .trimEnd();
}
