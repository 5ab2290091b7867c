import type { ActorId, Endpoint, EndpointId, Interest, Orientation, Role } from './endpoint.ts';
import type { Kernel } from './kernel.ts';
import type { Topic } from './topic-types.ts';
import { intersect } from './unify.ts';

/** An endpoint, as data. */
export interface EndpointReport {
  readonly id: EndpointId;
  readonly name: string | undefined;
  readonly orientation: Orientation;
  readonly interest: Interest;
  readonly topic: Topic;
}

/** An actor, as data. */
export interface ActorReport {
  readonly id: ActorId;
  readonly name: string | undefined;
  /** Whom it is linked with, from above. */
  readonly linkedTo: ActorId | undefined;
  readonly endpoints: readonly EndpointReport[];
  /** Events that wait for it. */
  readonly queued: number;
  /** Promises and outside sources that it waits for. */
  readonly outstanding: number;
  /** The space that it stands for. */
  readonly space: SpaceReport | undefined;
}

/** Two endpoints that meet, whether or not they see each other. */
export interface MatchReport {
  readonly publisher: EndpointId;
  readonly subscriber: EndpointId;
  readonly topic: Topic;
}

/** A space, as data. */
export interface SpaceReport {
  readonly actors: readonly ActorReport[];
  readonly matches: readonly MatchReport[];
  /** Turns taken so far. */
  readonly turns: number;
  /** Promises and outside sources that could bring something. */
  readonly outstanding: number;
}

/** Describes what is in a space. */
export function inspect(kernel: Kernel): SpaceReport {
  const actors: ActorReport[] = [];
  const matches: MatchReport[] = [];
  for (const actor of kernel.actors.values()) {
    const endpoints: EndpointReport[] = [];
    for (const endpoint of actor.endpoints) {
      const { role } = endpoint;
      if (role === null) continue;
      endpoints.push(describe(endpoint, role));
      if (role.orientation === 'publisher') addMatches(kernel, endpoint, role, matches);
    }
    const { id, name, parent, outstanding } = actor;
    const inner = kernel.nested.get(actor);
    const space = inner === undefined ? undefined : inspect(inner);
    actors.push({ id, name, linkedTo: parent?.id, endpoints, queued: actor.queue.length, outstanding, space });
  }
  return { actors, matches, turns: kernel.scheduler.turns, outstanding: kernel.waits };
}

function describe({ id, name }: Endpoint, { orientation, interest, pattern }: Role): EndpointReport {
  return { id, name, orientation, interest, topic: pattern.topic };
}

function addMatches(kernel: Kernel, publisher: Endpoint, role: Role, matches: MatchReport[]): void {
  for (const peer of kernel.endpoints.peersOf(role)) {
    const topic = peer.role === null ? undefined : intersect(role.pattern.topic, peer.role.pattern.topic);
    if (topic !== undefined) matches.push({ publisher: publisher.id, subscriber: peer.id, topic });
  }
}
