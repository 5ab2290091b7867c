import { channel } from 'node:diagnostics_channel';
import type { Channel as DiagnosticsChannel } from 'node:diagnostics_channel';
import { PortsideError } from '../base/errors.ts';
import { anything, check, checkValue, fn, integer, list, milliseconds, table, union } from '../base/options.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import type { EndpointLike } from '../net/endpoint.ts';
import { listen, listenFields } from '../net/listen.ts';
import type { ListenOptions } from '../net/listen.ts';
import type { Listener } from '../net/listener.ts';
import type { Consumer } from '../net/link.ts';
import { choose, sync } from '../sync/evt.ts';
import { currentClock } from '../sync/scope.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import type { Address } from '../transport/address.ts';
import { isHandler } from './handler.ts';
import type { Context, Handler, HandlerFunction, Protocol } from './handler.ts';
import { ProtocolConsumer, guard, isThenable } from './protocol-consumer.ts';

/** Publishes `{ server, connection, error }` for each error of a handler when the server has no `onError`. */
export const handlerErrorChannel: DiagnosticsChannel = channel('portside.handler.error');

/** Options of {@link serve}. */
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

const graceRule = milliseconds({ infinite: true });

const serveTable = table('serve', {
  ...listenFields,
  listen: union(list(anything<EndpointLike>(), { min: 1 }), anything<EndpointLike>()),
  maxConnections: integer({ min: 1 }),
  grace: graceRule,
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

let open: (handler: Handler, listeners: readonly Listener[], options: ServeOptions) => Server;

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
  readonly #accepting: Promise<void>;
  #forced: TimerHandle | null = null;
  /** By the clock's `now()`, once it is stopping. */
  #forcedAt = Infinity;
  #accepted = 0;
  #errors = 0;
  #stopping = false;
  /** Wakes who waits for connections to be fewer: the accepting, then the stopping. */
  #fewer: (() => void) | null = null;

  static {
    open = (handler, listeners, options) => new Server(handler, listeners, options);
  }

  // Servers come from `serve`.
  private constructor(handler: Handler, listeners: readonly Listener[], options: ServeOptions) {
    this.#handler = handler;
    this.#listeners = listeners;
    this.#maxConnections = options.maxConnections ?? 10_000;
    this.#grace = options.grace ?? 10_000;
    this.#onError = options.onError;
    this.#clock = currentClock();
    this.#consumer = typeof handler === 'function' ? null : new ProtocolConsumer(handler, this.#fail);
    this.#accepting = this.#acceptAll();
  }

  /** Where it listens, all addresses. Readable after it has stopped. */
  get addresses(): readonly Address[] {
    return this.#listeners.flatMap((listener) => listener.addresses);
  }

  /** What it did so far, in exact numbers. */
  get counts(): ServerCounts {
    return { active: this.#connections.size, accepted: this.#accepted, errors: this.#errors };
  }

  /** Resolves when it has stopped, on whatever way. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /**
   * Closes the ports, tells every connection (`connection.draining`), gives them `grace` milliseconds (10000 by default, 0: none,
   * Infinity: as long as it takes) to come to their end, and aborts those that are left. A further call can only make the time
   * shorter. Resolves when all are gone; throws ERR_PORTSIDE_OPTIONS for a grace that is no time.
   */
  stop(options?: { grace?: number | undefined }): Promise<void> {
    const given = options?.grace;
    if (given !== undefined) checkValue('stop', 'grace', graceRule, given);
    if (!this.#stopping) {
      void this.#stop();
      this.#forceWithin(given ?? this.#grace);
    } else if (given !== undefined) this.#forceWithin(given);
    return this.stopped;
  }

  /** {@link Server.stop}, with the grace of its options. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    const closed = this.#listeners.map((listener) => listener.close());
    for (const connection of this.#connections)
      link(connection).life.draining.abort(new PortsideError('ERR_PORTSIDE_CLOSED', 'the server is stopping'));
    this.#fewer?.();
    await Promise.all([...closed, this.#accepting]);
    while (this.#connections.size > 0) await this.#untilFewer();
    this.#forced?.cancel();
    this.#stopped.resolve();
  }

  #forceWithin(grace: number): void {
    const at = this.#clock.now() + grace;
    if (at >= this.#forcedAt) return;
    this.#forcedAt = at;
    this.#forced?.cancel();
    if (grace === 0) this.#abortAll();
    else this.#forced = this.#clock.after(grace, () => this.#abortAll());
  }

  #abortAll(): void {
    for (const connection of this.#connections)
      connection.abort(new PortsideError('ERR_PORTSIDE_TIMEOUT', 'the server stopped before the connection ended'));
  }

  #untilFewer(): Promise<void> {
    return new Promise((resolve) => {
      this.#fewer = resolve;
    });
  }

  async #acceptAll(): Promise<void> {
    const [only, other] = this.#listeners;
    // One accept at a time for all listeners, or each could fill the last place.
    const next = (): Promise<Connection> =>
      only !== undefined && other === undefined
        ? only.accept()
        : sync(choose(...this.#listeners.map((listener) => listener.acceptEvt())));
    for (;;) {
      while (this.#connections.size >= this.#maxConnections && !this.#stopping) await this.#untilFewer();
      if (this.#stopping) return;
      let connection: Connection;
      try {
        connection = await next();
      } catch {
        // An accept is only refused when a listener is closed: by `stop`, or by the scope that owns it.
        if (!this.#stopping) void this.stop();
        return;
      }
      if (this.#stopping) {
        // It was handed out in the turn of the stop: reset like those that nobody accepted.
        connection.abort();
        await connection.closed;
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
    if (inside.reason !== null) return this.#over(connection);
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
      const done: unknown = (handler as HandlerFunction)(connection, this.#context);
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
    const wake = this.#fewer;
    this.#fewer = null;
    wake?.();
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
  if (several !== undefined && rest.endpoint !== undefined)
    throw new PortsideError('ERR_PORTSIDE_OPTIONS', 'serve: give listen or endpoint, not both', { op: 'serve' });
  const places =
    several === undefined ? [rest] : asList(several).map((endpoint): ListenOptions => ({ ...rest, endpoint }));
  const listeners: Listener[] = [];
  try {
    // One after another, so that the first that can't be had is the one that is told.
    for (const place of places) listeners.push(await listen(place));
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
  return open(handler, listeners, { maxConnections, grace, onError });
}

function asList(value: EndpointLike | readonly EndpointLike[]): readonly EndpointLike[] {
  return Array.isArray(value) ? (value as readonly EndpointLike[]) : [value as EndpointLike];
}
