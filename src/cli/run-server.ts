import type { Ledger } from '../server/drain.ts';
import type { Handler } from '../server/handler.ts';
import type { ServerOptions } from '../server/options.ts';
import { createServer } from '../server/server.ts';
import type { Server } from '../server/server.ts';
import { onSignals } from '../server/signals.ts';
import { peerName } from '../server/verbose.ts';
import { formatAddress } from '../transport/address.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { developmentCertificate } from './development-certificate.ts';
import type { DevelopmentCertificate } from './development-certificate.ts';
import { formatDuration } from './durations.ts';
import { explain } from './explain.ts';
import type { Gathered } from './gather-options.ts';
import { onHangUp } from './hang-up.ts';
import { connectHint, secureAddresses } from './hints.ts';
import type { CommandIo } from './io.ts';

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
  const { config, selfSigned } = gathered;
  const say = (text: string): void => io.out(`portside: ${text}\n`);
  const warn = (text: string): void => io.err(`portside: ${text}\n`);
  const verbose = isVerbose(gathered.options);
  const folder = typeof selfSigned === 'string' ? selfSigned : undefined;
  const certify = (): Promise<DevelopmentCertificate> => developmentCertificate(gathered.options, folder);
  const certificate = selfSigned === false ? null : await certify();
  const server = createServer(handler, {
    onError: (error, connection) => {
      const whose = connection === undefined ? '' : `${failed} for ${peerName(connection.remote)}: `;
      warn(`${whose}${explain(error, verbose)}`);
    },
    ...withCertificate(gathered.options, certificate),
  });
  // Whoever reads that it serves may connect, or send a signal, at once.
  server.on('state', (state, before) => {
    if (state !== 'running' || before !== 'starting') return;
    if (config !== null) say(`options from ${config.name}`);
    if (certificate !== null) say(certificate.told);
    announce(server, what, certificate, say);
  });
  const offHangUp = onHangUp(server, warn, async () => {
    if (certificate === null) return server.reloadTls();
    // In a folder it is made anew when its time has come, and in memory at once.
    const next = await certify();
    say(next.told);
    return server.reloadTls(withCertificate(gathered.options, next).tls as TlsServerOptions);
  });
  const offSignals = onSignals(
    ['SIGINT', 'SIGTERM'],
    (signal) => {
      const told = leaving(server);
      void server.drain();
      // Whoever reads it finds the port closed.
      warn(`${signal}, ${told}`);
    },
    () => void server.stop({ grace: 0 }),
  );
  try {
    const ledger = await server.run({ signals: [] });
    warn(`stopped; ${ended(ledger)}`);
  } finally {
    offSignals();
    offHangUp();
  }
}

/** Whether lines of steps are written, and stacks of errors. */
function isVerbose({ verbose = false }: Pick<ServerOptions, 'verbose'>): boolean {
  return verbose !== false;
}

function withCertificate(options: ServerOptions, certificate: DevelopmentCertificate | null): ServerOptions {
  if (certificate === null) return options;
  const { cert, key } = certificate;
  return { ...options, tls: { ...(options.tls as TlsServerOptions), cert, key } };
}

function announce(
  server: Server,
  what: string,
  certificate: DevelopmentCertificate | null,
  say: (text: string) => void,
): void {
  const { addresses, shutdownAddress, options } = server;
  const secure = secureAddresses(options, addresses);
  for (const [i, address] of addresses.entries()) {
    const hint = connectHint(address, secure[i] === true, certificate?.file ?? null);
    say(`${what} on ${formatAddress(address)}${hint === null ? '' : `; connect with: ${hint}`}`);
  }
  if (shutdownAddress === null) return;
  // A connection is enough, and nc would wait for its own input to end.
  const hint = connectHint(shutdownAddress, false, null)?.replace(/^nc /u, 'nc -z ');
  say(`any connection to ${formatAddress(shutdownAddress)} stops it${hint === undefined ? '' : `: ${hint}`}`);
}

function leaving(server: Server): string {
  const { lead = 0 } = server.options;
  if (lead > 0) return `accepting for ${formatDuration(lead)} more; once more ends it at once`;
  const { active } = server.status();
  if (active === 0) return 'stopping';
  return `waiting for ${active} ${active === 1 ? 'connection' : 'connections'}; once more ends them`;
}

const ENDINGS = ['finished', 'idle', 'forced', 'failed', 'detached'] as const;

/** `3 connections: 1 finished, 2 idle` */
function ended(ledger: Ledger): string {
  const { connections } = ledger;
  if (connections === 0) return 'no connections were left';
  const parts = ENDINGS.filter((ending) => ledger[ending] > 0).map((ending) => `${ledger[ending]} ${ending}`);
  return `${connections} ${connections === 1 ? 'connection' : 'connections'}: ${parts.join(', ')}`;
}
