import { oneOf, that } from '../base/options.ts';
import type { Rule } from '../base/options.ts';

/** How much a line of a log matters, the least first. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/** All levels, the least first. */
export const logLevels: readonly LogLevel[] = Object.freeze(['trace', 'debug', 'info', 'warn', 'error', 'fatal']);

/** The least level that a log writes; `silent`: none is written. */
export type LeastLevel = LogLevel | 'silent';

/** The rule of a {@link LeastLevel}. */
export const levelRule: Rule<LeastLevel> = oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent');

/** Writes one line: its fields and what it says, or the one of both. An Error in the place of the fields is told as `err`. */
export interface LogMethod {
  (fields: object, message?: string): void;
  (message: string): void;
}

/** Where structured lines go. A logger of pino's is one; so is everything that has these methods. They must not block. */
export interface Logger {
  trace: LogMethod;
  debug: LogMethod;
  info: LogMethod;
  warn: LogMethod;
  error: LogMethod;
  fatal: LogMethod;
  /** A logger whose lines all have these fields too. */
  child(bindings: Readonly<Record<string, unknown>>): Logger;
  /** Whether lines of a level are written at all. */
  isLevelEnabled(level: LogLevel): boolean;
}

const nothing = (): void => {};

/** Writes nothing. One for all who have no log. */
export const silentLogger: Logger = Object.freeze({
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  child: (): Logger => silentLogger,
  isLevelEnabled: () => false,
});

const METHODS: readonly (keyof Logger)[] = [...logLevels, 'child', 'isLevelEnabled'];

/** The rule of a {@link Logger}. */
export const loggerRule: Rule<Logger> = that(
  'a logger, as pino makes them: an object with trace, debug, info, warn, error, fatal, child and isLevelEnabled',
  (value) => {
    if (typeof value !== 'object' && typeof value !== 'function') return false;
    return value !== null && METHODS.every((name) => typeof (value as Partial<Logger>)[name] === 'function');
  },
);

/** The least level that a logger writes; null where it writes none. */
export function lowestLevel(logger: Logger): LogLevel | null {
  return logLevels.find((level) => logger.isLevelEnabled(level)) ?? null;
}
