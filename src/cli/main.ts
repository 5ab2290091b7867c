import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { isPortsideError } from '../base/errors.ts';
import { serveCommand } from './serve.ts';

/** What the command reads from and writes to; the process's own unless a test says otherwise. */
export interface CommandIo {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const processIo: CommandIo = {
  out: (text) => {
    process.stdout.write(text);
  },
  err: (text) => {
    process.stderr.write(text);
  },
};

/** The version of the package that this file is part of. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Wrong usage is 2, everything else that goes wrong 1. */
const WRONG_USAGE = 2;

/** Runs the command line and resolves with the exit code: 0, 1 when it failed, 2 for wrong usage. */
export async function main(args: readonly string[], io: CommandIo = processIo): Promise<number> {
  let code = 0;
  const program = new Command('portside')
    .description('TCP servers in TypeScript: a module that exports a handler becomes a server.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError('Try portside --help, or portside serve --help.')
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err });
  serveCommand(program, io, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USAGE;
    io.err(`${explain(error, args.includes('--verbose'))}\n`);
    return 1;
  }
}

/** One sentence for what went wrong; with `verbose` the stack and the causes too. */
export function explain(error: unknown, verbose: boolean): string {
  if (verbose)
    return `portside: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}${causes(error)}`;
  if (isPortsideError(error)) return `portside: ${error.message}`;
  return `portside: ${error instanceof Error ? error.message : String(error)} (--verbose shows where it comes from)`;
}

function causes(error: unknown): string {
  let text = '';
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && depth < 8; depth += 1) {
    text += `\ncaused by: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return text;
}
