/** Load on each contender in turn, and the table of it. */
import { Child } from './child.ts';
import { LIMIT, type Comparison } from './contenders.ts';
import { startServer, type Bench, type Server } from './field.ts';
import { runRedis } from './redis.ts';
import { figure, type Figure } from './statistics.ts';
import { short, table, withRange } from './table.ts';

export interface LoadPlan {
  readonly mode: 'echo' | 'accept' | 'broadcast' | 'redis';
  readonly title: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly connections: number;
  readonly size: number;
  readonly depth: number;
  /** The command of redis-benchmark. */
  readonly command?: 'set' | 'get' | undefined;
}

/** What the load generator says at the end of one measurement. Latencies are microseconds. */
export interface Report {
  readonly seconds: number;
  readonly messages?: number;
  readonly connections: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly serverCpuNs: number;
  readonly loadCpuNs: number;
  readonly failures?: number;
  /** Of the server; 0 or missing where the machine has no counters for them. */
  readonly userInstructions?: number;
  readonly kernelInstructions?: number;
}

export interface LoadRound extends Report {
  readonly contender: string;
  readonly round: number;
  /** Microseconds of the server's CPU for each message or connection. */
  readonly cpu: number;
  /** Instructions of the server for each message or connection, in user mode and in the kernel; 0 where they could not be counted. */
  readonly instructions: number;
}

export interface LoadResult {
  readonly plan: LoadPlan;
  readonly rounds: readonly LoadRound[];
}

/** Time beyond warm-up and measurement after which the load generator is taken for hung, milliseconds. */
const LOAD_PATIENCE = 60_000;

/** What is counted, by mode. */
export const NOUNS: Readonly<Record<LoadPlan['mode'], string>> = {
  echo: 'message',
  accept: 'connection',
  broadcast: 'delivery',
  redis: 'request',
};

/** The factor between the rounds of one contender from which its figures are called unsteady. */
const UNSTEADY = 1.5;

function loadCommand(plan: LoadPlan, program: string, { port, pids }: Server): string[] {
  const { connections, seconds, warmup, size, depth } = plan;
  const pairs: Record<string, number> = { port, connections, seconds, warmup };
  if (plan.mode !== 'accept') pairs['size'] = size;
  if (plan.mode === 'echo') pairs['depth'] = depth;
  const options = [...Object.entries(pairs), ...pids.map((pid): [string, number] => ['pid', pid])];
  return [program, plan.mode, ...options.flatMap(([name, value]) => [`--${name}`, String(value)])];
}

/** Runs the load generator on a server. */
async function runLoader(bench: Bench, plan: LoadPlan, server: Server, name: string): Promise<Report> {
  const load = new Child(`load on ${name}`, loadCommand(plan, bench.programs.load, server), {}, bench.cores.load);
  const patience = (plan.warmup + plan.seconds) * 1000 + LOAD_PATIENCE;
  try {
    return JSON.parse(`{${await load.line('{', patience)}`) as Report;
  } finally {
    load.kill();
    await load.ended;
  }
}

/** Measures every contender `plan.rounds` times. */
export async function runLoad(bench: Bench, plan: LoadPlan, progress: (text: string) => void): Promise<LoadResult> {
  const rounds: LoadRound[] = [];
  await bench.field.rounds(plan.rounds, progress, async (contender, round) => {
    const server = await startServer(bench, contender);
    try {
      const report =
        plan.mode === 'redis'
          ? await runRedis(bench, plan, server)
          : await runLoader(bench, plan, server, contender.name);
      const instructions = (report.userInstructions ?? 0) + (report.kernelInstructions ?? 0);
      const count = plan.mode === 'accept' ? report.connections : (report.messages ?? 0);
      rounds.push({
        contender: contender.name,
        round,
        cpu: report.serverCpuNs / 1000 / count,
        instructions: instructions / count,
        ...report,
      });
    } finally {
      await server.child.end();
    }
  });
  return { plan, rounds };
}

/**
 * The ratio of one contender's CPU to another's, taken within each round, where both met the same machine. NaN
 * when they share no round.
 */
export function ratio(rounds: readonly LoadRound[], name: string, to: string): Figure {
  const others = new Map(rounds.filter((one) => one.contender === to).map((one) => [one.round, one.cpu]));
  const mine = rounds.filter((one) => one.contender === name && others.has(one.round));
  return figure(mine.map((one) => one.cpu / (others.get(one.round) ?? NaN)));
}

/** The ratio of the leasts: what the work costs when nobody else is on the machine. */
export function leastRatio(rounds: readonly LoadRound[], name: string, to: string): number {
  const least = (who: string): number =>
    figure(rounds.filter((one) => one.contender === who).map((one) => one.cpu)).least;
  return least(name) / least(to);
}

/** Instructions for each, and how they are to those of the limit. */
function instructionsOf(rounds: readonly LoadRound[], name: string): string[] {
  const of = (who: string): number =>
    figure(rounds.filter((one) => one.contender === who).map((one) => one.instructions)).median;
  const mine = of(name);
  return mine > 0 ? [short(mine), short(mine / of(LIMIT))] : ['–', '–'];
}

function row(rounds: readonly LoadRound[], name: string, comparisons: readonly Comparison[]): string[] {
  const mine = rounds.filter((one) => one.contender === name);
  const median = (pick: (one: LoadRound) => number): string => short(figure(mine.map(pick)).median);
  const percent = (pick: (one: LoadRound) => number): string => {
    const { median: share } = figure(mine.map((one) => pick(one) / one.seconds / 1e7));
    return Number.isFinite(share) ? `${Math.round(share)} %` : '–';
  };
  return [
    name,
    withRange(figure(mine.map((one) => one.cpu))),
    ...instructionsOf(rounds, name),
    ...comparisons.flatMap(({ to }) => {
      const other = to(name);
      if (other === undefined) return ['–', '–'];
      return [short(ratio(rounds, name, other).median), short(leastRatio(rounds, name, other))];
    }),
    median((one) => one.perSecond),
    median((one) => one.p50),
    median((one) => one.p99),
    median((one) => one.p999),
    percent((one) => one.serverCpuNs),
    percent((one) => one.loadCpuNs),
  ];
}

/** By what factor the rounds of a contender are apart. */
function spread(rounds: readonly LoadRound[], name: string): number {
  const { least, most } = figure(rounds.filter((one) => one.contender === name).map((one) => one.cpu));
  return most / least;
}

/** How many contenders were measured, and of how many the rounds are so far apart that their times say little. */
export function steadiness({ rounds }: LoadResult): { readonly measured: number; readonly unsteady: number } {
  const names = [...new Set(rounds.map((one) => one.contender))];
  return { measured: names.length, unsteady: names.filter((name) => spread(rounds, name) > UNSTEADY).length };
}

/** The table of a result, with notes of failed connections and of rounds that are far apart. */
export function loadTable(result: LoadResult, names: readonly string[], comparisons: readonly Comparison[]): string {
  const noun = NOUNS[result.plan.mode];
  const head = [
    result.plan.title,
    `CPU µs/${noun}`,
    'instructions',
    `instr. × ${LIMIT}`,
    ...comparisons.flatMap(({ head }) => [`× ${head}`, 'least']),
    noun === 'delivery' ? 'deliveries/s' : `${noun}s/s`,
    'p50 µs',
    'p99 µs',
    result.plan.mode === 'redis' ? 'most µs' : 'p999 µs',
    'server CPU',
    'load CPU',
  ];
  const measured = names.filter((name) => result.rounds.some((one) => one.contender === name));
  const rows = names.map((name) =>
    measured.includes(name)
      ? row(result.rounds, name, comparisons)
      : [name, 'not measured', ...head.slice(2).map(() => '–')],
  );
  const failures = result.rounds
    .map(({ contender, round, failures: count = 0 }) => ({ count, where: `${contender}, round ${round + 1}` }))
    .filter(({ count }) => count > 0)
    .map(({ count, where }) => `${where}: ${count} connections failed`);
  const unsteady = measured.flatMap((name) => {
    const apart = spread(result.rounds, name);
    return apart > UNSTEADY ? [`${name}: the rounds differ by ${short(apart)} ×, so the machine was not steady`] : [];
  });
  return [table(head, rows), ...failures, ...unsteady].join('\n');
}
