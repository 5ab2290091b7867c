import { PortsideError } from '../../base/errors.ts';
import { startAdmin } from '../../ops/admin.ts';
import type { Admin } from '../../ops/admin.ts';
import type { AuditEntry } from '../../ops/audit.ts';
import { metricsOf } from '../../ops/metrics.ts';
import { statusPage } from '../../ops/page.ts';
import { subjectOf } from '../../ops/subject.ts';
import type { Subject } from '../../ops/subject.ts';
import type { ParallelServer } from '../../parallel/parallel-server.ts';
import type { Server } from '../../server/server.ts';
import { formatAddress } from '../../transport/address.ts';
import type { Address } from '../../transport/address.ts';
import type { Gathered } from '../gather-options.ts';
import { quoted } from '../hints.ts';
import type { Notices } from '../notices.ts';
import type { Manager } from '../upgrade/manager.ts';
import { DEFAULT_ADMIN } from './endpoint.ts';
import { readToken } from './token-file.ts';

/** Opens the admin endpoint that was asked for, and says where it is; null when none was. `what`: what the server does, as in `serving chat.ts`. */
export async function openAdmin(
  server: Server | ParallelServer,
  what: string,
  { admin: flags }: Gathered,
  notices: Notices,
  upgrade: Manager['upgrade'] = null,
): Promise<Admin | null> {
  if (flags === null) return null;
  const { admin: listen, adminTokenFile: file, adminNames: names, tokenFrom } = flags;
  const subject = subjectOf(server, { name: what.replace(/^(serving|running) /u, ''), upgrade: askedFor(upgrade) });
  const token = file === undefined ? undefined : readToken(file, tokenFrom);
  const admin = await startAdmin(subject, {
    listen,
    token,
    names,
    metrics: metricsOf(subject),
    page: statusPage,
    log: (entry) => notices.note(audited(entry), { audit: entry }),
    onError: (error) => notices.warn(`the admin endpoint: ${error instanceof Error ? error.message : String(error)}`),
  });
  notices.say(whereTold(admin.address, listen, file));
  return admin;
}

/** An upgrade as something that is done, or fails. */
function askedFor(upgrade: Manager['upgrade']): Subject['upgrade'] {
  if (upgrade === null) return undefined;
  return async () => {
    const result = await upgrade();
    if (result.ok) return result;
    throw new PortsideError(result.code, result.why, { op: 'upgrade' });
  };
}

/** `admin on http://127.0.0.1:7001; look with: portside status` */
function whereTold(address: Address, listen: string, tokenFile: string | undefined): string {
  const token = tokenFile === undefined ? '' : ` --token-file ${quoted(tokenFile)}`;
  // Of a Unix domain socket that was handed over, only who made it knows the path.
  if (address.family === 'unix' && address.path === '')
    return `admin on ${listen}; look with: portside status --admin <its path>${token}`;
  const where = address.family === 'unix' ? address.path : formatAddress(address);
  const shown = address.family === 'unix' ? formatAddress(address) : `http://${where}`;
  const named = where === DEFAULT_ADMIN ? '' : ` --admin ${quoted(where)}`;
  return `admin on ${shown}; look with: portside status${named}${token}`;
}

/** `drain by 127.0.0.1:50123: draining` */
function audited({ action, peer, result, told }: AuditEntry): string {
  return `${action} by ${peer}${result === 'done' ? '' : ' was refused'}: ${told}`;
}
