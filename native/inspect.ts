import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Libc } from '../src/transport/native/libc.ts';

/** The oldest glibc that the binaries promise to run on: that of RHEL 8, which Node's own binaries promise too. */
export const OLDEST_GLIBC = '2.28';

/** musl is its own dynamic loader. */
const muslItself = ['x86_64', 'aarch64'].map((arch) => `/lib/ld-musl-${arch}.so.1`).find((path) => existsSync(path));

function readelf(option: string, path: string): string {
  const { status, stdout, stderr } = spawnSync('readelf', ['-W', option, path], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`readelf ${option} ${path} failed: ${stderr}`);
  return stdout;
}

/** The names of a table of dynamic symbols, those that are needed or those that are defined. */
function symbols(path: string, needed: boolean): string[] {
  return readelf('--dyn-syms', path)
    .split('\n')
    .map((line) => line.trim().split(/\s+/u))
    .filter((words) => /^\d+:$/u.test(words[0] ?? '') && words[7] !== undefined && (words[6] === 'UND') === needed)
    .filter((words) => words[3] !== 'SECTION' && (words[4] !== 'WEAK' || !needed))
    .map((words) => words[7] as string);
}

function newer(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = than.split('.').map(Number);
  return major > otherMajor || (major === otherMajor && minor > otherMinor);
}

/**
 * Looks a binary over, and throws with all that is wrong: names that neither libc nor `node` has, a glibc that is too new, libraries
 * beside libc, exports beside what Node looks for, a stack that can be executed, a table of addresses that can be written. Says what
 * it needs in a few words. Names of musl are looked up where musl itself is installed.
 */
export function inspect(path: string, libc: Libc): string {
  const wrong: string[] = [];
  const dynamic = readelf('--dynamic', path);
  const libraries = [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/gu)].map((match) => match[1] as string);
  const allowed = libc === 'glibc' ? /^(?:libc\.so\.6|libpthread\.so\.0|ld-linux-.*\.so\.\d)$/u : /^libc\.so$/u;
  for (const library of libraries) if (!allowed.test(library)) wrong.push(`needs ${library}`);
  if (!/BIND_NOW|Flags:.*NOW/u.test(dynamic)) wrong.push('is bound lazily');
  if (!/NODELETE/u.test(dynamic)) wrong.push('can be unloaded');
  if (/TEXTREL/u.test(dynamic)) wrong.push('has code that is written to when it loads');

  const segments = readelf('--segments', path);
  if (!/GNU_RELRO/u.test(segments)) wrong.push('has no RELRO');
  if (!/GNU_STACK\s.*\sRW\s/u.test(segments)) wrong.push('has a stack that can be executed');

  const exported = symbols(path, false).filter(
    (name) => !/^(?:napi_register_module_v\d+|node_api_module_get_api_version_v1|_init|_fini)$/u.test(name),
  );
  if (exported.length > 0) wrong.push(`exports ${exported.join(', ')}`);

  const needed = symbols(path, true).filter((name) => !/^(?:napi|uv)_/u.test(name));
  let what = 'musl';
  if (libc === 'glibc') {
    const versions = needed.map((name) => /@GLIBC_([\d.]+)/u.exec(name)?.[1] ?? '');
    const foreign = needed.filter((_, at) => versions[at] === '');
    if (foreign.length > 0) wrong.push(`needs ${foreign.join(', ')}, which is not of glibc`);
    const newest = versions.reduce((most, version) => (newer(version, most) ? version : most), '0');
    if (newer(newest, OLDEST_GLIBC)) wrong.push(`needs glibc ${newest}, newer than ${OLDEST_GLIBC}`);
    what = `glibc ${newest}`;
    if (!needed.some((name) => name.startsWith('__stack_chk_'))) wrong.push('has no stack protector');
  } else if (muslItself !== undefined) {
    const known = new Set(symbols(muslItself, false));
    const foreign = needed.filter((name) => !known.has(name));
    if (foreign.length > 0) wrong.push(`needs ${foreign.join(', ')}, which is not of musl`);
  }
  if (wrong.length > 0) throw new Error(`${path} ${wrong.join('; ')}`);
  return what;
}
