import type { Ending } from '../server/drain.ts';
import type { ServerOptions } from '../server/options.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import type { DevelopmentCertificate } from './development-certificate.ts';
import { formatDuration } from './durations.ts';
import type { Gathered } from './gather-options.ts';
import { connectHint, secureAddresses } from './hints.ts';
import type { CommandIo } from './io.ts';

/** What the command says of a server, with one thread or with many. */
export class Notices {
  /** Whether stacks of errors are shown, beside the lines of steps. */
  readonly verbose: boolean;
  readonly #gathered: Gathered;
  readonly #io: CommandIo;

  constructor(gathered: Gathered, io: CommandIo) {
    this.verbose = (gathered.options.verbose ?? false) !== false;
    this.#gathered = gathered;
    this.#io = io;
  }

  readonly say = (text: string): void => this.#io.out(`portside: ${text}\n`);

  readonly warn = (text: string): void => this.#io.err(`portside: ${text}\n`);

  /** `what` listens, on all addresses, `how`: `serving chat.ts on 127.0.0.1:7000 with 2 workers; connect with: …`. */
  listening(server: Listening, what: string, how: string, certificate: DevelopmentCertificate | null): void {
    const { config, options } = this.#gathered;
    const { addresses, shutdownAddress } = server;
    if (config !== null) this.say(`options from ${config.name}`);
    if (certificate !== null) this.say(certificate.told);
    const secure = secureAddresses(options, addresses);
    for (const [i, address] of addresses.entries()) {
      const hint = connectHint(address, secure[i] === true, certificate?.file ?? null);
      this.say(`${what} on ${formatAddress(address)}${how}${hint === null ? '' : `; connect with: ${hint}`}`);
    }
    if (shutdownAddress === null) return;
    // A connection is enough, and nc would wait for its own input to end.
    const hint = connectHint(shutdownAddress, false, null)?.replace(/^nc /u, 'nc -z ');
    this.say(`any connection to ${formatAddress(shutdownAddress)} stops it${hint === undefined ? '' : `: ${hint}`}`);
  }

  /** A signal is about to begin its end. */
  leaving(signal: NodeJS.Signals, server: Leaving): void {
    const told = leaving(server);
    // Whoever reads it finds the port closed.
    queueMicrotask(() => this.warn(`${signal}, ${told}`));
  }
}

/** What listens. */
export interface Listening {
  readonly addresses: readonly Address[];
  readonly shutdownAddress: Address | null;
}

/** What comes to its end. */
export interface Leaving {
  readonly options: Pick<ServerOptions, 'lead'>;
  status(): { readonly active: number };
}

function leaving(server: Leaving): string {
  const { lead = 0 } = server.options;
  if (lead > 0) return `accepting for ${formatDuration(lead)} more; once more ends it at once`;
  const { active } = server.status();
  if (active === 0) return 'stopping';
  return `waiting for ${counted(active, 'connection')}; once more ends them`;
}

const ENDINGS: readonly Ending[] = ['finished', 'idle', 'forced', 'failed', 'detached'];

/** How connections ended: `3 connections: 1 finished, 2 idle`. */
export function ended(ledger: Readonly<Record<Ending | 'connections', number>>): string {
  const { connections } = ledger;
  if (connections === 0) return 'no connections were left';
  const parts = ENDINGS.filter((ending) => ledger[ending] > 0).map((ending) => `${ledger[ending]} ${ending}`);
  return `${counted(connections, 'connection')}: ${parts.join(', ')}`;
}

/** `1 worker`, `2 workers` */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
