import type { Actor } from './actor.ts';
import type { ActorId, Endpoint, Orientation, Role } from './endpoint.ts';
import { unclaim } from './outward.ts';
import type { OutwardRequest } from './outward.ts';
import type { EndReason } from './reasons.ts';
import type { Receipt } from './receipt.ts';
import type { Datum } from './topic-types.ts';

/** What an endpoint shall be when the turn is committed. */
export interface Change {
  /** Null when it shall be gone. */
  readonly role: Role | null;
  readonly reason: EndReason;
}

/** A message that was asked for. */
export interface Message {
  /** Who asked for it: the actor whose turn it is, or one of the space that this one stands for. */
  readonly sender: Actor;
  /** The side that it comes from. */
  readonly from: Orientation;
  readonly topic: Datum;
  /** Who wants to know when it was taken. */
  readonly receipt: Receipt | undefined;
}

const MOST_PLACES = 1_024;

/** What a handler asked for: all of it is done when it returns, and none when it throws. One is used again and again. */
export class Turn {
  /** Whose turn it is; null between turns. */
  actor: Actor | null = null;
  readonly changes: Map<Endpoint, Change> = new Map();
  /** Endpoints that came in this turn, by their names. */
  readonly names: Map<string, Endpoint> = new Map();
  /** What is sent; so many of the places are taken. Places are used again, as most turns send something. */
  readonly messages: (Message | null)[] = [];
  count = 0;
  spawned: Actor[] = [];
  readonly quits: Map<ActorId, EndReason> = new Map();
  /** What is asked of the spaces around. */
  outward: OutwardRequest[] = [];

  /** Asks for a message. */
  post(sender: Actor, from: Orientation, topic: Datum, receipt: Receipt | undefined): void {
    this.messages[this.count] = { sender, from, topic, receipt };
    this.count += 1;
  }

  /** Asks something of a space around. */
  ask(request: OutwardRequest): void {
    if (request.claims !== undefined) request.claims.count += 1;
    this.outward.push(request);
  }

  /** Whether nothing was asked for but messages. */
  get plain(): boolean {
    return this.changes.size === 0 && this.spawned.length === 0 && this.quits.size === 0 && this.outward.length === 0;
  }

  /** What an endpoint will be, as far as this turn has come. */
  roleOf(endpoint: Endpoint): Role | null {
    const change = this.changes.get(endpoint);
    return change === undefined ? endpoint.role : change.role;
  }

  /** Nothing comes of what was asked for. */
  drop(): void {
    unclaim(this.outward);
    this.clear();
  }

  /** Forgets all that was asked for. */
  clear(): void {
    for (let i = 0; i < this.count; i++) this.messages[i] = null;
    this.count = 0;
    if (this.messages.length > MOST_PLACES) this.messages.length = 0;
    if (this.plain) return;
    this.changes.clear();
    this.names.clear();
    this.spawned = [];
    this.quits.clear();
    this.outward = [];
  }
}
