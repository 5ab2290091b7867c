import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  OptionsError,
  boolean,
  check,
  checkValue,
  fn,
  list,
  milliseconds,
  oneOf,
  record,
  table,
  that,
} from '../base/options.ts';
import type { Agrees, Problem, Rule } from '../base/options.ts';
import type { Connection } from '../net/connection.ts';
import type { HandlerFunction } from '../server/handler.ts';
import { currentClock } from '../sync/scope.ts';
import { findProgram } from './find-program.ts';
import { RunningProgram } from './running-program.ts';
import type { ProgramNotice, ProgramSettings } from './running-program.ts';
import { ucspiEnvironment, withoutUcspi } from './ucspi.ts';

/**
 * What a program learns when its server wants to stop.
 *
 *  - `wait`: nothing. It goes on with its client until the server's grace is over; then the connection is aborted, and the program ended with it.
 *  - `end-input`: its input ends, as if the client had ended it.
 *  - `terminate`: SIGTERM.
 */
export type OnDrain = 'wait' | 'end-input' | 'terminate';

/** Options of {@link execHandler}. */
export interface ExecOptions {
  /** The directory that programs run in. @default the process's own */
  cwd?: string | undefined;
  /** Environment variables, besides those of the process and over them; one that is undefined is taken away. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Run `command` by `/bin/sh -c`; `args` are `$1` and so on, and never part of the text. @default false */
  shell?: boolean | undefined;
  /** Milliseconds from SIGTERM to SIGKILL; `Infinity` is never. @default 5000 */
  killAfter?: number | undefined;
  /**
   * What a program learns when its server wants to stop. `end-input` suits programs that read to the end of their input and for which a part is as good as the
   * whole; to others a cut looks like the end of what the client had to say. `terminate` suits programs that handle SIGTERM. @default 'wait'
   */
  onDrain?: OnDrain | undefined;
  /** Hears of programs that did not end well, and of nothing that a client did. It must not throw. */
  onNotice?: ((notice: ProgramNotice, connection: Connection) => void) | undefined;
}

/** Serves each connection by a program of its own. Made by {@link execHandler}. */
export interface ExecHandler extends HandlerFunction {
  /** The program's file. */
  readonly file: string;
  /** Programs that run now. */
  readonly running: number;
  /** Resolves when none runs: what a process waits for that wants to leave none behind. */
  idle(): Promise<void>;
}

const text: Rule<string> = that(
  'a string without NUL characters',
  (value) => typeof value === 'string' && !value.includes('\0'),
);
const filled: Rule<string> = that(
  'a string that is not empty, without NUL characters',
  (value) => typeof value === 'string' && value !== '' && !value.includes('\0'),
);
const variable: Rule<string | undefined> = that(
  'a string without NUL characters, or undefined',
  (value) => value === undefined || (typeof value === 'string' && !value.includes('\0')),
);

const execTable = table('exec', {
  cwd: filled,
  env: record(variable),
  shell: boolean(),
  killAfter: milliseconds({ infinite: true }),
  onDrain: oneOf('wait', 'end-input', 'terminate'),
  onNotice: fn<(notice: ProgramNotice, connection: Connection) => void>(),
});
const agreed: Agrees<typeof execTable, ExecOptions> = true;
void agreed;

/**
 * A handler that runs a program for each connection, with the connection as its standard input and output; standard error stays the server's.
 *
 * The program sees what UCSPI tells (`PROTO`, `TCPREMOTEIP`, …) in its environment. The end of the client's input ends the program's; when
 * the program closes its output, the client sees the end and may go on writing. When the program has ended, what it wrote is sent and the connection closed. A
 * process that it left behind with the output open may go on writing; after `killAfter` milliseconds of silence it is ended.
 *
 * The program is ended with its connection: SIGTERM, and SIGKILL `killAfter` milliseconds later, to its process group, which is its own, so that a
 * Ctrl-C at the terminal reaches the server alone. When both sides ended in order it has `killAfter` milliseconds to end by itself first. While the program
 * takes no input, nothing is read from the client, so that a reset by it may go unnoticed; the deadlines of the server bound that.
 *
 * The program is looked up at once, by PATH as it is now: ERR_PORTSIDE_OPTIONS when there is none, or an option is wrong. When it can't be started for a
 * connection (`EAGAIN`, `EMFILE`, …), the handler throws the system's error, which aborts that connection only.
 */
export function execHandler(command: string, args: readonly string[] = [], options: ExecOptions = {}): ExecHandler {
  checkValue('exec', 'command', filled, command);
  checkValue('exec', 'args', list(text), args);
  const {
    cwd,
    env,
    shell = false,
    killAfter = 5_000,
    onDrain = 'wait',
    onNotice,
  }: ExecOptions = check(execTable, options);
  const folder = resolve(cwd ?? '.');
  const variables = definedOnly({ ...withoutUcspi(process.env), ...env });
  const found = findProgram(shell ? '/bin/sh' : command, folder, variables['PATH']);
  const problems: Problem[] = [];
  if (found.kind === 'missing') problems.push({ path: 'command', message: `must be a program: ${found.why}` });
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    problems.push({ path: 'options.cwd', message: `must be a directory: ${folder} is none` });
  if (found.kind === 'missing' || problems.length > 0) throw new OptionsError('exec', problems);
  const { file } = found;
  const settings: ProgramSettings = {
    file,
    name: shell ? 'sh' : command,
    // The word after the text is $0.
    args: shell ? ['-c', command, 'sh', ...args] : args,
    folder,
    killAfter,
    onDrain,
    onNotice,
  };

  const running = new Set<RunningProgram>();
  const clients = new Map<string, number>();
  let idle: PromiseWithResolvers<void> | null = null;

  const serve: HandlerFunction = async (connection) => {
    // Before the PROXY header is read, the client is not known.
    await connection.opened;
    const { local, remote, tls } = connection;
    const client = 'host' in remote ? remote.host : '';
    const connections = (clients.get(client) ?? 0) + 1;
    const told = ucspiEnvironment({ local, remote, connections, tls });
    const program = new RunningProgram(settings, { ...variables, ...told }, connection, currentClock());
    clients.set(client, connections);
    running.add(program);
    try {
      await program.over();
    } finally {
      running.delete(program);
      const left = (clients.get(client) ?? 1) - 1;
      if (left === 0) clients.delete(client);
      else clients.set(client, left);
      if (running.size === 0) {
        idle?.resolve();
        idle = null;
      }
    }
  };
  return Object.defineProperties(serve, {
    file: { value: file },
    running: { get: () => running.size },
    idle: {
      value: (): Promise<void> => {
        if (running.size === 0) return Promise.resolve();
        idle ??= Promise.withResolvers();
        return idle.promise;
      },
    },
  }) as ExecHandler;
}

function definedOnly(variables: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const left: Record<string, string> = {};
  for (const [name, value] of Object.entries(variables)) if (value !== undefined) left[name] = value;
  return left;
}
