/** Marks an {@link Evt}; the same in every copy of the package. */
export const evtBrand: unique symbol = Symbol.for('portside.evt');

/** What `take()` returns when there is nothing to take now; the same in every copy of the package. */
export const none: unique symbol = Symbol.for('portside.evt.none');

/** Names the method by which an object that is no Evt gives one: see {@link Synchronizable}. */
export const evtOf: unique symbol = Symbol.for('portside.evt.of');

/**
 * Something that may become ready, and that one can wait for along with others: `select(a, b)` takes from exactly one.
 * It is a synchronizable event as in Concurrent ML and Racket, by readiness and retry. Never thenable.
 * Make your own with {@link makeEvt}.
 */
export interface Evt<out T> {
  readonly [evtBrand]: true;
  /**
   * Takes at once, or returns {@link none} and has taken nothing. It may return `none` after a wake, because another
   * was faster. What it throws rejects the sync. One that returns `none` must not wake its own watchers.
   */
  take(): T | typeof none;
  /**
   * From now on `wake` is called when `take()` may succeed, soon if it may already, but never from inside `watch`;
   * needless wakes are allowed. `wake` often takes, and may call the function that is returned, which ends the
   * watching.
   */
  watch(wake: () => void): () => void;
}

/** An object that stands for an Evt, as a `Semaphore` does for its permits. */
export interface Synchronizable<out T> {
  [evtOf](): Evt<T>;
}

/** The two halves of an Evt. */
export interface EvtParts<T> {
  take(): T | typeof none;
  watch(wake: () => void): () => void;
}

/** @internal What a class extends to carry the mark of an {@link Evt} on its prototype. */
export const EvtBase: abstract new () => { readonly [evtBrand]: true } = class {
  get [evtBrand](): true {
    return true;
  }
};

class MadeEvt<out T> extends EvtBase implements Evt<T> {
  readonly #parts: EvtParts<T>;

  constructor(parts: EvtParts<T>) {
    super();
    this.#parts = parts;
  }

  take(): T | typeof none {
    return this.#parts.take();
  }

  watch(wake: () => void): () => void {
    return this.#parts.watch(wake);
  }
}

/** An Evt of one's own; see {@link Evt} for what the two halves promise. {@link Watchers} keeps the watchers. */
export function makeEvt<T>(parts: EvtParts<T>): Evt<T> {
  return new MadeEvt(parts);
}

/** Whether a value is an {@link Evt}, of this copy of the package or another. */
export function isEvt(value: unknown): value is Evt<unknown> {
  return typeof value === 'object' && value !== null && evtBrand in value;
}

/** @internal What is done with a value once it is taken. */
export type Mapping = (value: unknown) => unknown;

/** @internal One plain event that a sync waits for, and what is done with its value. */
export interface Case {
  readonly evt: Evt<unknown>;
  readonly fn: Mapping | undefined;
}

/** @internal Names the method of events that are made of others. */
export const expand: unique symbol = Symbol.for('portside.evt.expand');

/**
 * @internal An event that is made of others. A sync asks it once for the plain ones; that is when a guard is evaluated.
 */
export interface Compound {
  [expand](into: Case[], fn: Mapping | undefined): void;
}

/** @internal Adds the plain events that an event is made of, each with what is done with its value. */
export function expandInto(into: Case[], evt: Evt<unknown>, fn: Mapping | undefined): void {
  if (expand in evt) (evt as Evt<unknown> & Compound)[expand](into, fn);
  else into.push({ evt, fn });
}

/** @internal Watches all, or, when one throws, none. */
export function watchAll<E>(all: readonly E[], watch: (one: E, index: number) => () => void): () => void {
  const ends: (() => void)[] = [];
  const end = (): void => {
    for (const one of ends.splice(0)) one();
  };
  try {
    for (const [index, one] of all.entries()) ends.push(watch(one, index));
  } catch (error) {
    end();
    throw error;
  }
  return end;
}

/** @internal Watching something that is ready already. */
export function wakeSoon(wake: () => void): () => void {
  let wanted = true;
  queueMicrotask(() => {
    if (wanted) wake();
  });
  return () => {
    wanted = false;
  };
}
