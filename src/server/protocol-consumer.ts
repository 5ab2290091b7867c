import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Consumer } from '../net/link.ts';
import type { Protocol } from './handler.ts';

/** What becomes of an error that a handler threw, or its promise rejected with. */
export type Fail = (error: unknown, connection: Connection) => void;

/** Serves all connections of a server by its protocol object, and keeps what that throws to the one connection. */
export class ProtocolConsumer implements Consumer {
  readonly rests = true;
  readonly #protocol: Protocol;
  readonly #fail: Fail;

  constructor(protocol: Protocol, fail: Fail) {
    this.#protocol = protocol;
    this.#fail = fail;
  }

  data(connection: Connection, bytes: Uint8Array): void {
    try {
      const done: unknown = this.#protocol.data?.(connection, bytes);
      if (done !== undefined) guard(done, connection, this.#fail);
    } catch (error) {
      this.#fail(error, connection);
    }
  }

  end(connection: Connection): void {
    if (this.#protocol.end === undefined) {
      void connection.close();
      return;
    }
    try {
      guard(this.#protocol.end(connection), connection, this.#fail);
    } catch (error) {
      this.#fail(error, connection);
    }
  }

  writable(connection: Connection): void {
    try {
      guard(this.#protocol.drain?.(connection), connection, this.#fail);
    } catch (error) {
      this.#fail(error, connection);
    }
  }

  close(connection: Connection, reason: CloseReason): void {
    try {
      guard(this.#protocol.close?.(connection, reason), connection, this.#fail);
    } catch (error) {
      this.#fail(error, connection);
    }
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function';
}

/** A callback is not awaited, but what its promise rejects with is not lost either. */
export function guard(done: unknown, connection: Connection, fail: Fail): void {
  if (isThenable(done)) done.then(undefined, (error: unknown) => fail(error, connection));
}
