import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import type { Consumer } from '../net/consumer.ts';
import { closeBoth } from '../net/half-close.ts';
import { mustBeIdle } from '../net/link-errors.ts';
import { HELD, INPUT_CLOSED } from '../net/link-state.ts';
import { runAs } from './ambient.ts';
import { contextOf } from './context.ts';
import { isFramed } from './define-handler.ts';
import { FramedConsumer } from './framed-consumer.ts';
import type { FramedProtocol, Handler, HandlerFunction, Protocol } from './handler.ts';
import { ProtocolConsumer, call, isThenable } from './protocol-consumer.ts';
import type { Fail } from './protocol-consumer.ts';
import type { Served } from './served.ts';
import type { Server } from './server.ts';

/** Begins the handler of a connection. */
export type Begin = (served: Served) => void;

/** How a handler's connections are begun, by its shape. `fail` gets what it throws. */
export function dispatchOf(handler: Handler, server: Server, ambient: boolean, fail: Fail): Begin {
  if (typeof handler === 'function') return functionDispatch(handler, server, ambient, fail);
  if (isFramed(handler)) {
    const framed = handler as FramedProtocol;
    return callbackDispatch(handler, server, fail, () => new FramedConsumer(framed, fail));
  }
  const consumer = new ProtocolConsumer(handler, fail);
  return callbackDispatch(handler, server, fail, () => consumer);
}

function functionDispatch(handler: HandlerFunction, server: Server, ambient: boolean, fail: Fail): Begin {
  return (served) => {
    const { connection } = served;
    const context = contextOf(server, served);
    settle(
      () => (ambient ? runAs(connection, () => handler(connection, context)) : handler(connection, context)),
      () => {
        served.stage = 'returned';
        if (link(connection).owner === served) finish(connection);
      },
      (error) => {
        served.stage = 'returned';
        fail(error, connection);
      },
    );
  };
}

/** Calls what may give a promise, and then one of the other two, once. */
export function settle(run: () => unknown, done: () => void, failed: (error: unknown) => void): void {
  let outcome: unknown;
  try {
    outcome = run();
  } catch (error) {
    failed(error);
    return;
  }
  if (isThenable(outcome)) outcome.then(done, failed);
  else done();
}

/** Closes the connection of a function that has returned. A read that it left waiting sees the end of the input: nobody is there to hear an error of it. */
export function finish(connection: Connection): void {
  const inside = link(connection);
  if (inside.reads) connection.closeRead();
  closeBoth(inside);
}

function callbackDispatch(
  handler: Protocol | FramedProtocol<never>,
  server: Server,
  fail: Fail,
  make: () => Consumer,
): Begin {
  return (served) => {
    const { connection } = served;
    const inside = link(connection);
    try {
      mustBeIdle(inside, 'read');
    } catch (error) {
      fail(error, connection);
      return;
    }
    const consumer = make();
    inside.consumer = consumer;
    if (handler.open !== undefined) {
      const context = contextOf(server, served);
      call(connection, fail, () => handler.open?.(connection, context));
    }
    // What came with the handshakes stays where it is until it is its turn: a callback may end the connection, or give it away.
    const goesOn = (): boolean => inside.consumer === consumer && (inside.state & (INPUT_CLOSED | HELD)) === 0;
    while (goesOn() && inside.unreadBytes > 0) consumer.data(connection, inside.input.take() as Uint8Array);
    if (!goesOn()) return;
    if (inside.peerEnded) consumer.end(connection);
    else inside.resumeInput();
  };
}

/** Tells a connection's callbacks that the server is coming to its end. */
export function tellDraining(handler: Handler, connection: Connection, fail: Fail): void {
  if (typeof handler === 'function' || handler.draining === undefined) return;
  const tell = (): void => {
    if (link(connection).consumer !== null) call(connection, fail, () => handler.draining?.(connection));
  };
  // Whoever was told of the connection may have begun the end before its `open`, which comes first.
  if (link(connection).consumer === null) queueMicrotask(tell);
  else tell();
}
