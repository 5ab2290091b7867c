import { ClosedError, PortsideError } from '../base/errors.ts';
import { boolean, check, fn, integer, milliseconds, string, table, union } from '../base/options.ts';
import type { Agrees } from '../base/options.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { isConnection, link } from '../net/connection.ts';
import { isIdle } from '../net/idle.ts';
import { isListener } from '../net/listener.ts';
import type { Listener } from '../net/listener.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import { currentClock } from '../sync/scope.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import { runAs } from './ambient.ts';
import { handlerErrorChannel } from './channels.ts';
import { Countdown } from './countdown.ts';
import { finish, settle } from './dispatch.ts';
import { hardClose, tellFailure } from './hard-close.ts';
import { callHook } from './hook.ts';
import { Verbose, peerName } from './verbose.ts';

/** Requests that are taken in one go, before others get their turn. */
const BURST = 64;
/** Milliseconds to rest at most after accepts that failed one after another: the first rests for one, each further one for twice as long. */
const LONGEST_REST = 100;

/**
 * Options of {@link serveThunk}. `accept`, `addresses` and `prepareHardClose` are looked up on this object each time that they are needed, so that they can be
 * replaced while it serves.
 */
export interface ThunkOptions {
  /** Requests at a time: who comes beyond them waits, as the listener's backlog allows, and is never refused. A request lasts until its connection is over. @default 10000 */
  maxRequests?: number | undefined;
  /** Writes a line to `log` when it begins to wait, and for each request when it came, was started, is being closed, and is over; a string is the prefix of the lines. @default false (prefix 'portside') */
  verbose?: boolean | string | undefined;
  /** Where the lines of `verbose` go. */
  log?: ((line: string) => void) | undefined;
  /** The next connection of the listener. What it rejects with concerns one connection: it is told, and the next is asked for. @default listener.accept({ signal }) */
  accept?: ((listener: Listener, options: { readonly signal: AbortSignal }) => Promise<Connection>) | undefined;
  /** The addresses of a connection, its own and the peer's. Called only when `verbose`; what it throws is told, and the request is served all the same. @default local and remote */
  addresses?: ((connection: Connection) => readonly [self: Address | string, peer: Address | string]) | undefined;
  /** Runs before a connection is ended abruptly, which is with RST, unless this has closed it in order. */
  prepareHardClose?: ((connection: Connection) => void) | undefined;
  /**
   * Sees what the thunk threw, with its connection still open, and what accepting or one of the hooks threw. The connection is ended afterwards. Without it, errors are counted
   * and published on `portside.handler.error`.
   */
  onError?: ((error: unknown, connection: Connection | undefined) => void) | undefined;
}

const thunkTable = table(
  'serveThunk',
  {
    maxRequests: integer({ min: 1, infinite: true }),
    verbose: union(boolean(), string()),
    log: fn<(line: string) => void>(),
    accept: fn<NonNullable<ThunkOptions['accept']>>(),
    addresses: fn<NonNullable<ThunkOptions['addresses']>>(),
    prepareHardClose: fn<(connection: Connection) => void>(),
    onError: fn<NonNullable<ThunkOptions['onError']>>(),
  },
  ({ verbose, log }, problem) => {
    if (verbose !== undefined && verbose !== false && log === undefined)
      problem('verbose', 'needs log, which gets the lines');
  },
);
const agreed: Agrees<typeof thunkTable, ThunkOptions> = true;
void agreed;

const stopTable = table('stop', { grace: milliseconds({ infinite: true }) });

/** Serves the connections of a listener by code that takes none. Made by {@link serveThunk}. */
export class ThunkServer implements AsyncDisposable {
  readonly #listener: Listener;
  readonly #thunk: () => unknown;
  readonly #options: ThunkOptions;
  readonly #most: number;
  readonly #verbose: Verbose | null;
  readonly #clock: Clock = currentClock();
  /** The connections that are not over, with the numbers of their requests. */
  readonly #open = new Map<Connection, number>();
  readonly #over = Promise.withResolvers<void>();
  readonly #accepting = new AbortController();
  #stopping = false;
  #requests = 0;
  #errors = 0;
  /** Wakes who waits for a request to be over. */
  #room: (() => void) | null = null;
  #rest: TimerHandle | null = null;
  /** Until those that are left are ended. */
  readonly #force: Countdown = new Countdown(this.#clock, () => this.#forceAll());

  /** @internal */
  constructor(listener: Listener, thunk: () => unknown, options: ThunkOptions) {
    const { maxRequests = 10_000, verbose = false, log } = options;
    this.#listener = listener;
    this.#thunk = thunk;
    this.#options = options;
    this.#most = maxRequests;
    this.#verbose =
      verbose === false || log === undefined
        ? null
        : new Verbose(verbose, log, (error) => this.#report(error, undefined));
    void listener.closed.then(() => this.#acceptNoMore());
    void this.#run();
  }

  /** Requests that are served now. */
  get running(): number {
    return this.#open.size;
  }

  /** Requests that came so far. */
  get requests(): number {
    return this.#requests;
  }

  /** What the thunk, accepting and the hooks threw, counted. */
  get errors(): number {
    return this.#errors;
  }

  /** Resolves when it accepts no more, by {@link ThunkServer.stop} or because the listener was closed, and its last request is over. */
  get closed(): Promise<void> {
    return this.#over.promise;
  }

  /**
   * Accepts no more, tells every connection ({@link Connection.draining}), closes those that are idle, and after `grace` milliseconds (10000 by default) ends those that are left
   * abruptly. Resolves as {@link ThunkServer.closed} does. The listener stays open: it is the caller's. A further call can only make the time shorter.
   */
  stop(options?: { grace?: number | undefined }): Promise<void> {
    const { grace = 10_000 } = check(stopTable, options);
    if (!this.#accepting.signal.aborted) {
      this.#accepting.abort(
        new PortsideError('ERR_PORTSIDE_ABORTED', 'the thunk server was stopped', { op: 'accept' }),
      );
      for (const connection of this.#open.keys()) this.#drain(connection);
      this.#acceptNoMore();
    }
    if (this.#open.size > 0) this.#force.within(grace);
    return this.closed;
  }

  /** {@link ThunkServer.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#accepting;
    const listener = this.#listener;
    this.#verbose?.note(`waiting for requests on ${listener.addresses.map((one) => formatAddress(one)).join(', ')}`);
    let failures = 0;
    for (let burst = 1; ; burst += 1) {
      if (burst % BURST === 0) await new Promise<void>((resolve) => this.#clock.soon(resolve));
      while (this.#open.size >= this.#most) {
        await new Promise<void>((resolve) => {
          this.#room = resolve;
        });
      }
      if (this.#stopping) return;
      try {
        const { accept } = this.#options;
        const connection = await (accept === undefined ? listener.accept({ signal }) : accept(listener, { signal }));
        if (!isConnection(connection)) throw notOne();
        // It came too late to be put back.
        if (this.#stopping) return connection.abort(signal.reason);
        failures = 0;
        this.#serve(connection);
      } catch (error) {
        if (this.#stopping || (error instanceof ClosedError && isClosed(listener))) return;
        this.#report(error, undefined);
        failures += 1;
        // An accept that always fails must not take all the time that there is.
        const rest = Math.min(2 ** (failures - 1), LONGEST_REST);
        await new Promise<void>((resolve) => {
          this.#rest = this.#clock.after(rest, resolve);
        });
      }
    }
  }

  #serve(connection: Connection): void {
    this.#requests += 1;
    const id = this.#requests;
    this.#open.set(connection, id);
    if (this.#verbose !== null) {
      this.#verbose.note(`#${id} request ${this.#between(connection)}`);
      this.#verbose.note(`#${id} started (${this.#open.size} running)`);
    }
    const inside = link(connection);
    inside.onClose(() => this.#ended(connection, id));
    if (inside.reason !== null) return;
    settle(
      () => runAs(connection, this.#thunk),
      () => {
        if (!inside.closing) this.#verbose?.note(`#${id} closing the connection`);
        finish(connection);
      },
      (error) => {
        const ends = tellFailure(connection, error, () => {
          this.#report(error, connection);
          return false;
        });
        if (ends) this.#hardClose(connection, { kind: 'aborted', cause: error });
      },
    );
  }

  #between(connection: Connection): string {
    const { addresses } = this.#options;
    try {
      const [self, peer] =
        addresses === undefined ? ([connection.local, connection.remote] as const) : addresses(connection);
      return `from ${nameOf(peer)} to ${nameOf(self)}`;
    } catch (error) {
      this.#report(error, connection);
      return 'from an unknown peer';
    }
  }

  #ended(connection: Connection, id: number): void {
    this.#open.delete(connection);
    this.#verbose?.note(`#${id} finished (${this.#open.size} running)`);
    this.#room?.();
    this.#room = null;
    this.#check();
  }

  #hardClose(connection: Connection, why: CloseReason): void {
    hardClose(connection, why, this.#options.prepareHardClose, (error) => this.#report(error, connection));
  }

  #drain(connection: Connection): void {
    const inside = link(connection);
    inside.life.draining.abort(this.#accepting.signal.reason);
    const close = (): void => {
      if (isIdle(inside)) inside.endFor({ kind: 'drained', idle: true });
    };
    inside.watchRest(close);
    this.#clock.soon(close);
  }

  #forceAll(): void {
    for (const connection of [...this.#open.keys()]) this.#hardClose(connection, { kind: 'drained', idle: false });
  }

  #acceptNoMore(): void {
    this.#stopping = true;
    this.#rest?.cancel();
    this.#check();
  }

  #check(): void {
    if (!this.#stopping || this.#open.size > 0) return;
    this.#force.cancel();
    this.#over.resolve();
  }

  #report(error: unknown, connection: Connection | undefined): void {
    this.#errors += 1;
    const { onError } = this.#options;
    const publish = (what: unknown): void => this.#publish(what, connection);
    if (onError === undefined) publish(error);
    else callHook(() => onError(error, connection), publish);
  }

  #publish(error: unknown, connection: Connection | undefined): void {
    if (handlerErrorChannel.hasSubscribers) handlerErrorChannel.publish({ server: this, connection, error });
  }
}

function isClosed(listener: Listener): boolean {
  try {
    void listener.acceptReady;
    return false;
  } catch {
    return true;
  }
}

function nameOf(address: Address | string): string {
  return typeof address === 'string' ? address : peerName(address);
}

function notOne(): PortsideError {
  return new PortsideError('ERR_PORTSIDE_OPTIONS', 'serveThunk: what accept gives must be a connection', {
    op: 'accept',
  });
}

/**
 * Serves every connection of a listener by a function that takes none: it finds its client by `currentInput()`, `currentOutput()`, `print()` and `current()`. The connection
 * is closed when it returns; what it throws ends its connection and no other. Begins at once, and goes on until it is stopped or the listener is closed.
 *
 * Throws ERR_PORTSIDE_HANDLER for what is no function, and ERR_PORTSIDE_OPTIONS for what is no listener, or with all that is wrong with the options.
 */
export function serveThunk(listener: Listener, thunk: () => unknown, options?: ThunkOptions): ThunkServer {
  if (!isListener(listener))
    throw new PortsideError('ERR_PORTSIDE_OPTIONS', 'serveThunk: listener must be a Listener', { op: 'serveThunk' });
  if (typeof thunk !== 'function')
    throw new PortsideError('ERR_PORTSIDE_HANDLER', 'serveThunk: thunk must be a function', { op: 'serveThunk' });
  return new ThunkServer(listener, thunk, check<ThunkOptions>(thunkTable, options));
}
