/**
 * Runs the tests with the Node that runs this script: all of them, or the files, folders and patterns that are given. Options of
 * `node --test` are passed on. `--coverage` measures src/ and fails below the thresholds.
 *
 * With PORTSIDE_TEST_AGAIN=1, files that failed are run once more, one after the other on a machine that is quiet then; what
 * passes alone is told at the end and is no failure. For machines that are shared: a second failure is one.
 */
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { relative } from 'node:path';
import type { Failure } from './failures.ts';
import { environment, fileIn, run } from './tools.ts';

/** More files than these do not fail by chance. */
const MOST_AGAIN = 6;

const given = process.argv.slice(2);
const coverage = given.includes('--coverage');
const options = given.filter((word) => word.startsWith('-') && word !== '--coverage');
const files = given
  .filter((word) => !word.startsWith('-'))
  .map((word) => (statSync(fileIn(word), { throwIfNoEntry: false })?.isDirectory() ? `${word}/**/*.test.ts` : word));

if (coverage) {
  options.push('--experimental-test-coverage', '--test-coverage-include=src/**/*.ts');
  options.push('--test-coverage-lines=90', '--test-coverage-branches=85', '--test-coverage-functions=90');
}

/** What failed, or null when the runner itself did. */
async function failuresOf(concurrency: number, chosen: readonly string[]): Promise<readonly Failure[] | null> {
  const list = fileIn('build', `failures-${process.pid}.jsonl`);
  mkdirSync(fileIn('build'), { recursive: true });
  const args = [
    '--test',
    // Node 22 warns in every process that it strips types.
    '--disable-warning=ExperimentalWarning',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${fileIn('scripts', 'failures.ts')}`,
    `--test-reporter-destination=${list}`,
    `--test-concurrency=${concurrency}`,
    '--test-timeout=60000',
    ...options,
    ...chosen,
  ];
  console.log(`Node ${process.version}: node ${args.join(' ')}`);
  // Hundreds of processes load the same sources; where counts of coverage are exact, without a cache.
  const env = environment(coverage ? {} : { NODE_COMPILE_CACHE: fileIn('build', 'compile-cache') });
  try {
    const { ok } = await run(process.execPath, args, { cwd: fileIn(), limit: 8 * 60_000, output: 'show', env });
    if (ok) return [];
    const failures = readFileSync(list, 'utf8').trim().split('\n').filter(Boolean);
    return failures.length === 0 ? null : failures.map((line) => JSON.parse(line) as Failure);
  } finally {
    rmSync(list, { force: true });
  }
}

function tell(title: string, failures: readonly Failure[]): void {
  console.log(`\n${title}`);
  for (const { file, name, message } of failures) {
    const lines = message.split('\n').filter((line) => !line.includes('(node:') && !line.includes(' at node:'));
    const shown = lines.slice(0, 16).join('\n    ');
    console.log(`  ${relative(fileIn(), file)}: ${name}\n    ${shown}`);
  }
}

const first = await failuresOf(3, files.length > 0 ? files : ['test/**/*.test.ts']);
let failed = first === null || first.length > 0;
if (first !== null && failed) {
  tell('Failed:', first);
  const again = [...new Set(first.map(({ file }) => relative(fileIn(), file)))];
  if (process.env['PORTSIDE_TEST_AGAIN'] === '1' && !coverage && again.length <= MOST_AGAIN) {
    console.log('\nOnce more, alone:');
    const second = await failuresOf(1, again);
    failed = second === null || second.length > 0;
    if (second !== null && failed) tell('Failed alone, too:', second);
    if (!failed) tell('Failed beside others, and passed alone:', first);
  }
}
process.exitCode = failed ? 1 : 0;
