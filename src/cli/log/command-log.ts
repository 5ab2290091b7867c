import type { Command } from 'commander';
import { jsonLogger } from '../../ops/log.ts';
import { logLevels } from '../../server/logger.ts';
import type { LeastLevel, LogLevel, Logger } from '../../server/logger.ts';
import { errorFields } from '../../server/log-value.ts';
import { failures } from '../../server/server-log.ts';
import type { CommandIo } from '../io.ts';
import { prettyLines } from './pretty.ts';

/** What is said of the log on the command line and in the config file. */
export interface LogSettings {
  readonly level: LeastLevel;
  readonly format: 'auto' | 'pretty' | 'json';
}

/** The log of the command, on standard error, and how the command says what it has to say itself. */
export interface CommandLog {
  /** For servers and their handlers. */
  readonly logger: Logger;
  /** Whether what the command says is words (`portside: …`), and not lines of the log. */
  readonly words: boolean;
  /** Says something in a line of the log; where the command speaks in words, it is silent. */
  readonly say: (level: LogLevel, text: string, fields?: object) => void;
  /** Takes the lines of `--verbose`. */
  readonly verbose: (line: string) => void;
}

const logs = new WeakMap<Command, CommandLog>();

/** What options say of the log, checked or not. */
export function logSettings(options: Readonly<Record<string, unknown>>): LogSettings {
  const { logLevel, logFormat, verbose = false } = options;
  const known = logLevel === 'silent' || logLevels.includes(logLevel as LogLevel);
  return {
    level: known ? (logLevel as LeastLevel) : verbose === false ? 'info' : 'debug',
    format: logFormat === 'pretty' || logFormat === 'json' ? logFormat : 'auto',
  };
}

/**
 * Opens the log of a command, once more when more is known of it. `auto` is `pretty` at a terminal and JSON lines elsewhere, beside the words of the command; with `json` these are
 * in lines of the log too, so that nothing else is on standard error.
 */
export async function openCommandLog(command: Command, settings: LogSettings, io: CommandIo): Promise<CommandLog> {
  const { level, format } = settings;
  const { terminal = false } = io;
  const words = format !== 'json';
  const pretty = format === 'pretty' || (words && terminal);
  const render = pretty ? await prettyLines(terminal && (process.env['NO_COLOR'] ?? '') === '') : null;
  const logger = await jsonLogger(level, (line) => io.err(render === null ? line : render(line)));
  io.onRoom?.((lost) => {
    if (words) io.err(`portside: ${lost} lines were lost, as nobody read them\n`);
    else logger.warn({ lost }, 'log lines were lost');
  });
  const log: CommandLog = {
    // What fails is said in words already.
    logger: words ? withoutFailures(logger) : logger,
    words,
    say: words ? () => {} : (rank, text, fields = {}) => logger[rank](fields, text),
    verbose: words ? (line) => io.err(`${line}\n`) : (line) => logger.debug(line),
  };
  logs.set(command, log);
  return log;
}

/** Says why a command failed; `text`: in words. */
export function sayFailure(command: Command, error: unknown, text: string, io: CommandIo): void {
  const log = logs.get(command);
  if (log === undefined || log.words) io.err(`portside: ${text}\n`);
  else log.say('fatal', text.split('\n')[0] ?? '', { err: errorFields(error) });
}

/** A logger that leaves out what a server says of errors. */
function withoutFailures(logger: Logger): Logger {
  const told: readonly unknown[] = Object.values(failures);
  return {
    trace: logger.trace.bind(logger),
    debug: logger.debug.bind(logger),
    info: logger.info.bind(logger),
    warn: logger.warn.bind(logger),
    error: (fields: object | string, message?: string) => {
      if (!told.includes(message)) logger.error(fields as object, message);
    },
    fatal: logger.fatal.bind(logger),
    child: logger.child.bind(logger),
    isLevelEnabled: logger.isLevelEnabled.bind(logger),
  };
}
