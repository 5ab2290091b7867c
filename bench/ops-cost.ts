/**
 * What it costs to be looked at: `node bench/ops-cost.ts`. A server without an admin endpoint (`off`) is measured in turn with one whose metrics are scraped every second (`metrics`), and one with
 * that and a watcher of `/api/events`, as the page is (`page`). Shown is the CPU of the server's process for each message and each connection, with the ratio to `off` of the same round; and, as that
 * is small beside what a shared machine does by itself, the milliseconds of CPU that each takes in a second in which nobody says anything.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { get } from 'node:http';
import type { ClientRequest } from 'node:http';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child, killAll } from './harness/child.ts';
import { compileAll } from './harness/compile.ts';
import type { Report } from './harness/load.ts';
import { chooseCores, describeMachine, machine } from './harness/machine.ts';
import { figure, shuffled } from './harness/statistics.ts';
import { short, table, withRange } from './harness/table.ts';

const USAGE = `usage: node bench/ops-cost.ts [options]

  --rounds N         rounds; medians are shown (5)
  --seconds S        measured time of one in a round (2)
  --warmup S         time before it, not measured (1)
  --connections N    open at a time (64)
  --workers N        threads; 0: one, without a parent (0)
  --transport NAME   node or native (native)
  --only A,B         of echo, accept, idle (all)
`;

const CONTENDERS = ['off', 'metrics', 'page'] as const;
type Contender = (typeof CONTENDERS)[number];
const LOADS = ['echo', 'accept', 'idle'] as const;
type Load = (typeof LOADS)[number];

const UNITS: Readonly<Record<Load, string>> = {
  echo: 'CPU µs/message',
  accept: 'CPU µs/connection',
  idle: 'CPU ms/s',
};
/** Milliseconds that a server may take to listen, and the load to end. */
const PATIENCE = 30_000;

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly connections: number;
  readonly workers: number;
  readonly transport: string;
  readonly only: readonly Load[];
}

/** What one round of one contender took, in the unit of the load. */
interface Round {
  readonly load: Load;
  readonly contender: Contender;
  readonly round: number;
  readonly cpu: number;
}

function readOptions(): Options | null {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      rounds: text,
      seconds: text,
      warmup: text,
      connections: text,
      workers: text,
      transport: text,
      only: text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) return null;
  const number = (name: 'rounds' | 'seconds' | 'warmup' | 'connections' | 'workers', otherwise: number): number => {
    const value = Number(values[name] ?? otherwise);
    if (!(value >= 0)) throw new Error(`--${name} has to be a number, not ${String(values[name])}`);
    return value;
  };
  const only = (values.only ?? LOADS.join(',')).split(',');
  const unknown = only.filter((one) => !LOADS.includes(one as Load));
  if (unknown.length > 0) throw new Error(`there is no ${unknown.join(', ')}; there are ${LOADS.join(', ')}`);
  return {
    rounds: number('rounds', 5),
    seconds: number('seconds', 2),
    warmup: number('warmup', 1),
    connections: number('connections', 64),
    workers: number('workers', 0),
    transport: values.transport ?? 'native',
    only: only as Load[],
  };
}

/** Who looks at a server until it is let go. */
class Looker {
  readonly #timer: NodeJS.Timeout;
  readonly #watching: ClientRequest | null;
  scrapes = 0;
  events = 0;

  constructor(admin: number, watches: boolean) {
    const scrape = (): void => {
      get({ port: admin, host: '127.0.0.1', path: '/metrics', agent: false }, (response) => {
        response.resume().on('end', () => (this.scrapes += 1));
      }).on('error', () => {});
    };
    scrape();
    this.#timer = setInterval(scrape, 1_000);
    this.#watching = watches
      ? get({ port: admin, host: '127.0.0.1', path: '/api/events', agent: false }, (response) => {
          response.on('data', () => (this.events += 1)).on('error', () => {});
        }).on('error', () => {})
      : null;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#watching?.destroy();
  }
}

/** A measurement in which nobody looked is none of looking. */
function mustHaveLooked(looker: Looker | null, contender: Contender): void {
  if (looker === null) return;
  if (looker.scrapes === 0) throw new Error('nothing was scraped');
  if (contender === 'page' && looker.events === 0) throw new Error('no event came');
}

/** Nanoseconds of CPU of a process so far. The kernel's own figure for each thread is finer than that of the process, which is in ticks. */
function cpuOf(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).reduce((total, task) => {
    const [ran = '0'] = readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ');
    return total + Number(ran);
  }, 0);
}

interface Target {
  readonly port: number;
  readonly pid: number;
}

async function idle({ pid }: Target, { seconds, warmup }: Options): Promise<number> {
  await sleep(1_000 * warmup);
  const [before, since] = [cpuOf(pid), performance.now()];
  await sleep(1_000 * seconds);
  return (cpuOf(pid) - before) / 1e3 / (performance.now() - since);
}

async function loaded(
  load: 'echo' | 'accept',
  target: Target,
  { seconds, warmup, connections }: Options,
  program: string,
  core: number | undefined,
): Promise<number> {
  const flags = { ...target, connections, seconds, warmup, ...(load === 'echo' ? { size: 64 } : {}) };
  const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const loader = new Child('load', [program, load, ...words], {}, core);
  try {
    const report = JSON.parse(`{${await loader.line('{', PATIENCE + 1_000 * (seconds + warmup))}`) as Report;
    return report.serverCpuNs / 1_000 / (load === 'echo' ? (report.messages ?? NaN) : report.connections);
  } finally {
    loader.kill();
    await loader.ended;
  }
}

async function measure(
  load: Load,
  contender: Contender,
  options: Options,
  program: string,
  cores: ReturnType<typeof chooseCores>,
): Promise<number> {
  const { workers, transport } = options;
  const file = fileURLToPath(new URL('./servers/portside-ops.ts', import.meta.url));
  const env = {
    TRANSPORT: transport,
    WORKERS: String(workers),
    PORT: '0',
    NODE_NO_WARNINGS: '1',
    ...(contender === 'off' ? {} : { OPS: '1' }),
  };
  const server = new Child(contender, [process.execPath, file], env, workers > 1 ? undefined : cores.server);
  let looker: Looker | null = null;
  try {
    const admin = contender === 'off' ? null : Number(await server.line('ADMIN ', PATIENCE));
    const port = Number((await server.line('PORT ', PATIENCE)).split(' ')[0]);
    if (admin !== null) looker = new Looker(admin, contender === 'page');
    const target = { port, pid: server.pid };
    const cpu =
      load === 'idle' ? await idle(target, options) : await loaded(load, target, options, program, cores.load);
    mustHaveLooked(looker, contender);
    return cpu;
  } finally {
    looker?.end();
    await server.end();
  }
}

function shown(load: Load, rounds: readonly Round[]): string {
  const of = (name: Contender): readonly Round[] => rounds.filter((one) => one.load === load && one.contender === name);
  const off = new Map(of('off').map(({ round, cpu }) => [round, cpu]));
  const rows = CONTENDERS.map((name) => {
    const cpu = figure(of(name).map((one) => one.cpu));
    const ratio = figure(of(name).map((one) => one.cpu / (off.get(one.round) ?? NaN)));
    const least = cpu.least / figure([...off.values()]).least;
    const compared = load === 'idle' ? [] : [withRange(ratio), short(least)];
    return [name, withRange(cpu), ...compared];
  });
  return table([load, UNITS[load], ...(load === 'idle' ? [] : ['× off', 'least × least'])], rows);
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === null) {
    process.stdout.write(USAGE);
    return;
  }
  const { load: program } = compileAll();
  const cores = chooseCores();
  process.stdout.write(`${describeMachine(machine())}\nmedians of ${options.rounds} rounds, (least–most)\n`);
  const rounds: Round[] = [];
  for (const load of options.only) {
    for (let round = 0; round < options.rounds; round += 1) {
      for (const contender of shuffled(CONTENDERS)) {
        process.stderr.write(`${load}, round ${round + 1} of ${options.rounds}: ${contender}\n`);
        rounds.push({ load, contender, round, cpu: await measure(load, contender, options, program, cores) });
      }
    }
    process.stdout.write(`\n${shown(load, rounds)}\n`);
  }
}

process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));
await main();
