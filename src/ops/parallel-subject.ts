import type { WorkerEvent } from '../parallel/crew.ts';
import type { Reloaded } from '../parallel/parallel-events.ts';
import type { ParallelServer } from '../parallel/parallel-server.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { ServerState } from '../server/events.ts';
import type { ServerLimits } from '../server/limits.ts';
import type { DrainOptions, ServerChanges } from '../server/options.ts';
import type { ConnectionName, Subject, SubjectConnection, SubjectEvent, SubjectStatus } from './subject.ts';

/** A server over many threads, as something that is operated. */
export class ParallelSubject implements Subject {
  readonly name: string;
  readonly transport: string;
  readonly parallel = true;
  readonly #server: ParallelServer;

  constructor(server: ParallelServer, name: string) {
    this.#server = server;
    this.name = name;
    this.transport = server.status().transport;
  }

  get state(): ServerState {
    return this.#server.state;
  }

  get ready(): boolean {
    return this.#server.ready;
  }

  get limits(): ServerLimits {
    return this.#server.limits;
  }

  status(): SubjectStatus {
    return { opening: 0, ...this.#server.status() };
  }

  connections(): Promise<readonly SubjectConnection[]> {
    return this.#server.connections();
  }

  suspend(): void {
    this.#server.suspend();
  }

  resume(): void {
    this.#server.resume();
  }

  drain(options: DrainOptions): Promise<unknown> {
    return this.#server.drain(options);
  }

  stop(options: { readonly grace?: number | undefined }): Promise<unknown> {
    return this.#server.stop(options);
  }

  set(changes: ServerChanges): void {
    this.#server.set(changes);
  }

  reloadTls(): Promise<void> {
    return this.#server.reloadTls();
  }

  reload(): Promise<Reloaded> {
    return this.#server.reload();
  }

  resize(count: number): Promise<void> {
    return this.#server.resize(count);
  }

  closeConnections(which: readonly ConnectionName[], how: EndByHand): Promise<number> {
    const names = which.flatMap(({ id, worker, threadId }) =>
      typeof worker === 'number' ? [{ id, worker, threadId: threadId ?? undefined }] : [],
    );
    return this.#server.closeConnections(names, how);
  }

  watch(tell: (event: SubjectEvent) => void): () => void {
    const server = this.#server;
    const state = (now: ServerState, before: ServerState): void => tell({ kind: 'state', state: now, before });
    const error = (thrown: unknown, worker: number | null): void => tell({ kind: 'error', error: thrown, worker });
    const trouble = (met: Error, worker: number | null): void => tell({ kind: 'trouble', error: met, worker });
    const worker = (event: WorkerEvent): void =>
      tell({
        kind: 'worker',
        what: event.kind,
        worker: event.worker,
        detail: event.kind === 'died' ? event.error.message : null,
      });
    server.on('state', state).on('error', error).on('trouble', trouble).on('worker', worker);
    return () => void server.off('state', state).off('error', error).off('trouble', trouble).off('worker', worker);
  }
}
