/**
 * Builds `build/native/portside.node` with the machine's C compiler (`CC`, or `cc`; `CFLAGS` are added). Without one it says so
 * in a line and exits with 0: the library then works on `node:net`. `--if-missing` leaves a binary alone that is newer than its
 * sources. With PORTSIDE_REQUIRE_NATIVE=1 nothing but a binary is good enough.
 */
import { existsSync, statSync } from 'node:fs';
import { built, compile, hardened, includes, sources, works } from './compile.ts';

function upToDate(): boolean {
  if (!existsSync(built)) return false;
  const time = statSync(built).mtimeMs;
  return sources.every((path) => statSync(path).mtimeMs <= time);
}

/** Why there is none, or undefined. */
function build(): string | undefined {
  if (process.platform !== 'linux') return `it is for Linux and this is ${process.platform}`;
  const include = includes();
  if (include === undefined) return 'node-api-headers is not installed';
  const compiler = process.env['CC'] || 'cc';
  if (!works(compiler)) return `there is no C compiler (${compiler})`;
  if (process.argv.includes('--if-missing') && upToDate()) return undefined;
  const flags = [...hardened, ...(process.env['CFLAGS']?.split(' ').filter(Boolean) ?? [])];
  return compile({ compiler, include, flags, target: built }) ? undefined : 'the compiler failed, see above';
}

const reason = build();
if (reason !== undefined) {
  process.stdout.write(`native core: not built, ${reason}; node:net is used\n`);
  if (process.env['PORTSIDE_REQUIRE_NATIVE'] === '1') process.exitCode = 1;
}
