import { logText } from './log-text.ts';
import { messageOf, plainFields } from './log-value.ts';
import { logLevels } from './logger.ts';
import type { LogLevel, Logger } from './logger.ts';

type Fields = Record<string, unknown>;

/** Takes a line: plain data, and what it comes to in characters. */
export type WriteLine = (level: LogLevel, fields: Fields, message: string | undefined, weight: number) => void;

/** Characters of what a line says. */
const LONGEST = 4_096;

/** Names of fields that whoever writes the line gives it. */
const RESERVED: readonly string[] = ['level', 'time', 'pid', 'msg', 'v'];

/**
 * A logger whose lines are plain data of bounded size, with secrets hidden, and with what they say, names and errors on one line and visible; other texts are for who writes them to escape. A field
 * can't stand in for one that the logger itself gives: where it has the name of such a one, `peer`, it becomes `peer_`.
 */
export class PlainLogger implements Logger {
  readonly #write: WriteLine;
  readonly #least: number;
  readonly #bindings: Fields;
  readonly #weight: number;

  /** `least`: the least level that is written. */
  constructor(least: LogLevel, write: WriteLine, bindings: Fields = {}, weight = 0) {
    this.#least = logLevels.indexOf(least);
    this.#write = write;
    this.#bindings = bindings;
    this.#weight = weight;
  }

  trace(fields: object | string, message?: string): void {
    this.#tell('trace', 0, fields, message);
  }

  debug(fields: object | string, message?: string): void {
    this.#tell('debug', 1, fields, message);
  }

  info(fields: object | string, message?: string): void {
    this.#tell('info', 2, fields, message);
  }

  warn(fields: object | string, message?: string): void {
    this.#tell('warn', 3, fields, message);
  }

  error(fields: object | string, message?: string): void {
    this.#tell('error', 4, fields, message);
  }

  fatal(fields: object | string, message?: string): void {
    this.#tell('fatal', 5, fields, message);
  }

  child(bindings: Readonly<Record<string, unknown>>): Logger {
    const { fields, weight } = plainFields(bindings);
    const least = logLevels[this.#least] as LogLevel;
    return new PlainLogger(least, this.#write, this.#joined(fields), this.#weight + weight);
  }

  isLevelEnabled(level: LogLevel): boolean {
    return logLevels.indexOf(level) >= this.#least;
  }

  #tell(level: LogLevel, rank: number, given: object | string, message: string | undefined): void {
    if (rank < this.#least) return;
    const about = typeof given === 'object' && given !== null ? given : {};
    const said =
      typeof given === 'string' ? given : (message ?? (about instanceof Error ? messageOf(about) : undefined));
    const text = said === undefined ? undefined : logText(String(said), LONGEST);
    const { fields, weight } = plainFields(about);
    this.#write(level, this.#joined(fields), text, weight + this.#weight + (text?.length ?? 0));
  }

  #joined(fields: Fields): Fields {
    const joined = { ...this.#bindings };
    for (const [name, value] of Object.entries(fields)) joined[this.#free(name)] = value;
    return joined;
  }

  #free(name: string): string {
    return RESERVED.includes(name) || Object.hasOwn(this.#bindings, name) ? `${name}_` : name;
  }
}
