import { autoTransport } from '../net/transports.ts';
import type { Ending } from '../server/drain.ts';
import { visible } from '../server/log-text.ts';
import type { ServerOptions } from '../server/options.ts';
import { Repeats, kindOfError } from '../server/repeats.ts';
import { systemClock } from '../sync/clock.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import type { DevelopmentCertificate } from './development-certificate.ts';
import { formatDuration } from './durations.ts';
import { explain } from './explain.ts';
import type { Gathered } from './gather-options.ts';
import { connectHint, secureAddresses } from './hints.ts';
import type { CommandIo } from './io.ts';

/** Characters of a notice. */
const LONGEST = 16_384;

/** How an error is told, the first time and then. */
interface Failure {
  readonly first: string;
  readonly again: string;
}

/** What the command says of a server, with one thread or with many. */
export class Notices {
  /** Whether stacks of errors are shown, beside the lines of steps. */
  readonly verbose: boolean;
  readonly #gathered: Gathered;
  readonly #io: CommandIo;
  readonly #failures: Repeats<Failure>;

  constructor(gathered: Gathered, io: CommandIo) {
    this.verbose = (gathered.options.verbose ?? false) !== false;
    this.#gathered = gathered;
    this.#io = io;
    this.#failures = new Repeats(systemClock, (what, repeated) => this.#failed(what, repeated));
  }

  /** What is good to know, on standard output. */
  readonly say = (text: string): void => {
    const { log } = this.#gathered;
    if (log.words) this.#io.out(`portside: ${text}\n`);
    else log.say('info', text);
  };

  /** What happens, on standard error. */
  readonly note = (text: string, fields?: object): void => this.#tell('info', text, fields);

  /** What somebody should look at. */
  readonly warn = (text: string): void => this.#tell('warn', text);

  /** An error that the log tells too, where it is not words: `whose` handler it was, and in which worker. The same many times in a second is told once, and how often. */
  failed(error: unknown, where: string, whose: string): void {
    if (!this.#gathered.log.words) return;
    const text = explain(error, this.verbose);
    this.#failures.tell(`${where}${kindOfError(error)}`, () => ({
      first: `${where}${whose}${text}`,
      again: `${where}${text}`,
    }));
  }

  /** Says what is still to be said. */
  end(): void {
    this.#failures.end();
  }

  #tell(level: 'info' | 'warn', text: string, fields?: object): void {
    const { log } = this.#gathered;
    if (log.words) this.#io.err(`portside: ${harmless(text)}\n`);
    else log.say(level, text, fields);
  }

  #failed(what: Failure | null, repeated: number): void {
    const times = repeated === 1 ? 'once more' : `${repeated} times more`;
    if (repeated === 0) this.warn(what?.first ?? '');
    else this.warn(`${times} within a second: ${what?.again ?? 'errors of other kinds'}`);
  }

  /** `what` listens, on all addresses, `how`: `serving chat.ts on 127.0.0.1:7000 with 2 workers; connect with: …`. */
  listening(server: Listening, what: string, how: string, certificate: DevelopmentCertificate | null): void {
    const { config, options } = this.#gathered;
    const { addresses, shutdownAddress } = server;
    if (config !== null) this.say(`options from ${config.name}`);
    if (certificate !== null) this.say(certificate.told);
    if (this.verbose) this.#transport(server);
    const secure = secureAddresses(options, addresses);
    for (const [i, address] of addresses.entries()) {
      const hint = connectHint(address, secure[i] === true, certificate?.file ?? null);
      this.say(`${what} on ${formatAddress(address)}${how}${hint === null ? '' : `; connect with: ${hint}`}`);
    }
    if (shutdownAddress !== null) {
      // A connection is enough, and nc would wait for its own input to end.
      const hint = connectHint(shutdownAddress, false, null)?.replace(/^nc /u, 'nc -z ');
      this.say(`any connection to ${formatAddress(shutdownAddress)} stops it${hint === undefined ? '' : `: ${hint}`}`);
    }
  }

  #transport(server: Listening): void {
    const { transport: asked = 'auto' } = this.#gathered.options;
    const { transport } = server.status();
    this.say(`transport ${transport}${asked === 'auto' ? `: ${autoTransport().why}` : ', as was asked for'}`);
  }

  /** A signal is about to begin its end. */
  leaving(signal: NodeJS.Signals, server: Leaving): void {
    const told = leaving(server);
    // Whoever reads it finds the port closed.
    queueMicrotask(() => this.note(`${signal}, ${told}`));
  }
}

/** A text that may have words of strangers in it: none of its characters steers the terminal, and none of its lines looks like one of ours. */
function harmless(text: string): string {
  const [first = '', ...more] = text.slice(0, LONGEST).split('\n').map(visible);
  return [first, ...more.map((line) => (/^portside:|^\[|^\{/u.test(line) ? `    ${line}` : line))].join('\n');
}

/** What listens. */
export interface Listening {
  readonly addresses: readonly Address[];
  readonly shutdownAddress: Address | null;
  status(): { readonly transport: string };
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
