/* oxlint-disable no-control-regex -- what steers a terminal begins with one */
import type { TestContext } from 'node:test';
import { quoted } from '../../../src/cli/hints.ts';
import { inCheckout, start } from '../../support/program.ts';
import type { Program } from '../../support/program.ts';

/** What a program has put on the screen of a terminal: of the sequences that `portside top` may use, and no others. */
export class ScreenReader {
  readonly #rows: string[][] = [];
  #row = 0;
  #column = 0;
  #read = 0;
  /** Sequences that were found and are not known here. */
  readonly unknown: string[] = [];
  /** Whether it is the other screen, which programs take over. */
  other = false;

  /** Takes in everything that was written so far. */
  read(out: string): void {
    const sequence = /\x1b(?:\[([?\d;]*)([A-Za-z])|.)?/gu;
    while (this.#read < out.length) {
      sequence.lastIndex = this.#read;
      const at = out.indexOf('\x1b', this.#read);
      const end = at < 0 ? out.length : at;
      for (const character of out.slice(this.#read, end)) this.#put(character);
      this.#read = end;
      if (at < 0) return;
      sequence.lastIndex = at;
      const match = sequence.exec(out);
      const [whole = '', parameters = '', kind = ''] = match ?? [];
      // The rest is still to come.
      if (kind === '' && out.length - at < 12) return;
      this.#steer(parameters, kind, whole);
      this.#read = at + whole.length;
    }
  }

  /** The lines that are not empty. */
  get text(): string {
    return this.#rows
      .map((row) =>
        Array.from(row, (cell) => cell ?? ' ')
          .join('')
          .trimEnd(),
      )
      .join('\n');
  }

  #put(character: string): void {
    if (character === '\n') this.#row += 1;
    else if (character === '\r') this.#column = 0;
    else {
      (this.#rows[this.#row] ??= [])[this.#column] = character;
      this.#column += 1;
    }
    for (let i = 0; i < this.#row; i += 1) this.#rows[i] ??= [];
  }

  #steer(parameters: string, kind: string, whole: string): void {
    const [first = 1, second = 1] = parameters.split(';').map(Number);
    if (kind === 'H') [this.#row, this.#column] = [first - 1, second - 1];
    else if (kind === 'K') this.#rows[this.#row]?.splice(this.#column);
    else if (kind === 'J') this.#rows.splice(parameters === '2' ? 0 : this.#row);
    else if (parameters === '?1049') this.other = kind === 'h';
    else if (kind !== 'm' && !['?25', '?7', '?2026'].includes(parameters)) this.unknown.push(whole);
  }
}

/** Milliseconds that something may take to be shown, at most. */
const LONG = 20_000;

/** `portside top`, or another program, at a terminal of its own. */
export class Looking {
  readonly program: Program;
  readonly #screen = new ScreenReader();

  constructor(program: Program) {
    this.program = program;
  }

  /** What is on its screen now. */
  get screen(): string {
    return this.#now().text;
  }

  /** Whether the program has the screen to itself. */
  get other(): boolean {
    return this.#now().other;
  }

  get unknown(): readonly string[] {
    return this.#now().unknown;
  }

  /** Waits until its screen shows this, and gives the match; fails when the program ends without, or does not in long. */
  async until(what: RegExp): Promise<RegExpMatchArray> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error('it does not come')), LONG);
    try {
      for (;;) {
        const match = this.screen.match(what);
        if (match !== null) return match;
        const more = new RegExp(`^[^]{${this.program.out.length + 1}}`, 'u');
        await Promise.race([this.program.until(more), late.promise]);
      }
    } catch (cause) {
      throw new Error(`without ${String(what)} it shows:\n${this.screen}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Presses keys, one after the other, and waits for what they show. */
  async press(keys: string, what: RegExp): Promise<RegExpMatchArray> {
    this.program.write(keys);
    return this.until(what);
  }

  #now(): ScreenReader {
    this.#screen.read(this.program.out);
    return this.#screen;
  }
}

/**
 * Runs Node with these words at a terminal of this size, by script(1). `tty` and `pid` are told first, in lines; when it has ended, how the terminal was left and the exit code.
 */
export function atTerminal(
  t: TestContext,
  words: readonly string[],
  {
    columns = 80,
    rows = 24,
    env = {},
  }: { columns?: number; rows?: number; env?: Readonly<Record<string, string>> } = {},
): Looking {
  const node = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--import',
    inCheckout('scripts/on-source.ts'),
  ];
  const run = [...node, ...words].map(quoted).join(' ');
  const variables = Object.entries(env)
    .map(([name, value]) => `export ${name}=${quoted(value)};`)
    .join(' ');
  const inner = `unset CI NO_COLOR FORCE_COLOR; ${variables} tty; stty cols ${columns} rows ${rows}; sh -c 'echo pid $$; exec "$@"' sh ${run}; code=$?; echo; echo "code $code"; stty -a`;
  return new Looking(start(t, 'script', ['-qefc', inner, '/dev/null'], { TERM: 'xterm-256color', SHELL: '/bin/sh' }));
}

/** `portside top` at a terminal. */
export function topAt(
  t: TestContext,
  admin: string,
  args: readonly string[] = [],
  how: Parameters<typeof atTerminal>[2] = {},
): Looking {
  return atTerminal(t, [inCheckout('src/cli/bin.ts'), 'top', '--admin', admin, ...args], how);
}
