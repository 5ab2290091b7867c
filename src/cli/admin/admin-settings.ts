import type { Problem } from '../../base/options.ts';
import type { AdminConfig } from '../../parallel/config.ts';
import type { GivenFlags } from '../flag.ts';
import type { Layer } from '../merge-options.ts';

/** What is said of an admin endpoint. */
export interface AdminFlags {
  readonly admin: string;
  readonly adminTokenFile: string | undefined;
  readonly adminNames: readonly string[] | undefined;
  /** How the file of its token is told: as the flag or the option that gave it. */
  readonly tokenFrom: string;
}

/** The options that say something of an admin endpoint, which are the command's and not the server's. */
export const ADMIN_OPTIONS: readonly string[] = ['admin', 'adminTokenFile', 'adminNames'];

const NEEDS = 'needs --admin: an endpoint, as in 127.0.0.1:7001';

/**
 * The admin endpoint that the command line and the config file come to; null when there is none. A flag that says how it is where there is none ends by `wrong`.
 * `config`: the file's name, null without one.
 */
export function adminFlags(
  merged: Layer,
  given: GivenFlags,
  config: string | null,
  wrong: (text: string) => never,
): AdminFlags | null {
  const { admin, adminTokenFile, adminNames } = merged as AdminConfig;
  const how = ADMIN_OPTIONS.slice(1).map((option) => given.get(option)?.flag);
  const idle = how.find((flag) => flag !== undefined);
  if (idle !== undefined && (admin === undefined || admin === false)) wrong(`${idle} ${NEEDS}`);
  if (admin === undefined || admin === false) return null;
  const tokenFrom = given.get('adminTokenFile')?.flag ?? `${config ?? ''}: adminTokenFile`;
  return { admin, adminTokenFile, adminNames, tokenFrom };
}

/** What a config file says of an admin endpoint that there is none of. */
export function adminProblems(merged: Layer, given: GivenFlags): readonly Problem[] {
  if (merged['admin'] !== undefined) return [];
  return ADMIN_OPTIONS.slice(1)
    .filter((path) => merged[path] !== undefined && !given.has(path))
    .map((path) => ({ path, message: 'needs admin: an endpoint, as in 127.0.0.1:7001' }));
}
