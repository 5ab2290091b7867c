import { Fifo } from '../sync/fifo.ts';
import type { ActorId, Endpoint, Role } from './endpoint.ts';
import type { EndReason } from './reasons.ts';
import type { Receipt } from './receipt.ts';
import type { OutwardEndpoint, OutwardEvent } from './outward.ts';
import type { Route } from './routing-route.ts';
import type { Runner } from './scheduler.ts';
import type { Sighting } from './presence.ts';
import type { Datum } from './topic-types.ts';

/** What waits for an actor; each is a turn. */
export type Job =
  | {
      readonly kind: 'message';
      readonly endpoint: Endpoint;
      /** What the endpoint was when it was sent. */
      readonly role: Role;
      readonly topic: Datum;
      readonly receipt: Receipt | undefined;
    }
  | { readonly kind: 'sighting'; readonly sighting: Sighting }
  | {
      readonly kind: 'relayed';
      readonly endpoint: OutwardEndpoint;
      readonly event: OutwardEvent;
      readonly receipt: Receipt | undefined;
    }
  | {
      readonly kind: 'call';
      readonly fn: () => unknown;
      /** Called in place of it when the actor ends before. */
      readonly drop?: (() => void) | undefined;
    };

/** Who gives actors their turns. */
export interface Stage {
  /** Does one job in a turn. Never throws. */
  perform(actor: Actor, job: Job): void;
  /** Ends an actor that has nothing left. */
  collect(actor: Actor): void;
}

/** An actor as the space knows it: its endpoints, what waits for it, and whom it is linked with. */
export class Actor implements Runner {
  readonly id: ActorId;
  readonly name: string | undefined;
  /** Whom it is linked with, from above. */
  readonly parent: Actor | null;
  readonly children: Set<Actor> = new Set();
  readonly endpoints: Set<Endpoint> = new Set();
  /** Whether it has endpoints: it is asked after each turn, and the set lies elsewhere. */
  anchored = false;
  readonly names: Map<string, Endpoint> = new Map();
  readonly queue: Fifo<Job> = new Fifo();
  /** The way of what it sent last. */
  route: Route<Endpoint> | undefined;
  /** Its endpoints in the spaces around this one, and those that it passed on, by how many spaces out they are. */
  outward: Map<OutwardEndpoint, number> | undefined;
  outwardNames: Map<string, OutwardEndpoint> | undefined;
  /** Of messages that its handlers are still at work on. */
  receipts: Set<Receipt> | undefined;
  /** Called when it ends, the last one first. */
  readonly cleanups: ((reason: EndReason) => void)[] = [];
  ready = false;
  /** Whether its parent wants to be told of its failure, in place of sharing it. */
  monitored = false;
  /** Promises and outside sources that it waits for. */
  outstanding = 0;
  /** Whether it stays though nothing can wake it: it stands for a space. */
  kept = false;
  /** Why it ended. */
  ended: EndReason | null = null;
  readonly #stage: Stage;

  constructor(stage: Stage, id: ActorId, name: string | undefined, parent: Actor | null) {
    this.#stage = stage;
    this.id = id;
    this.name = name;
    this.parent = parent;
  }

  /** Whether nothing can ever wake it. */
  get idle(): boolean {
    if (this.anchored || this.kept || this.outstanding > 0 || this.queue.length > 0) return false;
    return this.children.size === 0 && (this.outward?.size ?? 0) === 0;
  }

  /** Forgets what waits for it and what it is at work on. */
  clear(): void {
    for (let job = this.queue.shift(); job !== undefined; job = this.queue.shift()) {
      if ('receipt' in job) job.receipt?.taken();
      else if (job.kind === 'call') job.drop?.();
    }
    for (const receipt of this.receipts ?? []) receipt.taken();
    this.receipts = undefined;
  }

  step(): boolean {
    if (this.ended !== null) return false;
    const job = this.queue.shift();
    if (job !== undefined) this.#stage.perform(this, job);
    if (this.queue.length > 0) return this.ended === null;
    if (this.ended === null && this.idle) this.#stage.collect(this);
    return false;
  }
}
