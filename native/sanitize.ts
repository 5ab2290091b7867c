/**
 * `node native/sanitize.ts [--quick] [asan] [tsan] [valgrind]`: builds the core for checkers (all three if none is named), runs what is to be run under each
 * with the Node that runs this script, and fails with the checkers' reports of our code, or when a test fails.
 *
 *  - `asan`: AddressSanitizer and UndefinedBehaviorSanitizer; the core's own tests, conformance, attacks and a stampede.
 *  - `tsan`: ThreadSanitizer; all that moves between threads, the raw calls, and a stampede.
 *  - `valgrind`: Memcheck, leaks and descriptors included; `exercise.ts`.
 *
 * `--quick` runs of each what tells most, three quarters of a minute in all on two processors: it is what the gate has time for.
 *
 * Node itself is not instrumented: the runtimes of the sanitizers are preloaded, and see what our code does, and memory that is
 * handed to the system. `PORTSIDE_STAMPEDE_SECONDS` is 2 here if nothing is said, and 1 with `--quick`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { environment, run } from '../scripts/tools.ts';
import { compile, includes, root } from './compile.ts';

const kinds = ['asan', 'tsan', 'valgrind'] as const;
type Kind = (typeof kinds)[number];
type Sanitizer = Exclude<Kind, 'valgrind'>;

const debug = ['-g', '-O1', '-fno-omit-frame-pointer'];
const flags: Readonly<Record<Kind, readonly string[]>> = {
  asan: [...debug, '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  tsan: [...debug, '-fsanitize=thread'],
  valgrind: debug,
};

/** What runs under a sanitizer: `own` whole, and of `shared`, which runs on each transport, what is on the core. */
interface Load {
  readonly own: readonly string[];
  readonly shared: readonly string[];
}

const whole: Readonly<Record<Sanitizer, () => Load>> = {
  asan: () => ({
    own: [...testsIn('transport', /^native-(?!load)|^native\./u), ...testsIn('conformance', /native/u)],
    shared: [
      ...testsIn('conformance', /^cross/u),
      ...testsIn('attack', /./u),
      ...testsIn('parallel', /^hand-over\./u),
      ...testsIn('stampede', /./u),
    ],
  }),
  tsan: () => ({
    own: [...testsIn('transport', /^native-(?:passage|fuzz)/u), ...testsIn('conformance', /^native-passage/u)],
    shared: [...testsIn('parallel', /^hand-over(?:-life|-storm)?\./u), ...testsIn('stampede', /./u)],
  }),
};

const telling: Readonly<Record<Sanitizer, () => Load>> = {
  asan: () => ({
    own: [
      ...testsIn('transport', /^native(?:-batch|-fuzz|-listen|-steady|-passage|-passage-mailbox)?\./u),
      ...testsIn('conformance', /^native-(?:tcp|unix)/u),
    ],
    shared: [
      ...testsIn('conformance', /^cross/u),
      ...testsIn('attack', /^(?:descriptors|detach|floods|never-reads|resets|slow)\./u),
      ...testsIn('stampede', /./u),
    ],
  }),
  tsan: () => ({
    own: testsIn('transport', /^native-passage/u),
    shared: testsIn('parallel', /^hand-over-storm\./u),
  }),
};

/** Milliseconds for one program under a checker. */
const LIMIT = 150_000;

const words = process.argv.slice(2);
const quick = words.includes('--quick');
const named = kinds.filter((kind) => words.includes(kind));
const include = includes();
if (include === undefined || named.length + (quick ? 1 : 0) !== words.length) {
  console.error(include === undefined ? 'node-api-headers is not installed' : `say --quick and ${kinds.join(', ')}`);
  process.exit(2);
}
const chosen = named.length === 0 ? kinds : named;
const compiler = process.env['CC'] || 'gcc';
for (const kind of chosen) {
  rmSync(folderOf(kind), { recursive: true, force: true });
  mkdirSync(folderOf(kind), { recursive: true });
  if (!compile({ compiler, include, flags: flags[kind], target: binaryOf(kind) })) process.exit(1);
}
// Memcheck has one processor at most, and leaves the others to the rest.
const memcheck = chosen.includes('valgrind') ? check('valgrind') : null;
for (const kind of chosen) if (kind !== 'valgrind') await check(kind);
await memcheck;

async function check(kind: Kind): Promise<void> {
  const began = performance.now();
  const passed = await (kind === 'valgrind' ? underValgrind() : underSanitizer(kind));
  const folder = folderOf(kind);
  const reports = readdirSync(folder)
    .filter((name) => name.startsWith('report'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .flatMap((text) => (kind === 'valgrind' ? ofOurs(text) : [text]));
  for (const report of reports) console.error(report);
  const seconds = ((performance.now() - began) / 1_000).toFixed(0);
  if (passed && reports.length === 0) {
    console.log(`${kind}: nothing to report, in ${seconds} s`);
    return;
  }
  console.error(`${kind}: ${passed ? '' : 'what was run failed; '}${reports.length} reports, in ${seconds} s`);
  process.exitCode = 1;
}

async function underSanitizer(kind: Sanitizer): Promise<boolean> {
  const report = `log_path=${join(folderOf(kind), 'report')}`;
  const env = environment({
    PORTSIDE_NATIVE: binaryOf(kind),
    PORTSIDE_REQUIRE_NATIVE: '1',
    PORTSIDE_STAMPEDE_SECONDS: process.env['PORTSIDE_STAMPEDE_SECONDS'] ?? (quick ? '1' : '2'),
    // What Node leaves behind when it ends is not ours to free; leaks are valgrind's. It frees by `delete` what V8's allocator made by `malloc`.
    ASAN_OPTIONS: `detect_leaks=0:alloc_dealloc_mismatch=0:quarantine_size_mb=32:detect_stack_use_after_return=1:${report}`,
    UBSAN_OPTIONS: `print_stacktrace=1:${report}`,
    // Node's own locks can't be seen, as it is not instrumented.
    TSAN_OPTIONS: `ignore_noninstrumented_modules=1:report_signal_unsafe=0:history_size=4:${report}`,
    LD_PRELOAD: runtime(`lib${kind}.so`),
  });
  const { own, shared } = (quick ? telling : whole)[kind]();
  return (await underTest(own, env)) && underTest(['--test-name-pattern=native', ...shared], env);
}

async function underTest(args: readonly string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  const options = [
    '--test',
    '--test-reporter=dot',
    '--test-concurrency=2',
    '--test-timeout=60000',
    '--test-force-exit',
  ];
  // A fixed layout of the address space is what the shadows of the sanitizers need on some kernels.
  const command = ['-R', process.execPath, ...options, ...args];
  const { ok } = await run('setarch', command, { cwd: root, env, limit: LIMIT, output: 'show' });
  return ok;
}

async function underValgrind(): Promise<boolean> {
  const options = [
    '--smc-check=all-non-file',
    '--leak-check=full',
    '--show-leak-kinds=definite,indirect',
    '--track-fds=yes',
    '--keep-debuginfo=yes',
    '--fullpath-after=',
    '--num-callers=30',
    `--log-file=${join(folderOf('valgrind'), 'report')}`,
  ];
  const program = [process.execPath, '--liftoff-only', '--disable-warning=ExperimentalWarning'];
  const env = environment({ PORTSIDE_NATIVE: binaryOf('valgrind'), PORTSIDE_REQUIRE_NATIVE: '1' });
  const command = [...options, ...program, join(root, 'native', 'exercise.ts')];
  const { ok, output } = await run('valgrind', command, { cwd: root, env, limit: LIMIT });
  if (output !== '') console.error(output);
  return ok;
}

/** The test files of a room whose names fit; there has to be one. */
function testsIn(room: string, fits: RegExp): string[] {
  const path = join(root, 'test', room);
  const found = readdirSync(path).filter((name) => name.endsWith('.test.ts') && fits.test(name));
  if (found.length === 0) throw new Error(`no test in ${path} is called ${String(fits)}`);
  return found.map((name) => join(path, name));
}

/** What valgrind says about our code: the paragraphs that name one of its files. What Node does is Node's. */
function ofOurs(log: string): string[] {
  return log
    .split(/^==\d+== ?$/mu)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => paragraph.includes(join(root, 'native', '/')) && !/Command:/u.test(paragraph));
}

/** Where the compiler has a library that is to be preloaded. */
function runtime(library: string): string {
  const path = spawnSync(compiler, [`-print-file-name=${library}`], { encoding: 'utf8' }).stdout.trim();
  if (!existsSync(path)) throw new Error(`${compiler} has no ${library}`);
  return path;
}

function folderOf(kind: Kind): string {
  return join(root, 'build', 'sanitize', kind);
}

function binaryOf(kind: Kind): string {
  return join(folderOf(kind), 'portside.node');
}
