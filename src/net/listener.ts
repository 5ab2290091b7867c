import { branded } from '../base/brand.ts';
import { ClosedError, PortsideError } from '../base/errors.ts';
import { makeEvt, none } from '../sync/evt.ts';
import type { Evt } from '../sync/evt.ts';
import { currentScope } from '../sync/scope.ts';
import type { Scope } from '../sync/scope.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import type { Acceptor, Channel } from '../transport/contract.ts';
import { troubleChannel } from './channels.ts';
import type { Connection } from './connection.ts';
import { openConnection } from './open-connection.ts';
import type { ConnectionSettings } from './settings.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';

const brand = branded('listener');

/** Accepts that may wait on one listener at a time; one more rejects with ERR_PORTSIDE_LIMIT. */
const MOST_WAITING = 10_000;

interface Waiter {
  readonly scope: Scope | undefined;
  resolve: (connection: Connection) => void;
  reject: (error: unknown) => void;
}

/** What `listen` makes a listener of. */
export interface ListenerParts {
  readonly acceptors: readonly Acceptor[];
  readonly backlog: number;
  readonly settings: ConnectionSettings;
  /** Called once, at close, when the port is free again. */
  readonly cleanup: () => void;
}

/** How a server takes connections: as channels, when it has room for them. */
export interface Feed {
  /** The next channel, flow off; null when there is none, or while the listener is suspended or closed. */
  take(): Channel | null;
  /** Whether `take` would give one. */
  pending(): boolean;
  /** Makes the connection of a channel that was taken. */
  open(channel: Channel): Connection;
  /** Whether to be told by `ready`; without, clients wait as the backlog allows. */
  want(on: boolean): void;
}

/** Who is told that there is something to take from a {@link Feed}. */
export interface Feeder {
  ready(): void;
  trouble(error: PortsideError): void;
}

/** Is shown a connection that was just made; `handedOver`: another thread had it, and it is not new. */
type Hello = (connection: Connection, handedOver: boolean) => void;

let create: (parts: ListenerParts, scope: Scope | undefined) => Listener;
let feed: (listener: Listener, feeder: Feeder) => Feed;
let inside: (listener: Listener) => ConnectionSettings;
let welcome: (listener: Listener, hello: Hello) => void;
let shares: (listener: Listener) => readonly Acceptor[];

/**
 * A bound socket that gives connections when it is asked for them.
 *
 * Clients that nobody has asked for wait in the kernel's queue where the transport can leave them there
 * ({@link Listener.backlogIsKernel}); else at most `backlog` are held, unread, and the next are reset.
 */
export class Listener implements AsyncIterable<Connection>, AsyncDisposable {
  readonly #acceptors: readonly Acceptor[];
  readonly #settings: ConnectionSettings;
  readonly #cleanup: () => void;
  readonly #waiters = new Set<Waiter>();
  readonly #watchers = new Set<() => void>();
  readonly #closed = Promise.withResolvers<void>();
  #state: 'open' | 'suspended' | 'closed' = 'open';
  #wanting = false;
  #turn = 0;
  #disown: (() => void) | null = null;
  #feeder: Feeder | null = null;
  #hello: Hello | null = null;
  /** How many connections may wait for somebody to accept them. */
  readonly backlog: number;

  static {
    brand.mark(this.prototype);
    create = (parts, scope) => new Listener(parts, scope);
    feed = (listener, feeder) => listener.#feed(feeder);
    inside = (listener) => listener.#settings;
    welcome = (listener, hello) => {
      listener.#hello = hello;
    };
    shares = (listener) => listener.#acceptors;
  }

  // Listeners come from `listen`.
  private constructor(parts: ListenerParts, scope: Scope | undefined) {
    this.#acceptors = parts.acceptors;
    this.#settings = parts.settings;
    this.#cleanup = parts.cleanup;
    this.backlog = parts.backlog;
    const watcher = {
      ready: () => this.#deal(),
      trouble: (error: PortsideError) => {
        if (troubleChannel.hasSubscribers) troubleChannel.publish({ listener: this, error });
        this.#feeder?.trouble(error);
      },
    };
    for (const acceptor of parts.acceptors) acceptor.watcher = watcher;
    this.#own(scope);
  }

  /** The address really bound, the first where there are several. Readable after close. */
  get address(): Address {
    return this.#acceptors[0]!.address;
  }

  /** All addresses that are bound. Readable after close. */
  get addresses(): readonly Address[] {
    return this.#acceptors.map((acceptor) => acceptor.address);
  }

  /** Whether unaccepted connections wait in the kernel, and `backlog` is the kernel's. */
  get backlogIsKernel(): boolean {
    return this.#acceptors.every((acceptor) => acceptor.kernelQueue);
  }

  /** Whether `accept` would give a connection now. Consumes nothing. Throws {@link ClosedError} when closed. */
  get acceptReady(): boolean {
    if (this.#state === 'closed') throw this.#closedError('acceptReady');
    return this.#state === 'open' && this.#waiters.size === 0 && this.#acceptors.some((acceptor) => acceptor.pending());
  }

  /** Whether {@link Listener.suspend} was called, and `resume` not since. */
  get suspended(): boolean {
    return this.#state === 'suspended';
  }

  /**
   * The next connection. Asked several times, it answers in order. Rejects with `signal.reason` when called off, and then has
   * taken nothing; with {@link ClosedError} when the listener is or gets closed. Waits while suspended.
   */
  accept(options?: { signal?: AbortSignal | undefined }): Promise<Connection> {
    const signal = options?.signal;
    if (this.#state === 'closed') return Promise.reject(this.#closedError('accept'));
    // What a signal was aborted with is what it rejects with, whatever it is.
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.#waiters.size >= MOST_WAITING) {
      return Promise.reject(
        new PortsideError('ERR_PORTSIDE_LIMIT', `${MOST_WAITING} accepts are waiting already`, { op: 'accept' }),
      );
    }
    const scope = currentScope();
    if (this.#state === 'open' && this.#waiters.size === 0) {
      const channel = this.#take();
      if (channel !== null) {
        try {
          return Promise.resolve(this.#open(channel, scope));
        } catch (error) {
          return Promise.reject(error);
        }
      }
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { scope, resolve, reject };
      if (signal !== undefined) this.#abortable(waiter, signal);
      this.#waiters.add(waiter);
      if (this.#state === 'open') this.#want(true);
    });
  }

  /** Accepts one after another, each when it is asked for, until the listener is closed. `break` leaves the listener open. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Connection, undefined> {
    return {
      next: async () => {
        try {
          return { value: await this.accept(), done: false };
        } catch (error) {
          if (this.#state === 'closed' && error instanceof ClosedError) return { value: undefined, done: true };
          throw error;
        }
      },
      return: () => Promise.resolve({ value: undefined, done: true }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Gives a connection when it is chosen, and takes none when it isn't. The connection belongs to the scope that is current now. A closed listener throws {@link ClosedError}. */
  acceptEvt(): Evt<Connection> {
    const scope = currentScope();
    return makeEvt<Connection>({
      take: () => {
        if (this.#state === 'closed') throw this.#closedError('accept');
        if (this.#state === 'suspended' || this.#waiters.size > 0) return none;
        const channel = this.#take();
        return channel === null ? none : this.#open(channel, scope);
      },
      watch: (wake) => this.#watch(wake),
    });
  }

  /** Ready while `accept` would give a connection; takes none. A closed listener throws {@link ClosedError}. */
  readyEvt(): Evt<this> {
    return makeEvt<this>({ take: () => (this.acceptReady ? this : none), watch: (wake) => this.#watch(wake) });
  }

  /** Stops accepting; clients wait as the backlog allows. Accepts wait too. */
  suspend(): void {
    if (this.#state !== 'open') return;
    this.#state = 'suspended';
    this.#want(false);
  }

  /** Goes on accepting. */
  resume(): void {
    if (this.#state !== 'suspended') return;
    this.#state = 'open';
    if (this.#waiters.size > 0 || this.#watchers.size > 0) this.#want(true);
  }

  /**
   * Reads certificates and keys anew, or takes new ones, checks that they fit for every name, and only then swaps them: new handshakes use the new ones, connections
   * live on. Rejects with ERR_PORTSIDE_CERTIFICATE and all that is wrong, and then the old ones go on serving; with ERR_PORTSIDE_STATE on a listener without TLS.
   */
  async reloadTls(options?: TlsServerOptions): Promise<void> {
    const tls = this.#settings.opening?.tls ?? null;
    if (tls === null) {
      const local = formatAddress(this.address);
      throw new PortsideError('ERR_PORTSIDE_STATE', 'the listener has no TLS', { op: 'reloadTls', local });
    }
    await tls.reload(options);
  }

  /** Whether it keeps the process alive. On by default. */
  ref(on: boolean): void {
    for (const acceptor of this.#acceptors) acceptor.ref(on);
  }

  /** Closes the port. Connections that were accepted live on, those that were not are reset, waiting accepts reject with {@link ClosedError}. Idempotent. */
  close(): Promise<void> {
    if (this.#state === 'closed') return this.closed;
    this.#state = 'closed';
    this.#disown?.();
    for (const acceptor of this.#acceptors) acceptor.close();
    const error = this.#closedError('accept');
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
    for (const wake of [...this.#watchers]) wake();
    this.#cleanup();
    this.#closed.resolve();
    return this.closed;
  }

  /** Resolves when it is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** {@link Listener.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Takes from each in turn, so that no address starves another. */
  #take(): Channel | null {
    const { length } = this.#acceptors;
    for (let step = 0; step < length; step += 1) {
      this.#turn = (this.#turn + 1) % length;
      const channel = this.#acceptors[this.#turn]!.take();
      if (channel !== null) return channel;
    }
    return null;
  }

  /** Gives what there is to those who wait, first come first served. */
  #deal(): void {
    // Resting is put off until news came that nobody wanted, so that a loop of accepts doesn't ask anew for each.
    if (this.#waiters.size === 0 && this.#watchers.size === 0) return this.#want(false);
    for (const waiter of this.#waiters) {
      const channel = this.#state === 'open' ? this.#take() : null;
      if (channel === null) break;
      this.#waiters.delete(waiter);
      try {
        waiter.resolve(this.#open(channel, waiter.scope));
      } catch (error) {
        waiter.reject(error);
      }
    }
    if (this.#waiters.size === 0) for (const wake of [...this.#watchers]) wake();
  }

  #open(channel: Channel, scope: Scope | undefined): Connection {
    const handedOver = (channel.letter ?? null) !== null;
    const connection = openConnection(channel, this.#settings, scope);
    this.#hello?.(connection, handedOver);
    return connection;
  }

  #watch(wake: () => void): () => void {
    this.#watchers.add(wake);
    if (this.#state === 'open') this.#want(true);
    return () => {
      this.#watchers.delete(wake);
    };
  }

  #feed(feeder: Feeder): Feed {
    this.#feeder = feeder;
    const scope = currentScope();
    const wake = (): void => feeder.ready();
    return {
      take: () => (this.#state === 'open' ? this.#take() : null),
      pending: () => this.#state === 'open' && this.#acceptors.some((acceptor) => acceptor.pending()),
      open: (channel) => this.#open(channel, scope),
      want: (on) => {
        if (!on) {
          this.#watchers.delete(wake);
          if (this.#watchers.size === 0 && this.#waiters.size === 0) this.#want(false);
        } else if (this.#state !== 'closed') this.#watch(wake);
      },
    };
  }

  #want(on: boolean): void {
    if (on === this.#wanting) return;
    this.#wanting = on;
    for (const acceptor of this.#acceptors) acceptor.want(on);
  }

  #abortable(waiter: Waiter, signal: AbortSignal): void {
    const { resolve, reject } = waiter;
    const abort = (): void => {
      this.#waiters.delete(waiter);
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    waiter.resolve = (connection) => {
      signal.removeEventListener('abort', abort);
      resolve(connection);
    };
    waiter.reject = (error) => {
      signal.removeEventListener('abort', abort);
      reject(error);
    };
  }

  #own(scope: Scope | undefined): void {
    if (scope === undefined) return;
    const { address } = this;
    try {
      this.#disown = scope.own({ what: `listener on ${formatAddress(address)}`, drop: () => this.close() });
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  #closedError(op: string): ClosedError {
    return new ClosedError('the listener is closed', { op, local: formatAddress(this.address) });
  }
}

/** A {@link Listener} of its parts, owned by `scope` when there is one. */
export function openListener(parts: ListenerParts, scope: Scope | undefined): Listener {
  return create(parts, scope);
}

/** Makes a server the taker of a listener's connections. They belong to the scope that is current now. */
export function feedOf(listener: Listener, feeder: Feeder): Feed {
  return feed(listener, feeder);
}

/** What the connections of a listener have in common. */
export function settingsOf(listener: Listener): ConnectionSettings {
  return inside(listener);
}

/** Has every connection of a listener shown to somebody, just made, before whoever accepted it has it. */
export function greet(listener: Listener, hello: Hello): void {
  welcome(listener, hello);
}

/** The bound sockets of a listener, for who lends them to other threads. */
export function acceptorsOf(listener: Listener): readonly Acceptor[] {
  return shares(listener);
}

/** Whether a value is a {@link Listener}, of this copy of the package or another. */
export function isListener(value: unknown): value is Listener {
  return brand.is(value);
}
