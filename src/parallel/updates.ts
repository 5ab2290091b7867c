import type { ServerChanges } from '../server/options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { unwatched } from './certificates.ts';
import { holders } from './connections.ts';
import type { Crew } from './crew.ts';
import type { CrewWorker } from './crew-worker.ts';
import { defined } from './defined.ts';
import { WorkerError } from './worker-error.ts';

/** What is changed while workers serve: told to those who have connections, and to each that serves later, which may have been starting when it was changed. */
export class Updates {
  readonly #crew: Crew;
  readonly #failed: (error: unknown, worker: number) => void;
  /** All changes together; null: none yet. */
  #changes: ServerChanges | null = null;
  /** The certificates that were given last, null for those of the options; undefined: nothing was read anew yet. */
  #tls: TlsServerOptions | null | undefined = undefined;

  constructor(crew: Crew, failed: (error: unknown, worker: number) => void) {
    this.#crew = crew;
    this.#failed = failed;
  }

  set(changes: ServerChanges): void {
    if (Object.keys(changes).length === 0) return;
    this.#changes = together(this.#changes ?? {}, changes);
    const { clientPrefix: _, deadlines: __, ...whole } = changes;
    this.#crew.change(whole);
    for (const worker of holders(this.#crew)) this.#tell(worker, worker.thread.ask('set', changes));
  }

  /** Rejects when a worker could not take them up. */
  async reloadTls(options: TlsServerOptions | null): Promise<void> {
    const tls = unwatched(options ?? undefined) ?? null;
    this.#tls = tls ?? this.#tls ?? null;
    await Promise.all(this.#crew.serving.map(({ thread }) => thread.ask('reloadTls', tls)));
  }

  /** A worker serves from now on. */
  welcome(threadId: number): void {
    const worker = this.#crew.serving.find(({ thread }) => thread.threadId === threadId);
    if (worker === undefined) return;
    if (this.#changes !== null) this.#tell(worker, worker.thread.ask('set', this.#changes));
    if (this.#tls !== undefined) this.#tell(worker, worker.thread.ask('reloadTls', this.#tls));
  }

  #tell({ index }: CrewWorker, answer: Promise<unknown>): void {
    answer.catch((error: unknown) => {
      // Of one that ended before it answered is told elsewhere.
      if (!(error instanceof WorkerError)) this.#failed(error, index);
    });
  }
}

/** What two changes come to, one after the other. */
function together(before: ServerChanges, after: ServerChanges): ServerChanges {
  const { clientPrefix, deadlines } = after;
  return {
    ...before,
    ...after,
    ...(clientPrefix === undefined ? {} : { clientPrefix: { ...before.clientPrefix, ...defined(clientPrefix) } }),
    ...(deadlines === undefined ? {} : { deadlines: { ...before.deadlines, ...defined(deadlines) } }),
  };
}
