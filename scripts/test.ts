/**
 * Runs the tests with the Node that runs this script: all of them, or the files, folders and patterns that are given. Options of
 * `node --test` are passed on. `--coverage` measures src/ and fails below the thresholds.
 */
import { statSync } from 'node:fs';
import { fileIn, run } from './tools.ts';

const given = process.argv.slice(2);
const options = given.filter((word) => word.startsWith('-') && word !== '--coverage');
const files = given
  .filter((word) => !word.startsWith('-'))
  .map((word) => (statSync(fileIn(word), { throwIfNoEntry: false })?.isDirectory() ? `${word}/**/*.test.ts` : word));

const args = [
  '--test',
  // Node 22 warns in every process that it strips types.
  '--disable-warning=ExperimentalWarning',
  '--test-reporter=spec',
  '--test-concurrency=3',
  '--test-timeout=60000',
];
if (given.includes('--coverage')) {
  args.push('--experimental-test-coverage', '--test-coverage-include=src/**/*.ts');
  args.push('--test-coverage-lines=90', '--test-coverage-branches=85', '--test-coverage-functions=90');
}
args.push(...options, ...(files.length > 0 ? files : ['test/**/*.test.ts']));

console.log(`Node ${process.version}: node ${args.join(' ')}`);
const { ok } = await run(process.execPath, args, { cwd: fileIn(), limit: 8 * 60_000, output: 'show' });
process.exitCode = ok ? 0 : 1;
