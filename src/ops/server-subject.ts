import { PortsideError } from '../base/errors.ts';
import type { Reloaded } from '../parallel/parallel-events.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { ServerState } from '../server/events.ts';
import type { Server } from '../server/server.ts';
import { Operated } from './operated.ts';
import type { ConnectionName, Subject, SubjectConnection, SubjectEvent, SubjectStatus } from './subject.ts';

/** A server on this thread, as something that is operated. */
export class ServerSubject extends Operated<Server> implements Subject {
  readonly parallel = false;

  status(): SubjectStatus {
    const { connections: _, ...status } = this.server.status();
    return { ...status, queued: 0, restarts: 0, workers: [] };
  }

  connections(): Promise<readonly SubjectConnection[]> {
    const { connections } = this.server.status({ connections: true });
    return Promise.resolve((connections ?? []).map((one) => ({ ...one, worker: null, threadId: null })));
  }

  reload(): Promise<Reloaded> {
    return Promise.reject(noWorkers('reload'));
  }

  resize(): Promise<void> {
    return Promise.reject(noWorkers('resize'));
  }

  async closeConnections(which: readonly ConnectionName[], how: EndByHand): Promise<number> {
    const mine = which.filter(({ worker }) => worker === null || worker === undefined);
    return this.server.closeConnections(
      mine.map(({ id }) => id),
      how,
    );
  }

  watch(tell: (event: SubjectEvent) => void): () => void {
    const server = this.server;
    const state = (now: ServerState, before: ServerState): void => tell({ kind: 'state', state: now, before });
    const error = (thrown: unknown): void => tell({ kind: 'error', error: thrown, worker: null });
    const trouble = (met: PortsideError): void => tell({ kind: 'trouble', error: met, worker: null });
    server.on('state', state).on('error', error).on('trouble', trouble);
    return () => void server.off('state', state).off('error', error).off('trouble', trouble);
  }
}

function noWorkers(op: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', 'the server runs on one thread: it has no workers', { op });
}
