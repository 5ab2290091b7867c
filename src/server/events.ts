import type { PortsideError } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Address } from '../transport/address.ts';
import type { Refusal } from './refusal.ts';

/**
 * Where a server is in its life.
 *
 *  - `idle`: made, and not started.
 *  - `starting`: binding, and running `onStart`.
 *  - `running`: accepting.
 *  - `suspended`: serving those that are connected, and accepting none.
 *  - `draining`: coming to its end.
 *  - `stopped`: at its end; it can't be started again.
 */
export type ServerState = 'idle' | 'starting' | 'running' | 'suspended' | 'draining' | 'stopped';

/** The events of a `Server`, with what their listeners are given. What a listener throws is an uncaught exception, and stops no other listener. */
export interface ServerEvents {
  /** It went from one state to another. */
  state: [state: ServerState, before: ServerState];
  /** A connection was admitted, and its handler is about to begin. */
  connection: [connection: Connection, id: number];
  /** A connection that was accepted is over, whether its handler had begun or not. */
  close: [connection: Connection, reason: CloseReason, id: number];
  /** A handler gave its connection away (`Server.detach`); no `close` follows. */
  detach: [connection: Connection, id: number];
  /** A connection was handed over to another worker (`Connection.handOver`); no `close` follows here. */
  handOver: [connection: Connection, worker: number, id: number];
  /** A connection was not let in. */
  refused: [remote: Address, refusal: Refusal];
  /** A handler or a hook threw, and there is no `onError`. Unlike elsewhere, nothing happens when nobody listens. */
  error: [error: unknown, connection: Connection | undefined];
  /** Something of the process or the system stands in the way of accepting (`EMFILE`, …); the server goes on by itself. */
  trouble: [error: PortsideError];
}
