import { rethrowSoon } from '../../sync/rethrow.ts';
import { fromEmitter } from '../../sync/source.ts';
import type { Source } from '../../sync/source.ts';
import { sync } from '../../sync/synchronize.ts';
import type { Evt, Synchronizable } from '../../sync/evt-core.ts';
import { checkMade, isAsyncIterable, isSynchronizable } from './event-sources.ts';
import type { AnyEventSource, LooseEmitted } from './event-sources.ts';

/** What values come from, one after another. */
export interface EventOrigin {
  /** Whether what is not heard now is worth nothing later. */
  readonly fleeting: boolean;
  /** Asks for the next value. Where it can be called off, that rejects with the signal's reason and has taken nothing. */
  next(signal: AbortSignal): PromiseLike<IteratorResult<unknown, unknown>>;
  /** Makes data of a value, as far as the giver of the source has said how. */
  map(value: unknown): unknown;
  /** Nobody wants it for now. */
  pause(): PromiseLike<void> | undefined;
  /** Nobody wants it any more; `early`: it was neither done nor failed by itself. */
  close(early: boolean): void;
}

/** Begins a source. Throws what a function that makes it throws, and ERR_PORTSIDE_OPTIONS for what it should not make. */
export function openOrigin(name: string, given: AnyEventSource): EventOrigin {
  if (typeof given === 'function') {
    const made = checkMade(name, given());
    return owned(openOrigin(name, made), made);
  }
  if (isSynchronizable(given)) return new EvtOrigin(given);
  if (isAsyncIterable(given)) return new IterableOrigin(given);
  if ('emitter' in given) return new EmitterOrigin(given);
  const { source, map } = given;
  const origin = openOrigin(name, source);
  return map === undefined ? origin : wrap(origin, { map: (value) => map(origin.map(value)) });
}

class IterableOrigin implements EventOrigin {
  readonly fleeting = false;
  readonly #iterator: AsyncIterator<unknown, unknown>;

  constructor(iterable: AsyncIterable<unknown>) {
    this.#iterator = iterable[Symbol.asyncIterator]();
  }

  next(): PromiseLike<IteratorResult<unknown, unknown>> {
    return this.#iterator.next();
  }

  map(value: unknown): unknown {
    return value;
  }

  pause(): undefined {}

  // Where a value is still asked for, a generator gives nothing back before that has come, which may be never.
  close(early: boolean): void {
    if (early) new Promise((resolve) => resolve(this.#iterator.return?.())).catch(rethrowSoon);
  }
}

class EvtOrigin implements EventOrigin {
  readonly fleeting = false;
  readonly #evt: Evt<unknown> | Synchronizable<unknown>;

  constructor(evt: Evt<unknown> | Synchronizable<unknown>) {
    this.#evt = evt;
  }

  async next(signal: AbortSignal): Promise<IteratorResult<unknown, unknown>> {
    return { done: false, value: await sync<unknown>(this.#evt, { signal }) };
  }

  map(value: unknown): unknown {
    return value;
  }

  pause(): undefined {}

  close(): void {}
}

class EmitterOrigin implements EventOrigin {
  readonly fleeting = true;
  readonly #given: LooseEmitted;
  #inbox: Source<unknown[]> | undefined;

  constructor(given: LooseEmitted) {
    this.#given = given;
  }

  next(signal: AbortSignal): PromiseLike<IteratorResult<unknown, unknown>> {
    const { emitter, event, limit, overflow, end } = this.#given;
    this.#inbox ??= fromEmitter(emitter, event, { limit, overflow, end });
    return sync(this.#inbox, { signal });
  }

  map(value: unknown): unknown {
    const values = value as unknown[];
    if (this.#given.map !== undefined) return this.#given.map(...values);
    return values.length === 1 ? values[0] : values;
  }

  pause(): PromiseLike<void> | undefined {
    const inbox = this.#inbox;
    this.#inbox = undefined;
    return inbox?.close();
  }

  close(): void {
    this.pause()?.then(undefined, rethrowSoon);
  }
}

function wrap(origin: EventOrigin, changed: Partial<EventOrigin>): EventOrigin {
  return {
    fleeting: origin.fleeting,
    next: (signal) => origin.next(signal),
    map: (value) => origin.map(value),
    pause: () => origin.pause(),
    close: (early) => origin.close(early),
    ...changed,
  };
}

/** What was made for the driver is the driver's to close: readline's interface is not closed by its iterator. */
function owned(origin: EventOrigin, made: object): EventOrigin {
  return wrap(origin, {
    close: (early) => {
      origin.close(early);
      void dispose(made);
    },
  });
}

async function dispose(made: object): Promise<void> {
  const source = 'source' in made && typeof made.source === 'object' && made.source !== null ? made.source : made;
  const { [Symbol.asyncDispose]: later, [Symbol.dispose]: now } = source as Partial<AsyncDisposable & Disposable>;
  try {
    if (later !== undefined) await later.call(source);
    else now?.call(source);
  } catch (error) {
    rethrowSoon(error);
  }
}
