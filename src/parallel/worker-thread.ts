import { MessageChannel, Worker, receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort, WorkerOptions as ThreadOptions } from 'node:worker_threads';
import type { Address } from '../transport/address.ts';
import type { PassageTicket } from '../transport/passage.ts';
import type { RelayedLines } from './log-relay.ts';
import type { Question, Questions, ToParent, ToWorker, WorkerInit } from './protocol.ts';
import { unpackError } from './remote-error.ts';
import { WorkerError } from './worker-error.ts';

/** Who hears of a worker. */
export interface ThreadHost {
  /** It could accept. `wayOut`: where connections come from that it hands over. */
  ready(wayOut: PassageTicket | null): void;
  /** `more`: how many were not told before it. */
  failed(error: Error, more: number): void;
  trouble(error: Error): void;
  lines(lines: RelayedLines): void;
  /** Its listener is closed, and nobody has told it to. */
  closed(): void;
  /** Its thread has ended, for whatever reason; comes once and last. `error` is null where it was told to end. */
  gone(error: WorkerError | null): void;
}

/** What a thread is started with, beside its init. */
export type ThreadSetting = Pick<ThreadOptions, 'workerData' | 'env' | 'resourceLimits' | 'execArgv' | 'argv'>;

/** The file that every worker begins with: the sources as they are, or what was built of them. */
const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './entry.ts' : './entry.js', import.meta.url);

interface Asked {
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

/** One worker thread, from its start to its end. */
export class WorkerThread {
  readonly index: number;
  /** Resolves with where it listens when its module has been loaded and it could accept; rejects with a {@link WorkerError} when it never will. */
  readonly ready: Promise<readonly Address[]>;
  /** Resolves when the thread has ended, with why. */
  readonly ended: Promise<WorkerError>;
  readonly #host: ThreadHost;
  readonly #thread: Worker;
  readonly #control: MessagePort;
  readonly #asked = new Map<number, Asked>();
  readonly #ready = Promise.withResolvers<readonly Address[]>();
  readonly #ended = Promise.withResolvers<WorkerError>();
  #ids = 0;
  #isReady = false;
  #isGone = false;
  /** It was told to end. */
  #leaving = false;
  /** Why it is about to end. */
  #why: WorkerError | null = null;

  /** @param init All but the port, which is made here. */
  constructor(
    init: Omit<WorkerInit, 'control'>,
    transfer: readonly MessagePort[],
    setting: ThreadSetting,
    host: ThreadHost,
  ) {
    this.index = init.index;
    this.#host = host;
    this.ready = this.#ready.promise;
    this.ended = this.#ended.promise;
    // Whoever waits for it looks; when it is ended before, nobody has to.
    this.ready.catch(() => {});
    const { port1, port2 } = new MessageChannel();
    this.#control = port1;
    port1.on('message', (message: ToParent) => this.#hear(message));
    port1.unref();
    this.#thread = new Worker(ENTRY, { ...setting, name: `portside ${init.index}` });
    this.#thread.on('error', (error) => {
      this.#why ??= new WorkerError(this.index, `failed: ${messageOf(error)}`, 'worker', error);
    });
    this.#thread.on('exit', (code) => this.#exited(code));
    const message: WorkerInit = { ...init, control: port2 };
    this.#thread.postMessage(message, [port2, ...transfer]);
  }

  get threadId(): number {
    return this.#thread.threadId;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get gone(): boolean {
    return this.#isGone;
  }

  /** How busy its event loop was since the last call, from 0 to 1. */
  readonly utilization: () => number = (() => {
    let before: ReturnType<Worker['performance']['eventLoopUtilization']> | undefined;
    return () => {
      const now = this.#thread.performance.eventLoopUtilization();
      // Before the loop runs it has no times.
      const { utilization } = this.#thread.performance.eventLoopUtilization(now, before);
      before = now;
      return Number.isFinite(utilization) ? Math.min(1, Math.max(0, utilization)) : 0;
    };
  })();

  /** Bytes of its heap in use; null where Node can't tell, or the thread is over. */
  async heap(): Promise<number | null> {
    const thread: Worker & { getHeapStatistics?: () => Promise<{ used_heap_size: number }> } = this.#thread;
    if (this.#isGone || thread.getHeapStatistics === undefined) return null;
    try {
      return (await thread.getHeapStatistics()).used_heap_size;
    } catch {
      return null;
    }
  }

  tell(message: ToWorker): void {
    if (!this.#isGone) this.#control.postMessage(message);
  }

  /** Rejects with what the worker answers instead, or with a {@link WorkerError} when it ends before it answers. */
  ask<Q extends Question>(question: Q, value: Questions[Q]['ask']): Promise<Questions[Q]['answer']> {
    if (this.#isGone) return Promise.reject(this.#unanswered(question));
    this.#ids += 1;
    const id = this.#ids;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#control.postMessage({ kind: 'ask', id, question, value } satisfies ToWorker);
    });
  }

  /** Lets it end by itself: nothing of ours keeps its thread any more. */
  leave(): void {
    this.#leaving = true;
    this.tell({ kind: 'leave' });
  }

  /** Ends the thread in the middle of whatever it does; `why` is told as its end, if it was not told to leave. */
  async terminate(why: string | null): Promise<void> {
    if (why === null) this.#leaving = true;
    else this.#why ??= new WorkerError(this.index, why, 'worker');
    await this.#thread.terminate();
    await this.ended;
  }

  #hear(message: ToParent): void {
    switch (message.kind) {
      case 'ready':
        this.#isReady = true;
        this.#host.ready(message.wayOut);
        this.#ready.resolve(message.addresses);
        break;
      case 'failed': {
        const cause = unpackError(message.error);
        this.#why ??= new WorkerError(this.index, `could not start: ${cause.message}`, 'start', cause);
        this.#ready.reject(this.#why);
        void this.#thread.terminate();
        break;
      }
      case 'answer':
        this.#settle(message.id)?.resolve(message.value as never);
        break;
      case 'refused':
        this.#settle(message.id)?.reject(unpackError(message.error));
        break;
      case 'error':
        this.#host.failed(unpackError(message.error), message.more);
        break;
      case 'trouble':
        this.#host.trouble(unpackError(message.error));
        break;
      case 'lines':
        this.#host.lines(message.lines);
        this.tell({ kind: 'logged', weight: message.lines.weight });
        break;
      case 'closed':
        this.#host.closed();
    }
  }

  #settle(id: number): Asked | undefined {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    return asked;
  }

  #exited(code: number): void {
    // What it said last is there, and belongs before its end.
    for (let last = receiveMessageOnPort(this.#control); last !== undefined; last = receiveMessageOnPort(this.#control))
      this.#hear(last.message as ToParent);
    this.#isGone = true;
    this.#control.close();
    const starting = this.#isReady ? '' : ' while it was starting';
    const error = this.#why ?? new WorkerError(this.index, `ended with code ${code}${starting}`, 'worker');
    this.#ready.reject(error);
    for (const [id, { reject }] of this.#asked) {
      this.#asked.delete(id);
      reject(error);
    }
    this.#ended.resolve(error);
    this.#host.gone(this.#leaving ? null : error);
  }

  #unanswered(question: string): WorkerError {
    return new WorkerError(this.index, 'has ended', question);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
