import { serverLogOf } from '../server/server-log.ts';
import type { ServerLog } from '../server/server-log.ts';
import type { Refusal } from '../server/refusal.ts';
import { verboseOf } from '../server/verbose.ts';
import type { Verbose } from '../server/verbose.ts';
import type { Clock } from '../sync/clock.ts';
import type { Address } from '../transport/address.ts';
import { defined } from './defined.ts';
import type { RelayedLines } from './log-relay.ts';
import type { ParallelOptions } from './options.ts';
import { peerOf } from './remote-error.ts';

/** What a parallel listener writes: the lines of `verbose`, and those of its log, the workers' among them. */
export class ParallelLog {
  readonly #verbose: Verbose | null;
  readonly #log: ServerLog | null;

  /** `failed` gets what can't be written. */
  constructor(options: ParallelOptions, clock: Clock, failed: (error: unknown) => void) {
    this.#verbose = verboseOf(options, failed);
    this.#log = serverLogOf(options, clock, failed);
  }

  refused(remote: Address, refusal: Refusal): void {
    this.#verbose?.refused(remote, refusal);
    this.#log?.refused(remote, refusal);
  }

  trouble(error: Error, worker: number | null): void {
    if (worker === null) this.#verbose?.note(`accepting met ${error.message}`);
    this.#log?.trouble(error, worker === null ? {} : { worker });
  }

  /** What went wrong, where nobody else hears of it. */
  failed(error: unknown, worker: number | null): void {
    const peer = peerOf(error);
    this.#log?.failed(error, { fields: defined({ worker: worker ?? undefined, peer }) });
  }

  /** So many more went wrong in a worker, too many to be told one by one. */
  untold(count: number): void {
    if (count > 0 && this.#log !== null) this.#log.further(count);
  }

  /** Watched certificates were read anew, or could not be. */
  reloaded(error: Error | null): void {
    const what = error === null ? 'certificates were read anew' : `certificates were not taken up: ${error.message}`;
    this.#verbose?.note(what);
    if (error === null) this.#log?.note(what);
  }

  /** What came from a worker; its lines have its index already. */
  take({ worker, lines, lost }: RelayedLines): void {
    const log = this.#log;
    for (const line of lines) {
      if (typeof line === 'string') this.#verbose?.write(line);
      else log?.write(() => log.logger[line.level](line.fields, line.message));
    }
    if (lost === 0) return;
    if (log === null) this.#verbose?.note(`${lost} lines of worker ${worker} were lost`);
    else log.lost(lost, { worker });
  }

  /** Tells the counts that are still to be told. */
  end(): void {
    this.#log?.end();
  }
}
