/**
 * Builds `build/native/portside.node` with the machine's C compiler (`CC`, or `cc`). Without one it says so in a line and
 * exits with 0: the library then works on `node:net`. `--if-missing` leaves a binary alone that is newer than its sources.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, '..', 'build', 'native', 'portside.node');
const sources = readdirSync(here).filter((name) => /\.[ch]$/u.test(name));
const flags = ['-shared', '-fPIC', '-O2', '-std=gnu11', '-fvisibility=hidden', '-Wall', '-Wextra', '-Werror'];

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function includes(): string | undefined {
  try {
    const headers = createRequire(import.meta.url)('node-api-headers') as { readonly include_dir: string };
    return headers.include_dir;
  } catch {
    return undefined;
  }
}

function upToDate(): boolean {
  if (!existsSync(target)) return false;
  const built = statSync(target).mtimeMs;
  return sources.every((name) => statSync(join(here, name)).mtimeMs <= built);
}

function build(): number {
  if (process.platform !== 'linux') {
    say(`native core: not built, it is for Linux and this is ${process.platform}; node:net is used`);
    return 0;
  }
  const compiler = process.env['CC'] ?? 'cc';
  const include = includes();
  if (include === undefined || spawnSync(compiler, ['--version'], { stdio: 'ignore' }).status !== 0) {
    say(
      `native core: not built, ${include === undefined ? 'node-api-headers is not installed' : `there is no C compiler (${compiler})`}; node:net is used`,
    );
    return 0;
  }
  if (process.argv.includes('--if-missing') && upToDate()) return 0;
  mkdirSync(dirname(target), { recursive: true });
  // A process that runs keeps the old file: the new one takes its name when it is whole.
  const fresh = `${target}.${process.pid}`;
  const files = sources.filter((name) => name.endsWith('.c')).map((name) => join(here, name));
  const args = [
    ...flags,
    ...(process.env['CFLAGS']?.split(' ').filter(Boolean) ?? []),
    '-I',
    include,
    '-o',
    fresh,
    ...files,
  ];
  const { status } = spawnSync(compiler, args, { stdio: 'inherit' });
  if (status !== 0) {
    rmSync(fresh, { force: true });
    say('native core: not built, the compiler failed, see above; node:net is used');
    return process.env['PORTSIDE_REQUIRE_NATIVE'] === '1' ? 1 : 0;
  }
  renameSync(fresh, target);
  return 0;
}

process.exitCode = build();
