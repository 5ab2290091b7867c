import { PortsideError } from '../base/errors.ts';
import type { Listener } from '../net/listener.ts';

/** What a worker's module gets that serves by a loop of its own. */
export interface Received<Data = unknown> {
  /** How many workers there are. */
  readonly count: number;
  /** Which of them this one is, from 0. */
  readonly index: number;
  /** The host as it was given to the parent; null where it was given none, and for a path. */
  readonly host: string | null;
  /** The port that is really bound; null for a path. */
  readonly port: number | null;
  /**
   * Gives the connections that are this worker's. They are counted, limited and drained with all others. Closed by the module, it has the same effect on the others as the worker's death (`onWorkerDeath`): whom it had not
   * accepted goes to another worker where the transport can do that (`node:net` can't, and resets them, which is counted), and the worker keeps those that it has until they are over.
   */
  readonly listener: Listener;
  /** Aborted when the worker is to come to its end: its listener gives whom it has been given already, and closes. */
  readonly stopping: AbortSignal;
  /** A clone of the option `workerData`. */
  readonly data: Data;
}

/** What a thread was started as; by a symbol of the process's, so that a second copy of the package finds it too. */
export interface WorkerHome {
  readonly place: WorkerPosition;
  receive(): Promise<Received>;
}

/** Which of the workers of a parallel listener a thread is. */
export interface WorkerPosition {
  /** From 0. */
  readonly index: number;
  /** How many there were to be when it was started. */
  readonly count: number;
}

const key: unique symbol = Symbol.for('portside.worker') as never;

type Global = { [key]?: WorkerHome };

/** Makes this thread a worker's. */
export function settle(home: WorkerHome): void {
  (globalThis as Global)[key] = home;
}

/**
 * In a module that {@link startParallel} runs in its workers: takes this worker's connections, to be served by a loop of the module's own instead of by a handler that it
 * exports. To be called while the module is loaded; the worker is ready from then on, and its listener gives connections when all workers are.
 *
 * Rejects with ERR_PORTSIDE_STATE in a thread that is no worker, and for a second call.
 */
export function receiveConnections<Data = unknown>(): Promise<Received<Data>> {
  const home = (globalThis as Global)[key];
  if (home !== undefined) return home.receive() as Promise<Received<Data>>;
  const why = 'this thread is not a worker of startParallel, which alone gives connections to receive';
  return Promise.reject(new PortsideError('ERR_PORTSIDE_STATE', why, { op: 'receiveConnections' }));
}

/** Which of the workers of {@link startParallel} this thread is; null in a thread that is none. For {@link Connection.handOver}, and for what each worker does for a share of the clients. */
export function thisWorker(): WorkerPosition | null {
  return (globalThis as Global)[key]?.place ?? null;
}
