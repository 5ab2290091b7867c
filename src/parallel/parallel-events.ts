import type { ServerState } from '../server/events.ts';
import type { Refusal } from '../server/refusal.ts';
import type { Address } from '../transport/address.ts';
import type { WorkerEvent } from './crew.ts';

/** The events of a `ParallelServer`, with what their listeners are given. What a listener throws is an uncaught exception, and stops no other listener. */
export interface ParallelServerEvents {
  /** It went from one state to another. */
  state: [state: ServerState, before: ServerState];
  /** A worker was started, died or stopped. */
  worker: [event: WorkerEvent];
  /** A client was not let in by the parent. What workers refuse (`maxPerClient`, PROXY headers, handshakes) is in the counts. */
  refused: [remote: Address, refusal: Refusal];
  /** What went wrong in a handler, a hook or a worker, where no `onError` hears of it; `worker` is null for the parent. Nothing happens when nobody listens. */
  error: [error: unknown, worker: number | null];
  /** Something of the process or the system stands in the way of accepting (`EMFILE`, …); it goes on by itself. */
  trouble: [error: Error, worker: number | null];
}

/** What came of `ParallelServer.reload`. */
export interface Reloaded {
  /** Whether no connection was refused or reset by it; else `why` tells what could not be promised. */
  readonly seamless: boolean;
  readonly why: string | null;
  /** Resolves when the workers from before are gone. */
  readonly done: Promise<void>;
}
