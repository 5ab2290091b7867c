import type { CloseReason } from '../net/close-reason.ts';
import { link } from '../net/connection.ts';
import type { Connection } from '../net/connection.ts';
import type { Consumer } from '../net/consumer.ts';
import { closeBoth } from '../net/half-close.ts';
import { enter, leave } from './ambient.ts';
import type { Protocol } from './handler.ts';

/** What becomes of an error that a handler threw, or its promise rejected with. `hopeless`: the connection can't be kept, whatever is answered. */
export type Fail = (error: unknown, connection: Connection, hopeless?: boolean) => void;

/** Serves all connections of a server by its protocol object, and keeps what that throws to the one connection. */
export class ProtocolConsumer implements Consumer {
  readonly rests = true;
  readonly borrows: boolean;
  readonly #protocol: Protocol;
  readonly #fail: Fail;

  constructor(protocol: Protocol, fail: Fail) {
    this.#protocol = protocol;
    this.borrows = protocol.borrow === true;
    this.#fail = fail;
  }

  data(connection: Connection, bytes: Uint8Array): void {
    const before = enter(connection);
    try {
      const done: unknown = this.#protocol.data?.(connection, bytes);
      if (done !== undefined) guard(done, connection, this.#fail);
    } catch (error) {
      this.#fail(error, connection);
    } finally {
      leave(before);
    }
  }

  end(connection: Connection): void {
    if (this.#protocol.end === undefined) closeBoth(link(connection));
    else call(connection, this.#fail, () => this.#protocol.end?.(connection));
  }

  writable(connection: Connection): void {
    if (this.#protocol.drain !== undefined) call(connection, this.#fail, () => this.#protocol.drain?.(connection));
  }

  takeBack(): void {
    // It keeps nothing.
  }

  close(connection: Connection, reason: CloseReason): void {
    if (this.#protocol.close !== undefined)
      call(connection, this.#fail, () => this.#protocol.close?.(connection, reason));
  }
}

/** Calls a callback that few connections get to, as its connection. */
export function call(connection: Connection, fail: Fail, callback: () => unknown): void {
  const before = enter(connection);
  try {
    guard(callback(), connection, fail);
  } catch (error) {
    fail(error, connection);
  } finally {
    leave(before);
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function';
}

/** A callback is not awaited, but what its promise rejects with is not lost either. */
export function guard(done: unknown, connection: Connection, fail: Fail): void {
  if (isThenable(done)) done.then(undefined, (error: unknown) => fail(error, connection));
}
