import { EventEmitter } from 'node:events';
import { PortsideError } from '../base/errors.ts';
import { check, checkValue, milliseconds, table } from '../base/options.ts';
import type { Connection } from '../net/connection.ts';
import type { DeadlineOptions } from '../net/deadlines.ts';
import type { Clock } from '../sync/clock.ts';
import { tellListeners } from '../sync/listeners.ts';
import { currentClock, currentRandom } from '../sync/scope.ts';
import type { Random } from '../sync/random.ts';
import type { Address } from '../transport/address.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { stateChannel } from './channels.ts';
import { isHandler } from './define-handler.ts';
import { Drain, nothingEnded, sooner } from './drain.ts';
import type { DrainTimes, Ledger, StopWanted } from './drain.ts';
import { endByHandRule, idsRule } from './end-by-hand.ts';
import type { EndByHand } from './end-by-hand.ts';
import { Endpoints } from './endpoints.ts';
import type { ShutdownAsk } from './endpoints.ts';
import type { ServerEvents, ServerState } from './events.ts';
import { Limits } from './limits.ts';
import type { ServerLimits } from './limits.ts';
import type { Handler } from './handler.ts';
import { changesTable, endTable, serverTable } from './options.ts';
import type { DrainOptions, Given, ServerChanges, ServerOptions } from './options.ts';
import { Patience } from './patience.ts';
import { Service } from './service.ts';
import type { Emit, ServiceObserver, WayOut } from './service.ts';
import { runTable, untilOver } from './signals.ts';
import type { ServerRunOptions } from './signals.ts';
import type { ServerStatus } from './status.ts';

const waitTable = table('waitStopped', { timeout: milliseconds({ infinite: true }) });

let observe: (server: Server, observer: ServiceObserver, wayOut: WayOut | null) => void;

/**
 * Serves every connection of its endpoints by a handler, from its start until it is stopped. Making one opens nothing.
 *
 * To be used by options, or by subclassing it with {@link Server.onStart} and {@link Server.onStop}.
 */
export class Server<Ctx = unknown> extends EventEmitter<ServerEvents> implements AsyncDisposable {
  /** The options that it was made with. */
  readonly options: Readonly<ServerOptions<Ctx>>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #service: Service;
  readonly #over = Promise.withResolvers<Ledger>();
  #state: ServerState = 'idle';
  readonly #endpoints: Endpoints<Service>;
  readonly #limits: Limits;
  /** For the clients that wait until a suspension is over, and the end that came while it was starting. */
  #suspended = false;
  #stopWanted: StopWanted | null = null;
  /** What was changed before there was a listener to hold it. */
  readonly #deadlines: DeadlineOptions = {};
  /** How long a hook is waited for that runs now. */
  #patience: Patience | null = null;
  /** Why it could not be started. */
  #failure: { readonly error: unknown } | null = null;
  #startedAt: number | null = null;
  #stoppedAt = 0;

  static {
    observe = (server, observer, wayOut) => {
      server.#service.observer = observer;
      server.#service.measures = observer.measures;
      server.#service.wayOut = wayOut;
    };
  }

  /** Throws ERR_PORTSIDE_HANDLER for what is no handler, and ERR_PORTSIDE_OPTIONS with all that is wrong with the options. */
  constructor(handler: Handler<never, Ctx>, options: ServerOptions<Ctx>) {
    super();
    if (!isHandler(handler)) {
      throw new PortsideError(
        'ERR_PORTSIDE_HANDLER',
        'a handler is a function, or an object with some of open, data, end, drain, draining and close; this is neither',
        { op: 'createServer' },
      );
    }
    this.options = Object.freeze({ ...(check(serverTable, options) as ServerOptions<Ctx>) });
    this.#clock = currentClock();
    this.#random = currentRandom();
    this.#limits = new Limits(options);
    const emit: Emit = (name, ...args) => this.#tell(name, ...args);
    this.#service = new Service(this as Server, handler, this.options as ServerOptions, this.#clock, emit);
    this.#endpoints = new Endpoints(this.options as ServerOptions, this.#service, this.#clock);
  }

  // ---- what it is ----

  /** Where it is in its life. */
  get state(): ServerState {
    return this.#state;
  }

  /** Whether it is not running: before its start too. */
  get stopped(): boolean {
    return this.#state === 'idle' || this.#state === 'stopped';
  }

  /** Whether clients should be sent here: false from the moment in which its end begins. */
  get ready(): boolean {
    return this.#state === 'running';
  }

  /** The `context` of its options. */
  get context(): Ctx {
    return this.options.context as Ctx;
  }

  /** Where it listens, all addresses, with the ports really bound. Empty before the start; readable after the end. */
  get addresses(): readonly Address[] {
    return this.#endpoints.intakes.flatMap(({ listener }) => listener.addresses);
  }

  /** Whether clients wait in the kernel's queue while the server is full or suspended. Else at most `backlog` of each address are held unread, and the next are reset. */
  get backlogIsKernel(): boolean {
    return this.#endpoints.intakes.every(({ listener }) => listener.backlogIsKernel);
  }

  /** What `set` changes, as it is now. */
  get limits(): ServerLimits {
    return this.#limits.read(this.#service.admission.permits);
  }

  /** Where any connection asks for its end; null without. Readable after the end. */
  get shutdownAddress(): Address | null {
    return this.#endpoints.shutdown?.listener.address ?? null;
  }

  /** What it does now and did so far. `connections`: with a list of those that are open. */
  status(options?: { connections?: boolean | undefined }): ServerStatus {
    const service = this.#service;
    const { permits, counts } = service.admission;
    const until = this.#state === 'stopped' ? this.#stoppedAt : this.#clock.now();
    return {
      state: this.#state,
      ready: this.ready,
      uptime: this.#startedAt === null ? 0 : until - this.#startedAt,
      transport: this.#endpoints.transport,
      addresses: this.addresses,
      shutdownAddress: this.shutdownAddress,
      active: service.connections.length,
      opening: service.opening,
      maxConnections: permits.limit,
      maxPerClient: permits.perClient,
      accepted: service.accepted,
      closed: service.closed,
      detached: service.detached,
      handedOver: service.handedOver,
      ...service.bytes(),
      ending: service.drain?.ending ?? null,
      errors: service.errors,
      troubles: service.troubles,
      refused: counts.snapshot(),
      reasons: { ...service.reasons },
      measures: service.measures.read(),
      connections: options?.connections === true ? service.list() : null,
    };
  }

  // ---- its life ----

  /**
   * Binds all endpoints, or none, runs `onStart`, and begins to accept; resolves when it does. `given` is handed on to `onStart`.
   * Rejects as `listen` does, or with what `onStart` threw, and then nothing is left open. ERR_PORTSIDE_STATE when it was started before: a server runs once.
   */
  async start(given?: Given): Promise<this> {
    if (this.#state !== 'idle') {
      const why =
        this.#state === 'stopped' ? 'the server has stopped; make another one' : 'the server was started before';
      throw new PortsideError('ERR_PORTSIDE_STATE', why, { op: 'start' });
    }
    const off = new PortsideError('ERR_PORTSIDE_ABORTED', 'the server was stopped while it was starting', {
      op: 'start',
    });
    const patience = new Patience(this.#clock, off);
    this.#patience = patience;
    this.#go('starting');
    try {
      await this.#endpoints.bind(patience.signal, this.#shutdownAsk());
      for (const { listener } of this.#endpoints.intakes) void listener.closed.then(() => this.#listenerClosed());
      this.#service.setDeadlines(this.#endpoints.intakes, this.#deadlines);
      this.#startedAt = this.#service.began = this.#clock.now();
      await patience.waitFor(
        () => this.onStart(given),
        (error) => void this.#service.report(error, undefined),
      );
    } catch (error) {
      patience.end();
      this.#patience = null;
      await this.#endpoints.close();
      if (this.#startedAt !== null) await this.#finish(this.#stopWanted?.given);
      if (error !== off) this.#failure = { error };
      this.#stopNow(nothingEnded);
      throw error;
    }
    patience.end();
    this.#patience = null;
    this.#go('running');
    if (this.#suspended) this.suspend();
    this.#service.verbose?.waiting(this.addresses);
    for (const intake of this.#endpoints.intakes) intake.open();
    this.#endpoints.shutdown?.open();
    const wanted = this.#stopWanted;
    if (wanted !== null) void this.#drain(wanted, wanted.given);
    return this;
  }

  /**
   * Starts it if it is not, and resolves when it has stopped, on whatever path: a signal, {@link Server.stop}, the shutdown port, the end of its scope. The
   * first SIGINT or SIGTERM drains it, a second one ends it at once. Rejects as {@link Server.start} does.
   */
  async run(options?: ServerRunOptions): Promise<Ledger> {
    const checked: ServerRunOptions = check(runTable, options);
    const { given } = checked;
    const over = async () => {
      // What it rejects with is told below, unless it was only stopped.
      if (this.#state === 'idle') await this.start(given).catch(() => {});
      const ledger = await this.#over.promise;
      if (this.#failure !== null) throw this.#failure.error;
      return ledger;
    };
    return untilOver(over, this, checked);
  }

  /** Stops accepting for now; clients wait as the backlog allows, and connections go on. */
  suspend(): void {
    this.#suspended = true;
    if (this.#state !== 'running') return;
    for (const { listener } of this.#endpoints.intakes) listener.suspend();
    this.#go('suspended');
  }

  /** Goes on accepting. */
  resume(): void {
    this.#suspended = false;
    if (this.#state !== 'suspended') return;
    for (const { listener } of this.#endpoints.intakes) listener.resume();
    this.#go('running');
    for (const intake of this.#endpoints.intakes) intake.again();
  }

  /**
   * Brings it to its end, and resolves with how every connection ended:
   *
   * 1. it is not ready any more, and goes on accepting for `lead` milliseconds, in which load balancers notice;
   * 2. it accepts no more, the ports are free, and every connection is told ({@link Connection.draining});
   * 3. those that are idle are closed, spread over `spread` milliseconds, and those that become so, as soon as they do. Idle is who waits for its
   *    peer's next message, has none in part, nothing to send, and is not marked {@link Connection.busy};
   * 4. after `grace` milliseconds those that are left are ended abruptly.
   *
   * What is not given is as in the options. A further call hastens the first, and gives the same promise. Before the start there is nothing to end: it resolves at once.
   */
  drain(options?: DrainOptions): Promise<Ledger> {
    const { signal, given, ...times }: DrainOptions = check(endTable, options);
    const now = (): void => void this.stop({ grace: 0 });
    if (signal?.aborted === true) return this.stop({ grace: 0, given });
    signal?.addEventListener('abort', now, { once: true });
    const done = this.#drain(this.#limits.timesOf(times), given);
    void done.then(() => signal?.removeEventListener('abort', now));
    return done;
  }

  /**
   * The short form of {@link Server.drain}, without a lead: closes the ports, tells every connection, gives them `grace` milliseconds, and ends those that are left. A
   * second call can only make the time shorter.
   */
  stop(options?: { grace?: number | undefined; given?: Given | undefined }): Promise<Ledger> {
    return this.drain({ ...options, lead: 0, spread: options?.grace === 0 ? 0 : this.#limits.spread });
  }

  /** Whether it has stopped within `timeout` milliseconds (by default it waits as long as it takes); at once where it is stopped already, as before its start. */
  async waitStopped(options?: { timeout?: number | undefined }): Promise<boolean> {
    const { timeout = Infinity }: { timeout?: number | undefined } = check(waitTable, options);
    if (this.stopped) return true;
    const over = this.#over.promise.then(() => true);
    if (timeout === Infinity) return over;
    return new Promise((resolve) => {
      const timer = this.#clock.after(timeout, () => resolve(false));
      void over.then((value) => {
        timer.cancel();
        resolve(value);
      });
    });
  }

  /** {@link Server.stop}, with the times of its options. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.stopped) await this.stop();
  }

  /** Runs after binding and before the first accept. Override it in a subclass; by itself it calls the option `onStart`. */
  protected async onStart(given: Given | undefined): Promise<void> {
    await this.options.onStart?.(this, given);
  }

  /** Runs when everything is closed, on every path. Override it in a subclass; by itself it calls the option `onStop`. */
  protected async onStop(given: Given | undefined): Promise<void> {
    await this.options.onStop?.(this, given);
  }

  // ---- while it runs ----

  /**
   * Changes limits, lists, rates, deadlines and times of ending. What is not given stays. Connections that are open stay within what they were admitted by, and take
   * new deadlines at once. Throws ERR_PORTSIDE_OPTIONS with all that is wrong, and then changes nothing.
   */
  set(changes: ServerChanges): void {
    const { deadlines, ...admission }: ServerChanges = check(changesTable, changes);
    if (admission.maxPerClient !== undefined && !this.#service.admission.countsClients) this.#service.countClients();
    this.#service.admission.set(admission);
    // Not before: permits that come from elsewhere may refuse.
    this.#limits.set({ ...admission, deadlines });
    if (deadlines !== undefined) {
      const given = Object.entries(deadlines).filter(([, ms]) => ms !== undefined);
      Object.assign(this.#deadlines, Object.fromEntries(given));
      this.#service.setDeadlines(this.#endpoints.intakes, deadlines);
    }
    for (const intake of this.#endpoints.intakes) intake.again();
  }

  /**
   * Reads the certificates and keys of all endpoints anew, or takes new ones, checks that they fit for every name, and only then uses them. New ones take the
   * place of those in the option `tls`; endpoints with their own read theirs anew. Rejects with ERR_PORTSIDE_CERTIFICATE and what is wrong, and the old ones go on
   * serving; with ERR_PORTSIDE_STATE when no endpoint has TLS, or several have their own and it is not clear whose place new ones take.
   */
  async reloadTls(options?: TlsServerOptions): Promise<void> {
    await this.#endpoints.reloadTls(options);
  }

  /**
   * Gives one of its connections away, with every byte that was read and not consumed: the server forgets it whole, with its permit, deadlines and part in a drain, and the
   * caller owns it. From callbacks it is read by asking from then on, or taken by `pipe`; what was queued is sent. It stays within the scope in which the server was started.
   *
   * Only within its own handler: a function until it is settled, callbacks until they return. Elsewhere it throws ERR_PORTSIDE_STATE, and for a connection that is over or
   * being closed the error that a read would meet. With `ambient: false`, whose function is running can't be known, and it is only checked that this one's is not settled.
   */
  detach<Data>(connection: Connection<Data>): Connection<Data> {
    this.#service.detach(connection);
    return connection;
  }

  /**
   * Ends connections by their numbers (`Context.id`), in order or by a reset; gives how many of them were open, those left out that were being closed in order anyway.
   * Throws ERR_PORTSIDE_OPTIONS for what are no numbers of connections.
   */
  closeConnections(ids: readonly number[], how: EndByHand = 'close'): number {
    checkValue('closeConnections', 'ids', idsRule, ids);
    return this.#service.end(ids, checkValue('closeConnections', 'how', endByHandRule, how));
  }

  // ---- inside ----

  #shutdownAsk(): ShutdownAsk {
    const { shutdownHandler = () => true } = this.options;
    return { ask: (connection) => shutdownHandler(this, connection), stop: () => void this.stop() };
  }

  #listenerClosed(): void {
    // By the scope that owns it: what can't accept any more comes to its end.
    if (!this.stopped && this.#state !== 'draining') void this.stop();
  }

  #drain(times: DrainTimes, given: Given | undefined): Promise<Ledger> {
    const { drain } = this.#service;
    // A hook that takes too long is waited for as long as the connections are.
    this.#patience?.limit(times.grace);
    if (drain !== null) drain.hasten(times);
    else if (this.#state === 'starting') this.#stopWanted = sooner({ ...times, given }, this.#stopWanted);
    else if (this.#state === 'idle') return Promise.resolve(nothingEnded);
    else if (this.#state !== 'stopped') {
      const host = {
        connections: this.#service.connections,
        stopAccepting: () => this.#endpoints.close(),
        tell: this.#service.tell.bind(this.#service),
        hardClose: this.#service.hardClose.bind(this.#service),
      };
      const begun = new Drain(host, times, this.#clock, this.#random);
      this.#service.drain = begun;
      this.#go('draining');
      begun.begin(times.lead);
      void begun.done.then(async (ledger) => {
        await this.#finish(given);
        this.#service.admission.close();
        this.#stopNow(ledger);
      });
    }
    return this.#over.promise;
  }

  async #finish(given: Given | undefined): Promise<void> {
    const late = new PortsideError('ERR_PORTSIDE_TIMEOUT', 'onStop had not ended when its time was over', {
      op: 'stop',
    });
    const patience = new Patience(this.#clock, late);
    this.#patience = patience;
    const report = (error: unknown): void => void this.#service.report(error, undefined);
    await patience.waitFor(() => this.onStop(given), report).catch(report);
    patience.end();
    this.#patience = null;
  }

  #stopNow(ledger: Ledger): void {
    this.#stoppedAt = this.#clock.now();
    this.#go('stopped');
    this.#over.resolve(ledger);
  }

  #go(state: ServerState): void {
    const before = this.#state;
    this.#state = state;
    if (state === 'stopped') this.#service.log?.end();
    if (stateChannel.hasSubscribers) stateChannel.publish({ server: this, state, before });
    this.#tell('state', state, before);
  }

  #tell<K extends keyof ServerEvents>(name: K, ...args: ServerEvents[K]): void {
    tellListeners(this, name, args);
  }
}

/**
 * A server that serves every connection by `handler`. Opens nothing: see {@link Server.start} and {@link Server.run}.
 * Throws ERR_PORTSIDE_HANDLER for what is no handler, and ERR_PORTSIDE_OPTIONS with all that is wrong with the options.
 */
export function createServer<Data = unknown, Ctx = unknown>(
  handler: Handler<Data, Ctx>,
  options: ServerOptions<Ctx>,
): Server<Ctx> {
  return new Server(handler, options);
}

/** {@link createServer} and {@link Server.start}: resolves when it is bound and accepting. */
export function serve<Data = unknown, Ctx = unknown>(
  handler: Handler<Data, Ctx>,
  options: ServerOptions<Ctx>,
): Promise<Server<Ctx>> {
  // What is wrong rejects, as what can't be bound does.
  return Promise.resolve().then(() => createServer(handler, options).start());
}

/** Has a server's counts kept by somebody else too. */
export function observeServer(server: Server, observer: ServiceObserver, wayOut: WayOut | null = null): void {
  observe(server, observer, wayOut);
}
