import type { MessagePort } from 'node:worker_threads';
import type { Ledger, LedgerEntry } from '../server/drain.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { EndpointOptions, ServerChanges } from '../server/options.ts';
import type { ConnectionStatus } from '../server/status.ts';
import type { Address } from '../transport/address.ts';
import type { PassageTicket } from '../transport/passage.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import type { HandOverTicket } from './departures.ts';
import type { RelayedLines } from './log-relay.ts';
import type { PermitTicket } from './permit-pool.ts';
import type { RemoteError } from './remote-error.ts';
import type { SwitchboardTicket } from './switchboard.ts';
import type { WorkerServerOptions } from './worker-options.ts';

/** How the connections of one bound address come to a worker. */
export type Source =
  /** The parent accepts, and hands them over. `setOut`: when it accepted those that are under way. */
  | {
      readonly kind: 'arrivals';
      readonly ticket: PassageTicket;
      readonly setOut: SharedArrayBuffer;
      readonly kernelQueue: boolean;
    }
  /** The worker accepts on a descriptor of its own of a socket that is the parent's. */
  | SharedSource
  /** The worker binds, with others who share the port. */
  | { readonly kind: 'bound' };

/** A descriptor on its way to a worker. It belongs to whoever takes it over first: the worker, or the parent when the worker has ended before. */
export interface SharedSource {
  readonly kind: 'shared';
  readonly fd: number;
  /** Not 0: somebody has it. */
  readonly taken: Int32Array;
}

/** A descriptor that nobody has taken over. */
export function sharedSource(fd: number): SharedSource {
  return { kind: 'shared', fd, taken: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) };
}

/** Whether the descriptor is the caller's now. */
export function takeOver({ taken }: SharedSource): boolean {
  return Atomics.exchange(taken, 0, 1) === 0;
}

/** One bound address of an endpoint, as a worker listens on it. */
export interface WorkerPlace {
  readonly source: Source;
  /** The address that is bound. */
  readonly address: Address;
  /** Whether connections begin with the handshake of TLS. */
  readonly secure: boolean;
  /** What connections of the endpoint have of their own, and what is bound with. */
  readonly options: EndpointOptions;
  /** Where its own permits come from; null when only the server's limit holds. */
  readonly permits: PermitTicket | null;
}

/** What a worker is begun with. */
export interface WorkerInit {
  readonly module: string;
  readonly optionsModule: string | null;
  /** Modules that are loaded before that. */
  readonly preload: readonly string[];
  readonly index: number;
  readonly count: number;
  /** As it was given; the port is the one really bound. */
  readonly host: string | null;
  readonly places: readonly WorkerPlace[];
  /** The certificates of the places that have no others, and the same object there. */
  readonly tls: TlsServerOptions | undefined;
  /** The name of the transport, or the module that exports it. */
  readonly transport: string;
  /** What holds for the whole server in the worker. */
  readonly options: WorkerServerOptions;
  readonly permits: PermitTicket;
  readonly tally: SharedArrayBuffer;
  /** Milliseconds between two beats. */
  readonly beat: number;
  readonly switchboard: SwitchboardTicket;
  /** Null where connections that are served can't go to other workers. */
  readonly handOver: HandOverTicket | null;
  readonly control: MessagePort;
  readonly data: unknown;
}

/** Times of a worker's drain. No new connections come to it when it hears of it. */
export interface WorkerDrain {
  /** Milliseconds before idle connections are closed, in which those that have only just come say what they came for. */
  readonly settle: number;
  readonly grace: number;
  readonly spread: number;
}

/** How one connection ended in a drain, in words that travel. */
export interface WorkerLedgerEntry extends Omit<LedgerEntry, 'reason'> {
  /** The name of the reason; null for one that was given away. */
  readonly reason: string | null;
}

/** How a worker's connections ended. */
export interface WorkerLedger extends Omit<Ledger, 'entries'> {
  readonly entries: readonly WorkerLedgerEntry[];
}

/** What a worker is asked for, and what it answers. */
export interface Questions {
  drain: { readonly ask: WorkerDrain; readonly answer: WorkerLedger };
  reloadTls: { readonly ask: TlsServerOptions | null; readonly answer: null };
  set: { readonly ask: ServerChanges; readonly answer: null };
  connections: { readonly ask: null; readonly answer: readonly ConnectionStatus[] };
  /** Answered by how many of them there were. */
  endConnections: {
    readonly ask: { readonly ids: readonly number[]; readonly how: EndByHand };
    readonly answer: number;
  };
}

/** The name of a question. */
export type Question = keyof Questions;

/** Parent to worker. */
export type ToWorker =
  | { readonly kind: 'go' }
  | { readonly kind: 'suspend' }
  /** Who waits to hand a connection over looks again. */
  | { readonly kind: 'room' }
  /** It has lines of the log that come to this weight. */
  | { readonly kind: 'logged'; readonly weight: number }
  | { readonly kind: 'resume' }
  /** Its work is done: nothing of ours keeps its thread any more. */
  | { readonly kind: 'leave' }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question; readonly value: unknown };

/** Worker to parent. */
export type ToParent =
  /** `wayOut`: by which it hands connections over. */
  | { readonly kind: 'ready'; readonly addresses: readonly Address[]; readonly wayOut: PassageTicket | null }
  | { readonly kind: 'failed'; readonly error: RemoteError }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly error: RemoteError }
  /** Something went wrong in a handler or a hook. `more`: how many were not told, because there were too many. */
  | { readonly kind: 'error'; readonly error: RemoteError; readonly more: number }
  | { readonly kind: 'trouble'; readonly error: RemoteError }
  | { readonly kind: 'lines'; readonly lines: RelayedLines }
  /** It takes nobody any more, by its own doing. */
  | { readonly kind: 'closed' };
