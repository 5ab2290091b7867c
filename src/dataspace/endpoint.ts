import { check, fn, oneOf, string, table } from '../base/options.ts';
import type { Agrees, Table } from '../base/options.ts';
import type { Actor } from './actor.ts';
import { Pattern } from './pattern.ts';
import type { EndReason } from './reasons.ts';
import type { Receipt } from './receipt.ts';
import type { RoutingEntry } from './routing-index.ts';
import type { BindingsOf, Datum, Topic, TopicOf } from './topic-types.ts';

/** What an actor is called by within its space: a number that is never given again. */
export type ActorId = number;

/** What an endpoint is called by within its space: a number that is never given again. */
export type EndpointId = number;

/** Which side of a topic an endpoint is on. Endpoints of opposite orientation whose topics meet are peers. */
export type Orientation = 'publisher' | 'subscriber';

/**
 * What an endpoint takes part as. A participant is seen by all its peers; an observer is seen only by those that want to
 * see everything. `everything` sees participants, observers and its own kind, and is itself seen as an observer is.
 */
export type Interest = 'participant' | 'observer' | 'everything';

/** A peer came, or was there when the endpoint came. */
export interface PresenceEvent<P> {
  /** What the two topics have in common. A field that is open on both sides is `_`, see `isHole`. */
  readonly topic: TopicOf<P>;
  /** What the captures of one's own topic caught. */
  readonly bindings: BindingsOf<P>;
  /** The peer: the same number in its presence and its absence. */
  readonly peer: EndpointId;
  /** Whose endpoint the peer is. */
  readonly actor: ActorId;
  /** What the peer takes part as. */
  readonly interest: Interest;
}

/** A peer that was seen is gone. */
export interface AbsenceEvent<P> extends PresenceEvent<P> {
  /** Why. */
  readonly reason: EndReason;
}

/** A message for this endpoint. */
export interface MessageEvent<P> {
  /** The message. */
  readonly topic: TopicOf<P>;
  /** What the captures of one's own topic caught. */
  readonly bindings: BindingsOf<P>;
}

/**
 * What an endpoint does about what happens. Each call is a turn of its actor. A handler may be asynchronous; then its
 * turn is what it does before it first waits, and its rejection ends the actor as a throw does.
 */
export interface Handlers<P> {
  /** A peer came: once for each of them. */
  onPresence?(event: PresenceEvent<P>): unknown;
  /** A peer that was seen is gone: once for each of them. */
  onAbsence?(event: AbsenceEvent<P>): unknown;
  /** A message came from the other side: to subscribers by `send`, to publishers by `feedback`. */
  onMessage?(event: MessageEvent<P>): unknown;
}

/** Settings of an endpoint. */
export interface EndpointOptions {
  /**
   * What it takes part as.
   * @default 'participant' for publish and subscribe, 'observer' for observePublishers and observeSubscribers
   */
  readonly interest?: Interest | undefined;
  /**
   * A name within its actor: the next endpoint by that name takes this one's place. What is the same before and after
   * is not told again to anyone.
   */
  readonly name?: string | undefined;
}

/** An endpoint in the hands of its actor. */
export interface EndpointHandle {
  /** What the endpoint is called by, for peers too. */
  readonly id: EndpointId;
  /**
   * Takes the endpoint back; its peers see its absence with the reason. Does nothing when it is gone already.
   *
   * @throws ERR_PORTSIDE_STATE outside of a turn of its actor, ERR_PORTSIDE_TOPIC for a reason that is not plain data.
   */
  withdraw(reason?: Datum): void;
}

const handlersTable: Table<{
  onPresence?: ((...args: never[]) => unknown) | undefined;
  onAbsence?: ((...args: never[]) => unknown) | undefined;
  onMessage?: ((...args: never[]) => unknown) | undefined;
}> = table('endpoint', { onPresence: fn(), onAbsence: fn(), onMessage: fn() });

export const endpointTable: Table<EndpointOptions> = table('endpoint', {
  interest: oneOf('participant', 'observer', 'everything'),
  name: string(),
});
const agreed: Agrees<typeof endpointTable, EndpointOptions> = true;
void agreed;

/** Passes a message on to another space; the receipt counts it there too. */
export type Relay = (event: MessageEvent<Topic>, receipt: Receipt | undefined) => void;

/** Makes the role that was asked for. @throws ERR_PORTSIDE_OPTIONS, ERR_PORTSIDE_TOPIC */
export function makeRole(
  orientation: Orientation,
  usual: Interest,
  topic: Topic,
  given: unknown,
  { interest = usual }: EndpointOptions,
): Role {
  const handlers = check(handlersTable, given, { at: 'handlers' }) as unknown as Handlers<Topic>;
  return new Role(orientation, interest, topic, handlers);
}

/** What an endpoint is while it is not replaced by another of its name. */
export class Role {
  readonly orientation: Orientation;
  readonly interest: Interest;
  readonly pattern: Pattern;
  readonly handlers: Handlers<Topic>;
  readonly captures: boolean;
  /** Which handlers there are, as asked once: they may be getters, and throw. */
  readonly hearsPresence: boolean;
  readonly hearsAbsence: boolean;
  readonly hearsMessages: boolean;
  /** Passes messages on, in place of a handler. */
  readonly relay: Relay | undefined;

  constructor(orientation: Orientation, interest: Interest, topic: Topic, handlers: Handlers<Topic>, relay?: Relay) {
    this.orientation = orientation;
    this.interest = interest;
    this.pattern = new Pattern(topic);
    this.handlers = handlers;
    this.captures = this.pattern.captures.length > 0;
    this.hearsPresence = 'onPresence' in handlers;
    this.hearsAbsence = 'onAbsence' in handlers;
    this.hearsMessages = relay !== undefined || 'onMessage' in handlers;
    this.relay = relay;
  }

  /** Whether an endpoint in this role is told of peers in that one. */
  sees(other: Role): boolean {
    return other.interest === 'participant' || this.interest === 'everything';
  }
}

/** An endpoint as the space knows it. */
export class Endpoint {
  readonly id: EndpointId;
  readonly actor: Actor;
  readonly name: string | undefined;
  /** What it is; null before it is committed and after it is gone. */
  role: Role | null = null;
  /** Its place in the index of its orientation. */
  entry: RoutingEntry<Endpoint> | null = null;

  constructor(id: EndpointId, actor: Actor, name: string | undefined) {
    this.id = id;
    this.actor = actor;
    this.name = name;
  }
}
