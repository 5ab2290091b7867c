import type { Actor } from './actor.ts';
import { Endpoint, Role } from './endpoint.ts';
import type { AbsenceEvent, EndpointId, Handlers, MessageEvent, PresenceEvent, Relay } from './endpoint.ts';
import type { EndReason } from './reasons.ts';
import type { Receipt } from './receipt.ts';
import type { Topic } from './topic-types.ts';
import type { Turn } from './turn.ts';

/** How many of a kind are asked for from within a space, and not there yet: its limit counts them too. */
export interface Claims {
  count: number;
}

/** What an actor of a nested space asks of a space around it. */
export interface OutwardRequest {
  /** How many spaces out. */
  readonly levels: number;
  /** Where it is counted until it is performed or comes to nothing; undefined where it adds nothing. */
  readonly claims: Claims | undefined;
  /** The turn of `holder`, which asks or passes it on, is committed. */
  commit(holder: Actor, levels: number): void;
  /** Asks for it, in a turn of the actor that stands for the nested space. */
  perform(turn: Turn): void;
}

/** An event of a space around, on its way to an actor within. */
export type OutwardEvent = { readonly handlers: Handlers<Topic> } & (
  | { readonly kind: 'presence'; readonly event: PresenceEvent<Topic> }
  | { readonly kind: 'absence'; readonly event: AbsenceEvent<Topic> }
  | { readonly kind: 'message'; readonly event: MessageEvent<Topic> }
);

/** An endpoint in a space around, and the actor within that it is for. */
export class OutwardEndpoint {
  readonly endpoint: Endpoint;
  readonly owner: Actor;
  readonly name: string | undefined;
  /** Gone for its owner; in the space around it may be there for a moment more. */
  gone = true;
  #handlers: Handlers<Topic> = {};
  readonly #pass: (event: OutwardEvent, receipt: Receipt | undefined) => void;
  /** Peers whose absence the owner will want to hear of, whatever becomes of the space around. */
  readonly #seen: Map<EndpointId, readonly PresenceEvent<Topic>[]> = new Map();

  constructor(
    id: EndpointId,
    standIn: Actor,
    owner: Actor,
    name: string | undefined,
    pass: (endpoint: OutwardEndpoint, event: OutwardEvent, receipt: Receipt | undefined) => void,
  ) {
    this.endpoint = new Endpoint(id, standIn, name === undefined ? undefined : `${owner.id} ${name}`);
    this.owner = owner;
    this.name = name;
    this.#pass = (event, receipt) => pass(this, event, receipt);
  }

  /** Its role in the space around: what it hears goes to the owner. */
  stand(role: Role): Role {
    const { handlers, hearsPresence, hearsAbsence, hearsMessages } = role;
    const standing: { -readonly [K in keyof Handlers<Topic>]: Handlers<Topic>[K] } = {};
    if (hearsPresence || hearsAbsence)
      standing.onPresence = (event) => {
        // A peer whose topic is another one now comes once more before it goes once.
        if (hearsAbsence) this.#seen.set(event.peer, [...(this.#seen.get(event.peer) ?? []), event]);
        if (hearsPresence) this.#pass({ kind: 'presence', event, handlers }, undefined);
      };
    if (hearsAbsence)
      standing.onAbsence = (event) => {
        const [, ...left] = this.#seen.get(event.peer) ?? [];
        if (left.length > 0) this.#seen.set(event.peer, left);
        else this.#seen.delete(event.peer);
        this.#pass({ kind: 'absence', event, handlers }, undefined);
      };
    let relay: Relay | undefined;
    if (hearsMessages) relay = (event, receipt) => this.#pass({ kind: 'message', event, handlers }, receipt);
    this.#handlers = handlers;
    return new Role(role.orientation, role.interest, role.pattern.topic, standing, relay);
  }

  /** Calls the owner's handler, in its turn. */
  handle({ kind, event, handlers }: OutwardEvent): unknown {
    if (this.gone) return undefined;
    if (kind === 'message') return handlers.onMessage?.(event);
    if (kind === 'presence') return handlers.onPresence?.(event);
    return handlers.onAbsence?.(event);
  }

  /** The space around is no more: all that was seen there is gone. */
  lose(reason: EndReason): void {
    for (const event of [...this.#seen.values()].flat())
      this.#pass({ kind: 'absence', event: { ...event, reason }, handlers: this.#handlers }, undefined);
    this.#seen.clear();
  }
}

/** Puts an endpoint into a space around, or another role in its place. `claims`: for one that was not there before. */
export function placement(
  endpoint: OutwardEndpoint,
  levels: number,
  role: Role,
  claims: Claims | undefined,
): OutwardRequest {
  return {
    levels,
    claims,
    commit: (holder, left) => {
      endpoint.gone = false;
      holder.outward ??= new Map();
      holder.outward.set(endpoint, left);
      // Whoever took it back in the same turn has given up its name.
      if (holder === endpoint.owner && endpoint.name !== undefined)
        (holder.outwardNames ??= new Map()).set(endpoint.name, endpoint);
    },
    perform: (turn) => {
      turn.changes.set(endpoint.endpoint, { role: endpoint.stand(role), reason: { kind: 'replaced' } });
    },
  };
}

/** Takes an endpoint back from a space around. */
export function withdrawal(endpoint: OutwardEndpoint, levels: number, reason: EndReason): OutwardRequest {
  return {
    levels,
    claims: undefined,
    commit: (holder) => {
      // Who only passed it on leaves it to its owner to hear the last of it.
      if (holder === endpoint.owner) endpoint.gone = true;
      holder.outward?.delete(endpoint);
      if (endpoint.name !== undefined && holder.outwardNames?.get(endpoint.name) === endpoint)
        holder.outwardNames.delete(endpoint.name);
    },
    perform: (turn) => {
      turn.changes.set(endpoint.endpoint, { role: null, reason });
    },
  };
}

/** Takes back all endpoints of an actor that is no more. */
export function withdrawals(endpoints: ReadonlyMap<OutwardEndpoint, number>, reason: EndReason): OutwardRequest[] {
  return [...endpoints].map(([endpoint, levels]) => withdrawal(endpoint, levels, reason));
}

/** Counts requests no more: they are performed, or come to nothing. */
export function unclaim(requests: readonly OutwardRequest[]): void {
  for (const { claims } of requests) if (claims !== undefined) claims.count -= 1;
}

/** The same request, one space nearer to where it is for. */
export function nearer(request: OutwardRequest): OutwardRequest {
  return {
    levels: request.levels - 1,
    claims: request.claims,
    commit: (holder, levels) => request.commit(holder, levels),
    perform: (turn) => request.perform(turn),
  };
}
