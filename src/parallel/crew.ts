import { availableParallelism } from 'node:os';
import type { MessagePort } from 'node:worker_threads';
import { PortsideError } from '../base/errors.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import { CrewWorker } from './crew-worker.ts';
import { defined } from './defined.ts';
import type { Front } from './front.ts';
import type { ParallelOptions } from './options.ts';
import type { PermitPool } from './permit-pool.ts';
import type { WorkerInit, WorkerLedger } from './protocol.ts';
import { Supervision, restartTimes } from './supervision.ts';
import type { Switchboard } from './switchboard.ts';
import { addCounts, noCounts } from './tally.ts';
import type { Counts } from './tally.ts';
import { WorkerError } from './worker-error.ts';
import type { ThreadHost } from './worker-thread.ts';

/** Milliseconds that connections of workers which leave have to say what they came for, before they are taken for idle. */
const SETTLE = 500;

/** Milliseconds between two looks at every worker. */
const PULSE = 250;

/** Something that happened to a worker. */
export type WorkerEvent =
  | { readonly kind: 'started'; readonly worker: number; readonly threadId: number }
  /** `lost`: connections that it had, or that were on their way to it, and are over; `next`: milliseconds until it is started again, null when it is not. */
  | {
      readonly kind: 'died';
      readonly worker: number;
      readonly error: WorkerError;
      readonly lost: number;
      readonly ids: readonly number[];
      readonly next: number | null;
    }
  /** It was told to. `lost`: connections that it had not taken, or could not tell the end of. */
  | { readonly kind: 'stopped'; readonly worker: number; readonly lost: number; readonly ids: readonly number[] };

/** Who hears of a crew. */
export interface CrewHost {
  event(event: WorkerEvent): void;
  failed(error: Error, worker: number, more: number): void;
  trouble(error: Error, worker: number): void;
  lines: ThreadHost['lines'];
  /** It can't go on: a worker died and none may take its place, or none is left. */
  broken(error: WorkerError): void;
}

/** Times of an end, in milliseconds. */
export interface EndTimes {
  readonly grace: number;
  readonly spread: number;
}

/** What is the same for all workers of a crew. */
export interface CrewParts {
  readonly options: ParallelOptions;
  readonly module: string;
  readonly optionsModule: string | null;
  readonly preload: readonly string[];
  readonly host: string | null;
  readonly transport: string;
  readonly front: Front;
  readonly pool: PermitPool;
  readonly switchboard: Switchboard;
  readonly clock: Clock;
}

/** How many workers an option asks for. */
export function parallelismOf(parallelism: ParallelOptions['parallelism']): number {
  return typeof parallelism === 'number' ? parallelism : availableParallelism();
}

/** All workers of a parallel listener: starts them, replaces those that die, and ends them. */
export class Crew {
  /** Those that are given connections, in the order of their indexes. */
  readonly serving: CrewWorker[] = [];
  /** What workers that are gone had counted. */
  readonly past: Counts = noCounts();
  /** How often a worker was started in the place of one that died. */
  restarts = 0;
  readonly #parts: CrewParts;
  readonly #host: CrewHost;
  readonly #options: ParallelOptions;
  readonly #supervision: Supervision;
  readonly #watchdog: number;
  /** All whose threads have not ended. */
  readonly #all = new Set<CrewWorker>();
  readonly #restarting = new Map<number, TimerHandle>();
  readonly #restartsOf = new Map<number, number>();
  #count: number;
  #serial = 0;
  #pulse: NodeJS.Timeout | null = null;
  #ending = false;
  /** Workers are not to accept by themselves: it is suspended, or has not begun. */
  #suspended = true;
  /** Nothing is started any more. */
  readonly #over = new AbortController();
  /** Starts that are under way. */
  readonly #boots = new Set<Promise<unknown>>();
  #serverOptions: WorkerInit['options'];

  constructor(parts: CrewParts, serverOptions: WorkerInit['options'], host: CrewHost) {
    this.#parts = parts;
    this.#host = host;
    this.#options = parts.options;
    this.#serverOptions = serverOptions;
    this.#count = parallelismOf(parts.options.parallelism);
    this.#watchdog = parts.options.watchdog ?? 30_000;
    this.#supervision = new Supervision(restartTimes(parts.options.restart), parts.clock);
  }

  /** How many workers there are to be. */
  get count(): number {
    return this.#count;
  }

  /** Every worker whose thread has not ended. */
  get all(): readonly CrewWorker[] {
    return [...this.#all].toSorted((a, b) => a.index - b.index || a.serial - b.serial);
  }

  restartsOf(index: number): number {
    return this.#restartsOf.get(index) ?? 0;
  }

  /** Starts all; none of them accepts yet. When one fails, or all together take too long, none is left, and it rejects with why. */
  async boot(called: AbortSignal): Promise<void> {
    const workers = await this.#bootAll(indexes(0, this.#count), called);
    this.#join(workers);
    this.#pulse = setInterval(() => this.#look(), PULSE);
    this.#pulse.unref();
  }

  /** Whether anybody serves, or will, so that it is worth waiting. */
  get hope(): boolean {
    return !this.#ending && (this.serving.length > 0 || this.#restarting.size > 0 || this.#boots.size > 0);
  }

  /** Whether workers that are started accept, where they do so by themselves; off, those that there are begin to. On at first. */
  suspend(on: boolean): void {
    this.#suspended = on;
    if (!on) for (const { thread } of this.serving) thread.tell({ kind: 'go' });
  }

  /** What is changed for all workers, those too that are started later. */
  change(options: WorkerInit['options']): void {
    this.#serverOptions = { ...this.#serverOptions, ...options };
  }

  /** Starts workers on the module as it is now, and when all of them are ready lets them take the place of those that there are, which are drained. */
  async replace(times: EndTimes): Promise<{ readonly done: Promise<void> }> {
    const next = await this.#bootAll(indexes(0, this.#count));
    const before = [...this.serving];
    for (const timer of this.#restarting.values()) timer.cancel();
    this.#restarting.clear();
    this.#join(next);
    return { done: Promise.all(before.map((worker) => this.#retire(worker, times))).then(() => {}) };
  }

  /** Starts more workers, or drains those with the highest indexes. */
  async resize(count: number, times: EndTimes): Promise<void> {
    const before = this.#count;
    this.#count = count;
    if (count > before) {
      try {
        this.#join(await this.#bootAll(indexes(before, count)));
      } catch (error) {
        this.#count = before;
        throw error;
      }
      return;
    }
    for (const [index, timer] of this.#restarting) {
      if (index < count) continue;
      timer.cancel();
      this.#restarting.delete(index);
    }
    const leaving = this.serving.filter(({ index }) => index >= count);
    await Promise.all(leaving.map((worker) => this.#retire(worker, times)));
    for (const index of indexes(count, before)) this.#parts.front.unequip(index);
  }

  /** Ends all connections and workers; resolves with how those of each ended. A further call hastens the first. */
  async drain(times: EndTimes): Promise<readonly { readonly worker: number; readonly ledger: WorkerLedger | null }[]> {
    this.#ending = true;
    const boots = [...this.#boots];
    this.#over.abort(new PortsideError('ERR_PORTSIDE_STATE', 'the server was stopped while workers were starting'));
    for (const timer of this.#restarting.values()) timer.cancel();
    this.#restarting.clear();
    const workers = this.all;
    const ledgers = await Promise.all(
      workers.map((worker) => {
        if (worker.state !== 'booting' && worker.state !== 'ready') return worker.drain({ ...times, settle: 0 });
        // It has nobody.
        return worker.thread.terminate(null).then(() => null);
      }),
    );
    await Promise.allSettled(boots);
    if (this.#pulse !== null) clearInterval(this.#pulse);
    return workers.map(({ index }, i) => ({ worker: index, ledger: ledgers[i] ?? null }));
  }

  // ---- workers come ----

  /** Rejects as `boot` does, and when it is ending; then those that it has started are gone. */
  async #bootAll(which: readonly number[], called: AbortSignal = this.#over.signal): Promise<CrewWorker[]> {
    const boot = this.#bootNow(which, AbortSignal.any([called, this.#over.signal]));
    this.#boots.add(boot);
    try {
      return await boot;
    } finally {
      this.#boots.delete(boot);
    }
  }

  async #bootNow(which: readonly number[], called: AbortSignal): Promise<CrewWorker[]> {
    const { bootTimeout = 60_000 } = this.#options;
    const workers: CrewWorker[] = [];
    const late = Promise.withResolvers<never>();
    const timer = bootTimeout === Infinity ? null : setTimeout(() => late.reject(this.#late(workers)), bootTimeout);
    const off = (): void => late.reject(called.reason);
    called.addEventListener('abort', off, { once: true });
    try {
      for (const index of which) {
        called.throwIfAborted();
        workers.push(await this.#spawn(index));
      }
      const ready = Promise.all(workers.map(({ thread }) => thread.ready));
      // Who was ready first may die while others are not.
      const died = workers.map(({ thread }) =>
        thread.ended.then((error): never => {
          throw error;
        }),
      );
      for (const one of died) one.catch(() => {});
      await Promise.race([late.promise, ready, ...died]);
      for (const worker of workers) worker.state = 'ready';
      return workers;
    } catch (error) {
      await this.#endAll(workers);
      throw error;
    } finally {
      called.removeEventListener('abort', off);
      late.promise.catch(() => {});
      if (timer !== null) clearTimeout(timer);
    }
  }

  #late(workers: readonly CrewWorker[]): PortsideError {
    const missing = workers.filter(({ state, thread }) => state === 'booting' && !thread.isReady);
    const who = missing.map(({ index }) => index).join(', ');
    return new PortsideError(
      'ERR_PORTSIDE_TIMEOUT',
      `${missing.length === 1 ? 'worker' : 'workers'} ${who} did not get ready within ${this.#options.bootTimeout ?? 60_000} ms`,
      { op: 'start' },
    );
  }

  async #endAll(workers: readonly CrewWorker[]): Promise<void> {
    await Promise.all(workers.map(({ thread }) => thread.terminate(null)));
  }

  async #spawn(index: number): Promise<CrewWorker> {
    const { front, pool, switchboard, module, optionsModule, preload, host, transport, options } = this.#parts;
    const equipment = await front.equip(index);
    const loan = pool.lend(equipment.passages.length > 0 ? 'handed' : 'leased');
    this.#serial += 1;
    const serial = this.#serial;
    const { ticket, transfer } = switchboard.join(serial);
    const beat = Math.max(25, Math.min(PULSE, this.#watchdog / 4));
    const { workerData: data, env, resourceLimits, execArgv, argv } = options;
    const init = {
      module,
      optionsModule,
      preload,
      index,
      count: this.#count,
      host,
      transport,
      options: this.#serverOptions,
      beat,
      switchboard: ticket,
      handOver: front.handOver,
      data,
    };
    const setting = defined({
      workerData: data,
      env,
      resourceLimits,
      execArgv: execArgv === undefined ? undefined : [...execArgv],
      argv: argv === undefined ? undefined : [...argv],
    });
    const ports: readonly MessagePort[] = transfer;
    const hears: ThreadHost = {
      ready: (wayOut) => front.meet(worker, wayOut),
      failed: (error, more) => this.#host.failed(error, index, more),
      trouble: (error) => this.#host.trouble(error, index),
      lines: (lines) => this.#host.lines(lines),
      closed: () => this.#closed(worker),
      gone: (error) => this.#gone(worker, error),
    };
    let worker: CrewWorker;
    try {
      worker = new CrewWorker(serial, init, ports, loan, equipment, setting, hears);
    } catch (cause) {
      // What threads are started with is looked at by Node.
      front.discard(equipment);
      loan.end();
      switchboard.leave(serial);
      throw new WorkerError(index, `could not be started: ${(cause as Error).message}`, 'start', cause);
    }
    this.#all.add(worker);
    return worker;
  }

  /** From now on they are given connections, and those with the same indexes are not. */
  #join(workers: readonly CrewWorker[]): void {
    const taken = new Set(workers.map(({ index }) => index));
    const rest = this.serving.filter(({ index }) => !taken.has(index));
    const next = [...rest, ...workers].toSorted((a, b) => a.index - b.index);
    this.serving.splice(0, this.serving.length, ...next);
    for (const worker of workers) {
      worker.state = 'serving';
      // Whom the parent has let in is taken, whatever else is suspended.
      if (!this.#suspended || this.#parts.front.accepted !== null) worker.thread.tell({ kind: 'go' });
      this.#host.event({ kind: 'started', worker: worker.index, threadId: worker.thread.threadId });
    }
    this.#parts.front.again();
  }

  // ---- workers go ----

  async #retire(worker: CrewWorker, times: EndTimes): Promise<WorkerLedger | null> {
    this.#remove(worker);
    this.#parts.front.again();
    return worker.drain({ ...times, settle: SETTLE });
  }

  #remove(worker: CrewWorker): void {
    const at = this.serving.indexOf(worker);
    if (at >= 0) this.serving.splice(at, 1);
  }

  /** It takes nobody any more, though nobody has told it to. It has time to end those that it has, and another comes in its place as if it had died. */
  #closed(worker: CrewWorker): void {
    const { index, state, thread } = worker;
    if (state !== 'serving') {
      if (state !== 'leaving') void thread.terminate('has closed its listener before it began');
      return;
    }
    this.#remove(worker);
    const { lost, ids } = this.#withdrawn(this.#parts.front.withdraw(worker));
    void worker.drain({ settle: 0, grace: Infinity, spread: 0 });
    const error = new WorkerError(index, 'has closed its listener, and takes nobody any more', 'worker');
    const next = this.#ending ? null : this.#successor(index);
    this.#host.event({ kind: 'died', worker: index, error, lost, ids, next });
    if (!this.#ending) this.#goOn(index, error, next);
    this.#parts.front.again();
  }

  /** Counts what was lost with a worker. */
  #withdrawn<T extends { readonly lost: number }>(left: T): T {
    const { reasons } = this.past;
    if (left.lost > 0) reasons['worker-died'] = (reasons['worker-died'] ?? 0) + left.lost;
    this.past.closed += left.lost;
    return left;
  }

  #gone(worker: CrewWorker, error: WorkerError | null): void {
    const { index } = worker;
    const before = worker.state;
    worker.state = 'gone';
    this.#all.delete(worker);
    this.#remove(worker);
    this.#parts.switchboard.leave(worker.serial);
    const { lost, ids } = this.#withdrawn(this.#parts.front.reclaim(worker));
    addCounts(this.past, worker.sheet.read());
    // Of one that never served hears who started it.
    const served = before !== 'booting' && before !== 'ready';
    if (error === null || !served) {
      if (served) this.#host.event({ kind: 'stopped', worker: index, lost, ids });
      this.#parts.front.again();
      return;
    }
    const next = before === 'leaving' || this.#ending ? null : this.#successor(index);
    this.#host.event({ kind: 'died', worker: index, error, lost, ids, next });
    if (before !== 'leaving' && !this.#ending) this.#goOn(index, error, next);
    this.#parts.front.again();
  }

  /** Milliseconds until another is started in its place; null when none is. */
  #successor(index: number): number | null {
    if ((this.#options.onWorkerDeath ?? 'restart') !== 'restart') return null;
    return this.#supervision.died(index);
  }

  #goOn(index: number, error: WorkerError, next: number | null): void {
    if (next !== null) {
      this.#restarting.set(
        index,
        this.#parts.clock.after(next, () => void this.#restart(index)),
      );
      return;
    }
    const { onWorkerDeath = 'restart' } = this.#options;
    if (onWorkerDeath === 'shrink') {
      this.#parts.front.unequip(index);
      if (this.serving.length > 0) return;
    }
    this.#host.broken(error);
  }

  async #restart(index: number): Promise<void> {
    this.#restarting.delete(index);
    try {
      const workers = await this.#bootAll([index]);
      // The listener may have been made smaller, or another may serve in its place.
      if (index >= this.#count || this.serving.some((worker) => worker.index === index)) {
        await this.#endAll(workers);
        return;
      }
      this.restarts += 1;
      this.#restartsOf.set(index, this.restartsOf(index) + 1);
      this.#join(workers);
    } catch (error) {
      if (this.#ending) return;
      const why =
        error instanceof WorkerError ? error : new WorkerError(index, 'could not be started again', 'start', error);
      const next = this.#successor(index);
      this.#host.event({ kind: 'died', worker: index, error: why, lost: 0, ids: [], next });
      this.#goOn(index, why, next);
    }
  }

  // ---- workers are looked at ----

  #look(): void {
    const now = performance.now();
    for (const worker of this.#all) {
      if (!worker.pulse(now, this.#watchdog)) continue;
      void worker.thread.terminate(`did not turn its event loop for ${this.#watchdog} ms, and was ended`);
    }
  }
}

function indexes(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}
