/** The command line. */
import { parseArgs } from 'node:util';
import { suites, words } from './suites.ts';

export interface Options {
  /** What is measured: words of `suites.ts`. Empty to make the report only. */
  readonly works: readonly string[];
  readonly report: boolean;
  readonly size: number | undefined;
  readonly connections: number | undefined;
  readonly depth: number | undefined;
  /** What is not said of these three is as usual for each suite: `pace.ts`. */
  readonly rounds: number | undefined;
  readonly seconds: number | undefined;
  readonly warmup: number | undefined;
  readonly quick: boolean;
  readonly smoke: boolean;
  readonly only: readonly string[] | undefined;
  readonly layers: boolean;
  readonly save: boolean;
  readonly json: string | undefined;
}

export const USAGE = `usage: npm run bench -- SUITE … [options]
       npm run bench -- report

${suites.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`).join('\n')}
  redis          the four of redis
  echo           messages back and forth as --size, --connections and --depth say
  all            all of them
  report         tables and plots of the results that are kept

  --size BYTES       echo: size of a message (64)
  --connections N    how many, or how many at a time
  --depth N          echo: messages in flight on each connection (1)
  --rounds N         rounds; medians are shown (5)
  --seconds S        measured time of one contender in a round (3)
  --warmup S         time before it, not measured (1; accept 2, dispatch 3)
  --quick            shorter times, for all in some 12 minutes
  --smoke            only whether everything works; measures nothing
  --only A,B         these contenders only
  --layers           with contenders that measure the layers of Portside one by one
  --save             keep the results of each suite in bench/results/
  --json FILE        write every round of all suites as JSON
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
      quick: { type: 'boolean' },
      smoke: { type: 'boolean' },
      layers: { type: 'boolean' },
      save: { type: 'boolean' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

/** The options, or null when help was asked for. Throws a {@link UsageError}. */
export function parseOptions(parameters: readonly string[]): Options | null {
  const { values, positionals } = read(parameters);
  if (values.help === true) return null;
  if (positionals.length === 0) throw new UsageError(`say what to measure: ${words.join(', ')}; or report`);
  const works = positionals.filter((word) => word !== 'report');
  const report = works.length < positionals.length;
  if (report && works.length > 0) throw new UsageError('report goes alone');
  const unknown = works.filter((word) => !words.includes(word));
  if (unknown.length > 0) throw new UsageError(`there is no ${unknown.join(', ')}; there are ${words.join(', ')}`);
  for (const name of ['size', 'depth'] as const) {
    if (values[name] !== undefined && works.some((word) => word !== 'echo'))
      throw new UsageError(`--${name} goes with echo; the others have their own`);
  }
  if (values.connections !== undefined && works.some((word) => word === 'all' || word.startsWith('redis')))
    throw new UsageError('--connections does not go with all or redis, which have their own');
  if (values.save === true && (values.only !== undefined || values.connections !== undefined || works.includes('echo')))
    throw new UsageError('only whole suites are kept: --save goes without --only, --connections and echo');
  const { quick = false, smoke = false } = values;
  if (smoke && (quick || values.save === true))
    throw new UsageError('--smoke measures nothing: it goes without --quick and --save');
  return {
    works,
    report,
    size: number('size', values.size, 1, 16 << 20, true),
    connections: number('connections', values.connections, 1, 60_000, true),
    depth: number('depth', values.depth, 1, 1024, true),
    rounds: number('rounds', values.rounds, 1, 100, true),
    seconds: number('seconds', values.seconds, 0.05, 600, false),
    warmup: number('warmup', values.warmup, 0, 600, false),
    only: values.only?.split(',').map((name) => name.trim()),
    quick,
    smoke,
    layers: values.layers ?? false,
    save: values.save ?? false,
    json: values.json,
  };
}
