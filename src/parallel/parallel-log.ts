import type { Logger } from '../server/logger.ts';
import { serverLogOf } from '../server/server-log.ts';
import type { ServerLog } from '../server/server-log.ts';
import type { Refusal } from '../server/refusal.ts';
import { verboseOf } from '../server/verbose.ts';
import type { Verbose } from '../server/verbose.ts';
import type { Clock } from '../sync/clock.ts';
import type { Address } from '../transport/address.ts';
import type { RelayedLines } from './log-relay.ts';
import type { ParallelOptions } from './options.ts';

/** What a worker has to write: a line of `verbose`, or lines of its log. */
export type WorkerLines = string | RelayedLines;

/** What a parallel listener writes: the lines of `verbose`, and those of its log, the workers' among them. */
export class ParallelLog {
  readonly #verbose: Verbose | null;
  readonly #log: ServerLog | null;
  readonly #lines: ((line: string) => void) | undefined;
  /** The loggers of the workers, by their index. */
  readonly #workers = new Map<number, Logger>();

  /** `failed` gets what can't be written. */
  constructor(options: ParallelOptions, clock: Clock, failed: (error: unknown) => void) {
    const { log, logger } = options;
    this.#verbose = verboseOf(options, failed);
    this.#log = serverLogOf(options, clock, failed);
    this.#lines = log ?? (logger === undefined ? undefined : (line) => logger.debug(line));
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
    const { remote: peer } = (error ?? {}) as { readonly remote?: unknown };
    const who = worker !== null && typeof peer === 'string' ? { peer } : {};
    this.#log?.failed(error, { fields: { ...(worker === null ? {} : { worker }), ...who } });
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

  /** What came from a worker. */
  take(told: WorkerLines): void {
    if (typeof told === 'string') return this.#lines?.(told);
    const log = this.#log;
    if (log === null) return;
    const { worker, lines, lost } = told;
    log.write(() => {
      let logger = this.#workers.get(worker);
      if (logger === undefined) {
        logger = log.logger.child({ worker });
        this.#workers.set(worker, logger);
      }
      for (const { level, fields, message } of lines) logger[level](fields, message);
    });
    if (lost > 0) log.lost(lost, { worker });
  }

  /** Tells the counts that are still to be told. */
  end(): void {
    this.#log?.end();
  }
}
