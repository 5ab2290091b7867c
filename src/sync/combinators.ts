import { checkValue, milliseconds, number } from '../base/options.ts';
import type { Clock, TimerHandle } from './clock.ts';
import { toEvt } from './convert.ts';
import type { EvtSource, EvtValue } from './convert.ts';
import { EvtBase, expand, expandInto, none, wakeSoon, watchAll } from './evt-core.ts';
import type { Case, Compound, Evt, Mapping } from './evt-core.ts';
import { currentClock, currentRandom } from './scope.ts';

class Mapped<A, out B> extends EvtBase implements Evt<B>, Compound {
  readonly #inner: Evt<A>;
  readonly #fn: (value: A) => B;

  constructor(inner: Evt<A>, fn: (value: A) => B) {
    super();
    this.#inner = inner;
    this.#fn = fn;
  }

  take(): B | typeof none {
    const value = this.#inner.take();
    return value === none ? none : this.#fn(value);
  }

  watch(wake: () => void): () => void {
    return this.#inner.watch(wake);
  }

  [expand](into: Case[], outer: Mapping | undefined): void {
    const fn = this.#fn as Mapping;
    expandInto(into, this.#inner, outer === undefined ? fn : (value) => outer(fn(value)));
  }
}

class Choice<out T> extends EvtBase implements Evt<T>, Compound {
  readonly #all: readonly Evt<T>[];

  constructor(all: readonly Evt<T>[]) {
    super();
    this.#all = all;
  }

  take(): T | typeof none {
    const { length } = this.#all;
    const first = turn(length);
    for (let i = 0; i < length; i++) {
      const value = (this.#all[(first + i) % length] as Evt<T>).take();
      if (value !== none) return value;
    }
    return none;
  }

  watch(wake: () => void): () => void {
    return watchAll(this.#all, (one) => one.watch(wake));
  }

  [expand](into: Case[], fn: Mapping | undefined): void {
    for (const one of this.#all) expandInto(into, one, fn);
  }
}

class Guarded<out T> extends EvtBase implements Evt<T>, Compound {
  readonly #fn: () => Evt<T>;

  constructor(fn: () => Evt<T>) {
    super();
    this.#fn = fn;
  }

  take(): T | typeof none {
    return this.#fn().take();
  }

  watch(wake: () => void): () => void {
    return this.#fn().watch(wake);
  }

  [expand](into: Case[], fn: Mapping | undefined): void {
    expandInto(into, this.#fn(), fn);
  }
}

class Ready<out T> extends EvtBase implements Evt<T> {
  readonly #value: T;

  constructor(value: T) {
    super();
    this.#value = value;
  }

  take(): T {
    return this.#value;
  }

  watch(wake: () => void): () => void {
    return wakeSoon(wake);
  }
}

class Never extends EvtBase implements Evt<never> {
  take(): typeof none {
    return none;
  }

  watch(): () => void {
    return nothing;
  }
}

// A jump of the wall clock is noticed only by looking.
const LOOK = 10_000;

/** Ready when `left()` is 0 or less. */
class TimeEvt extends EvtBase implements Evt<void> {
  readonly #clock: Clock;
  readonly #left: () => number;
  readonly #longest: number;

  constructor(clock: Clock, left: () => number, longest: number) {
    super();
    this.#clock = clock;
    this.#left = left;
    this.#longest = longest;
  }

  take(): void | typeof none {
    return this.#left() <= 0 ? undefined : none;
  }

  watch(wake: () => void): () => void {
    let timer: TimerHandle | undefined;
    let watched = true;
    // Set again when it comes early: a clock may round what it is given.
    const look = (): void => {
      const left = this.#left();
      if (left <= 0) wake();
      if (watched && left > 0) timer = this.#clock.after(Math.min(Math.ceil(left), this.#longest), look);
    };
    timer = this.#clock.after(Math.min(Math.max(0, Math.ceil(this.#left())), this.#longest), look);
    return () => {
      watched = false;
      timer?.cancel();
    };
  }
}

const nothing = (): void => {};
const silence: Evt<never> = new Never();
const msRule = milliseconds({ infinite: true });
const wallRule = number({ infinite: true });

/**
 * @internal Where polling of `length` events begins: drawn anew each time, so that none of those that are ready is
 * always passed over.
 */
export function turn(length: number): number {
  return length > 1 ? currentRandom().int(length) : 0;
}

/**
 * The same event with another value. `fn` is called once, right after the event was chosen, in the async context of the
 * sync, with its scope current; of events that are not chosen it is never called. If it throws, the sync rejects, and
 * what was taken is gone.
 */
export function map<T, R>(source: EvtSource<T>, fn: (value: T) => R): Evt<R> {
  return new Mapped<T, R>(toEvt(source) as Evt<T>, fn);
}

/**
 * One of several, whichever is ready; among those that are ready, chance decides. May be nested; of none at all it is
 * {@link never}.
 */
export function choose<const S extends readonly EvtSource<unknown>[]>(...sources: S): Evt<EvtValue<S[number]>> {
  const all = sources.map((source) => toEvt(source) as Evt<EvtValue<S[number]>>);
  return all.length === 1 ? (all[0] as Evt<EvtValue<S[number]>>) : new Choice(all);
}

/**
 * An event that is made when it is waited for: `fn` is called once in each sync, before anything is taken. What it
 * throws rejects the sync. (Outside of a sync each `take` and `watch` calls it.)
 */
export function guard<T>(fn: () => EvtSource<T>): Evt<T> {
  return new Guarded<T>(() => toEvt(fn()) as Evt<T>);
}

/** Always ready, with this value. */
export function always<T>(value: T): Evt<T> {
  return new Ready(value);
}

/** Never ready. */
export function never(): Evt<never> {
  return silence;
}

/**
 * Ready once `ms` milliseconds have passed since the sync began, by the clock of the scope in which it began. Never
 * early. Infinity means never. Throws `ERR_PORTSIDE_OPTIONS` for what is no time.
 */
export function after(ms: number): Evt<void> {
  checkValue('after', 'ms', msRule, ms);
  if (ms === Number.POSITIVE_INFINITY) return silence;
  return guard(() => {
    const clock = currentClock();
    const due = clock.now() + ms;
    return new TimeEvt(clock, () => due - clock.now(), Number.POSITIVE_INFINITY);
  });
}

/**
 * Ready from a time of the wall clock on (milliseconds since 1970), by the clock of the scope in which the sync began.
 * When the wall clock jumps, that is noticed within ten seconds. Throws `ERR_PORTSIDE_OPTIONS` for what is no time.
 */
export function at(wallMs: number): Evt<void> {
  checkValue('at', 'wallMs', wallRule, wallMs);
  if (wallMs === Number.POSITIVE_INFINITY) return silence;
  return guard(() => {
    const clock = currentClock();
    return new TimeEvt(clock, () => wallMs - clock.wall(), LOOK);
  });
}
