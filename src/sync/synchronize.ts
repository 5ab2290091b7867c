import { choose, turn } from './combinators.ts';
import { toEvt } from './convert.ts';
import type { EvtSource, EvtValue } from './convert.ts';
import { expandInto, none } from './evt-core.ts';
import type { Case, Mapping } from './evt-core.ts';
import { rethrowSoon } from './rethrow.ts';

/** Options of {@link sync}. */
export interface SyncOptions {
  /** Calls the wait off: it rejects with `signal.reason` and has taken nothing. */
  readonly signal?: AbortSignal | undefined;
}

/** A value that was taken, and what is still to be done with it. */
interface Commit {
  readonly value: unknown;
  readonly fn: Mapping | undefined;
}

/**
 * Waits until an event is ready, and takes from it. Of a choice exactly one is taken from; the others have given
 * nothing. Rejects with what a `take`, a guard or a mapping threw, or with `signal.reason`. Nothing is left watching,
 * whichever way it ends. A wait alone does not keep the process alive; what it waits for may.
 */
export function sync<T>(source: EvtSource<T>, options: SyncOptions = {}): Promise<T> {
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(signal.reason as Error);
  try {
    const cases: Case[] = [];
    expandInto(cases, toEvt(source), undefined);
    // Asked again after each: a guard, and then a take, may have called it off.
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const commit = poll(cases);
    if (commit !== undefined) return Promise.resolve(finish(commit) as T);
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const { promise } = new Waiting(cases, signal);
    // A reaction, so that mappings run in the context of the sync and not of whoever woke it.
    return promise.then(finish) as Promise<T>;
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Waits for the first of several and takes from exactly one: `sync(choose(...sources))`. */
export function select<const S extends readonly EvtSource<unknown>[]>(...sources: S): Promise<EvtValue<S[number]>> {
  try {
    return sync(choose(...sources));
  } catch (error) {
    return Promise.reject(error);
  }
}

function finish({ value, fn }: Commit): unknown {
  return fn === undefined ? value : fn(value);
}

/** Tries each once, from a place that chance gives. */
function poll(cases: readonly Case[]): Commit | undefined {
  const { length } = cases;
  const first = turn(length);
  for (let i = 0; i < length; i++) {
    const { evt, fn } = cases[(first + i) % length] as Case;
    const value = evt.take();
    if (value !== none) return { value, fn };
  }
  return undefined;
}

/** A sync that found nothing ready. */
class Waiting {
  readonly promise: Promise<Commit>;
  #resolve!: (commit: Commit) => void;
  #reject!: (error: unknown) => void;
  readonly #cases: readonly Case[];
  readonly #signal: AbortSignal | undefined;
  readonly #unwatch: (() => void)[] = [];
  readonly #onAbort = (): void => this.#abort();
  /** `busy`: in a call of a `watch` or `take`, from which wakes and the abort may come; they are seen to afterwards. */
  #state: 'busy' | 'idle' | 'done' = 'busy';
  #woken = false;

  constructor(cases: readonly Case[], signal: AbortSignal | undefined) {
    this.#cases = cases;
    this.#signal = signal;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    try {
      for (const one of cases) this.#unwatch.push(one.evt.watch(() => this.#wake(one)));
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#woken) this.#pollAll();
    else this.#rest();
  }

  #wake(one: Case): void {
    if (this.#state === 'done') return;
    if (this.#state === 'busy') {
      this.#woken = true;
      return;
    }
    this.#state = 'busy';
    this.#woken = false;
    try {
      // Taken here and now, so that whoever wakes its watchers one by one knows whether something is left for the next.
      const value = one.evt.take();
      if (value !== none) this.#commit({ value, fn: one.fn });
      else if (this.#woken) this.#pollAll();
      else this.#rest();
    } catch (error) {
      this.#fail(error);
    }
  }

  #pollAll(): void {
    try {
      do {
        this.#woken = false;
        const commit = poll(this.#cases);
        if (commit !== undefined) {
          this.#commit(commit);
          return;
        }
      } while (this.#woken && !this.#signal?.aborted);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#rest();
  }

  #rest(): void {
    this.#state = 'idle';
    if (this.#signal?.aborted) this.#abort();
  }

  #abort(): void {
    if (this.#state === 'idle') this.#fail(this.#signal?.reason);
  }

  #commit(commit: Commit): void {
    this.#end();
    this.#resolve(commit);
  }

  #fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#state = 'done';
    this.#signal?.removeEventListener('abort', this.#onAbort);
    for (const unwatch of this.#unwatch.splice(0)) {
      try {
        unwatch();
      } catch (error) {
        // What was taken must not be lost for it.
        rethrowSoon(error);
      }
    }
  }
}
