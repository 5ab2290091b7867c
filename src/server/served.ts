import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Owner } from '../net/consumer.ts';
import type { Intake, IntakeHost } from './intake.ts';

/** What a server knows of one of its connections. Small, as there is one for each. */
export class Served implements Owner {
  readonly intake: Intake;
  readonly connection: Connection;
  readonly id: number;
  /** Milliseconds from the server's start to the accept, rounded up, so that nothing that counts from it comes early. */
  readonly at: number;
  /** Its place in the server's list; -1 when it is in it no more. */
  index = -1;
  /** How far it has come: its handler has not begun; has begun; is a function, and has returned or thrown. */
  stage: 'opening' | 'serving' | 'returned' = 'opening';

  constructor(intake: Intake, connection: Connection, id: number, at: number) {
    this.intake = intake;
    this.connection = connection;
    this.id = id;
    this.at = at;
  }

  /** Who serves it. */
  get host(): IntakeHost {
    return this.intake.host;
  }

  /** Whether its handler has begun. */
  get begun(): boolean {
    return this.stage !== 'opening';
  }

  over(_connection: Connection, reason: CloseReason): void {
    this.host.gone(this, reason);
  }
}
