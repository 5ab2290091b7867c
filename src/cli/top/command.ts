import type { Command } from 'commander';
import type { TickJson } from '../../ops/admin-status.ts';
import { askingCommand } from '../admin/asking.ts';
import type { Asking } from '../admin/asking.ts';
import type { WatchedEvent } from '../admin/client.ts';
import { count, duration } from '../flag-values.ts';
import { addFlags } from '../flag.ts';
import type { FlagGroup } from '../flag.ts';
import type { CommandIo } from '../io.ts';
import { follow } from './feed.ts';
import type { Hearer } from './feed.ts';
import { PlainLines } from './plain.ts';
import { Terminal } from './terminal.ts';
import { TopScreen } from './top-screen.ts';

const topFlags: FlagGroup = {
  heading: 'How:',
  flags: [
    {
      flags: '--count <n>',
      what: 'so many looks, and then no more (default: until it is quit)',
      option: null,
      read: count,
    },
    {
      flags: '--interval <time>',
      what: 'from one look to the next, in whole seconds (default: 1s)',
      option: null,
      read: duration({ min: 1_000 }),
    },
  ],
};

interface TopFlags {
  readonly count?: number;
  readonly interval?: number;
}

const ENDS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Milliseconds after which a screen is drawn again though nothing has come: what it tells of times goes on. */
const REDRAWN = 1_000;

const NOTE = `
At a terminal ? shows its keys. Elsewhere, or with --json, there is a line for each look,
until it is ended by a signal or nobody reads it any more.`;

/** Adds `portside top`. */
export function topCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = askingCommand(program, 'top', 'see what a server does, live, and act on it by keys', io, exit, top);
  addFlags(command, [topFlags]);
  command.addHelpText('after', NOTE);
}

async function top(asking: Asking): Promise<void> {
  const ending = new AbortController();
  const end = (): void => ending.abort();
  for (const signal of ENDS) process.on(signal, end);
  const { stdin, stdout } = process;
  stdout.on('error', end);
  try {
    const atTerminal = stdin.isTTY && stdout.isTTY && process.env['TERM'] !== 'dumb' && !asking.json;
    await (atTerminal ? onScreen(asking, ending) : inLines(asking, ending));
  } finally {
    stdout.off('error', end);
    for (const signal of ENDS) process.off(signal, end);
  }
}

async function onScreen({ client, command }: Asking, ending: AbortController): Promise<void> {
  const { count: most = Infinity, interval = 1_000 } = command.opts<TopFlags>();
  const { signal } = ending;
  const screen = new TopScreen(client, signal, () => ending.abort());
  const limit = new Limit(most, ending);
  let terminal: Terminal | null = null;
  const timer = setInterval(() => screen.draw(), REDRAWN);
  try {
    // Nobody's screen is taken before there is something to be seen.
    const hearer: Hearer = {
      reached: (status) => {
        screen.reached(status);
        if (terminal !== null) return;
        terminal = new Terminal(process.stdin, process.stdout, screen);
        screen.on(terminal);
      },
      happened: (event) => {
        screen.happened(event);
        if (event.event === 'tick') limit.one();
      },
      lost: (why) => screen.lost(why),
    };
    await follow(client, hearer, interval, signal);
  } finally {
    clearInterval(timer);
    (terminal as Terminal | null)?.[Symbol.dispose]();
  }
}

async function inLines({ client, command, io, json }: Asking, ending: AbortController): Promise<void> {
  const { count: most = Infinity, interval = 1_000 } = command.opts<TopFlags>();
  const lines = new PlainLines(json);
  const limit = new Limit(most, ending);
  let lost = false;
  const hearer: Hearer = {
    reached: (status) => {
      if (lost) io.err('portside: the server is back\n');
      lost = false;
      lines.begin(status);
    },
    happened: ({ event, data }: WatchedEvent) => {
      if (event !== 'tick' || ending.signal.aborted) return;
      io.out(lines.line(data as TickJson));
      limit.one();
    },
    lost: (why) => {
      if (!lost) io.err(`portside: the server is gone: ${why}; trying again\n`);
      lost = true;
    },
  };
  await follow(client, hearer, interval, ending.signal);
}

/** Ends it after so many looks. */
class Limit {
  #left: number;
  readonly #ending: AbortController;

  constructor(most: number, ending: AbortController) {
    this.#left = most;
    this.#ending = ending;
  }

  one(): void {
    this.#left -= 1;
    if (this.#left <= 0) this.#ending.abort();
  }
}
