import { show } from '../base/show.ts';
import { Hole, hole } from './hole.ts';
import { overTopicLimit, wrongTopic } from './topic-error.ts';
import type { Datum, Topic } from './topic-types.ts';
import { withoutCaptures } from './unify.ts';
import { admit, CAPTURES, factsOf, HOLES, makeList, makeRecord, RecordValue, sizeOf } from './value.ts';
import type { Value } from './value.ts';

/** How many values the topic of an endpoint may hold; a message may hold more. */
export const MAX_PATTERN_SIZE = 1_024;

/** What captures caught, by name; `BindingsOf` says what that is for the type of a pattern. */
export type Bindings = Readonly<Record<string, Topic>>;

interface Place {
  readonly name: string;
  /** Which item of which item of … it is. */
  readonly path: readonly number[];
}

/** The topic of an endpoint, made ready: nothing can change it any more, and what it captures is known. */
export class Pattern {
  /** The topic with wildcards for its captures and bytes of its own. */
  readonly topic: Topic;
  readonly #places: readonly Place[];
  readonly #shadows: boolean;

  /**
   * @throws ERR_PORTSIDE_TOPIC for what is no topic and for a name that is captured twice, ERR_PORTSIDE_LIMIT when it
   *   holds over 1,024 values.
   */
  constructor(topic: Topic) {
    const given = admit(topic, 'the topic');
    if (sizeOf(given) > MAX_PATTERN_SIZE)
      throw overTopicLimit(`the topic of an endpoint holds more than ${MAX_PATTERN_SIZE} values`);
    const places: Place[] = [];
    if ((factsOf(given) & CAPTURES) !== 0) findCaptures(given, [], places);
    this.#places = places;
    this.#shadows = places.some(({ name }) => name in Object.prototype);
    this.topic = withOwnBytes(withoutCaptures(given)) as Topic;
  }

  /** The names that it captures by, in the order in which they stand. */
  get captures(): readonly string[] {
    return this.#places.map(({ name }) => name);
  }

  /**
   * What its captures caught of a topic that it met (see `intersect`), by name: `_` where the topic is open there.
   * Frozen. A field of a topic that it did not meet is `_` too.
   */
  bind(topic: Topic): Bindings {
    const given = topic as unknown as Value;
    const bound: Record<string, Value> = {};
    const places = this.#places;
    for (let i = 0; i < places.length; i++) {
      const { name, path } = places[i] as Place;
      const value = at(given, path);
      if (this.#shadows) Object.defineProperty(bound, name, { value, enumerable: true });
      else bound[name] = value;
    }
    return Object.freeze(bound) as Bindings;
  }
}

/** Whether a topic has no holes, as messages must not have. */
export function isGround(topic: Topic): topic is Datum {
  return (factsOf(admit(topic, 'the topic')) & HOLES) === 0;
}

/**
 * A topic checked and put in order: lists copied and frozen, −0 made 0. What comes back is what the functions of topics
 * take without looking again.
 *
 * @throws ERR_PORTSIDE_TOPIC for what is not plain data, ERR_PORTSIDE_LIMIT when it is over 64 levels deep or holds
 *   over 65,536 values.
 */
export function toTopic<const P extends Topic>(topic: P): P {
  return admit(topic, 'the topic') as P;
}

function itemsOf(value: Value): readonly Value[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (RecordValue.is(value)) return RecordValue.core(value).items;
  return Array.isArray(value) ? (value as readonly Value[]) : undefined;
}

function at(value: Value, path: readonly number[]): Value {
  let found = value;
  for (let i = 0; i < path.length; i++) {
    const item = itemsOf(found)?.[path[i] as number];
    if (item === undefined) return hole;
    found = item;
  }
  return found;
}

function findCaptures(value: Value, path: readonly number[], places: Place[]): void {
  if ((factsOf(value) & CAPTURES) === 0) return;
  const items = itemsOf(value);
  if (items !== undefined) {
    for (const [i, item] of items.entries()) findCaptures(item, [...path, i], places);
    return;
  }
  const name = Hole.nameOf(value as Hole) as string;
  if (places.some((place) => place.name === name))
    throw wrongTopic(`the topic captures ${show(name)} in two places; a capture stands in one`);
  places.push({ name, path });
}

// Endpoints are found by what their bytes were when they came; whoever writes to the bytes later must not hide them.
function withOwnBytes(value: Value): Value {
  if (typeof value !== 'object' || value === null || Hole.is(value)) return value;
  const items = itemsOf(value);
  if (items === undefined) return Uint8Array.from(value as Uint8Array);
  const own = items.map(withOwnBytes);
  if (own.every((item, i) => Object.is(item, items[i]))) return value;
  return RecordValue.is(value) ? makeRecord(RecordValue.core(value).shape, own) : makeList(own);
}
