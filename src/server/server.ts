import { channel } from 'node:diagnostics_channel';
import type { Channel as DiagnosticsChannel } from 'node:diagnostics_channel';
import { PortsideError } from '../base/errors.ts';
import { anything, check, fn, integer, list, milliseconds, table, union } from '../base/options.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import type { EndpointLike } from '../net/endpoint.ts';
import { listen, listenFields } from '../net/listen.ts';
import type { ListenOptions } from '../net/listen.ts';
import type { Listener } from '../net/listener.ts';
import type { Consumer } from '../net/link.ts';
import { currentClock } from '../sync/scope.ts';
import type { Clock } from '../sync/clock.ts';
import type { Address } from '../transport/address.ts';
import { isHandler } from './handler.ts';
import type { Context, Handler, Protocol } from './handler.ts';

/** Publishes `{ server, connection, error }` for each error of a handler when the server has no `onError`. */
export const handlerErrorChannel: DiagnosticsChannel = channel('portside.handler.error');

export interface ServeOptions extends ListenOptions {
  /** Several endpoints for one server, instead of one by `endpoint`, `port` and so on. */
  listen?: EndpointLike | readonly EndpointLike[] | undefined;
  /** Connections at a time; more wait unaccepted, as the backlog allows. @default 10000 */
  maxConnections?: number | undefined;
  /** Milliseconds that `stop` gives to connections to come to their end. @default 10000 */
  grace?: number | undefined;
  /** Sees what a handler threw, with its connection still open; the connection is aborted afterwards. Without it, it is counted and published on `portside.handler.error`. */
  onError?: ((error: unknown, connection: Connection) => void) | undefined;
}

const serveTable = table('serve', {
  ...listenFields,
  listen: union(list(anything<EndpointLike>(), { min: 1 }), anything<EndpointLike>()),
  maxConnections: integer({ min: 1 }),
  grace: milliseconds(),
  onError: fn<(error: unknown, connection: Connection) => void>(),
});

/** Counts since the start, exact. */
export interface ServerCounts {
  /** Connections that are open. */
  readonly active: number;
  /** Connections that were accepted. */
  readonly accepted: number;
  /** Errors that handlers threw, apart from those that a connection's own end brought about. */
  readonly errors: number;
}

/**
 * Serves every connection of its listeners by a handler, until it is stopped.
 * A handler that throws ends its own connection and no other.
 */
export class Server implements AsyncDisposable {
  readonly #handler: Handler;
  readonly #listeners: readonly Listener[];
  readonly #maxConnections: number;
  readonly #grace: number;
  readonly #onError: ServeOptions['onError'];
  readonly #consumer: Consumer | null;
  readonly #context: Context = { server: this };
  readonly #connections = new Set<Connection>();
  readonly #clock: Clock;
  readonly #stopped = Promise.withResolvers<void>();
  #accepted = 0;
  #errors = 0;
  #stopping = false;
  #room: (() => void)[] = [];
  #hasten: (() => void) | null = null;

  /** @internal Servers come from `serve`. */
  constructor(handler: Handler, listeners: readonly Listener[], options: ServeOptions) {
    this.#handler = handler;
    this.#listeners = listeners;
    this.#maxConnections = options.maxConnections ?? 10_000;
    this.#grace = options.grace ?? 10_000;
    this.#onError = options.onError;
    this.#clock = currentClock();
    this.#consumer = typeof handler === 'function' ? null : new ProtocolConsumer(handler, this.#fail);
    for (const listener of listeners) void this.#accept(listener);
  }

  /** Where it listens, all addresses. Readable after it has stopped. */
  get addresses(): readonly Address[] {
    return this.#listeners.flatMap((listener) => listener.addresses);
  }

  get counts(): ServerCounts {
    return { active: this.#connections.size, accepted: this.#accepted, errors: this.#errors };
  }

  /** Resolves when it has stopped, on whatever way. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /**
   * Closes the ports, tells every connection (`connection.draining`), gives them `grace` milliseconds (10000 by default) to come
   * to their end, and aborts those that are left. A second call with a shorter grace hastens the first. Resolves when all are gone.
   */
  stop(options?: { grace?: number | undefined }): Promise<void> {
    const grace = options?.grace ?? this.#grace;
    if (!this.#stopping) void this.#stop(grace);
    else if (grace === 0) this.#hasten?.();
    return this.stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(grace: number): Promise<void> {
    this.#stopping = true;
    for (const wake of this.#room.splice(0)) wake();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    const abortAll = (): void => {
      for (const connection of this.#connections)
        connection.abort(new PortsideError('ERR_PORTSIDE_TIMEOUT', 'the server stopped'));
    };
    if (this.#connections.size > 0) {
      const empty = new Promise<void>((resolve) => {
        this.#room.push(resolve);
      });
      for (const connection of this.#connections)
        link(connection).life.draining.abort(new PortsideError('ERR_PORTSIDE_CLOSED', 'the server is stopping'));
      this.#hasten = abortAll;
      if (grace === 0) abortAll();
      const timer = grace === Infinity || grace === 0 ? null : this.#clock.after(grace, abortAll);
      await empty;
      timer?.cancel();
    }
    this.#stopped.resolve();
  }

  async #accept(listener: Listener): Promise<void> {
    for (;;) {
      while (this.#connections.size >= this.#maxConnections && !this.#stopping) {
        // oxlint-disable-next-line no-await-in-loop -- one after another is what it is about
        await new Promise<void>((resolve) => {
          this.#room.push(resolve);
        });
      }
      if (this.#stopping) return;
      let connection: Connection;
      try {
        // oxlint-disable-next-line no-await-in-loop
        connection = await listener.accept();
      } catch {
        // Only a closed listener refuses an accept that has no signal, or a scope that is closed, which closes the listener.
        if (!this.#stopping) void this.stop({ grace: this.#grace });
        return;
      }
      this.#serve(connection);
    }
  }

  #serve(connection: Connection): void {
    this.#accepted += 1;
    this.#connections.add(connection);
    const inside = link(connection);
    inside.owner = this.#over;
    const handler = this.#handler;
    if (this.#consumer !== null) {
      inside.consume(this.#consumer);
      try {
        guard((handler as Protocol).open?.(connection, this.#context), connection, this.#fail);
      } catch (error) {
        this.#fail(error, connection);
      }
      inside.resumeInput();
      return;
    }
    try {
      const done = (handler as (connection: Connection, context: Context) => unknown)(connection, this.#context);
      if (isThenable(done))
        done.then(
          () => connection.close(),
          (error: unknown) => this.#fail(error, connection),
        );
      else void connection.close();
    } catch (error) {
      this.#fail(error, connection);
    }
  }

  readonly #over = (connection: Connection): void => {
    this.#connections.delete(connection);
    if (this.#room.length === 0) return;
    if (!this.#stopping || this.#connections.size === 0) for (const wake of this.#room.splice(0)) wake();
  };

  readonly #fail = (error: unknown, connection: Connection): void => {
    if (!link(connection).isOwnEnd(error)) {
      this.#errors += 1;
      if (this.#onError !== undefined) {
        try {
          this.#onError(error, connection);
        } catch (again) {
          this.#publish(connection, again);
        }
      } else this.#publish(connection, error);
    }
    connection.abort(error);
  };

  #publish(connection: Connection, error: unknown): void {
    if (handlerErrorChannel.hasSubscribers) handlerErrorChannel.publish({ server: this, connection, error });
  }
}

type Fail = (error: unknown, connection: Connection) => void;

/** Serves all connections of a server by its protocol object, and keeps what that throws to the one connection. */
class ProtocolConsumer implements Consumer {
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

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function';
}

/** A callback is not awaited, but what its promise rejects with is not lost either. */
function guard(done: unknown, connection: Connection, fail: Fail): void {
  if (isThenable(done)) done.then(undefined, (error: unknown) => fail(error, connection));
}

/**
 * Listens and serves every connection by `handler`; resolves when bound and accepting.
 * Rejects as `listen` does, and then nothing is left bound; with ERR_PORTSIDE_HANDLER when it is not a handler.
 */
export async function serve<Data = unknown>(handler: Handler<Data>, options: ServeOptions): Promise<Server> {
  if (!isHandler(handler)) {
    throw new PortsideError(
      'ERR_PORTSIDE_HANDLER',
      'a handler is a function, or an object with some of open, data, end, drain and close; this is neither',
      { op: 'serve' },
    );
  }
  const { listen: several, maxConnections, grace, onError, ...rest }: ServeOptions = check(serveTable, options);
  const places =
    several === undefined ? [rest] : asList(several).map((endpoint): ListenOptions => ({ ...rest, endpoint }));
  const listeners: Listener[] = [];
  try {
    // One after another, so that the first that can't be had is the one that is told.
    // oxlint-disable-next-line no-await-in-loop
    for (const place of places) listeners.push(await listen(place));
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
  return new Server(handler as Handler, listeners, { maxConnections, grace, onError });
}

function asList(value: EndpointLike | readonly EndpointLike[]): readonly EndpointLike[] {
  return Array.isArray(value) ? (value as readonly EndpointLike[]) : [value as EndpointLike];
}
