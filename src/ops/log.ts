import type { Writable } from 'node:stream';
import { check, integer, table, that } from '../base/options.ts';
import type { Table } from '../base/options.ts';
import { visible } from '../server/log-text.ts';
import { levelRule, silentLogger } from '../server/logger.ts';
import type { LeastLevel, Logger } from '../server/logger.ts';
import { PlainLogger } from '../server/plain-logger.ts';
import { LogOutput } from './log-output.ts';

/** Options of {@link openLog}. */
export interface LogOptions {
  /** The least level that is written. @default 'info' */
  level?: LeastLevel | undefined;
  /** What it is written to. @default process.stderr */
  stream?: Writable | undefined;
  /** Bytes that may wait while nobody reads; lines beyond that are counted, and the count is told when it goes on. @default 8388608 */
  limit?: number | undefined;
}

const logTable: Table<LogOptions> = table('openLog', {
  level: levelRule,
  stream: that<Writable>(
    'a stream to write to',
    (value) => typeof (value as Partial<Writable> | null)?.write === 'function',
  ),
  limit: integer({ min: 1_024 }),
});

/**
 * Opens a log as the command's: one JSON object a line, by pino, for the `logger` of a server. Lines are bounded, control characters are escaped, bytes and what looks like a secret are not written,
 * and a reader that stalls costs lines (which are counted), never the server. ERR_PORTSIDE_OPTIONS with all that is wrong.
 */
export async function openLog(given: LogOptions = {}): Promise<Logger> {
  const { level = 'info', stream = process.stderr, limit }: LogOptions = check(logTable, given);
  let logger: Logger = silentLogger;
  const output = new LogOutput(stream, (lost) => logger.warn({ lost }, 'log lines were lost'), limit);
  logger = await jsonLogger(level, (line) => output.write(line));
  return logger;
}

/** A logger whose lines, each with its ending, go to `write`: JSON by pino, loaded when it is needed. */
export async function jsonLogger(level: LeastLevel, write: (line: string) => void): Promise<Logger> {
  if (level === 'silent') return silentLogger;
  const { pino } = await import('pino');
  const lines = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // It is plain already.
      serializers: { err: (err: unknown) => err },
    },
    // What JSON leaves as it is would still do something to a terminal, or to what reads lines.
    { write: (line: string) => write(`${visible(line.slice(0, -1))}\n`) },
  );
  return new PlainLogger(level, (rank, fields, message) => lines[rank](fields, message));
}
