import type { CloseReason } from './close-reason.ts';
import type { Connection } from './connection.ts';

/**
 * Takes what a connection reads by being called, instead of being asked: the fast path.
 * One object may serve any number of connections. It must not block and must not throw.
 */
export interface Consumer {
  /** Bytes arrived; they are the consumer's for ever, unless it {@link Consumer.borrows}. */
  data(connection: Connection, bytes: Uint8Array): void;
  /** The peer ended its side. */
  end(connection: Connection): void;
  /** Whether reading rests while the connection's own output is above the high-water mark. */
  readonly rests: boolean;
  /** Whether bytes that the transport lends are passed on as they are, good until `data` returns, instead of copied. Who leaves it out gets its own. */
  readonly borrows?: boolean | undefined;
  /** All output is with the kernel, after it was above the high-water mark or somebody waited for it. */
  writable(connection: Connection): void;
  /** It is over; comes once and last. */
  close(connection: Connection, reason: CloseReason): void;
  /** Whether it has part of a message, and waits for the rest. Who has no messages leaves it out. */
  partial?(): boolean;
  /** Gives back what it was given and has not consumed; it is not called any more. */
  giveBack?(): readonly Uint8Array[];
  /** It is called again after all: goes on with what it gave back. Who leaves it out can't be interrupted. */
  takeBack?(connection: Connection, bytes: readonly Uint8Array[]): void;
}

/** Who counts a connection, and is told last that it is over. */
export interface Owner {
  over(connection: Connection, reason: CloseReason): void;
  /** What {@link Connection.handOver} does. */
  handOver(connection: Connection, worker: number, value: unknown): Promise<void>;
}
