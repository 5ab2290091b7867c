import { PortsideError } from '../base/errors.ts';
import type { Clock } from '../sync/clock.ts';
import { rethrowSoon } from '../sync/rethrow.ts';
import { Actor } from './actor.ts';
import type { Job, Stage } from './actor.ts';
import { deliver } from './delivery.ts';
import type { ActorId, Endpoint, EndpointId } from './endpoint.ts';
import type { KernelSettings } from './kernel-settings.ts';
import { spreadToLinked } from './links.ts';
import { nearer, unclaim, withdrawals } from './outward.ts';
import type { Claims, OutwardRequest } from './outward.ts';
import { cancelEqual, Endpoints, sameRole } from './presence.ts';
import type { Sighting } from './presence.ts';
import { plainError } from './reasons.ts';
import type { EndReason } from './reasons.ts';
import type { RoutingEntry } from './routing-table.ts';
import { Scheduler } from './scheduler.ts';
import { overSpaceLimit } from './state-errors.ts';
import { Turn } from './turn.ts';
import type { Change, Message } from './turn.ts';

/** The inside of a space: actors, endpoints, and turns that are committed one after another. */
export class Kernel implements Stage {
  readonly actors: Map<ActorId, Actor> = new Map();
  readonly endpoints: Endpoints = new Endpoints();
  readonly scheduler: Scheduler;
  /** The spaces within, by the actors that stand for them. */
  readonly nested: Map<Actor, Kernel> = new Map();
  /** Those that stand for this space, from the ground on. */
  readonly path: readonly ActorId[];
  /** What those within nested spaces have asked for here. */
  readonly claimedActors: Claims = { count: 0 };
  readonly claimedEndpoints: Claims = { count: 0 };
  readonly #settings: KernelSettings;
  readonly #turn = new Turn();
  /** Actors whose queue is full. */
  readonly #flooded: Actor[] = [];
  /** Promises and outside sources that could bring something. */
  #waits = 0;
  #actorIds = 0;
  #endpointIds = 0;
  #stopped: EndReason | null = null;
  #closing: EndReason | null = null;

  constructor(settings: KernelSettings) {
    this.#settings = settings;
    this.scheduler = new Scheduler(settings.clock, settings, () => this.rest());
    const { standIn } = settings;
    this.path = standIn === null ? [] : [...standIn.kernel.path, standIn.actor.id];
  }

  get settings(): KernelSettings {
    return this.#settings;
  }

  get clock(): Clock {
    return this.#settings.clock;
  }

  get waits(): number {
    return this.#waits;
  }

  get stopped(): boolean {
    return this.#stopped !== null;
  }

  /** Whether nothing goes on here or in a space within, and nothing is waited for. */
  get atRest(): boolean {
    if (this.#stopped !== null) return this.nested.size === 0;
    if (this.#waits > 0 || this.#turn.actor !== null || !this.scheduler.empty) return false;
    for (const inner of this.nested.values()) if (!inner.atRest) return false;
    return true;
  }

  /** Whether a handler runs now. */
  get inTurn(): boolean {
    return this.#turn.actor !== null;
  }

  /** The turn that an actor is in. Throws ERR_PORTSIDE_STATE where it is in none. */
  turnOf(actor: Actor, what: string): Turn {
    if (this.#turn.actor === actor) return this.#turn;
    const who = `actor ${actor.name ?? actor.id}`;
    const why =
      actor.ended === null
        ? `is not in a turn: only its handlers can, before they first wait; self.async() gets back in`
        : 'has ended';
    throw new PortsideError('ERR_PORTSIDE_STATE', `${who} can't ask for ${what}, since it ${why}`, { op: what });
  }

  /** An actor that is not yet there. Throws ERR_PORTSIDE_LIMIT when there are too many. */
  create(name: string | undefined, parent: Actor | null): Actor {
    const { maxActors } = this.#settings;
    const count = this.actors.size + this.#turn.spawned.length + this.claimedActors.count;
    if (count >= maxActors) throw overSpaceLimit('spawn', `${maxActors} actors`);
    this.#actorIds += 1;
    return new Actor(this, this.#actorIds, name, parent);
  }

  /** What a new endpoint is called by. Throws ERR_PORTSIDE_LIMIT when there are too many. */
  nextEndpointId(): EndpointId {
    const { maxEndpoints } = this.#settings;
    const count = this.endpoints.size + this.#turn.changes.size + this.claimedEndpoints.count;
    if (count >= maxEndpoints) throw overSpaceLimit('endpoint', `${maxEndpoints} endpoints`);
    this.#endpointIds += 1;
    return this.#endpointIds;
  }

  /** Adds an actor; its boot waits for it already. */
  admit(actor: Actor): void {
    this.actors.set(actor.id, actor);
    actor.parent?.children.add(actor);
    this.scheduler.wake(actor);
  }

  /** Puts a job at the end of an actor's queue; false where it ended, or has too many. */
  push(actor: Actor, job: Job): boolean {
    if (actor.ended !== null) return false;
    if (actor.queue.length >= this.#settings.queueLimit) {
      this.#flooded.push(actor);
      return false;
    }
    actor.queue.push(job);
    this.scheduler.wake(actor);
    return true;
  }

  /** Puts a job from another space at the end of an actor's queue; false where it ended, or has too many. */
  bring(actor: Actor, job: Job): boolean {
    const brought = this.push(actor, job);
    if (!brought && this.#turn.actor === null) this.#endFlooded();
    return brought;
  }

  /** Puts a job of an outside source in an actor's queue; false when that has ended. */
  enter(actor: Actor, fn: () => unknown): boolean {
    if (actor.ended !== null) return false;
    this.push(actor, { kind: 'call', fn });
    if (this.#turn.actor === null) this.#endFlooded();
    return actor.ended === null;
  }

  /** Counts what an actor, or the space, waits for. What comes back ends the wait, once. */
  hold(actor: Actor | null): () => void {
    this.#waits += 1;
    if (actor !== null) actor.outstanding += 1;
    let held = true;
    return () => {
      if (!held || (actor !== null && actor.ended !== null)) return;
      held = false;
      this.#waits -= 1;
      if (actor !== null) {
        actor.outstanding -= 1;
        this.scheduler.wake(actor);
      }
      this.rest();
    };
  }

  /** Watches a promise for an actor: what it gives enters by a turn, its rejection ends the actor. */
  watch(actor: Actor, promise: PromiseLike<unknown>, fn: ((value: unknown) => unknown) | undefined): void {
    const release = this.hold(actor);
    Promise.resolve(promise).then(
      (value) => {
        if (fn !== undefined) this.enter(actor, () => fn(value));
        release();
      },
      (error: unknown) => this.fail(actor, error),
    );
  }

  /** Waits for what a handler is still at work on; a message counts as taken when that is over. */
  #attend(actor: Actor, promise: PromiseLike<unknown>, job: Job): void {
    const receipt = 'receipt' in job ? job.receipt : undefined;
    if (receipt === undefined) {
      this.watch(actor, promise, undefined);
      return;
    }
    actor.receipts ??= new Set();
    actor.receipts.add(receipt);
    // Whoever failed or ended has given up all its receipts.
    this.watch(actor, promise, () => {
      if (actor.receipts?.delete(receipt) === true) receipt.taken();
    });
  }

  perform(actor: Actor, job: Job): void {
    const turn = this.#turn;
    turn.actor = actor;
    let failure: EndReason | undefined;
    try {
      const given = job.kind === 'call' ? job.fn() : deliver(job);
      if (isThenable(given)) this.#attend(actor, given, job);
      else if ('receipt' in job) job.receipt?.taken();
    } catch (error) {
      turn.drop();
      if ('receipt' in job) job.receipt?.taken();
      failure = { kind: 'failed', error: plainError(error) };
    }
    turn.actor = null;
    // What a handler asks of a space that it has just ended is asked of nobody.
    if (this.#stopped !== null) {
      turn.drop();
      this.#endAll(this.#stopped);
      return;
    }
    if (failure !== undefined) this.#end(actor, failure);
    else this.#commit(actor);
    this.#endFlooded();
  }

  collect(actor: Actor): void {
    this.#end(actor, { kind: 'done' });
  }

  /** What an actor did ends it. */
  fail(actor: Actor, error: unknown): void {
    this.#end(actor, { kind: 'failed', error: plainError(error) });
  }

  /** Lets every actor hear what waits for it, and then ends it; nobody is started any more. */
  close(reason: EndReason): void {
    if (this.#closing !== null) return;
    this.#closing = reason;
    for (const actor of this.actors.values()) this.push(actor, { kind: 'call', fn: () => this.#leave(actor, reason) });
  }

  /** Ends all actors; after that nothing is done any more. */
  stop(reason: EndReason): void {
    if (this.#stopped !== null) return;
    this.#stopped = reason;
    this.scheduler.stop();
    if (this.#turn.actor === null) this.#endAll(reason);
  }

  #commit(actor: Actor): void {
    const turn = this.#turn;
    if (turn.plain) {
      if (turn.count > 0) this.#send(turn.messages, turn.count);
      turn.clear();
      return;
    }
    for (const spawned of turn.spawned) this.admit(spawned);
    const ending = new Map<Actor, EndReason>();
    if (this.#closing !== null) for (const spawned of turn.spawned) ending.set(spawned, this.#closing);
    for (const [id, reason] of turn.quits) {
      const target = this.actors.get(id);
      if (target !== undefined) ending.set(target, reason);
    }
    const changes = new Map(turn.changes);
    const { outward } = turn;
    const messages = turn.messages.slice(0, turn.count);
    turn.clear();
    if (outward.length > 0) this.#pass(actor, outward);
    this.#apply(actor, changes, messages, ending);
  }

  #leave(actor: Actor, reason: EndReason): void {
    if (!this.#turn.quits.has(actor.id)) this.#turn.quits.set(actor.id, reason);
  }

  /** Passes on what an actor asks of the spaces around. */
  #pass(holder: Actor, requests: readonly OutwardRequest[]): void {
    const { standIn } = this.#settings;
    if (standIn === null) return;
    const { kernel, actor } = standIn;
    for (const request of requests) request.commit(holder, request.levels);
    const perform = (): void => {
      const turn = kernel.turnOf(actor, 'atMeta');
      // Now the turn counts what is asked for, and what goes on from here is claimed anew.
      unclaim(requests);
      for (const request of requests) {
        if (request.levels === 1) request.perform(turn);
        else turn.ask(nearer(request));
      }
    };
    const drop = (): void => unclaim(requests);
    if (!kernel.bring(actor, { kind: 'call', fn: perform, drop })) drop();
  }

  #end(actor: Actor, reason: EndReason): void {
    if (actor.ended !== null) return;
    this.#apply(actor, new Map(), [], new Map([[actor, reason]]));
    this.#endFlooded();
  }

  /** Presence goes before the messages and absence after them, so that last words are heard. */
  #apply(
    actor: Actor,
    changes: ReadonlyMap<Endpoint, Change>,
    messages: readonly (Message | null)[],
    ending: Map<Actor, EndReason>,
  ): void {
    spreadToLinked(ending);
    for (const [one, reason] of ending) {
      one.ended = reason;
      one.clear();
    }
    let lost: Sighting[] = [];
    let gained: Sighting[] = [];
    const added: [Endpoint, Change][] = [];
    for (const [endpoint, change] of changes) {
      const old = endpoint.role;
      if (old !== null && change.role !== null && sameRole(old, change.role)) {
        this.endpoints.replace(endpoint, change.role);
        continue;
      }
      if (old !== null) this.endpoints.remove(endpoint, change.reason, lost);
      if (change.role !== null) added.push([endpoint, change]);
      else forget(endpoint);
    }
    for (const [one, reason] of ending) {
      for (const endpoint of one.endpoints) this.endpoints.remove(endpoint, reason, lost);
      one.endpoints.clear();
      one.anchored = false;
      one.names.clear();
    }
    if (actor.ended === null) {
      for (const [endpoint, { role }] of added) {
        if (role === null) continue;
        actor.endpoints.add(endpoint);
        actor.anchored = true;
        if (endpoint.name !== undefined) actor.names.set(endpoint.name, endpoint);
        this.endpoints.add(endpoint, role, gained);
      }
    }
    if (lost.length > 0 && gained.length > 0) [lost, gained] = cancelEqual(lost, gained);
    this.#tell(gained);
    this.#send(messages, messages.length);
    this.#tell(lost);
    for (const [one, reason] of ending) this.#bury(one, reason);
  }

  #tell(sightings: readonly Sighting[]): void {
    for (const sighting of sightings) {
      const { seer, seerRole, reason } = sighting;
      // Who withdrew its own endpoint is not told that it sees nobody any more; who changed it is.
      if (!seer.actor.endpoints.has(seer)) continue;
      const now = seer.role ?? seerRole;
      const heard =
        reason === undefined ? now.hearsPresence || seerRole.hearsPresence : now.hearsAbsence || seerRole.hearsAbsence;
      if (!heard) continue;
      this.push(seer.actor, { kind: 'sighting', sighting });
    }
  }

  #send(messages: readonly (Message | null)[], count: number): void {
    for (let m = 0; m < count; m++) {
      const { sender, from, topic, receipt } = messages[m] as Message;
      // Nobody asks the index for anything while these are gone through.
      const { found, count: most } = this.endpoints.audience(from, topic, sender);
      for (let i = 0; i < most; i++) {
        const endpoint = (found[i] as RoutingEntry<Endpoint>).value;
        const { role } = endpoint;
        if (role === null || !role.hearsMessages) continue;
        if (this.push(endpoint.actor, { kind: 'message', endpoint, role, topic, receipt }))
          receipt?.given(role.interest === 'participant');
      }
      receipt?.sent();
    }
  }

  #bury(actor: Actor, reason: EndReason): void {
    this.actors.delete(actor.id);
    actor.route = undefined;
    this.#waits -= actor.outstanding;
    actor.outstanding = 0;
    if (actor.outward !== undefined) this.#pass(actor, withdrawals(actor.outward, reason));
    const { parent } = actor;
    if (parent !== null && parent.children.delete(actor) && parent.ended === null) this.scheduler.wake(parent);
    for (const cleanup of actor.cleanups.splice(0).toReversed()) {
      try {
        cleanup(reason);
      } catch (error) {
        // There is no actor left that this could end.
        rethrowSoon(error);
      }
    }
    try {
      this.#settings.onEnd({ actor: actor.id, name: actor.name, reason, space: this.path });
    } catch (error) {
      rethrowSoon(error);
    }
    this.rest();
  }

  #endFlooded(): void {
    while (this.#flooded.length > 0) {
      const flooded = new Set(this.#flooded.splice(0));
      for (const actor of flooded) {
        const limit = this.#settings.queueLimit;
        this.fail(actor, new PortsideError('ERR_PORTSIDE_LIMIT', `more than ${limit} events wait for the actor`));
      }
    }
  }

  #endAll(reason: EndReason): void {
    // Whoever ends the space while actors end has these ended already.
    const left = [...this.actors.values()].filter(({ ended }) => ended === null);
    const [first] = left;
    if (first !== undefined) this.#apply(first, new Map(), [], new Map(left.map((actor) => [actor, reason])));
    this.rest();
  }

  /** Says so when nothing is left that could go on by itself. */
  rest(): void {
    if (this.atRest) this.#settings.onIdle();
  }
}

function forget(endpoint: Endpoint): void {
  const { actor, name } = endpoint;
  actor.endpoints.delete(endpoint);
  actor.anchored = actor.endpoints.size > 0;
  if (name !== undefined && actor.names.get(name) === endpoint) actor.names.delete(name);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
