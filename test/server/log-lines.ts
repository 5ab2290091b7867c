import { logLevels } from '../../src/server/logger.ts';
import type { LogLevel, Logger } from '../../src/server/logger.ts';

/** A line of a log, as a logger was given it. */
export interface Line {
  readonly level: LogLevel;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string | undefined;
}

/** A logger that keeps its lines. */
export interface Kept {
  readonly logger: Logger;
  readonly lines: Line[];
  /** How many children were made. */
  children: number;
  /** Those that say this, without their level. */
  said(message: string): Readonly<Record<string, unknown>>[];
}

/** Keeps the lines of a level and those above it. */
export function keepLines(least: LogLevel = 'trace'): Kept {
  const lines: Line[] = [];
  const isLevelEnabled = (level: LogLevel): boolean => logLevels.indexOf(level) >= logLevels.indexOf(least);
  const make = (bindings: Readonly<Record<string, unknown>>): Logger => {
    const method =
      (level: LogLevel) =>
      (given: object | string, message?: string): void => {
        if (!isLevelEnabled(level)) return;
        const text = typeof given === 'string' ? given : message;
        lines.push({ level, fields: { ...bindings, ...(typeof given === 'string' ? {} : given) }, message: text });
      };
    return {
      trace: method('trace'),
      debug: method('debug'),
      info: method('info'),
      warn: method('warn'),
      error: method('error'),
      fatal: method('fatal'),
      child: (more) => {
        kept.children += 1;
        return make({ ...bindings, ...more });
      },
      isLevelEnabled,
    };
  };
  const kept: Kept = {
    logger: make({}),
    lines,
    children: 0,
    said: (message) => lines.filter((line) => line.message === message).map(({ fields }) => fields),
  };
  return kept;
}
