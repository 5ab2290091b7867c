import { isGround, toTopic } from './pattern.ts';
import { wrongTopic } from './topic-error.ts';
import type { Datum, Topic } from './topic-types.ts';

/** What is sent, checked and put in order. @throws ERR_PORTSIDE_TOPIC for what is not plain data or has holes. */
export function toMessage(given: Datum): Datum {
  return grounded(given, 'a message');
}

/** A reason or detail that somebody gave, checked. @throws ERR_PORTSIDE_TOPIC */
export function toDetail(detail: Datum | undefined): Datum | undefined {
  return detail === undefined ? undefined : grounded(detail, 'a reason');
}

function grounded(given: Datum, what: string): Datum {
  const topic = toTopic(given as Topic);
  if (!isGround(topic)) throw wrongTopic(`${what} must not have wildcards or captures in it`);
  return topic;
}
