import { Command, CommanderError } from 'commander';
import { packageVersion } from '../ops/package-version.ts';
import { adminCommands } from './admin/commands.ts';
import { connectCommand } from './connect/command.ts';
import { doctorCommand } from './doctor/command.ts';
import { execCommand } from './exec.ts';
import { processIo } from './io.ts';
import type { CommandIo } from './io.ts';
import { serveCommand } from './serve.ts';
import { topCommand } from './top/command.ts';

export { packageVersion };

/** Wrong usage is 2, everything else that goes wrong 1. */
const WRONG_USAGE = 2;

/** Runs the command line and resolves with the exit code: 0, 1 when it failed, 2 for wrong usage; `connect` has codes of its own, and who asks a server that is not there gets 3. */
export async function main(args: readonly string[], io: CommandIo = processIo): Promise<number> {
  let code = 0;
  const exit = (result: number): void => {
    code = result;
  };
  const program = new Command('portside')
    .description('TCP servers in TypeScript: a module that exports a handler becomes a server.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError('Try portside --help.')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err });
  serveCommand(program, io, exit);
  execCommand(program, io, exit);
  connectCommand(program, io, exit);
  doctorCommand(program, packageVersion(), io, exit);
  adminCommands(program, io, exit);
  topCommand(program, io, exit);
  try {
    await program.parseAsync(withoutSwallowing(args), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : code || WRONG_USAGE;
    throw error;
  }
}

/** Flags whose value may be left out. */
const OPTIONAL: readonly string[] = ['--verbose', '--tls-self-signed'];

/** `serve --verbose chat.ts` has a module, and not a prefix that is called so: what looks like a module is no such value. */
function withoutSwallowing(args: readonly string[]): string[] {
  const end = args.indexOf('--');
  return args.map((word, i) => {
    const own = end === -1 || i < end;
    return own && OPTIONAL.includes(word) && /\.[cm]?[jt]s$/u.test(args[i + 1] ?? '') ? `${word}=` : word;
  });
}
