import type { Job } from './actor.ts';
import type { Endpoint, Role } from './endpoint.ts';
import type { Bindings } from './pattern.ts';
import type { Sighting } from './presence.ts';
import type { Topic } from './topic-types.ts';
import { equalTopics, intersect } from './unify.ts';
import { namesMayDiffer } from './value.ts';

const NOTHING: Bindings = Object.freeze({});

/** Calls the handler that an event is for; gives what the handler gave. What is for an endpoint that is gone is dropped. */
export function deliver(job: Exclude<Job, { kind: 'call' }>): unknown {
  if (job.kind === 'sighting') return deliverSighting(job.sighting);
  if (job.kind === 'relayed') return job.endpoint.handle(job.event);
  const { endpoint, topic, receipt } = job;
  const { role } = endpoint;
  // What was sent to the one side is not for who has changed over to the other.
  if (role === null || role.orientation !== job.role.orientation) return undefined;
  // It was found to meet the role that the endpoint had; a message has no holes, so that it is what they have in common.
  const met = role === job.role && !namesMayDiffer() ? topic : intersect(role.pattern.topic, topic);
  if (met === undefined) return undefined;
  const event = { topic: met, bindings: bindingsOf(role, met) };
  return role.relay === undefined ? role.handlers.onMessage?.(event) : role.relay(event, receipt);
}

function deliverSighting({ seer, seerRole, seen, seenRole, reason }: Sighting): unknown {
  const role = roleFor(seer, seerRole, seenRole.pattern.topic);
  if (role === null) return undefined;
  const topic = intersect(role.pattern.topic, seenRole.pattern.topic);
  if (topic === undefined) return undefined;
  const bindings = bindingsOf(role, topic);
  const event = { topic, bindings, peer: seen.id, actor: seen.actor.id, interest: seenRole.interest };
  if (reason === undefined) return role.handlers.onPresence?.(event);
  return role.handlers.onAbsence?.({ ...event, reason });
}

// Between the commit and now another may have come in place of the endpoint. It takes over what means the same to it;
// what does not is for the handlers that know the topic.
function roleFor(seer: Endpoint, then: Role, topic: Topic): Role | null {
  const now = seer.role;
  if (now === null || now === then) return now;
  if (now.orientation !== then.orientation) return then;
  const is = intersect(now.pattern.topic, topic);
  const was = intersect(then.pattern.topic, topic);
  return is !== undefined && was !== undefined && equalTopics(is, was) ? now : then;
}

function bindingsOf(role: Role, topic: Topic): Bindings {
  return role.captures ? role.pattern.bind(topic) : NOTHING;
}
