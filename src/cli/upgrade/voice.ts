import type { CommandIo } from '../io.ts';

/** How a supervisor says what it has to say: in words, or, where nothing but JSON lines is to be on standard error, in such a line, as the log of the program below it has them. */
export class Voice {
  json: boolean;
  readonly #io: CommandIo;

  constructor(io: CommandIo, json: boolean) {
    this.#io = io;
    this.json = json;
  }

  /** What is good to know. */
  say(text: string): void {
    if (this.json) this.#line('info', text);
    else this.#io.out(`portside: ${text}\n`);
  }

  /** What happens. */
  warn(text: string): void {
    if (this.json) this.#line('warn', text);
    else this.#io.err(`portside: ${text}\n`);
  }

  #line(level: string, msg: string): void {
    const time = new Date().toISOString();
    this.#io.err(`${JSON.stringify({ level, time, pid: process.pid, msg })}\n`);
  }
}

/** The last thing that a program has said, in words. */
export function lastSaid(text: string): string {
  const [last = ''] = text.trimEnd().split('\n').slice(-1);
  try {
    const { msg } = JSON.parse(last) as { msg?: unknown };
    if (typeof msg === 'string') return msg;
  } catch {
    // No line of a log.
  }
  return last.replace(/^portside: /u, '');
}
