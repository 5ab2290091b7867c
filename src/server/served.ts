import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Owner } from '../net/consumer.ts';
import type { Clock } from '../sync/clock.ts';
import type { Scope } from '../sync/scope.ts';
import type { Intake } from './intake.ts';

/** Who is told of the connections that a server has. */
export interface Book {
  /** The scope in which the server was made, or undefined. */
  readonly scope: Scope | undefined;
  readonly clock: Clock;
  /** A connection is over. */
  gone(served: Served, reason: CloseReason): void;
  /** Its handler gives it away. */
  detach(connection: Connection): void;
}

/** What a server knows of one of its connections. Small, as there is one for each. */
export class Served implements Owner {
  readonly book: Book;
  readonly intake: Intake;
  readonly connection: Connection;
  readonly id: number;
  /** Milliseconds from the server's start to the accept, rounded up, so that nothing that counts from it comes early. */
  readonly at: number;
  /** Its place in the server's list. */
  index = -1;
  /** Under which client it is counted; null while it is not. */
  client: string | null = null;
  /** Whether its handler has begun. */
  begun = false;
  /** Whether its handler, a function, has returned or thrown. */
  returned = false;

  constructor(book: Book, intake: Intake, connection: Connection, id: number, at: number) {
    this.book = book;
    this.intake = intake;
    this.connection = connection;
    this.id = id;
    this.at = at;
  }

  over(_connection: Connection, reason: CloseReason): void {
    this.book.gone(this, reason);
  }
}
