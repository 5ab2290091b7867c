/**
 * `node native/prebuild.ts [target …]`: makes `prebuilds/<platform>-<arch>-<libc>/portside.node`, what the published package
 * brings along: for this machine, and for every other target that a compiler is here for (Debian's gcc-aarch64-linux-gnu and
 * musl-tools). Targets that are named have to succeed. Each binary is inspected: it needs nothing but old names of libc and what
 * `node` exports, and is hardened.
 */
import { rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { libcOf } from '../src/transport/native/libc.ts';
import { compile, hardened, includes, root, works } from './compile.ts';
import { inspect } from './inspect.ts';

interface Target {
  readonly name: string;
  readonly compilers: readonly string[];
  /** What the architecture offers against jumps to where nobody should jump. */
  readonly flags: readonly string[];
}

const x64 = ['-fcf-protection'];
const arm64 = ['-mbranch-protection=standard'];
const targets: readonly Target[] = [
  { name: 'linux-x64-glibc', compilers: ['x86_64-linux-gnu-gcc'], flags: x64 },
  { name: 'linux-arm64-glibc', compilers: ['aarch64-linux-gnu-gcc'], flags: arm64 },
  {
    name: 'linux-x64-musl',
    compilers: ['x86_64-linux-musl-gcc', ...(process.arch === 'x64' ? ['musl-gcc'] : [])],
    flags: x64,
  },
  {
    name: 'linux-arm64-musl',
    compilers: ['aarch64-linux-musl-gcc', ...(process.arch === 'arm64' ? ['musl-gcc'] : [])],
    flags: arm64,
  },
];

const own = `${process.platform}-${process.arch}-${libcOf(process.execPath)}`;
const folder = join(root, 'prebuilds');
const include = includes();
if (include === undefined) throw new Error('node-api-headers is not installed');

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !targets.some((target) => target.name === name));
if (unknown.length > 0) {
  throw new Error(`no target ${unknown.join(', ')}; there are ${targets.map(({ name }) => name).join(', ')}`);
}
if (wanted.length === 0) rmSync(folder, { recursive: true, force: true });
let made = 0;
for (const { name, compilers, flags } of targets) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const candidates = name === own ? [process.env['CC'] || 'cc', ...compilers] : compilers;
  const compiler = candidates.find((candidate) => works(candidate));
  if (compiler === undefined) {
    if (wanted.includes(name) || name === own) throw new Error(`${name}: there is no ${candidates.join(' or ')}`);
    console.log(`${name}: not made, there is no ${candidates.join(' or ')}`);
    continue;
  }
  const target = join(folder, name, 'portside.node');
  if (!compile({ compiler, include, flags: [...hardened, ...flags, '-s'], target }))
    throw new Error(`${name}: not made`);
  const needs = inspect(target, name.endsWith('musl') ? 'musl' : 'glibc');
  console.log(`${name}: ${relative(root, target)}, ${Math.ceil(statSync(target).size / 1024)} KB, needs ${needs}`);
  made += 1;
}
if (made === 0) throw new Error('nothing was made');
