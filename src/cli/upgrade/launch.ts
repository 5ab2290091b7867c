import { statSync } from 'node:fs';
import { systemCode } from '../../base/errors.ts';
import { findProgram } from '../find-program.ts';
import type { Launch } from './program.ts';

/**
 * How this very command line is run again, as it would be by hand: the same Node and script, by the paths that they were called by, so that what a symbolic link or a package leads to by
 * then is what is started; in the same working directory, likewise. `beat`: see {@link Launch}.
 */
export function launchOf(beat: number | null): Launch {
  const [, script = '', ...args] = process.argv;
  const env = { ...process.env };
  // They are the supervisor's, and are handed on by other names.
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'])
    Reflect.deleteProperty(env, name);
  const cwd = workingDirectory();
  return { command: node(cwd), args: [...process.execArgv, script, ...args], cwd, env, beat };
}

/** As it was called; `process.execPath` is where the symbolic links led to. */
function node(cwd: string): string {
  const found = findProgram(process.argv0, cwd, process.env['PATH']);
  return found.kind === 'found' && isSame(found.file, process.execPath) ? found.file : process.execPath;
}

/** As the shell calls it: with the symbolic links that are in it, where it is the same folder. */
function workingDirectory(): string {
  const cwd = process.cwd();
  const { PWD: named } = process.env;
  return named !== undefined && named.startsWith('/') && isSame(named, cwd) ? named : cwd;
}

/** Whether two paths lead to one file or folder. */
function isSame(one: string, other: string): boolean {
  try {
    const [a, b] = [statSync(one, { bigint: true }), statSync(other, { bigint: true })];
    return a.dev === b.dev && a.ino === b.ino;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}
