/** Builds the C programs when they are older than their sources. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SOURCES: string = fileURLToPath(new URL('../c/', import.meta.url));
const OUT: string = fileURLToPath(new URL('../../build/bench/', import.meta.url));
const FLAGS: readonly string[] = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'];

export interface Programs {
  readonly load: string;
  readonly echo: string;
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function compile(program: string, sources: readonly string[], headers: readonly string[]): string {
  const path = OUT + program;
  const newest = Math.max(...[...sources, ...headers].map(modified));
  if (modified(path) > newest) return path;
  // Under another name first: a half-written program must not look up to date.
  const fresh = `${path}.${process.pid}`;
  try {
    execFileSync('gcc', [...FLAGS, '-o', fresh, ...sources], { stdio: ['ignore', 'inherit', 'inherit'] });
  } catch (cause) {
    throw new Error(`${program} could not be compiled; gcc is needed`, { cause });
  }
  renameSync(fresh, path);
  return path;
}

/** The paths of the load generator and the C echo server, compiled if need be. */
export function compileAll(): Programs {
  mkdirSync(OUT, { recursive: true });
  const names = readdirSync(SOURCES);
  const path = (name: string): string => SOURCES + name;
  const headers = names.filter((name) => name.endsWith('.h')).map(path);
  const load = names.filter((name) => /^load.*\.c$/u.test(name)).map(path);
  return { load: compile('load', load, headers), echo: compile('echo', [path('echo.c')], []) };
}
