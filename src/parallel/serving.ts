import type { EndByHand } from '../server/end-by-hand.ts';
import type { ServerChanges } from '../server/options.ts';
import type { ConnectionStatus } from '../server/status.ts';
import type { Address } from '../transport/address.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import type { WorkerDrain, WorkerLedger } from './protocol.ts';

/** What serves connections in a worker: a server, or the module's own loop over a listener. */
export interface Serving {
  /** Where it listens. */
  readonly addresses: readonly Address[];
  /** Begins to accept, or goes on. */
  resume(): void;
  suspend(): void;
  set(changes: ServerChanges): void;
  reloadTls(options: TlsServerOptions | undefined): Promise<void>;
  /** Takes whom it was given already, accepts no more, and ends the connections. A further call hastens the first. */
  drain(times: WorkerDrain): Promise<WorkerLedger>;
  connections(): readonly ConnectionStatus[];
  /** Ends some of them, and gives how many of those there were. */
  endConnections(ids: readonly number[], how: EndByHand): number;
}
