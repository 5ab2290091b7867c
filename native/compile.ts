import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** The root of the checkout. */
export const root: string = join(here, '..');

/** Where the binary of the checkout is. */
export const built: string = join(root, 'build', 'native', 'portside.node');

/** All C files, and those that they include. */
export const sources: readonly string[] = readdirSync(here)
  .filter((name) => /\.[ch]$/u.test(name))
  .map((name) => join(here, name));

/** What every build is compiled with. A warning is an error. It is never unloaded: its threads come and go, and what they share stays. */
const common: readonly string[] = [
  '-shared',
  '-fPIC',
  '-std=gnu11',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  '-Wshadow',
  '-Wvla',
  '-Wformat=2',
  '-Wpointer-arith',
  '-Wstrict-prototypes',
  '-Wmissing-prototypes',
  '-Werror',
  '-Wl,-z,nodelete',
];

/**
 * What the binary that people run is compiled with: overflows of C's own buffers end the process, the stack is guarded and probed, addresses of functions can't be overwritten,
 * the stack can't be executed, and a symbol that is missing is found when it loads, not when it is called.
 */
export const hardened: readonly string[] = [
  '-O2',
  '-fno-plt',
  '-fstack-protector-strong',
  '-fstack-clash-protection',
  '-Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3',
  '-Wl,-z,relro,-z,now,-z,noexecstack',
];

/** The folder of Node's headers, or undefined where they are not installed. */
export function includes(): string | undefined {
  try {
    const headers = createRequire(import.meta.url)('node-api-headers') as { readonly include_dir: string };
    return headers.include_dir;
  } catch {
    return undefined;
  }
}

/** Whether there is such a compiler. */
export function works(compiler: string): boolean {
  return spawnSync(compiler, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** What is compiled, by whom, and to where. */
export interface Compilation {
  readonly compiler: string;
  readonly include: string;
  readonly flags: readonly string[];
  readonly target: string;
}

/** Compiles the core. Whether it went well; what the compiler says is shown. */
export function compile({ compiler, include, flags, target }: Compilation): boolean {
  mkdirSync(dirname(target), { recursive: true });
  // A process that runs keeps the old file: the new one takes its name when it is whole.
  const fresh = `${target}.${process.pid}`;
  const files = sources.filter((path) => path.endsWith('.c'));
  const { status } = spawnSync(compiler, [...common, ...flags, '-isystem', include, '-o', fresh, ...files], {
    stdio: 'inherit',
  });
  if (status !== 0) {
    rmSync(fresh, { force: true });
    return false;
  }
  renameSync(fresh, target);
  return true;
}
