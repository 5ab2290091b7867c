/**
 * `node native/sanitize.ts asan|tsan|valgrind`: builds the core for a checker, runs what is to be run under it with the Node that
 * runs this script, and fails with the checker's reports of our code, or when a test fails.
 *
 *  - `asan`: AddressSanitizer and UndefinedBehaviorSanitizer; the core's own tests, conformance, attacks and a stampede.
 *  - `tsan`: ThreadSanitizer; all that moves between threads, the raw calls, and a stampede.
 *  - `valgrind`: Memcheck, leaks and descriptors included; `exercise.ts`.
 *
 * Node itself is not instrumented: the runtimes of the sanitizers are preloaded, and see what our code does, and memory that is
 * handed to the system. `PORTSIDE_STAMPEDE_SECONDS` is 2 here if nothing is said.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { environment, run } from '../scripts/tools.ts';
import { compile, includes, root } from './compile.ts';

const kinds = ['asan', 'tsan', 'valgrind'] as const;
type Kind = (typeof kinds)[number];

const debug = ['-g', '-O1', '-fno-omit-frame-pointer'];
const flags: Readonly<Record<Kind, readonly string[]>> = {
  asan: [...debug, '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  tsan: [...debug, '-fsanitize=thread'],
  valgrind: debug,
};

/** Milliseconds for one program under a checker. */
const LIMIT = 150_000;

const kind = kinds.find((name) => name === process.argv[2]);
const include = includes();
if (kind === undefined || include === undefined) {
  console.error(kind === undefined ? `say one of ${kinds.join(', ')}` : 'node-api-headers is not installed');
  process.exit(2);
}

const folder = join(root, 'build', 'sanitize', kind);
const target = join(folder, 'portside.node');
const compiler = process.env['CC'] || 'gcc';
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
if (!compile({ compiler, include, flags: flags[kind], target })) process.exit(1);

const began = performance.now();
const passed = kind === 'valgrind' ? await underValgrind() : await underSanitizer(kind);
const reports = readdirSync(folder)
  .filter((name) => name.startsWith('report'))
  .map((name) => readFileSync(join(folder, name), 'utf8'))
  .flatMap((text) => (kind === 'valgrind' ? ofOurs(text) : [text]));
for (const report of reports) console.error(report);
const seconds = ((performance.now() - began) / 1_000).toFixed(0);
if (passed && reports.length === 0) console.log(`${kind}: nothing to report, in ${seconds} s`);
else {
  console.error(`${kind}: ${passed ? '' : 'what was run failed; '}${reports.length} reports, in ${seconds} s`);
  process.exitCode = 1;
}

async function underSanitizer(name: 'asan' | 'tsan'): Promise<boolean> {
  const report = `log_path=${join(folder, 'report')}`;
  const env = environment({
    PORTSIDE_NATIVE: target,
    PORTSIDE_REQUIRE_NATIVE: '1',
    PORTSIDE_STAMPEDE_SECONDS: process.env['PORTSIDE_STAMPEDE_SECONDS'] ?? '2',
    // What Node leaves behind when it ends is not ours to free; leaks are valgrind's. It frees by `delete` what V8's allocator made by `malloc`.
    ASAN_OPTIONS: `detect_leaks=0:alloc_dealloc_mismatch=0:quarantine_size_mb=32:detect_stack_use_after_return=1:${report}`,
    UBSAN_OPTIONS: `print_stacktrace=1:${report}`,
    // Node's own locks can't be seen, as it is not instrumented.
    TSAN_OPTIONS: `ignore_noninstrumented_modules=1:report_signal_unsafe=0:history_size=4:${report}`,
    LD_PRELOAD: runtime(`lib${name}.so`),
  });
  const own = [...testsIn('transport', /^native-(?!load)|^native\./u), ...testsIn('conformance', /native/u)];
  const moving = [...testsIn('transport', /^native-(?:passage|fuzz)/u), ...testsIn('conformance', /^native-passage/u)];
  const shared =
    name === 'asan'
      ? [...testsIn('conformance', /^cross/u), ...testsIn('attack', /./u), ...testsIn('parallel', /^hand-over\./u)]
      : testsIn('parallel', /^hand-over(?:-life|-storm)?\./u);
  // Of tests that run on each transport, those on this one.
  const most = ['--test-name-pattern=native', ...shared, ...testsIn('stampede', /./u)];
  return (await underTest(name === 'asan' ? own : moving, env)) && underTest(most, env);
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
    `--log-file=${join(folder, 'report')}`,
  ];
  const program = [process.execPath, '--liftoff-only', '--disable-warning=ExperimentalWarning'];
  const env = environment({ PORTSIDE_NATIVE: target, PORTSIDE_REQUIRE_NATIVE: '1' });
  const command = [...options, ...program, join(root, 'native', 'exercise.ts')];
  const { ok } = await run('valgrind', command, { cwd: root, env, limit: LIMIT, output: 'show' });
  return ok;
}

/** The test files of a room whose names fit. */
function testsIn(room: string, fits: RegExp): string[] {
  const path = join(root, 'test', room);
  return readdirSync(path)
    .filter((name) => name.endsWith('.test.ts') && fits.test(name))
    .map((name) => join(path, name));
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
