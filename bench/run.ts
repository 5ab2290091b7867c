/** `npm run bench`: see README.md beside this file. */
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { killAll } from './harness/child.ts';
import { compileAll } from './harness/compile.ts';
import { comparisons, contendersOf } from './harness/contenders.ts';
import { Field, messageOf, type Bench } from './harness/field.ts';
import { idleTable, runIdle } from './harness/idle.ts';
import { loadTable, runLoad, type LoadPlan } from './harness/load.ts';
import { chooseCores, describeMachine, machine } from './harness/machine.ts';
import { parseOptions, USAGE, UsageError, type Options } from './harness/options.ts';
import { inSmoke, paceOf, type Pace } from './harness/pace.ts';
import { save, type Result } from './harness/results.ts';
import { suitesOf, type Suite } from './harness/suites.ts';
import { report } from './report/report.ts';

function progress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

function progressDone(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

function planOf(suite: Suite, pace: Pace): LoadPlan {
  const { title, role, size, depth, command } = suite;
  const mode = role === 'dispatch' ? 'accept' : role;
  if (mode === 'idle') throw new Error('idle is no load');
  return { mode, title, ...pace, size, depth, command };
}

/** Servers at a time in a smoke. */
const SMOKE_LANES = 3;

type Contenders = ReturnType<typeof contendersOf>;

/** Those of a suite that were asked for. */
function chosen(suite: Suite, options: Options, echoProgram: string): Contenders {
  const { only } = options;
  const every = contendersOf(suite.role, echoProgram, options.layers || only !== undefined);
  return only === undefined ? every : every.filter(({ name }) => only.includes(name));
}

/** Nobody may be asked for who is in none of the suites. */
function checkOnly(list: readonly Suite[], options: Options, echoProgram: string): void {
  const names = new Set(list.flatMap(({ role }) => contendersOf(role, echoProgram, true).map(({ name }) => name)));
  const unknown = options.only?.filter((name) => !names.has(name)) ?? [];
  if (unknown.length === 0) return;
  throw new UsageError(`there is no contender ${unknown.join(', ')}; there are ${[...names].join(', ')}`);
}

async function measure(
  suite: Suite,
  all: Contenders,
  options: Options,
  bench: Bench,
  facts: Result['machine'],
): Promise<Result> {
  const { field } = bench;
  const contenders = all.map(({ name, about, ours }) => ({ name, about, ours }));
  const names = contenders.map(({ name }) => name);
  const tell = (text: string): void => progress(`${suite.title}, ${text}`);
  const common = { suite, machine: facts, cores: bench.cores, contenders };
  const pace = paceOf(suite, options);
  const result: Result =
    suite.role === 'idle'
      ? { ...common, kind: 'idle', result: await runIdle(bench, { title: suite.title, ...pace }, tell), troubles: {} }
      : { ...common, kind: 'load', result: await runLoad(bench, planOf(suite, pace), tell), troubles: {} };
  progressDone();
  const text =
    result.kind === 'idle' ? idleTable(result.result, names) : loadTable(result.result, names, comparisons[suite.role]);
  process.stdout.write(`\n${text}\n`);
  for (const [name, why] of field.troubles) process.stdout.write(`- ${name} was left out: ${why}\n`);
  return { ...result, troubles: Object.fromEntries(field.troubles) };
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (options.report) {
    for (const file of await report()) process.stdout.write(`${file}\n`);
    return 0;
  }
  const named = options.works.flatMap((word) => suitesOf(word, options));
  const list = options.smoke ? named.filter(inSmoke) : named;
  const programs = compileAll();
  checkOnly(list, options, programs.echo);
  const facts = machine();
  // In a smoke several run at a time, and nobody looks at the figures.
  const lanes = options.smoke ? SMOKE_LANES : 1;
  const cores = options.smoke ? { server: undefined, load: undefined } : chooseCores();
  const pinned =
    cores.server === undefined ? 'not pinned' : `server on core ${cores.server}, load on core ${String(cores.load)}`;
  process.stdout.write(`${describeMachine(facts)}\n${pinned}; medians of the rounds, (least–most)\n`);
  const results: Result[] = [];
  let failed = false;
  for (const suite of list) {
    const contenders = chosen(suite, options, programs.echo);
    if (contenders.length === 0) continue;
    const field = new Field(contenders, options.only !== undefined, lanes);
    const result = await measure(suite, contenders, options, { programs, cores, field }, facts);
    results.push(result);
    failed ||= field.failed;
    if (options.save) save(result);
  }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
  return failed ? 1 : 0;
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
