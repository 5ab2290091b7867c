import type { WorkerEvent } from '../parallel/crew.ts';
import type { Reloaded } from '../parallel/parallel-events.ts';
import type { ParallelServer } from '../parallel/parallel-server.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { ServerState } from '../server/events.ts';
import { Operated } from './operated.ts';
import type { ConnectionName, Subject, SubjectConnection, SubjectEvent, SubjectStatus } from './subject.ts';

/** A server over many threads, as something that is operated. */
export class ParallelSubject extends Operated<ParallelServer> implements Subject {
  readonly parallel = true;

  status(): SubjectStatus {
    return { opening: 0, ...this.server.status() };
  }

  connections(): Promise<readonly SubjectConnection[]> {
    return this.server.connections();
  }

  reload(): Promise<Reloaded> {
    return this.server.reload();
  }

  resize(count: number): Promise<void> {
    return this.server.resize(count);
  }

  closeConnections(which: readonly ConnectionName[], how: EndByHand): Promise<number> {
    const names = which.flatMap(({ id, worker, threadId }) =>
      typeof worker === 'number' ? [{ id, worker, threadId: threadId ?? undefined }] : [],
    );
    return this.server.closeConnections(names, how);
  }

  watch(tell: (event: SubjectEvent) => void): () => void {
    const server = this.server;
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
