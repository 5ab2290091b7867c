import { checkValue, oneOf, that } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import type { AbsenceEvent, EndpointHandle, Interest, Orientation, PresenceEvent } from './endpoint.ts';
import { isGround, Pattern } from './pattern.ts';
import type { Self } from './self.ts';
import { topicKey } from './topic-key.ts';
import type { BindingsOf, Topic } from './topic-types.ts';

/** Which peers count: those that take part, those that only watch, or both. Who wants to see everything never counts. */
export type Who = 'participants' | 'observers' | 'both';

/** Peers that are looked for: of one orientation, on one topic. Made by {@link publishersOf} and {@link subscribersOf}. */
export interface Watch<P extends Topic = Topic> {
  readonly orientation: Orientation;
  readonly topic: P;
  readonly who: Who;
}

/** Those that publish a topic, or of `who: 'observers'` those that observe its subscribers. @throws ERR_PORTSIDE_TOPIC */
export function publishersOf<const P extends Topic>(topic: P, who: Who = 'participants'): Watch<P> {
  return watch('publisher', topic, who);
}

/** Those that subscribe to a topic, or of `who: 'observers'` those that observe its publishers. @throws ERR_PORTSIDE_TOPIC */
export function subscribersOf<const P extends Topic>(topic: P, who: Who = 'participants'): Watch<P> {
  return watch('subscriber', topic, who);
}

/** What tells one thing that is watched for from another: what the captures caught, in the order of their names. */
export interface Caught {
  readonly key: string;
  readonly bindings: BindingsOf<Topic>;
  readonly topic: Topic;
}

const SEEN: Readonly<Record<Who, readonly Interest[]>> = {
  participants: ['participant'],
  observers: ['observer'],
  both: ['participant', 'observer'],
};

const whoRule: Rule<Who> = oneOf('participants', 'observers', 'both');

class PeerWatch<P extends Topic> implements Watch<P> {
  readonly orientation: Orientation;
  readonly topic: P;
  readonly who: Who;

  constructor(orientation: Orientation, topic: P, who: Who) {
    this.orientation = orientation;
    this.topic = topic;
    this.who = who;
    Object.freeze(this);
  }
}

function watch<P extends Topic>(orientation: Orientation, topic: P, who: Who): Watch<P> {
  checkValue('watch', 'who', whoRule, who);
  // What is wrong with the topic is said here, and not where it is used.
  void new Pattern(topic);
  return new PeerWatch(orientation, topic, who);
}

/** One watch or several. */
export const watchesRule: Rule<Watch | readonly Watch[]> = that(
  'what publishersOf() or subscribersOf() gives, or a list of such',
  (value) =>
    value instanceof PeerWatch ||
    (Array.isArray(value) && value.length > 0 && value.every((one) => one instanceof PeerWatch)),
);

/** The names that a watch captures by, in order. */
export function namesOf({ topic }: Watch): readonly string[] {
  return new Pattern(topic).captures.toSorted();
}

/**
 * Looks for peers, and calls `change` with 1 for each that comes and −1 for each that goes. A peer that leaves a captured
 * place open is for nothing in particular, and does not count. It is itself seen by none but those that see everything.
 */
export function look(self: Self, { orientation, topic, who }: Watch, change: Change): EndpointHandle {
  const names = namesOf({ orientation, topic, who });
  const tell = (event: PresenceEvent<Topic> | AbsenceEvent<Topic>, by: 1 | -1): void => {
    if (!SEEN[who].includes(event.interest)) return;
    const caught = catchOf(event, names);
    if (caught !== null) change(caught, by);
  };
  const handlers = {
    onPresence: (event: PresenceEvent<Topic>) => tell(event, 1),
    onAbsence: (event: AbsenceEvent<Topic>) => tell(event, -1),
  };
  const options = { interest: 'everything' } as const;
  if (orientation === 'publisher') return self.observePublishers(topic, handlers, options);
  return self.observeSubscribers(topic, handlers, options);
}

/** Told of a peer that came or went. */
export type Change = (caught: Caught, by: 1 | -1) => void;

function catchOf({ bindings, topic }: PresenceEvent<Topic>, names: readonly string[]): Caught | null {
  const values: Topic[] = [];
  for (const name of names) {
    const value = bindings[name] as Topic;
    if (!isGround(value)) return null;
    values.push(value);
  }
  return { key: topicKey(values), bindings, topic };
}
