import { Hole, hole } from './hole.ts';
import type { Topic, TopicOf } from './topic-types.ts';
import { admit, CAPTURES, factsOf, makeList, makeRecord, RecordValue } from './value.ts';
import type { Value } from './value.ts';

/**
 * What two topics have in common: the most general topic that is a case of both, or undefined where there is none.
 *
 * Both may have holes. What fills a hole of the one is what the other has there, and `_` where both are open; captures
 * count as wildcards and are gone from the result. It is the same, by `equalTopics`, whichever comes first; only
 * the names of fields are the first one's, so that a handler which gives its own pattern first reads its own names.
 *
 * @throws ERR_PORTSIDE_TOPIC for what is no topic, ERR_PORTSIDE_LIMIT when the result would hold over 65,536 values.
 */
export function intersect<const P extends Topic>(pattern: P, topic: Topic): TopicOf<P> | undefined {
  return meet(admit(pattern, 'the topic'), admit(topic, 'the topic')) as TopicOf<P> | undefined;
}

/** Whether two topics have anything in common: whether {@link intersect} gives something. */
export function overlaps(a: Topic, b: Topic): boolean {
  return relate(admit(a, 'the topic'), admit(b, 'the topic'), EITHER);
}

/** Whether all that a topic stands for is stood for by another too: `says('ann', _)` specialises `says(_, _)`. */
export function specialises(special: Topic, general: Topic): boolean {
  return relate(admit(special, 'the topic'), admit(general, 'the topic'), SECOND);
}

/**
 * Whether two topics stand for the same. Scalars are compared by value (NaN equals NaN, and 0 equals −0), bytes by what
 * is in them, records by label and fields, whatever the fields are called; captures are the same as wildcards.
 */
export function equalTopics(a: Topic, b: Topic): boolean {
  return relate(admit(a, 'the topic'), admit(b, 'the topic'), NEITHER);
}

/** {@link intersect} of what is known to be topics. */
export function meet(a: Value, b: Value): Value | undefined {
  if (a === hole) return withoutCaptures(b);
  if (typeof a !== 'object' || a === null) {
    if (Object.is(a, b)) return a;
    return isHole(b) ? a : undefined;
  }
  if (Hole.is(a)) return withoutCaptures(b);
  if (typeof b !== 'object' || b === null) return undefined;
  if (Hole.is(b)) return withoutCaptures(a);
  if (RecordValue.is(a)) return RecordValue.is(b) ? meetRecords(a, b) : undefined;
  if (Array.isArray(a)) return Array.isArray(b) ? meetLists(a as readonly Value[], b as readonly Value[]) : undefined;
  return isBytes(b) && sameBytes(a as Uint8Array, b) ? a : undefined;
}

/** A value with wildcards in the place of its captures. */
export function withoutCaptures(value: Value): Value {
  if ((factsOf(value) & CAPTURES) === 0) return value;
  if (Array.isArray(value)) return makeList((value as readonly Value[]).map(withoutCaptures));
  if (!RecordValue.is(value as object)) return hole;
  const { shape, items } = RecordValue.core(value as RecordValue);
  return makeRecord(shape, items.map(withoutCaptures));
}

// What is found in one of the two is given back as it is: a message that meets a pattern costs nothing to look at.
function meetRecords(a: RecordValue, b: RecordValue): Value | undefined {
  const ours = RecordValue.core(a);
  const theirs = RecordValue.core(b);
  const { shape } = ours;
  if (shape !== theirs.shape && shape.key !== theirs.shape.key) return undefined;
  const items = meetItems(ours.items, theirs.items);
  if (items === undefined) return undefined;
  if (items === ours.items) return a;
  return items === theirs.items && shape === theirs.shape ? b : makeRecord(shape, items);
}

function meetLists(a: readonly Value[], b: readonly Value[]): Value | undefined {
  if (a.length !== b.length) return undefined;
  const items = meetItems(a, b);
  return items === undefined || items === a || items === b ? items : makeList(items);
}

/** The intersections of the items of two lists as long as each other: one of the two lists itself where it is that. */
function meetItems(a: readonly Value[], b: readonly Value[]): readonly Value[] | undefined {
  let made: Value[] | undefined;
  let asA = true;
  let asB = true;
  for (let i = 0; i < a.length; i++) {
    const met = meet(a[i] as Value, b[i] as Value);
    if (met === undefined) return undefined;
    const stillA: boolean = asA && Object.is(met, a[i]);
    const stillB: boolean = asB && Object.is(met, b[i]);
    if (made === undefined && !stillA && !stillB) made = asA ? a.slice(0, i) : b.slice(0, i);
    made?.push(met);
    asA = stillA;
    asB = stillB;
  }
  return made ?? (asA ? a : b);
}

/** Which of two topics may be open where the other is not. */
type Openness = 0 | 1 | 2;
const NEITHER = 0;
const SECOND = 1;
const EITHER = 2;

function relate(a: Value, b: Value, open: Openness): boolean {
  if (isHole(b)) return open !== NEITHER || isHole(a);
  if (isHole(a)) return open === EITHER;
  if (typeof a !== 'object' || a === null) return Object.is(a, b);
  if (typeof b !== 'object' || b === null) return false;
  if (RecordValue.is(a)) {
    if (!RecordValue.is(b)) return false;
    const ours = RecordValue.core(a);
    const theirs = RecordValue.core(b);
    return ours.shape.key === theirs.shape.key && relateItems(ours.items, theirs.items, open);
  }
  if (Array.isArray(a)) return Array.isArray(b) && relateItems(a as Value[], b as Value[], open);
  return isBytes(b) && sameBytes(a as Uint8Array, b);
}

function relateItems(a: readonly Value[], b: readonly Value[], open: Openness): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!relate(a[i] as Value, b[i] as Value, open)) return false;
  return true;
}

function isHole(value: Value): value is Hole {
  return typeof value === 'object' && value !== null && Hole.is(value);
}

/** Whether a value, known to be no scalar and no hole, is bytes. */
function isBytes(value: object): value is Uint8Array {
  return !Array.isArray(value) && !RecordValue.is(value);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.byteLength === b.byteLength && Buffer.compare(a, b) === 0);
}
