import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { systemCode } from '../base/errors.ts';

/** Where a program is, or why there is none. */
export type FoundProgram =
  | { readonly kind: 'found'; readonly file: string }
  /** `why` reads as a sentence without its full stop. */
  | { readonly kind: 'missing'; readonly why: string };

/** Where the system looks when nobody says where; execvp(3). */
const DEFAULT_PATH = '/usr/local/bin:/bin:/usr/bin';

/**
 * The file that a command names, as execvp(3) finds it: a name with a slash is a path, from `folder` on; any other is looked up in the folders of `path`.
 * What is there and may not be executed is told as such, unless a later folder has one that may.
 */
export function findProgram(command: string, folder: string, path: string | undefined): FoundProgram {
  if (command.includes('/')) {
    const file = resolve(folder, command);
    const fault = faultOf(file);
    return fault === null ? { kind: 'found', file } : { kind: 'missing', why: `${file} ${fault}` };
  }
  let near: string | null = null;
  for (const each of (path ?? DEFAULT_PATH).split(delimiter)) {
    // An empty entry is the working directory, by execvp(3).
    const file = resolve(folder, each, command);
    const fault = faultOf(file);
    if (fault === null) return { kind: 'found', file };
    if (fault !== ABSENT) near ??= `${file} ${fault}`;
  }
  return { kind: 'missing', why: near ?? `there is no ${command} in the folders of PATH` };
}

const ABSENT = 'does not exist';

/** What keeps a file from being executed, or null. */
function faultOf(file: string): string | null {
  try {
    if (!statSync(file).isFile()) return 'is not a file';
    accessSync(file, constants.X_OK);
    return null;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return ABSENT;
    return code === 'EACCES' ? 'may not be executed by this user' : `can't be looked at (${code ?? 'UNKNOWN'})`;
  }
}
