import { OptionsError } from '../base/options.ts';
import { show } from '../base/show.ts';
import { EvtBase, evtOf, isEvt, none, wakeSoon } from './evt-core.ts';
import type { Evt, Synchronizable } from './evt-core.ts';
import { Watchers } from './watchers.ts';

/**
 * What can be waited for: an Evt, a promise, an AbortSignal (whose value is its reason, of type unknown: `map` it), and
 * what gives an Evt by itself, such as a `Semaphore`.
 */
export type EvtSource<T> = Evt<T> | PromiseLike<T> | Synchronizable<T> | (unknown extends T ? AbortSignal : never);

/** What a source gives when it is chosen. */
export type EvtValue<S> =
  S extends Evt<infer T>
    ? T
    : S extends Synchronizable<infer T>
      ? T
      : S extends PromiseLike<infer T>
        ? Awaited<T>
        : S extends AbortSignal
          ? unknown
          : never;

type Outcome<T> =
  | { readonly kind: 'fulfilled'; readonly value: T }
  | { readonly kind: 'rejected'; readonly error: unknown };

class PromiseEvt<out T> extends EvtBase implements Evt<T> {
  #outcome: Outcome<T> | undefined;
  readonly #watchers = new Watchers();

  constructor(promise: PromiseLike<T>) {
    super();
    // Promise.resolve tames thenables that answer twice, at once, or throw.
    Promise.resolve(promise).then(
      (value) => this.#settle({ kind: 'fulfilled', value }),
      (error: unknown) => this.#settle({ kind: 'rejected', error }),
    );
  }

  take(): T | typeof none {
    if (this.#outcome === undefined) return none;
    if (this.#outcome.kind === 'rejected') throw this.#outcome.error;
    return this.#outcome.value;
  }

  watch(wake: () => void): () => void {
    return this.#outcome === undefined ? this.#watchers.add(wake) : wakeSoon(wake);
  }

  #settle(outcome: Outcome<T>): void {
    this.#outcome = outcome;
    this.#watchers.wakeAll();
  }
}

// A reaction can't be taken back from a promise. One for all times keeps a loop that selects on the same long-lived
// promise from piling them up, as Promise.race does.
const promises = new WeakMap<PromiseLike<unknown>, PromiseEvt<unknown>>();

function promiseEvt(promise: PromiseLike<unknown>): Evt<unknown> {
  let evt = promises.get(promise);
  if (evt === undefined) promises.set(promise, (evt = new PromiseEvt(promise)));
  return evt;
}

class SignalEvt extends EvtBase implements Evt<unknown> {
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    super();
    this.#signal = signal;
  }

  take(): unknown {
    return this.#signal.aborted ? this.#signal.reason : none;
  }

  watch(wake: () => void): () => void {
    if (this.#signal.aborted) return wakeSoon(wake);
    this.#signal.addEventListener('abort', wake, { once: true });
    return () => this.#signal.removeEventListener('abort', wake);
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/**
 * The Evt that a source stands for; an Evt stands for itself.
 *
 * A promise gives its value, as often as it is asked, and its rejection makes `take` throw; the promise counts as
 * handled from now on, so that it never becomes an unhandled rejection. One that is settled already is ready after the
 * present turn, not at once: a promise doesn't tell. Throws `ERR_PORTSIDE_OPTIONS` for anything else.
 */
export function toEvt<S>(source: S): Evt<EvtValue<S>> {
  return convert(source) as Evt<EvtValue<S>>;
}

function convert(source: unknown): Evt<unknown> {
  if (isEvt(source)) return source;
  if (isObject(source)) {
    if (evtOf in source) return (source as Synchronizable<unknown>)[evtOf]();
    if ('then' in source && typeof source.then === 'function') return promiseEvt(source as PromiseLike<unknown>);
    if ('aborted' in source && 'addEventListener' in source) return new SignalEvt(source as AbortSignal);
  }
  const message = `must be an Evt, a promise, an AbortSignal or a Semaphore, got ${show(source, false)}`;
  throw new OptionsError('toEvt', [{ path: 'source', message }]);
}
