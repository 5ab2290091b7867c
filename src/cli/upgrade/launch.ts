import { statSync } from 'node:fs';
import { systemCode } from '../../base/errors.ts';
import type { Launch } from './program.ts';

/**
 * How this very command line is run again, as it would be by hand: the same Node and script, by the paths that they were called by, so that what a symbolic link or a package leads to by
 * then is what is started; in the same working directory, likewise. `watchdog`: milliseconds in which the service manager wants to hear of it.
 */
export function launchOf(watchdog: number | null): Launch {
  const [, script = '', ...args] = process.argv;
  const env = { ...process.env };
  // They are the supervisor's, and are handed on by other names.
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'])
    Reflect.deleteProperty(env, name);
  return {
    command: process.execPath,
    args: [...process.execArgv, script, ...args],
    cwd: workingDirectory(),
    env,
    beat: watchdog === null ? null : Math.max(1, Math.floor(watchdog / 2)),
  };
}

/** As the shell calls it: with the symbolic links that are in it, where it is the same folder. */
function workingDirectory(): string {
  const cwd = process.cwd();
  const { PWD: named } = process.env;
  if (named === undefined || !named.startsWith('/')) return cwd;
  try {
    const [a, b] = [statSync(named, { bigint: true }), statSync(cwd, { bigint: true })];
    return a.dev === b.dev && a.ino === b.ino ? named : cwd;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return cwd;
  }
}
