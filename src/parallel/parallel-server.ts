import { EventEmitter } from 'node:events';
import { PortsideError } from '../base/errors.ts';
import { check, checkValue, integer, milliseconds, table } from '../base/options.ts';
import type { DrainTimes } from '../server/drain.ts';
import type { ServerState } from '../server/events.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import { Limits } from '../server/limits.ts';
import type { ServerLimits } from '../server/limits.ts';
import { changesTable, endTable } from '../server/options.ts';
import type { DrainOptions, Given, ServerChanges } from '../server/options.ts';
import type { Refusal } from '../server/refusal.ts';
import { runTable, untilOver } from '../server/signals.ts';
import type { ServerRunOptions } from '../server/signals.ts';
import type { Clock } from '../sync/clock.ts';
import { toEvt } from '../sync/evt.ts';
import type { Evt } from '../sync/evt.ts';
import { tellListeners } from '../sync/listeners.ts';
import { currentClock } from '../sync/scope.ts';
import type { Address } from '../transport/address.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { Crew } from './crew.ts';
import type { WorkerEvent } from './crew.ts';
import type { CrewWorker } from './crew-worker.ts';
import { connectionsOf, endConnections } from './connections.ts';
import type { AskOptions, WorkerConnectionName } from './connections.ts';
import type { Front } from './front.ts';
import { frontOf } from './front-of.ts';
import type { ParallelLedger } from './ledger.ts';
import { parallelTable } from './options.ts';
import type { ParallelOptions } from './options.ts';
import { ownedByScope } from './owned.ts';
import { PermitPool } from './permit-pool.ts';
import { ParallelEnd } from './parallel-end.ts';
import type { ParallelServerEvents, Reloaded } from './parallel-events.ts';
import { ParallelLog } from './parallel-log.ts';
import { hostOf, hrefOf, planOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { countsOf } from './status.ts';
import type { ParallelStatus, WorkerConnection } from './status.ts';
import { Switchboard } from './switchboard.ts';
import { Updates } from './updates.ts';
import type { WorkerChannel } from './worker-channel.ts';
import { within } from './within.ts';
import { workerChanges, workerServerOptions } from './worker-options.ts';

const waitTable = table('waitStopped', { timeout: milliseconds({ infinite: true }) });
const countRule = integer({ min: 1, max: 1_024 });

/** One listener over many worker threads, from its start until it has stopped. Made by {@link startParallel}. */
export class ParallelServer extends EventEmitter<ParallelServerEvents> implements AsyncDisposable {
  /** The options that it was started with. */
  readonly options: Readonly<ParallelOptions>;
  /** Ready when it has stopped and all workers are gone. */
  readonly dead: Evt<ParallelLedger>;
  readonly #clock: Clock;
  /** Lines of what the parent does; the workers have their own. */
  readonly #log: ParallelLog;
  readonly #plan: Plan;
  readonly #pool: PermitPool;
  readonly #front: Front;
  readonly #crew: Crew;
  readonly #updates: Updates;
  readonly #switchboard = new Switchboard();
  readonly #over = Promise.withResolvers<ParallelLedger>();
  #state: ServerState = 'starting';
  readonly #limits: Limits;
  #startedAt = 0;
  #stoppedAt = 0;
  #errors = 0;
  #troubles = 0;
  /** The port is bound and all workers are ready. */
  #booted = false;
  readonly #end: ParallelEnd;
  #reloading: Promise<Reloaded> | null = null;
  #failure: { readonly error: unknown } | null = null;
  #disown: (() => void) | null = null;

  /** Starts one; see {@link startParallel}. */
  static async start(
    module: string | URL,
    options: ParallelOptions,
    given: Given | undefined,
  ): Promise<ParallelServer> {
    const checked: ParallelOptions = check(parallelTable, options);
    const plan = await planOf(checked);
    const server = new ParallelServer(hrefOf(module), checked, plan);
    await server.#start(given);
    return server;
  }

  private constructor(module: string, options: ParallelOptions, plan: Plan) {
    super();
    this.options = Object.freeze({ ...options });
    this.#clock = currentClock();
    this.#plan = plan;
    this.#limits = new Limits(options);
    this.dead = toEvt(this.#over.promise);
    const { maxConnections = 10_000, maxPerClient = Infinity } = options;
    this.#pool = new PermitPool({ connections: maxConnections, perClient: maxPerClient }, this.#clock);
    const crew = (): Crew => this.#crew;
    this.#log = new ParallelLog(options, this.#clock, (error) => this.#report(error, null));
    const host = {
      get serving(): readonly CrewWorker[] {
        return crew().serving;
      },
      get hope(): boolean {
        return crew().hope;
      },
      ended: () => this.#end.lose(1, []),
      refused: (remote: Address, refusal: Refusal) => {
        this.#log.refused(remote, refusal);
        this.#tell('refused', remote, refusal);
      },
      trouble: (error: PortsideError) => this.#trouble(error, null),
      reloaded: (error: PortsideError | null) => void this.#reloadedTls(error),
      report: (error: unknown) => this.#report(error, null),
    };
    this.#front = frontOf(options, plan, this.#pool, this.#clock, host);
    const { optionsModule, preload = [] } = options;
    const parts = {
      options,
      module,
      optionsModule: optionsModule === undefined ? null : hrefOf(optionsModule),
      preload: preload.map((one) => hrefOf(one)),
      host: hostOf(plan),
      transport: plan.transportName,
      front: this.#front,
      pool: this.#pool,
      switchboard: this.#switchboard,
      clock: this.#clock,
    };
    this.#crew = new Crew(parts, workerServerOptions(options), {
      event: (event) => this.#event(event),
      failed: (error, worker, more) => this.#report(error, worker, more),
      trouble: (error, worker) => this.#trouble(error, worker),
      lines: (lines) => this.#log.take(lines),
      broken: (error) => this.#break(error),
    });
    this.#updates = new Updates(this.#crew, (error, worker) => this.#report(error, worker));
    this.#end = new ParallelEnd({
      front: this.#front,
      crew: this.#crew,
      clock: this.#clock,
      wanted: () => this.#state === 'draining' || this.#go('draining'),
      last: (stopGiven) => this.#last(stopGiven),
      over: (ledger) => this.#over.resolve(ledger),
    });
  }

  // ---- what it is ----

  /** What it broke by, where it can't go on or did not start, which {@link ParallelServer.run} throws; null where it goes on, or was told to end. */
  get failure(): unknown {
    return this.#failure?.error ?? null;
  }

  /** Where it is in its life. */
  get state(): ServerState {
    return this.#state;
  }

  /** Whether it has stopped. */
  get stopped(): boolean {
    return this.#state === 'stopped';
  }

  /** Whether clients should be sent here: false from the moment in which its end begins. */
  get ready(): boolean {
    return this.#state === 'running';
  }

  /** Where it listens, all addresses, with the ports really bound. Readable after the end. */
  get addresses(): readonly Address[] {
    return this.#front.addresses;
  }

  /** Whether clients wait in the kernel's queue while it is full or suspended. */
  get backlogIsKernel(): boolean {
    return this.#front.backlogIsKernel;
  }

  /** What `set` changes, as it is now. */
  get limits(): ServerLimits {
    return this.#limits.read(this.#pool.store);
  }

  /** Where any connection asks for its end; null without. Readable after the end. */
  get shutdownAddress(): Address | null {
    return this.#front.endpoints.shutdown?.listener.address ?? null;
  }

  /** How connections come to the workers: `handed` by the parent, or accepted by themselves, on sockets that stay with the parent (`shared`) or are their own (`bound`). */
  get way(): 'handed' | 'shared' | 'bound' {
    return this.#plan.way;
  }

  /** What it does now and did so far, over all workers. */
  status(): ParallelStatus {
    const { state, ready, shutdownAddress } = this;
    const uptime = (this.stopped ? this.#stoppedAt : this.#clock.now()) - this.#startedAt;
    const own = { errors: this.#errors, troubles: this.#troubles };
    const counts = countsOf({ front: this.#front, crew: this.#crew, pool: this.#pool, ...own });
    return { state, ready, uptime, shutdownAddress, ending: this.#end.ending, ...counts };
  }

  /** The open connections of all workers, as they tell them; of one that does not answer within `timeout` milliseconds there are none. */
  connections(options?: AskOptions): Promise<readonly WorkerConnection[]> {
    return connectionsOf(this.#crew, this.#clock, options);
  }

  /** As `Server.closeConnections`, in whichever workers they are; those of a worker that does not answer in time are not counted. */
  closeConnections(names: readonly WorkerConnectionName[], how?: EndByHand, options?: AskOptions): Promise<number> {
    return endConnections(this.#crew, names, how, this.#clock, options);
  }

  /** The parent's end of a channel of the workers: see `channel()`. */
  channel<T = unknown>(name: string): WorkerChannel<T> {
    return this.#switchboard.channel<T>(name);
  }

  // ---- its life ----

  async #start(given: Given | undefined): Promise<void> {
    const called = new AbortController();
    const { signal } = this.options;
    signal?.throwIfAborted();
    const off = (): void => called.abort(signal?.reason);
    signal?.addEventListener('abort', off, { once: true });
    try {
      const { shutdownHandler = () => true } = this.options;
      await this.#front.bind(called.signal, {
        ask: (connection) => shutdownHandler(this, connection),
        stop: () => void this.stop(),
      });
      this.#own(called);
      await this.#crew.boot(called.signal);
      this.#booted = true;
      this.#startedAt = this.#clock.now();
      await this.options.onStart?.(this, given);
      // A worker may have died meanwhile.
      if (this.#failure !== null) throw this.#failure.error;
    } catch (error) {
      this.#failure ??= { error };
      await this.#end.abandon(given);
      await this.#over.promise;
      throw error;
    } finally {
      signal?.removeEventListener('abort', off);
    }
    // A hook may have stopped it.
    if (this.#state !== 'starting') return;
    this.#go('running');
    this.#crew.suspend(false);
    this.#front.open();
  }

  /** Resolves when it has stopped, on whatever path. The first SIGINT or SIGTERM drains it, a second one ends it at once. Rejects when a worker died and nothing was to go on. */
  async run(options?: Omit<ServerRunOptions, 'given'>): Promise<ParallelLedger> {
    const checked: ServerRunOptions = check(runTable, options);
    const ledger = await untilOver(() => this.#over.promise, this, checked);
    if (this.#failure !== null) throw this.#failure.error;
    return ledger;
  }

  /** Stops accepting for now; clients wait as the backlog allows, and connections go on. */
  suspend(): void {
    if (this.#state !== 'running') return;
    this.#crew.suspend(true);
    this.#front.suspend();
    this.#go('suspended');
  }

  /** Goes on accepting. */
  resume(): void {
    if (this.#state !== 'suspended') return;
    this.#crew.suspend(false);
    this.#go('running');
    this.#front.resume();
  }

  /**
   * Brings it to its end, as `Server.drain` does one server, in all workers at once, and resolves with how every connection ended. Who was let in and not taken by a worker
   * still is. A worker that is not done a second after the grace is ended, whatever it does. A further call hastens the first; afterwards it resolves at once.
   */
  drain(options?: DrainOptions): Promise<ParallelLedger> {
    const { signal, given, ...times }: DrainOptions = check(endTable, options);
    const now = (): void => void this.stop({ grace: 0 });
    if (signal?.aborted === true) return this.stop({ grace: 0, given });
    signal?.addEventListener('abort', now, { once: true });
    const done = this.#drain(this.#limits.timesOf(times), given);
    void done.then(() => signal?.removeEventListener('abort', now));
    return done;
  }

  /** The short form of {@link ParallelServer.drain}, without a lead. Idempotent; a second call can only make the time shorter. */
  stop(options?: { grace?: number | undefined; given?: Given | undefined }): Promise<ParallelLedger> {
    return this.drain({ ...options, lead: 0, spread: options?.grace === 0 ? 0 : this.#limits.spread });
  }

  /** Whether it has stopped within `timeout` milliseconds; by default it waits as long as it takes. */
  waitStopped(options?: { timeout?: number | undefined }): Promise<boolean> {
    const { timeout = Infinity }: { timeout?: number | undefined } = check(waitTable, options);
    const over = this.#over.promise.then(() => true);
    return timeout === Infinity ? over : within(this.#clock, timeout, over, false);
  }

  /** {@link ParallelServer.stop}, with the times of its options. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  // ---- while it runs ----

  /**
   * Starts new workers, on the module as it is now. When all of them are ready they take over, and those from before are drained. Resolves when the new ones have taken over. When one
   * of the new ones can't be started it rejects with why, and those from before go on. A call while another is under way gives the same promise.
   *
   * No connection is refused or reset by it, except under `dispatch: 'kernel'` where the workers' sockets are their own (`way` is `bound`): then clients in the queue of a
   * socket that closes are reset by the kernel, and `seamless` is false.
   */
  reload(): Promise<Reloaded> {
    if (this.#end.begun) return Promise.reject(this.#isOver('reload'));
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = null;
    });
    return this.#reloading;
  }

  async #reload(): Promise<Reloaded> {
    const { done } = await this.#crew.replace(this.#limits.timesOf({}));
    const seamless = this.way !== 'bound';
    const why = seamless
      ? null
      : 'the workers bind the port by themselves: who waited in a queue that was closed was reset';
    return { seamless, why, done };
  }

  /** Starts more workers, or drains those with the highest indexes; resolves when there are as many as that. Rejects when one can't be started, and then there are as many as before. */
  async resize(count: number): Promise<void> {
    checkValue('resize', 'count', countRule, count);
    if (this.#end.begun) throw this.#isOver('resize');
    await this.#reloading?.catch(() => {});
    await this.#crew.resize(count, this.#limits.timesOf({}));
  }

  /** As `Server.set`, in the parent and in all workers, those too that are started later. Throws ERR_PORTSIDE_OPTIONS, and then changes nothing. */
  set(changes: ServerChanges): void {
    const { deadlines, ...admission }: ServerChanges = check(changesTable, changes);
    this.#limits.set({ ...admission, deadlines });
    this.#front.admission.set(admission);
    this.#updates.set(workerChanges({ ...admission, deadlines }, this.options));
    this.#front.again();
  }

  /** As `Server.reloadTls`, in the parent, which refuses what is wrong, and then in all workers. */
  async reloadTls(options?: TlsServerOptions): Promise<void> {
    await this.#front.endpoints.reloadTls(options);
    if (options !== undefined) this.#front.certify(options);
    await this.#updates.reloadTls(options ?? null);
  }

  // ---- inside ----

  #own(called: AbortController): void {
    this.#disown = ownedByScope(`parallel listener on ${this.addresses.length} addresses`, async () => {
      const why = 'its scope was closed while it was starting';
      const off = new PortsideError('ERR_PORTSIDE_ABORTED', why, { op: 'start' });
      if (this.#booted) void this.stop({ grace: 0 });
      else called.abort(off);
      await this.#over.promise;
    });
  }

  #drain(times: DrainTimes, given: Given | undefined): Promise<ParallelLedger> {
    if (this.#state === 'stopped') return this.#over.promise;
    this.#end.within(times, given);
    return this.#over.promise;
  }

  async #last(given: Given | undefined): Promise<void> {
    this.#front.admission.close();
    try {
      if (this.#booted)
        await within(this.#clock, 10_000, Promise.resolve(this.options.onStop?.(this, given)), undefined);
    } catch (error) {
      this.#report(error, null);
    }
    this.#disown?.();
    this.#switchboard.close();
    this.#stoppedAt = this.#clock.now();
    this.#go('stopped');
  }

  #event(event: WorkerEvent): void {
    if (event.kind === 'started') this.#updates.welcome(event.threadId);
    else this.#end.lose(event.lost, event.ids);
    if (event.kind === 'died') this.#report(event.error, event.worker);
    this.#tell('worker', event);
  }

  #break(error: unknown): void {
    this.#failure ??= { error };
    if (!this.#end.begun) void this.stop();
  }

  /** `more`: how many were not told before it; a worker counts those that it tells. */
  #report(error: unknown, worker: number | null, more = 0): void {
    this.#errors += worker === null ? 1 : more;
    this.#log.untold(more);
    const { onError } = this.options;
    if (onError === undefined) return this.#unheard(error, worker);
    try {
      onError(error, worker, this);
    } catch (again) {
      this.#unheard(again, null);
    }
  }

  #unheard(error: unknown, worker: number | null): void {
    this.#log.failed(error, worker);
    this.#tell('error', error, worker);
  }

  #trouble(error: Error, worker: number | null): void {
    if (worker === null) this.#troubles += 1;
    this.#log.trouble(error, worker);
    this.#tell('trouble', error, worker);
  }

  async #reloadedTls(error: PortsideError | null): Promise<void> {
    this.#log.reloaded(error);
    if (error !== null) this.#report(error, null);
    else await this.#updates.reloadTls(null).catch((again: unknown) => this.#report(again, null));
  }

  #isOver(op: string): PortsideError {
    return new PortsideError('ERR_PORTSIDE_STATE', 'the server has stopped, or is stopping', { op });
  }

  #go(state: ServerState): void {
    const before = this.#state;
    this.#state = state;
    if (state === 'stopped') this.#log.end();
    this.#tell('state', state, before);
  }

  #tell<K extends keyof ParallelServerEvents>(name: K, ...args: ParallelServerEvents[K]): void {
    tellListeners(this, name, args);
  }
}
