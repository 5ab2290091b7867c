import { VARIABLE } from './protocol.ts';

/**
 * Whether a command line is for a supervisor, as far as can be told from the words alone; the command finds out what can't. Words behind a program that `exec` is given without `--` may be
 * the program's.
 */
export function isForSupervisor(args: readonly string[], env: NodeJS.ProcessEnv): boolean {
  const [name = ''] = args;
  const end = args.indexOf('--');
  const sure = name === 'serve' || (name === 'exec' && end !== -1);
  const own = end === -1 ? args : args.slice(0, end);
  return sure && own.includes('--upgradable') && env[VARIABLE] === undefined;
}
