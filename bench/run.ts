/** `npm run bench`: see README.md beside this file. */
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { killAll } from './harness/child.ts';
import { compileAll } from './harness/compile.ts';
import {
  comparisons,
  contenders,
  dispatchComparisons,
  dispatchContenders,
  type Comparison,
} from './harness/contenders.ts';
import { Field, messageOf, startServer, type Bench } from './harness/field.ts';
import { idleTable, runIdle, type IdleResult } from './harness/idle.ts';
import { loadTable, runLoad, type LoadPlan, type LoadResult } from './harness/load.ts';
import { chooseCores, describeMachine, machine } from './harness/machine.ts';
import { parseOptions, USAGE, UsageError, type Options } from './harness/options.ts';

const CONNECTIONS = 64;
const IDLE_CONNECTIONS = 9_000;

function progress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

function progressDone(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

function sizeText(bytes: number): string {
  return bytes >= 1024 && bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} B`;
}

function echoPlan(options: Options, size: number, connections: number): LoadPlan {
  const { rounds, seconds, warmup, depth } = options;
  const title = `echo ${sizeText(size)} × ${connections}${depth > 1 ? `, ${depth} deep` : ''}`;
  return { mode: 'echo', title, rounds, seconds, warmup, connections, size, depth };
}

function acceptPlan(options: Options, name: 'accept' | 'dispatch'): LoadPlan {
  const { rounds, seconds, warmup, connections = CONNECTIONS } = options;
  return { mode: 'accept', title: `${name} × ${connections}`, rounds, seconds, warmup, connections, size: 1, depth: 1 };
}

/** The field of this run: what was asked for and can be started here. */
async function gather(options: Options, echoProgram: string, cores: Bench['cores']): Promise<Field> {
  const every = options.works.includes('dispatch') ? dispatchContenders(echoProgram) : contenders(echoProgram);
  const unknown = options.only?.filter((name) => !every.some((one) => one.name === name)) ?? [];
  if (unknown.length > 0) {
    const names = every.map((one) => one.name).join(', ');
    throw new UsageError(`there is no contender ${unknown.join(', ')}; there are ${names}`);
  }
  const field = new Field(every.filter((one) => options.only?.includes(one.name) ?? true));
  for (const contender of [...field.racing]) {
    try {
      const server = await startServer({ cores }, contender);
      await server.child.end();
    } catch (error) {
      // Left out where it can't run; but who names it wants it.
      if (options.only !== undefined) throw error;
      field.drop(contender, messageOf(error));
    }
  }
  return field;
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) {
    process.stdout.write(USAGE);
    return 0;
  }
  const facts = machine();
  const programs = compileAll();
  const cores = chooseCores();
  const field = await gather(options, programs.echo, cores);
  const bench: Bench = { programs, cores, field };
  const names = field.racing.map((one) => one.name);
  const loads: LoadResult[] = [];
  let idle: IdleResult | undefined;

  const pinned =
    cores.server === undefined ? 'not pinned' : `server on core ${cores.server}, load on core ${String(cores.load)}`;
  process.stdout.write(`${describeMachine(facts)}\n${pinned}; medians of ${options.rounds} rounds, (least–most)\n`);
  const load = async (plan: LoadPlan, columns: readonly Comparison[] = comparisons): Promise<void> => {
    const result = await runLoad(bench, plan, (text) => progress(`${plan.title}, ${text}`));
    progressDone();
    loads.push(result);
    process.stdout.write(`\n${loadTable(result, names, columns)}\n`);
  };
  if (options.all) {
    await load(echoPlan(options, 64, CONNECTIONS));
    await load(echoPlan(options, 65_536, 8));
  } else if (options.works.includes('echo')) {
    await load(echoPlan(options, options.size, options.connections ?? CONNECTIONS));
  }
  if (options.works.includes('accept')) await load(acceptPlan(options, 'accept'));
  if (options.works.includes('dispatch')) await load(acceptPlan(options, 'dispatch'), dispatchComparisons);
  if (options.works.includes('idle')) {
    const connections = options.connections ?? IDLE_CONNECTIONS;
    const plan = { title: `idle × ${connections}`, rounds: options.rounds, connections };
    idle = await runIdle(bench, plan, (text) => progress(`${plan.title}, ${text}`));
    progressDone();
    process.stdout.write(`\n${idleTable(idle, names)}\n`);
  }
  if (field.troubles.size > 0) {
    process.stdout.write('\nLeft out:\n');
    for (const [name, why] of field.troubles) process.stdout.write(`- ${name}: ${why}\n`);
  }
  if (options.json !== undefined) {
    const everything = { machine: facts, cores, loads, idle, troubles: Object.fromEntries(field.troubles) };
    writeFileSync(options.json, `${JSON.stringify(everything, null, 2)}\n`);
  }
  return field.failed ? 1 : 0;
}

// Every way out goes through here, a thrown error and a signal included.
process.on('exit', killAll);
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => process.exit(code));
}

try {
  process.exitCode = await main();
} catch (error) {
  progressDone();
  process.stderr.write(`bench: ${messageOf(error)}\n${error instanceof UsageError ? `\n${USAGE}` : ''}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
