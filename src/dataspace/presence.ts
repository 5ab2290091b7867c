import type { Actor } from './actor.ts';
import type { Endpoint, Orientation, Role } from './endpoint.ts';
import type { EndReason } from './reasons.ts';
import { RoutingIndex } from './routing-index.ts';
import { Route } from './routing-route.ts';
import type { Found } from './routing-search.ts';
import type { Datum } from './topic-types.ts';
import { equalTopics, intersect } from './unify.ts';
import type { Value } from './value.ts';

/** What one endpoint is told of another, each in the role that it had then. */
export interface Sighting {
  readonly seer: Endpoint;
  readonly seerRole: Role;
  readonly seen: Endpoint;
  readonly seenRole: Role;
  /** Why it is no more; undefined when it began. */
  readonly reason: EndReason | undefined;
}

/** All endpoints of a space by their orientation, and who sees whom. */
export class Endpoints {
  readonly #publishers = new RoutingIndex<Endpoint>();
  readonly #subscribers = new RoutingIndex<Endpoint>();
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** Puts an endpoint in its place, and adds what can now be seen. */
  add(endpoint: Endpoint, role: Role, gained: Sighting[]): void {
    const peers = this.peersOf(role);
    this.#size += 1;
    endpoint.role = role;
    endpoint.entry = this.#own(role.orientation).add(role.pattern, endpoint, role.hearsMessages);
    for (const peer of peers) note(endpoint, role, peer, undefined, gained);
  }

  /** Gives an endpoint another role, which is the same to everybody else. */
  replace(endpoint: Endpoint, role: Role): void {
    endpoint.role = role;
    if (endpoint.entry !== null) this.#own(role.orientation).hear(endpoint.entry, role.hearsMessages);
  }

  /** Takes an endpoint away, and adds what can be seen no more. */
  remove(endpoint: Endpoint, reason: EndReason, lost: Sighting[]): void {
    const { role, entry } = endpoint;
    if (role === null || entry === null) return;
    this.#size -= 1;
    this.#own(role.orientation).remove(entry);
    endpoint.role = null;
    endpoint.entry = null;
    for (const peer of this.peersOf(role)) note(endpoint, role, peer, reason, lost);
  }

  /** Those on the other side that a topic meets. */
  peersOf(role: Role): Endpoint[] {
    return this.#other(role.orientation).match(role.pattern.topic);
  }

  /** Those that a message could be for, until the next question. */
  audience(from: Orientation, topic: Datum, sender: Actor): Found<Endpoint> {
    const index = this.#other(from);
    if (sender.route?.leads(index, topic as Value) === true) return sender.route;
    const answer = index.find(topic as Value);
    // Whoever has ended sends nothing more.
    if (sender.ended === null) (sender.route ??= new Route()).keep(index, topic as Value, answer);
    return answer;
  }

  #own(orientation: Orientation): RoutingIndex<Endpoint> {
    return orientation === 'publisher' ? this.#publishers : this.#subscribers;
  }

  #other(orientation: Orientation): RoutingIndex<Endpoint> {
    return orientation === 'publisher' ? this.#subscribers : this.#publishers;
  }
}

function note(
  endpoint: Endpoint,
  role: Role,
  peer: Endpoint,
  reason: EndReason | undefined,
  sightings: Sighting[],
): void {
  const peerRole = peer.role as Role;
  if (role.sees(peerRole)) sightings.push({ seer: endpoint, seerRole: role, seen: peer, seenRole: peerRole, reason });
  if (peerRole.sees(role)) sightings.push({ seer: peer, seerRole: peerRole, seen: endpoint, seenRole: role, reason });
}

/** Takes out of both lists what is the same before and after: the same pair, about the same topic. */
export function cancelEqual(lost: readonly Sighting[], gained: readonly Sighting[]): [Sighting[], Sighting[]] {
  const before = new Map(lost.map((sighting) => [keyOf(sighting), sighting]));
  const kept = new Set<Sighting>();
  const news = gained.filter((sighting) => {
    const old = before.get(keyOf(sighting));
    if (old === undefined || !sameSight(old, sighting)) return true;
    kept.add(old);
    return false;
  });
  return [lost.filter((sighting) => !kept.has(sighting)), news];
}

/** Whether two roles are the same to everybody else. */
export function sameRole(a: Role, b: Role): boolean {
  return a.orientation === b.orientation && a.interest === b.interest && equalTopics(a.pattern.topic, b.pattern.topic);
}

function keyOf({ seer, seen }: Sighting): string {
  return `${seer.id} ${seen.id}`;
}

function sameSight(a: Sighting, b: Sighting): boolean {
  if (a.seerRole.orientation !== b.seerRole.orientation || a.seenRole.interest !== b.seenRole.interest) return false;
  const was = intersect(a.seerRole.pattern.topic, a.seenRole.pattern.topic);
  const is = intersect(b.seerRole.pattern.topic, b.seenRole.pattern.topic);
  return was !== undefined && is !== undefined && equalTopics(was, is);
}
