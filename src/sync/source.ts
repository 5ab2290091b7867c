import { PortsideError } from '../base/errors.ts';
import { check, checkValue, integer, list, oneOf, string, table, that } from '../base/options.ts';
import { BoundedSource } from './bounded.ts';
import type { Overflow, Source } from './bounded.ts';
import { rethrowSoon } from './rethrow.ts';

export type { Overflow, Source } from './bounded.ts';

/** What {@link fromEmitter} needs of an emitter. */
export interface EmitterLike {
  on(event: string | symbol, listener: (...values: unknown[]) => void): unknown;
  off(event: string | symbol, listener: (...values: unknown[]) => void): unknown;
}

/** Options of {@link fromEmitter}. */
export interface EmitterOptions {
  /** How many events may wait to be taken. 64 by default. */
  readonly limit?: number | undefined;
  /**
   * What happens to the event that finds no room: `error` (the default) fails the source with `ERR_PORTSIDE_LIMIT` once
   * what waits is taken; `drop-oldest` and `drop-newest` drop one and count it.
   */
  readonly overflow?: Overflow | undefined;
  /** Events after which nothing more comes, such as `end` and `close`. None by default. */
  readonly end?: readonly string[] | undefined;
}

/** Options of {@link fromIterable}. */
export interface IterableOptions {
  /** How many items may be fetched before they are taken, 1 or more. 16 by default. */
  readonly limit?: number | undefined;
}

const emitterRule = that<EmitterLike>('an emitter, with the methods on and off', (value) => {
  const { on, off } = (value ?? {}) as Partial<EmitterLike>;
  return typeof on === 'function' && typeof off === 'function';
});
const iterableRule = that<AsyncIterable<unknown>>(
  'an async iterable',
  (value) => typeof (value as Partial<AsyncIterable<unknown>> | null)?.[Symbol.asyncIterator] === 'function',
);
const limitRule = integer({ min: 1 });
const emitterTable = table('fromEmitter', {
  limit: limitRule,
  overflow: oneOf('error', 'drop-oldest', 'drop-newest'),
  end: list(string()),
});
const iterableTable = table('fromIterable', { limit: limitRule });

/**
 * The events of an emitter, each as the list of its values. It listens from now on until it is closed, ended or failed;
 * the emitter's `error` event fails it, unless `error` is what is listened to.
 */
export function fromEmitter<A extends readonly unknown[] = unknown[]>(
  emitter: EmitterLike,
  event: string | symbol,
  options?: EmitterOptions,
): Source<A> {
  checkValue('fromEmitter', 'emitter', emitterRule, emitter);
  const { limit = 64, overflow = 'error', end = [] } = check(emitterTable, options);
  const onEnd = (): void => source.end();
  const onError = (error: unknown): void => source.fail(error);
  const onEvent = (...values: unknown[]): void => {
    const item = values as readonly unknown[] as A;
    if (source.push(item) || source.over) return;
    if (overflow === 'error') {
      const message = `${limit} events '${String(event)}' wait already and nobody takes them`;
      source.fail(new PortsideError('ERR_PORTSIDE_LIMIT', message, { op: 'fromEmitter' }));
      return;
    }
    source.drop(overflow === 'drop-oldest');
    if (overflow === 'drop-oldest') source.push(item);
  };
  const heard: [string | symbol, (...values: unknown[]) => void][] = [
    [event, onEvent],
    ...end.map((name): [string, () => void] => [name, onEnd]),
  ];
  if (event !== 'error') heard.push(['error', onError]);
  const source = new BoundedSource<A>(limit, {
    what: `events '${String(event)}' of an emitter`,
    release() {
      for (const [name, listener] of heard) emitter.off(name, listener);
    },
  });
  for (const [name, listener] of heard) emitter.on(name, listener);
  return source;
}

/**
 * The items of an async iterable. Nothing is fetched before somebody waits; then one after another, never more than
 * `limit` ahead of what is taken. `close` calls the iterator's `return`, and waits for it unless a fetch is under way,
 * which could take for ever.
 */
export function fromIterable<T>(iterable: AsyncIterable<T>, options?: IterableOptions): Source<T> {
  checkValue('fromIterable', 'iterable', iterableRule, iterable);
  const { limit = 16 } = check(iterableTable, options);
  let iterator: AsyncIterator<T> | undefined;
  let fetching = false;

  const onStep = (step: IteratorResult<T, unknown>): void => {
    fetching = false;
    if (step.done) source.end();
    else if (source.push(step.value) && source.buffered < limit) fetch();
  };
  const onFailure = (error: unknown): void => {
    fetching = false;
    source.fail(error);
  };
  function fetch(): void {
    if (fetching || source.over) return;
    fetching = true;
    try {
      iterator ??= iterable[Symbol.asyncIterator]();
      Promise.resolve(iterator.next()).then(onStep).catch(onFailure);
    } catch (error) {
      onFailure(error);
    }
  }

  const source = new BoundedSource<T>(limit, {
    what: 'items of an async iterable',
    demand: fetch,
    async release(early) {
      if (!early) return;
      const returned = Promise.resolve(iterator?.return?.());
      if (fetching) returned.catch(rethrowSoon);
      else await returned;
    },
  });
  return source;
}
