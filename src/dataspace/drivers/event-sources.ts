import { checkValue, fn, integer, list, object, oneOf, required, string, that, union } from '../../base/options.ts';
import type { Rule } from '../../base/options.ts';
import { evtOf, isEvt } from '../../sync/evt-core.ts';
import type { Evt, Synchronizable } from '../../sync/evt-core.ts';
import type { EmitterLike, Overflow } from '../../sync/source.ts';
import type { Datum } from '../topic-types.ts';

/**
 * Values that come one at a time, and can wait until they are asked for: an async iterable, such as a stream or readline's
 * interface; or an Evt, which is taken from again and again.
 */
export type PulledEvents<V> = AsyncIterable<V> | Evt<V> | Synchronizable<V>;

/** Values of whatever type, and what makes data of them. */
export interface MappedEvents<V> {
  readonly emitter?: undefined;
  readonly source: PulledEvents<V> | (() => PulledEvents<V>);
  /** What is sent for a value. */
  readonly map: (value: V) => Datum;
}

/** Events of an emitter, which come whether or not somebody is ready for them. */
export interface EmittedEvents {
  readonly source?: undefined;
  readonly emitter: EmitterLike;
  readonly event: string | symbol;
  /**
   * What is sent for the values of an event. @default the value, or the list of them where it is not exactly one
   */
  readonly map?: ((...values: never[]) => Datum) | undefined;
  /** Events that may wait to be sent. @default 64 */
  readonly limit?: number | undefined;
  /**
   * What happens to one more: `error` fails the source with ERR_PORTSIDE_LIMIT once what waits is sent, the others drop one.
   * @default 'error'
   */
  readonly overflow?: Overflow | undefined;
  /** Events after which nothing more comes, such as `end` and `close`. @default none */
  readonly end?: readonly string[] | undefined;
}

/** What events come from. A function is called when the source is first wanted; what it makes is the driver's to close. */
export type EventSource<V = never> =
  | (PulledEvents<Datum> & Unmarked)
  | MappedEvents<V>
  | EmittedEvents
  | ((() => PulledEvents<Datum> | EmittedEvents) & Unmarked);

/** The kinds are told apart by fields that all of them have, so that the compiler knows what a `map` is given. */
export interface Unmarked {
  readonly source?: undefined;
  readonly emitter?: undefined;
}

/** A source as it is given when it runs, where the types of its values are gone. */
export type AnyEventSource = PulledEvents<unknown> | LooseMapped | LooseEmitted | (() => unknown);

/** {@link MappedEvents} whose types are gone. */
export interface LooseMapped {
  readonly source: PulledEvents<unknown> | (() => unknown);
  readonly map?: ((value: unknown) => unknown) | undefined;
}

/** {@link EmittedEvents} whose types are gone. */
export interface LooseEmitted extends Omit<EmittedEvents, 'map'> {
  readonly map?: ((...values: unknown[]) => unknown) | undefined;
}

const WANTS = 'an async iterable, an Evt, an emitter with its event, a source with a map, or a function that makes one';

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Whether a value is an Evt or stands for one. */
export function isSynchronizable(value: unknown): value is Evt<unknown> | Synchronizable<unknown> {
  return isEvt(value) || (isObject(value) && evtOf in value);
}

/** Whether a value can be iterated, asynchronously. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return isObject(value) && typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function';
}

function isPulled(value: unknown): boolean {
  return isSynchronizable(value) || isAsyncIterable(value);
}

const pulledRule: Rule<PulledEvents<unknown> | (() => unknown)> = that(
  'an async iterable, an Evt, or a function that makes one',
  (value) => typeof value === 'function' || isPulled(value),
);
const emitterRule: Rule<EmitterLike> = that('an emitter, with the methods on and off', (value) => {
  if (!isObject(value)) return false;
  const { on, off } = value as Partial<EmitterLike>;
  return typeof on === 'function' && typeof off === 'function';
});
const eventRule: Rule<string | symbol> = that(
  'the name of an event',
  (value) => typeof value === 'symbol' || (typeof value === 'string' && value !== ''),
);
const plainRule: Rule<AnyEventSource> = that(WANTS, (value) => typeof value === 'function' || isPulled(value));

/** What {@link AnyEventSource} has to be. */
export const sourceRule: Rule<AnyEventSource> = union(
  plainRule,
  object({
    emitter: required(emitterRule),
    event: required(eventRule),
    map: fn<(...values: unknown[]) => unknown>(),
    limit: integer({ min: 1 }),
    overflow: oneOf('error', 'drop-oldest', 'drop-newest'),
    end: list(string()),
  }),
  object({ source: required(pulledRule), map: fn<(value: unknown) => unknown>() }),
) as Rule<AnyEventSource>;

/** A source that a function made, looked at. @throws ERR_PORTSIDE_OPTIONS */
export function checkMade(name: string, made: unknown): Exclude<AnyEventSource, () => unknown> {
  const source = checkValue('eventDriver', `what sources.${name} made`, sourceRule, made);
  return checkValue('eventDriver', `what sources.${name} made`, notFunction, source) as Exclude<
    AnyEventSource,
    () => unknown
  >;
}

const notFunction: Rule<AnyEventSource> = that('a source and not a function', (value) => typeof value !== 'function');
