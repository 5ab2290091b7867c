import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { systemCode } from '../../base/errors.ts';
import { explain } from '../explain.ts';
import { addFlags } from '../flag.ts';
import type { FlagGroup } from '../flag.ts';
import { wrongUsage } from '../gather-options.ts';
import type { CommandIo } from '../io.ts';
import { AdminClient, AdminRefused, AdminUnreached } from './client.ts';
import { DEFAULT_ADMIN, adminPlace } from './endpoint.ts';
import type { AdminPlace } from './endpoint.ts';
import { readToken } from './token-file.ts';

const FAILED = 1;
const UNREACHED = 3;

/** Where commands that ask a server find it, and how they show what it says. */
export const askingFlags: FlagGroup = {
  heading: 'Which server:',
  flags: [
    {
      flags: '--admin <endpoint>',
      what: `its admin endpoint: host:port, :port or a path (default: PORTSIDE_ADMIN, or ${DEFAULT_ADMIN})`,
      option: null,
    },
    {
      flags: '--token-file <file>',
      what: 'where its token is (default: PORTSIDE_ADMIN_TOKEN_FILE)',
      option: null,
    },
    { flags: '--json', what: 'what it says as JSON, for programs', option: null },
  ],
};

/** What every command that asks a server is given. */
export interface Asking {
  readonly client: AdminClient;
  readonly json: boolean;
  readonly io: CommandIo;
  readonly command: Command;
  /** Shows an answer: as JSON where that was asked for, or in words. */
  readonly show: <T>(answer: T, words: (answer: T) => string) => void;
}

interface AskingOptions {
  readonly admin?: string;
  readonly tokenFile?: string;
  readonly json?: true;
}

/** Adds a command that asks a server by its admin endpoint. Its exit code is 0, 1 when it was refused or failed, 2 for wrong usage, and 3 when there was nobody to ask. */
export function askingCommand(
  program: Command,
  name: string,
  what: string,
  io: CommandIo,
  exit: (code: number) => void,
  run: (asking: Asking, args: readonly string[]) => Promise<void>,
): Command {
  const command = program.command(name).description(what).showHelpAfterError(`Try portside ${name} --help.`);
  addFlags(command, [askingFlags]);
  return command.action(async () => {
    const { json = false } = command.opts<AskingOptions>();
    try {
      const client = clientOf(command);
      const show = <T>(answer: T, words: (answer: T) => string): void =>
        io.out(json ? `${JSON.stringify(answer, null, 2)}\n` : words(answer));
      await run({ client, json, io, command, show }, command.args);
      exit(0);
    } catch (error) {
      if (error instanceof CommanderError) throw error;
      io.err(`portside: ${explain(error, false)}${hintFor(error)}\n`);
      exit(error instanceof AdminUnreached ? UNREACHED : FAILED);
    }
  });
}

function clientOf(command: Command): AdminClient {
  const { admin = fromEnv('PORTSIDE_ADMIN') ?? DEFAULT_ADMIN, tokenFile } = command.opts<AskingOptions>();
  const file = tokenFile ?? fromEnv('PORTSIDE_ADMIN_TOKEN_FILE');
  let place: AdminPlace;
  try {
    place = adminPlace(admin);
  } catch (error) {
    return wrongUsage(command, (error as Error).message);
  }
  return new AdminClient(place, file === undefined ? null : readToken(file, '--token-file'));
}

/** An environment variable; one that is empty is none. */
function fromEnv(name: string): string | undefined {
  const value = process.env[name];
  return value === '' ? undefined : value;
}

/** What to do about it. */
function hintFor(error: unknown): string {
  if (error instanceof AdminUnreached) {
    return '; a server has an admin endpoint when it was started with --admin, and --admin here (or PORTSIDE_ADMIN) says which is asked';
  }
  if (!(error instanceof AdminRefused)) return '';
  if (error.status === 401) return '; --token-file names the file that the server was given by --admin-token-file';
  return systemCode(error) === 'forbidden-host'
    ? '; the server takes that name when it is started with --admin-name'
    : '';
}
