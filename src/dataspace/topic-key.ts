import { Hole } from './hole.ts';
import type { Topic } from './topic-types.ts';
import { admit, RecordValue } from './value.ts';
import type { Value } from './value.ts';

/**
 * A text that is the same for two topics exactly where `equalTopics` holds between them: the key to keep things by topic
 * in a Map. It is as long as what is in the topic, and means nothing to people.
 */
export function topicKey(topic: Topic): string {
  return keyOf(admit(topic, 'the topic'));
}

// Lengths come before what they measure, so that no text can be taken for the end of another.
function keyOf(value: Value): string {
  switch (typeof value) {
    case 'string':
      return `s${value.length}:${value}`;
    case 'number':
      return `n${value};`;
    case 'boolean':
      return value ? 't' : 'f';
    default:
      return value === null ? 'z' : keyOfObject(value);
  }
}

function keyOfObject(value: Exclude<Value, string | number | boolean | null>): string {
  if (RecordValue.is(value)) {
    const { shape, items } = RecordValue.core(value);
    return items.reduce<string>((key, item) => key + keyOf(item), `r${shape.key.length}:${shape.key}`);
  }
  if (Hole.is(value)) return '_';
  if (Array.isArray(value))
    return (value as readonly Value[]).reduce<string>((key, item) => key + keyOf(item), `l${value.length}:`);
  const { buffer, byteOffset, byteLength } = value as Uint8Array;
  return `b${byteLength}:${Buffer.from(buffer, byteOffset, byteLength).toString('latin1')}`;
}
