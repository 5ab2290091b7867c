import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Owner } from '../net/consumer.ts';
import type { Scope } from '../sync/scope.ts';
import type { Intake, IntakeHost } from './intake.ts';
import type { ServerLog } from './server-log.ts';

/** Who serves connections. */
export interface ServedHost extends IntakeHost {
  /** The scope in which the server was made, or undefined. */
  readonly scope: Scope | undefined;
  /** What it writes to its log; null without one. */
  readonly log: ServerLog | null;
  /** A connection is over. */
  gone(served: Served, reason: CloseReason): void;
  /** Its handler gives it away. */
  detach(connection: Connection): void;
  /** Its handler hands it over to another worker. */
  handOver(served: Served, worker: number, value: unknown): Promise<void>;
}

/** What a server knows of one of its connections. Small, as there is one for each. */
export class Served implements Owner {
  readonly intake: Intake<ServedHost>;
  readonly connection: Connection;
  readonly id: number;
  /** Milliseconds from the server's start to the accept, rounded up, so that nothing that counts from it comes early. */
  readonly at: number;
  /** Its place in the server's list; -1 when it is in it no more. */
  index = -1;
  /** How far it has come: its handler has not begun; has begun; is a function, and has returned or thrown. */
  stage: 'opening' | 'serving' | 'returned' = 'opening';

  constructor(intake: Intake<ServedHost>, connection: Connection, id: number, at: number) {
    this.intake = intake;
    this.connection = connection;
    this.id = id;
    this.at = at;
  }

  /** Who serves it. */
  get host(): ServedHost {
    return this.intake.host;
  }

  /** Whether its handler has begun. */
  get begun(): boolean {
    return this.stage !== 'opening';
  }

  over(_connection: Connection, reason: CloseReason): void {
    this.host.gone(this, reason);
  }

  handOver(_connection: Connection, worker: number, value: unknown): Promise<void> {
    return this.host.handOver(this, worker, value);
  }
}
