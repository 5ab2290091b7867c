/**
 * Everything that can be said about a change without running the suite: `npm run check [step …]`. Steps run side by side;
 * what a step prints is shown only when it fails.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileIn, run } from './tools.ts';

interface Step {
  readonly name: string;
  readonly after?: string;
  readonly command: readonly string[];
}

const pack = fileIn('build', 'pack');
const tarball = '<tarball>';
const steps: readonly Step[] = [
  { name: 'build', command: ['node', 'scripts/build.ts'] },
  { name: 'format', command: ['oxfmt', '--check'] },
  { name: 'lint', command: ['oxlint', '--deny-warnings'] },
  { name: 'types', command: ['tsc', '-p', '.'] },
  {
    name: 'house',
    command: ['node', '--test', '--test-reporter=dot', '--test-timeout=60000', 'test/house/*.test.ts'],
  },
  { name: 'knip', command: ['knip', '--no-progress', '--treat-config-hints-as-errors'] },
  { name: 'api', after: 'build', command: ['node', 'scripts/api.ts', '--check'] },
  {
    name: 'pack',
    after: 'build',
    command: ['npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', pack],
  },
  { name: 'publint', after: 'pack', command: ['publint', '--strict', tarball] },
  { name: 'attw', after: 'pack', command: ['attw', tarball, '--profile', 'esm-only', '--no-emoji'] },
];

rmSync(pack, { recursive: true, force: true });
mkdirSync(pack, { recursive: true });

const began = performance.now();
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0)
  throw new Error(`no step ${unknown.join(', ')}; there are ${steps.map((step) => step.name).join(', ')}`);

/** The steps that are wanted, and those that they come after. */
const chosen = new Set<string>(wanted.length > 0 ? wanted : steps.map((step) => step.name));
for (const step of steps.toReversed()) if (step.after !== undefined && chosen.has(step.name)) chosen.add(step.after);

const waiting = steps.filter((step) => chosen.has(step.name));
const passed = new Set<string>();
const failed = new Set<string>();
const running = new Set<Promise<void>>();
while (waiting.length > 0 || running.size > 0) {
  const next = waiting.findIndex(
    (step) => step.after === undefined || passed.has(step.after) || failed.has(step.after),
  );
  if (next !== -1 && running.size < Math.max(2, availableParallelism())) {
    const [step] = waiting.splice(next, 1) as [Step];
    const work = take(step).finally(() => running.delete(work));
    running.add(work);
  } else await Promise.race(running);
}
console.log(
  `${failed.size === 0 ? 'All well' : `Failed: ${[...failed].join(', ')}`} in ${seconds(performance.now() - began)}`,
);
if (failed.size > 0) process.exitCode = 1;

async function take(step: Step): Promise<void> {
  if (step.after !== undefined && failed.has(step.after)) {
    failed.add(step.name);
    console.log(`✗ ${step.name.padEnd(12)} needs ${step.after}`);
    return;
  }
  const [command, ...args] = step.command.map((word) => (word === tarball ? packed() : word)) as [string, ...string[]];
  const { ok, output, milliseconds } = await run(command, args);
  (ok ? passed : failed).add(step.name);
  console.log(
    `${ok ? '✓' : '✗'} ${step.name.padEnd(12)} ${seconds(milliseconds)}${ok ? '' : `\n${output.trimEnd()}\n`}`,
  );
}

function packed(): string {
  const found = readdirSync(pack).find((name) => name.endsWith('.tgz'));
  if (found === undefined) throw new Error('npm pack left no tarball');
  return fileIn('build', 'pack', found);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
