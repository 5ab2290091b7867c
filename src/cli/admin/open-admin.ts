import { startAdmin } from '../../ops/admin.ts';
import type { Admin } from '../../ops/admin.ts';
import type { AuditEntry } from '../../ops/audit.ts';
import { subjectOf } from '../../ops/subject.ts';
import type { ParallelServer } from '../../parallel/parallel-server.ts';
import type { Server } from '../../server/server.ts';
import { formatAddress } from '../../transport/address.ts';
import type { Address } from '../../transport/address.ts';
import type { Gathered } from '../gather-options.ts';
import { quoted } from '../hints.ts';
import type { Notices } from '../notices.ts';
import { DEFAULT_ADMIN } from './endpoint.ts';
import { readToken } from './token-file.ts';

/** What the command line says of an admin endpoint. */
export interface AdminFlags {
  readonly admin: string;
  readonly adminTokenFile: string | undefined;
  readonly adminName: readonly string[] | undefined;
}

/** Opens the admin endpoint that was asked for, and says where it is; null when none was. `what`: what the server does, as in `serving chat.ts`. */
export async function openAdmin(
  server: Server | ParallelServer,
  what: string,
  { admin: flags }: Gathered,
  notices: Notices,
): Promise<Admin | null> {
  if (flags === null) return null;
  const { admin: listen, adminTokenFile: file, adminName: names } = flags;
  const subject = subjectOf(server, { name: what.replace(/^(serving|running) /u, '') });
  const token = file === undefined ? undefined : readToken(file, '--admin-token-file');
  const admin = await startAdmin(subject, {
    listen,
    token,
    names,
    log: (entry) => notices.warn(audited(entry)),
    onError: (error) => notices.warn(`the admin endpoint: ${error instanceof Error ? error.message : String(error)}`),
  });
  notices.say(whereTold(admin.address, file));
  return admin;
}

/** `admin on http://127.0.0.1:7001; look with: portside status` */
function whereTold(address: Address, tokenFile: string | undefined): string {
  const where = address.family === 'unix' ? address.path : formatAddress(address);
  const shown = address.family === 'unix' ? formatAddress(address) : `http://${where}`;
  const named = where === DEFAULT_ADMIN ? '' : ` --admin ${quoted(where)}`;
  const token = tokenFile === undefined ? '' : ` --token-file ${quoted(tokenFile)}`;
  return `admin on ${shown}; look with: portside status${named}${token}`;
}

/** `drain by 127.0.0.1:50123: draining` */
function audited({ action, peer, result, told }: AuditEntry): string {
  return `${action} by ${peer}${result === 'done' ? '' : ' was refused'}: ${told}`;
}
