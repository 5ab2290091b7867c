import { Option } from 'commander';
import type { Command } from 'commander';
import { PortsideError } from '../base/errors.ts';
import { OptionsError } from '../base/options.ts';
import { shorten } from '../base/show.ts';
import { peerName } from '../server/verbose.ts';
import { attempt } from './attempt.ts';
import { execHandler } from './exec-handler.ts';
import type { ExecHandler, ExecOptions, OnDrain } from './exec-handler.ts';
import { describeNotice } from './exec-notice.ts';
import { duration, oneOfWords, variable } from './flag-values.ts';
import { addFlags } from './flag.ts';
import { gatherOptions, wrongUsage } from './gather-options.ts';
import { quoted } from './hints.ts';
import type { CommandIo } from './io.ts';
import { reuseMemory } from './memory.ts';
import { Notices } from './notices.ts';
import { runServer } from './run-server.ts';
import { serverFlags } from './server-flags.ts';
import { managerOf } from './upgrade/manager.ts';
import type { SupervisedManager } from './upgrade/supervised.ts';
import { upgradable } from './upgrade/upgradable.ts';
import { waitForPrograms } from './wait-for-programs.ts';

const EXAMPLES = `
Examples:
  portside exec --port 6504 -- date
  portside exec --port 6504 --shell -- 'echo "you are $TCPREMOTEIP"; cat'
  portside exec --port 6504 --tls-self-signed --max-connections 10 -- ./game`;

interface ExecFlags {
  readonly shell?: true;
  readonly cwd?: string;
  readonly env?: readonly (readonly [string, string])[];
  readonly killAfter?: number;
  readonly onDrain?: OnDrain;
}

/** What tcpserver and s6-tcpserver allow; a program is more than a connection. */
const MOST_PROGRAMS = 40;
/** Of a command, in a line. */
const LONGEST = 60;

/** Adds `portside exec`. */
export function execCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program
    .command('exec')
    .description('run a program for each connection, with the connection as its standard input and output')
    .argument('<program>', 'a program, as the shell finds it; what follows it is its own, after -- without doubt')
    .argument('[args...]', 'what it is given')
    .usage('[options] -- <program> [args...]')
    // What follows the program is the program's.
    .passThroughOptions()
    .showHelpAfterError('Try portside exec --help.')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, args: readonly string[]) => {
      exit(
        await upgradable(command, io, (own, supervised) =>
          attempt(command, own, () => exec(command, file, args, own, supervised)),
        ),
      );
    });
  const group = 'The program:';
  const options = [
    new Option('--shell', 'the program is a text for /bin/sh -c; what follows it is $1 and so on'),
    new Option('--cwd <folder>', 'the directory that it runs in'),
    new Option('--env <NAME=VALUE>', 'an environment variable for it; may be given several times').argParser(
      (text: string, before: readonly (readonly [string, string])[] | undefined) => [...(before ?? []), variable(text)],
    ),
    new Option('--kill-after <time>', 'from SIGTERM to SIGKILL, when it has to end (default: 5s)').argParser(
      duration({ none: true }),
    ),
    new Option(
      '--on-drain <what>',
      'what it learns when the server stops: wait (nothing), end-input or terminate (default: wait)',
    ).argParser(oneOfWords('wait', 'end-input', 'terminate')),
  ];
  for (const option of options) command.addOption(option.helpGroup(group));
  addFlags(command, serverFlags);
}

async function exec(
  command: Command,
  file: string,
  args: readonly string[],
  io: CommandIo,
  supervised: SupervisedManager | null,
): Promise<void> {
  const gathered = await gatherOptions(command, io, { defaults: { maxConnections: MOST_PROGRAMS } });
  reuseMemory(gathered.options.transport);
  const { warn } = new Notices(gathered, io);
  const manager = await managerOf(gathered, supervised, warn);
  const flags = command.opts<ExecFlags>();
  const shown = shorten(flags.shell === true ? quoted(file) : [file, ...args].map(quoted).join(' '), LONGEST);
  const handler = handlerOf(command, file, args, {
    shell: flags.shell,
    cwd: flags.cwd,
    env: Object.fromEntries(flags.env ?? []),
    killAfter: flags.killAfter,
    onDrain: flags.onDrain,
    onNotice: (notice, { remote }) => warn(describeNotice(notice, shown, peerName(remote))),
  });
  await runServer({ handler, what: `running ${shown}`, failed: shown, gathered, manager, io });
  await waitForPrograms(handler, warn);
}

const FLAGS: Readonly<Record<string, string>> = {
  'options.cwd': '--cwd',
  'options.env': '--env',
  'options.killAfter': '--kill-after',
};

function handlerOf(command: Command, file: string, args: readonly string[], options: ExecOptions): ExecHandler {
  try {
    return execHandler(file, args, options);
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    const [first] = error.problems;
    // Which program there is, is nothing of the command line's: the same one is right on another machine.
    if (error.problems.length === 1 && first?.path === 'command')
      throw new PortsideError('ERR_PORTSIDE_OPTIONS', first.message.replace('must be a program: ', ''), {
        cause: error,
      });
    const told = error.problems.map(
      ({ path, message }) => `${FLAGS[path] ?? path.replace('command', 'the program')} ${message}`,
    );
    return wrongUsage(command, told.join('; '));
  }
}
