import type { ServerOptions } from './options.ts';
import type { CloseReason } from '../net/close-reason.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import { logText } from './log-text.ts';
import { messageOf } from './log-value.ts';
import { isThenable } from './protocol-consumer.ts';
import type { Refusal } from './refusal.ts';
import type { Served } from './served.ts';

/** Characters of a line. */
const LONGEST = 4_096;

/** Says each step of a connection's life in a line. */
export class Verbose {
  readonly #prefix: string;
  readonly #log: (line: string) => unknown;
  readonly #fail: (error: unknown) => void;
  /** Whether the last line could not be written. */
  #broken = false;

  /** `fail` gets what `log` throws, once until a line was written again. */
  constructor(verbose: true | string, log: (line: string) => unknown, fail: (error: unknown) => void) {
    this.#prefix = verbose === true ? 'portside' : verbose;
    this.#log = log;
    this.#fail = fail;
  }

  waiting(addresses: readonly Address[]): void {
    this.#say(`waiting for connections on ${addresses.map((address) => formatAddress(address)).join(', ')}`);
  }

  accepted({ id, connection }: Served): void {
    this.#say(`#${id} accepted from ${peerName(connection.remote)}`);
  }

  started({ id, connection }: Served, running: number): void {
    const { proxy } = connection;
    this.#say(`#${id} started${proxy === null ? '' : ` for ${peerName(connection.remote)}`} (${running} running)`);
  }

  closed({ id, connection }: Served, reason: CloseReason, took: number): void {
    const { bytesRead, bytesWritten } = connection;
    this.#say(
      `#${id} closed: ${describeReason(reason)}; ${bytesRead} bytes in, ${bytesWritten} out, ${Math.round(took)} ms`,
    );
  }

  refused(remote: Address, refusal: Refusal): void {
    this.#say(`refused ${peerName(remote)}: ${refusal.kind}`);
  }

  detached({ id }: Served): void {
    this.#say(`#${id} given away by its handler`);
  }

  handedOver({ id }: Served, worker: number): void {
    this.#say(`#${id} handed over to worker ${worker}`);
  }

  note(what: string): void {
    this.#say(what);
  }

  #say(text: string): void {
    // Names and messages may come from strangers.
    this.write(`[${this.#prefix}] ${logText(text, LONGEST)}`);
  }

  /** A line as it is. */
  write(line: string): void {
    try {
      const done = this.#log(line);
      if (isThenable(done))
        done.then(
          () => this.#wrote(),
          (error: unknown) => this.#lost(error),
        );
      else this.#wrote();
    } catch (error) {
      this.#lost(error);
    }
  }

  #wrote(): void {
    this.#broken = false;
  }

  #lost(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#fail(error);
  }
}

/** A peer, as a reader knows it: one behind a Unix socket has no name. */
export function peerName(remote: Address): string {
  return remote.family === 'unix' && remote.path === '' ? 'a local client' : formatAddress(remote);
}

/** Why a connection is over, in a few words. */
export function describeReason(reason: CloseReason): string {
  switch (reason.kind) {
    case 'ended':
      return 'both sides ended';
    case 'closed':
      return 'closed here';
    case 'dropped':
      return `closed here with ${reason.unsent} bytes unsent`;
    case 'aborted':
      return reason.cause instanceof Error ? `aborted: ${messageOf(reason.cause)}` : 'aborted';
    case 'reset':
      return 'reset by the peer';
    case 'failed':
    case 'handshake':
      return reason.error.message;
    case 'write-overflow':
      return `${reason.queued} bytes of output were queued`;
    case 'released':
      return 'given to another owner';
    case 'timeout':
      return `${reason.deadline === 'firstByte' ? 'first byte' : reason.deadline} deadline of ${reason.after} ms`;
    case 'drained':
      return reason.idle ? 'idle at the end of the server' : 'forced at the end of the server';
    case 'refused':
      return `refused: ${reason.refusal.kind}`;
  }
}

/** What writes the lines that options ask for; null for none. */
export function verboseOf(
  { verbose = false, log, logger }: Pick<ServerOptions, 'verbose' | 'log' | 'logger'>,
  failed: (error: unknown) => void,
): Verbose | null {
  const lines = log ?? (logger === undefined ? undefined : (line: string): void => logger.debug(line));
  return verbose === false || lines === undefined ? null : new Verbose(verbose, lines, failed);
}
