/** The command line. */
import { parseArgs } from 'node:util';

export type Work = 'echo' | 'accept' | 'idle' | 'dispatch';

export interface Options {
  readonly works: readonly Work[];
  /** Whether to run the set that the budgets are about, instead of one work as told. */
  readonly all: boolean;
  readonly size: number;
  readonly connections: number | undefined;
  readonly depth: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly only: readonly string[] | undefined;
  readonly json: string | undefined;
}

export const USAGE = `usage: npm run bench -- echo|accept|idle|dispatch|all [options]

  echo     messages back and forth on long-lived connections
  accept   connect, one byte each way, close
  idle     memory of connections that do nothing
  dispatch as accept, on servers of two threads or processes
  all      echo with 64 B on 64 connections and 64 KiB on 8, accept, idle

  --size BYTES       echo: size of a message (64)
  --connections N    how many, or how many at a time (64, idle 9000)
  --depth N          echo: messages in flight on each connection (1)
  --rounds N         rounds; medians are shown (5)
  --seconds S        measured time of one contender in a round (3)
  --warmup S         time before it, not measured (1)
  --only A,B         these contenders only
  --json FILE        write every round as JSON, too
`;

/** What the user asked for is wrong; the message says how. */
export class UsageError extends Error {}

function number(
  name: string,
  text: string | undefined,
  least: number,
  most: number,
  whole: boolean,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  throw new UsageError(`--${name} has to be a ${whole ? 'whole ' : ''}number from ${least} to ${most}, not ${text}`);
}

function read(parameters: readonly string[]): ReturnType<typeof parse> {
  try {
    return parse(parameters);
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function parse(parameters: readonly string[]) {
  return parseArgs({
    args: [...parameters],
    allowPositionals: true,
    options: {
      size: { type: 'string' },
      connections: { type: 'string' },
      depth: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      warmup: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

function isWork(text: string): text is Work {
  return text === 'echo' || text === 'accept' || text === 'idle' || text === 'dispatch';
}

/** The options, or null when help was asked for. Throws a {@link UsageError}. */
export function parseOptions(parameters: readonly string[]): Options | null {
  const { values, positionals } = read(parameters);
  if (values.help === true) return null;
  const [work, ...extra] = positionals;
  if (work === undefined) throw new UsageError('say what to measure: echo, accept, idle, dispatch or all');
  if (extra.length > 0) throw new UsageError(`one work at a time, not also ${extra.join(' ')}`);
  if (!isWork(work) && work !== 'all') {
    throw new UsageError(`there is no ${work}; it can be echo, accept, idle, dispatch or all`);
  }
  const all = work === 'all';
  for (const name of ['size', 'connections', 'depth'] as const) {
    if (values[name] === undefined) continue;
    if (all) throw new UsageError(`all has sizes of its own; --${name} goes with one work`);
    if (name !== 'connections' && work !== 'echo') throw new UsageError(`--${name} goes with echo`);
  }
  const only = values.only?.split(',').map((name) => name.trim());
  return {
    works: work === 'all' ? ['echo', 'accept', 'idle'] : [work],
    all,
    size: number('size', values.size, 1, 16 << 20, true) ?? 64,
    connections: number('connections', values.connections, 1, 60_000, true),
    depth: number('depth', values.depth, 1, 1024, true) ?? 1,
    rounds: number('rounds', values.rounds, 1, 100, true) ?? 5,
    seconds: number('seconds', values.seconds, 0.05, 600, false) ?? 3,
    warmup: number('warmup', values.warmup, 0, 600, false) ?? 1,
    only,
    json: values.json,
  };
}
