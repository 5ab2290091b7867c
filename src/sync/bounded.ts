import { EvtBase, none, wakeSoon } from './evt-core.ts';
import type { Evt } from './evt-core.ts';
import { Fifo } from './fifo.ts';
import { currentScope } from './scope.ts';
import { Watchers } from './watchers.ts';

/**
 * Items from elsewhere, as an event: each goes to exactly one of those who wait. It keeps no more than its limit, and
 * belongs to the scope in which it was made.
 *
 * It gives the next item as `{ done: false, value }` and, for ever after the last, `{ done: true }`. When what it comes
 * from failed, the items before that come first; from then on `take` throws the failure.
 */
export interface Source<out T> extends Evt<IteratorResult<T, undefined>>, AsyncDisposable {
  /** How many items wait to be taken. */
  readonly buffered: number;
  /** How many items were dropped since they went over the limit. */
  readonly dropped: number;
  /**
   * Lets go of what it comes from and drops what nobody took; from now on it is done. Idempotent. Rejects with a
   * failure that nobody was told of.
   */
  close(): Promise<void>;
}

/** What a source does with an item that finds no room. */
export type Overflow = 'error' | 'drop-oldest' | 'drop-newest';

/** @internal Where the items come from. */
export interface Origin {
  readonly what: string;
  /** There is room, and somebody asks: a chance to fetch the next. */
  demand?(): void;
  /**
   * Comes once, when the source is closed, done or failed: lets go. `early`: it is closed before it was done or failed.
   */
  release(early: boolean): void | Promise<void>;
}

const DONE: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/** @internal A bounded buffer between an origin and those who wait for its items. */
export class BoundedSource<T> extends EvtBase implements Source<T> {
  readonly limit: number;
  readonly #origin: Origin;
  readonly #items = new Fifo<T>();
  readonly #watchers = new Watchers();
  readonly #disown: (() => void) | undefined;
  /** `failed`: it is over by `#failure`, which was not told yet, or was (`told`). */
  #state: 'open' | 'ended' | 'failed' | 'told' | 'closed' = 'open';
  #failure: unknown;
  #dropped = 0;
  #closing: Promise<void> | undefined;
  readonly #ready = (): boolean => this.#items.length > 0 || this.over;

  constructor(limit: number, origin: Origin) {
    super();
    this.limit = limit;
    this.#origin = origin;
    this.#disown = currentScope()?.own({ what: origin.what, drop: () => this.close() });
  }

  /** Whether nothing more comes in. */
  get over(): boolean {
    return this.#state !== 'open';
  }

  get buffered(): number {
    return this.#items.length;
  }

  get dropped(): number {
    return this.#dropped;
  }

  take(): IteratorResult<T, undefined> | typeof none {
    if (this.#items.length > 0) {
      const value = this.#items.shift() as T;
      this.#ask();
      return { done: false, value };
    }
    if (this.#state === 'failed' || this.#state === 'told') {
      this.#state = 'told';
      this.#disown?.();
      throw this.#failure;
    }
    if (this.over) return DONE;
    this.#ask();
    return none;
  }

  watch(wake: () => void): () => void {
    this.#ask();
    return this.#ready() ? wakeSoon(wake) : this.#watchers.add(wake);
  }

  /** Brings an item in. Returns false when there is no room for it. */
  push(item: T): boolean {
    if (this.over || this.#items.length >= this.limit) return false;
    this.#items.push(item);
    this.#watchers.wake(this.#ready);
    return true;
  }

  /** Drops the oldest item (or counts one that never came in). */
  drop(oldest: boolean): void {
    if (oldest) this.#items.shift();
    this.#dropped++;
  }

  /** Nothing more comes. */
  end(): void {
    if (this.over) return;
    this.#state = 'ended';
    this.#disown?.();
    void this.#origin.release(false);
    this.#watchers.wakeAll();
  }

  /** Nothing more comes, because of this. */
  fail(error: unknown): void {
    if (this.over) return;
    this.#state = 'failed';
    this.#failure = error;
    void this.#origin.release(false);
    this.#watchers.wakeAll();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const before = this.#state;
    this.#state = 'closed';
    this.#items.clear();
    this.#disown?.();
    this.#watchers.wakeAll();
    if (before === 'open') await this.#origin.release(true);
    if (before === 'failed') throw this.#failure;
  }

  #ask(): void {
    if (!this.over && this.#items.length < this.limit) this.#origin.demand?.();
  }
}
