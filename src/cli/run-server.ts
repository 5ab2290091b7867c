import { systemCode } from '../base/errors.ts';
import type { Admin } from '../ops/admin.ts';
import type { Handler } from '../server/handler.ts';
import { createServer } from '../server/server.ts';
import { peerName } from '../server/verbose.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { openAdmin } from './admin/open-admin.ts';
import { developmentCertificate, withCertificate } from './development-certificate.ts';
import type { DevelopmentCertificate } from './development-certificate.ts';
import { explain } from './explain.ts';
import type { Gathered } from './gather-options.ts';
import { onHangUp } from './hang-up.ts';
import type { CommandIo } from './io.ts';
import { firstLine } from './load-module.ts';
import { Notices, ended } from './notices.ts';

/** What `serve` and `exec` run. */
export interface Running {
  readonly handler: Handler;
  /** As it reads before "on 127.0.0.1:7000": `serving chat.ts`. */
  readonly what: string;
  /** As it reads before "for 127.0.0.1:50123": `the handler failed`. */
  readonly failed: string;
  readonly gathered: Gathered;
  readonly io: CommandIo;
}

/** Runs a server until it has stopped, by a signal or otherwise. Says where it listens, what fails, and how it ended. */
export async function runServer({ handler, what, failed, gathered, io }: Running): Promise<void> {
  const { options } = gathered;
  const notices = new Notices(gathered, io);
  const certify = (): Promise<DevelopmentCertificate | null> => developmentCertificate(gathered);
  const certificate = await certify();
  const server = createServer(handler, {
    onError: (error, connection) => {
      const whose = connection === undefined ? '' : `${failed} for ${peerName(connection.remote)}: `;
      notices.warn(`${whose}${explain(error, notices.verbose)}`);
    },
    ...withCertificate(options, certificate),
  });
  // Whoever reads that it serves may connect, or send a signal, at once.
  server.on('state', (state, before) => {
    if (state === 'running' && before === 'starting') notices.listening(server, what, '', certificate);
  });
  const offHangUp = onHangUp(server, notices.warn, async () => {
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
  });
  let admin: Admin | null = null;
  try {
    admin = await openAdmin(server, what, gathered, notices);
    const ledger = await server.run({ onSignal: (signal, again) => again || notices.leaving(signal, server) });
    notices.warn(`stopped; ${ended(ledger)}`);
  } finally {
    offHangUp();
    await admin?.close();
  }
}
