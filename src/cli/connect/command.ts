import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { connect } from '../../net/connect.ts';
import type { Connection } from '../../net/connection.ts';
import { explain } from '../explain.ts';
import { addFlags } from '../flag.ts';
import type { CommandIo } from '../io.ts';
import { Conversation } from './conversation.ts';
import { connectFlags } from './flags.ts';
import { TLS_HINT, hintAfter, hintFor, hintForSilence, speaksTls } from './hints.ts';
import { planOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { describeConnection, describeEnding, warnInsecure } from './report.ts';
import { processStreams } from './streams.ts';
import type { Streams } from './streams.ts';

const ENDED = 0;
const USAGE = 1;
const UNREACHED = 2;
const BROKE = 3;

const CUT = 'the input was not sent to its end';

const EXAMPLES = `
Examples:
  portside connect 127.0.0.1:7000
  portside connect tls://localhost:7000 --ca certs/portside.crt
  portside connect /run/chat.sock --lines
  echo hello | portside connect :7000 --proxy v2 --proxy-source 192.0.2.1:50000

The exit code is 0 after an end in order, 1 for wrong usage, 2 when there was no
connection, and 3 when it broke off.`;

/** Adds `portside connect`. Its exit codes are its own: scripts have to tell a server that is away from one that fails. */
export function connectCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program
    .command('connect')
    .description('connect standard input and output to a server, to try it')
    .argument(
      '<endpoint>',
      'host:port, :port (localhost), tls://host:port, unix:///run/x.sock, /run/x.sock, unix:@name',
    )
    .showHelpAfterError('Try portside connect --help.')
    .addHelpText('after', EXAMPLES)
    .exitOverride((error: CommanderError) => {
      if (error.exitCode !== 0) exit(USAGE);
      throw error;
    })
    .action(async (endpoint: string) => {
      try {
        exit(await converse(await planOf(command, endpoint), io, processStreams()));
      } catch (error) {
        if (error instanceof CommanderError) throw error;
        io.err(`portside: ${explain(error, command.opts<{ verbose?: true }>().verbose === true)}\n`);
        exit(BROKE);
      }
    });
  addFlags(command, connectFlags);
}

async function converse(plan: Plan, io: CommandIo, streams: Streams): Promise<number> {
  const verbose = plan.telling === 'verbose';
  const warn = (text: string): void => io.err(`portside: ${text}\n`);
  const tell = verbose || (plan.telling !== 'quiet' && streams.errorIsTerminal) ? warn : (): void => {};
  const fail = (code: number, error: unknown, ...hints: readonly (string | null)[]): number => {
    warn([explain(error, verbose), ...hints.filter((hint) => hint !== null)].join('; '));
    return code;
  };
  const signals = new Signals();
  try {
    let conn: Connection;
    try {
      conn = await connect(plan.endpoint, { ...plan.options, signal: signals.signal });
    } catch (error) {
      if (!signals.signal.aborted) return fail(UNREACHED, error, hintFor(error, plan));
      warn('called off before there was a connection');
      return UNREACHED;
    }
    const began = performance.now();
    const { tls } = conn;
    if (tls !== null && plan.options.tls?.rejectUnauthorized === false) warn(warnInsecure(tls));
    for (const line of describeConnection(conn, plan)) tell(line);
    const conversation = new Conversation(conn, plan, streams);
    signals.onSignal = () => conversation.callOff();
    const ending = await conversation.run();
    const { first } = conversation;
    switch (ending.kind) {
      case 'broke':
        return fail(BROKE, ending.error, ending.cut ? CUT : null, hintAfter(ending.error, plan, first));
      case 'unreadable':
        return fail(BROKE, ending.error, CUT);
      default:
        if (plan.options.tls === undefined && speaksTls(first)) warn(TLS_HINT);
        tell(describeEnding(ending.kind, conn, performance.now() - began));
        if (ending.kind === 'ended' && first.length === 0 && conn.bytesWritten > 0) tellIf(tell, hintForSilence(plan));
        return ENDED;
    }
  } finally {
    signals.off();
  }
}

function tellIf(tell: (text: string) => void, text: string | null): void {
  if (text !== null) tell(text);
}

/** SIGINT and SIGTERM: before there is a connection they call it off, and then they are the conversation's. */
class Signals {
  onSignal: (() => void) | null = null;
  readonly #controller = new AbortController();
  readonly #hear = (): void => {
    if (this.onSignal === null) this.#controller.abort();
    else this.onSignal();
  };

  constructor() {
    for (const name of NAMES) process.on(name, this.#hear);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  off(): void {
    for (const name of NAMES) process.off(name, this.#hear);
  }
}

const NAMES = ['SIGINT', 'SIGTERM'] as const;
