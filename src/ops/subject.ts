import type { Reloaded } from '../parallel/parallel-events.ts';
import { ParallelServer } from '../parallel/parallel-server.ts';
import type { WorkerStatus } from '../parallel/status.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { ServerState } from '../server/events.ts';
import type { ServerLimits } from '../server/limits.ts';
import type { DrainOptions, ServerChanges } from '../server/options.ts';
import type { Server } from '../server/server.ts';
import type { ConnectionStatus, ServerStatus } from '../server/status.ts';
import { ParallelSubject } from './parallel-subject.ts';
import { ServerSubject } from './server-subject.ts';

/** A connection of whichever thread. */
export interface SubjectConnection extends ConnectionStatus {
  /** The worker that has it, and that worker's thread; null where there are none. */
  readonly worker: number | null;
  readonly threadId: number | null;
}

/** Which connection is meant: numbers are given by each worker for itself. */
export interface ConnectionName {
  readonly id: number;
  /** Null or left out where there are no workers. */
  readonly worker?: number | null | undefined;
  /** Tells workers apart that have one index during a reload. @default the one that is given connections */
  readonly threadId?: number | null | undefined;
}

/** What a server does now and did so far, whatever it runs on. */
export interface SubjectStatus extends Omit<ServerStatus, 'connections'> {
  /** Connections that were let in and that no worker has taken yet. */
  readonly queued: number;
  /** How often workers were started in the place of others that died. */
  readonly restarts: number;
  /** None where one thread does it all. */
  readonly workers: readonly WorkerStatus[];
}

/** What an upgrade came to: which process serves now, and which one drains. */
export interface Upgraded {
  readonly pid: number;
  readonly before: number;
}

/** One thing that happened to a server. */
export type SubjectEvent =
  | { readonly kind: 'state'; readonly state: ServerState; readonly before: ServerState }
  | { readonly kind: 'worker'; readonly what: string; readonly worker: number; readonly detail: string | null }
  | { readonly kind: 'error'; readonly error: unknown; readonly worker: number | null }
  | { readonly kind: 'trouble'; readonly error: unknown; readonly worker: number | null };

/** A server that is operated: one on this thread, or one over many. */
export interface Subject {
  /** What it is called. */
  readonly name: string;
  readonly state: ServerState;
  readonly ready: boolean;
  /** Whether there are workers, which can be exchanged. */
  readonly parallel: boolean;
  /** What `set` changes, as it is now. */
  readonly limits: ServerLimits;
  status(): SubjectStatus;
  /** Those that are open. Of a worker that does not answer in time there are none. */
  connections(): Promise<readonly SubjectConnection[]>;
  suspend(): void;
  resume(): void;
  drain(options: DrainOptions): Promise<unknown>;
  stop(options: { readonly grace?: number | undefined }): Promise<unknown>;
  set(changes: ServerChanges): void;
  reloadTls(): Promise<void>;
  /** Exchanges all workers. Rejects with ERR_PORTSIDE_UNSUPPORTED where there are none. */
  reload(): Promise<Reloaded>;
  /** Rejects with ERR_PORTSIDE_UNSUPPORTED where there are no workers. */
  resize(count: number): Promise<void>;
  /** Starts a new version of the program, which takes over; rejects with why that can't be, or failed, and then this one goes on. Undefined where nobody can do it. */
  readonly upgrade?: (() => Promise<Upgraded>) | undefined;
  /** Ends connections, in order or by a reset; gives how many of them there were. */
  closeConnections(which: readonly ConnectionName[], how: EndByHand): Promise<number>;
  /** Tells what happens until what it gives back is called. */
  watch(tell: (event: SubjectEvent) => void): () => void;
}

/** A server as something that is operated. `name`: what those call it who look at it, by default 'portside'; `upgrade`: how a new version is started, where somebody can. */
export function subjectOf(
  server: Server | ParallelServer,
  { name = 'portside', upgrade }: { name?: string; upgrade?: Subject['upgrade'] } = {},
): Subject {
  return server instanceof ParallelServer
    ? new ParallelSubject(server, name, upgrade)
    : new ServerSubject(server, name, upgrade);
}
