import { systemCode } from '../base/errors.ts';
import type { Admin } from '../ops/admin.ts';
import type { Handler } from '../server/handler.ts';
import { createServer } from '../server/server.ts';
import { peerName } from '../server/verbose.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { openAdmin } from './admin/open-admin.ts';
import { developmentCertificate, withCertificate } from './development-certificate.ts';
import type { DevelopmentCertificate } from './development-certificate.ts';
import type { Gathered } from './gather-options.ts';
import { onHangUp } from './hang-up.ts';
import type { CommandIo } from './io.ts';
import { firstLine } from './load-module.ts';
import { Notices, ended } from './notices.ts';
import { manage, reloading } from './upgrade/manage.ts';
import type { Manager } from './upgrade/manager.ts';

/** What `serve` and `exec` run. */
export interface Running {
  readonly handler: Handler;
  /** As it reads before "on 127.0.0.1:7000": `serving chat.ts`. */
  readonly what: string;
  /** As it reads before "for 127.0.0.1:50123": `the handler failed`. */
  readonly failed: string;
  readonly gathered: Gathered;
  readonly manager: Manager;
  readonly io: CommandIo;
}

/** Runs a server until it has stopped, by a signal or otherwise. Says where it listens, what fails, and how it ended. */
export async function runServer({ handler, what, failed, gathered, manager, io }: Running): Promise<void> {
  const { options } = gathered;
  const notices = new Notices(gathered, io);
  const certify = (): Promise<DevelopmentCertificate | null> => developmentCertificate(gathered);
  const certificate = await certify();
  const server = createServer(handler, withCertificate(options, certificate));
  // Others hear of it too, as they would not by an `onError`.
  server.on('error', (error, connection) => {
    const whose = connection === undefined ? '' : `${failed} for ${peerName(connection.remote)}: `;
    notices.failed(error, '', whose);
  });
  // Whoever reads that it serves may connect, or send a signal, at once.
  server.on('state', (state, before) => {
    if (state === 'running' && before === 'starting') notices.listening(server, what, '', certificate);
  });
  let admin: Admin | null = null;
  manage(server, manager, what, notices, () => admin?.close());
  const renew = async (): Promise<string> => {
    try {
      // In a folder it is made anew when its time has come, and in memory at once.
      const next = await certify();
      if (next !== null) notices.say(next.told);
      await server.reloadTls(next === null ? undefined : (withCertificate(options, next).tls as TlsServerOptions));
      return 'certificates were read anew';
    } catch (error) {
      const none = systemCode(error) === 'ERR_PORTSIDE_STATE';
      return `and ${none ? 'nothing to read anew' : 'what was in use stays'}: ${firstLine(error)}`;
    }
  };
  const offHangUp = onHangUp(server, notices.note, () => reloading(server, manager, what, renew));
  try {
    admin = await openAdmin(server, what, gathered, notices, manager.upgrade);
    const ledger = await server.run({ onSignal: (signal, again) => again || notices.leaving(signal, server) });
    notices.end();
    notices.note(`stopped; ${ended(ledger)}`);
  } finally {
    offHangUp();
    await admin?.close();
    await manager.close();
  }
}
