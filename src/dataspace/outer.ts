import { check, checkValue, that } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import type { Actor } from './actor.ts';
import { endpointTable, makeRole } from './endpoint.ts';
import type { ActorId, EndpointHandle, EndpointOptions, Handlers, Interest, Orientation } from './endpoint.ts';
import type { StandIn } from './kernel-settings.ts';
import type { Kernel } from './kernel.ts';
import { toDetail, toMessage } from './message.ts';
import { OutwardEndpoint, placement, withdrawal } from './outward.ts';
import type { Claims, OutwardEvent } from './outward.ts';
import type { Receipt } from './receipt.ts';
import type { Boot, SpawnOptions } from './self.ts';
import { notOnTheGround } from './state-errors.ts';
import type { Datum, Topic } from './topic-types.ts';
import type { Turn } from './turn.ts';

/**
 * The space around a nested one, as an actor within sees it. What is asked for here is asked for by the actor that stands
 * for the nested space, right after the turn within is over, all of it together; handlers are called in turns of the actor
 * within, and its end withdraws what it has here. Ids are those of the space around.
 *
 * Everything here throws as `self` does.
 */
export interface OuterSpace {
  /** The space around this one. Throws `ERR_PORTSIDE_STATE` on the ground. */
  readonly atMeta: OuterSpace;
  /** See `Self.publish`. */
  publish<const P extends Topic>(topic: P, handlers?: Handlers<P>, options?: EndpointOptions): EndpointHandle;
  /** See `Self.subscribe`. */
  subscribe<const P extends Topic>(topic: P, handlers?: Handlers<P>, options?: EndpointOptions): EndpointHandle;
  /** See `Self.observePublishers`. */
  observePublishers<const P extends Topic>(topic: P, handlers: Handlers<P>, options?: EndpointOptions): EndpointHandle;
  /** See `Self.observeSubscribers`. */
  observeSubscribers<const P extends Topic>(topic: P, handlers: Handlers<P>, options?: EndpointOptions): EndpointHandle;
  /** See `Self.send`. */
  send(message: Datum): void;
  /** See `Self.feedback`. */
  feedback(message: Datum): void;
  /** Starts an actor in the space around, which lives by itself. */
  spawn(boot: Boot, options?: SpawnOptions): ActorId;
  /**
   * Ends the nested space: its peers around see its endpoints go with the reason, its actors see everything around go, and
   * then end. Or ends another actor of the space around: `quit(id, reason)`.
   */
  quit(reason?: Datum): void;
  quit(id: ActorId, reason: Datum | undefined): void;
}

/** Makes an actor of a boot function. */
export type ActorMaker = (kernel: Kernel, boot: Boot, options: SpawnOptions | undefined) => Actor;

/** The id of an actor. */
export const actorIdRule: Rule<ActorId> = that<ActorId>('the id of an actor', Number.isSafeInteger);

/** {@link OuterSpace} for one actor, so many spaces out. */
export class OuterSelf implements OuterSpace {
  readonly #kernel: Kernel;
  readonly #actor: Actor;
  readonly #around: StandIn;
  readonly #levels: number;
  readonly #make: ActorMaker;
  #outer: OuterSelf | undefined;

  /** `around`: who stands for the space that the requests are for. */
  constructor(kernel: Kernel, actor: Actor, around: StandIn, levels: number, make: ActorMaker) {
    this.#kernel = kernel;
    this.#actor = actor;
    this.#around = around;
    this.#levels = levels;
    this.#make = make;
  }

  get atMeta(): OuterSpace {
    const around = this.#around.kernel.settings.standIn;
    if (around === null) throw notOnTheGround();
    this.#outer ??= new OuterSelf(this.#kernel, this.#actor, around, this.#levels + 1, this.#make);
    return this.#outer;
  }

  publish<const P extends Topic>(topic: P, handlers?: Handlers<P>, options?: EndpointOptions): EndpointHandle {
    return this.#add('publish', 'publisher', 'participant', topic, handlers, options);
  }

  subscribe<const P extends Topic>(topic: P, handlers?: Handlers<P>, options?: EndpointOptions): EndpointHandle {
    return this.#add('subscribe', 'subscriber', 'participant', topic, handlers, options);
  }

  observePublishers<const P extends Topic>(topic: P, handlers: Handlers<P>, options?: EndpointOptions): EndpointHandle {
    return this.#add('observePublishers', 'subscriber', 'observer', topic, handlers, options);
  }

  observeSubscribers<const P extends Topic>(
    topic: P,
    handlers: Handlers<P>,
    options?: EndpointOptions,
  ): EndpointHandle {
    return this.#add('observeSubscribers', 'publisher', 'observer', topic, handlers, options);
  }

  send(message: Datum): void {
    this.#post('send', 'publisher', message);
  }

  feedback(message: Datum): void {
    this.#post('feedback', 'subscriber', message);
  }

  spawn(boot: Boot, options?: SpawnOptions): ActorId {
    const turn = this.#turn('spawn');
    const spawned = this.#make(this.#around.kernel, boot, options);
    this.#ask(turn, (outer) => outer.spawned.push(spawned), this.#around.kernel.claimedActors);
    return spawned.id;
  }

  quit(reason?: Datum): void;
  quit(id: ActorId, reason: Datum | undefined): void;
  quit(...given: [reason?: Datum | undefined] | [id: Datum, reason: Datum | undefined]): void {
    const turn = this.#turn('quit');
    const by = this.#around.actor.id;
    const id = given.length < 2 ? by : checkValue('quit', 'id', actorIdRule, given[0]);
    const detail = toDetail(given.length < 2 ? given[0] : given[1]);
    this.#ask(turn, ({ quits }) => {
      if (!quits.has(id)) quits.set(id, { kind: 'quit', by, detail });
    });
  }

  #add<P extends Topic>(
    what: string,
    orientation: Orientation,
    usual: Interest,
    topic: P,
    handlers: Handlers<P> | undefined,
    options: EndpointOptions | undefined,
  ): EndpointHandle {
    const turn = this.#turn(what);
    const settings: EndpointOptions = check(endpointTable, options);
    const role = makeRole(orientation, usual, topic, handlers, settings);
    const name = settings.name === undefined ? undefined : `${this.#levels} ${settings.name}`;
    const old = name === undefined ? undefined : this.#actor.outwardNames?.get(name);
    const endpoint = old ?? this.#endpoint(name);
    const claims = old === undefined ? this.#around.kernel.claimedEndpoints : undefined;
    turn.ask(placement(endpoint, this.#levels, role, claims));
    return {
      id: endpoint.endpoint.id,
      withdraw: (reason) => {
        const detail = toDetail(reason);
        const now = this.#turn('withdraw');
        now.ask(withdrawal(endpoint, this.#levels, { kind: 'withdrawn', detail }));
      },
    };
  }

  // Whoever throws after this has no use for the name any more, nor for anything else.
  #endpoint(name: string | undefined): OutwardEndpoint {
    const actor = this.#actor;
    const around = this.#around;
    const endpoint = new OutwardEndpoint(around.kernel.nextEndpointId(), around.actor, actor, name, this.#pass);
    if (name !== undefined) {
      actor.outwardNames ??= new Map();
      actor.outwardNames.set(name, endpoint);
    }
    return endpoint;
  }

  readonly #pass = (endpoint: OutwardEndpoint, event: OutwardEvent, receipt: Receipt | undefined): void => {
    if (this.#kernel.bring(this.#actor, { kind: 'relayed', endpoint, event, receipt })) receipt?.given(true);
  };

  #post(what: string, from: Orientation, message: Datum): void {
    const turn = this.#turn(what);
    const topic = toMessage(message);
    this.#ask(turn, (outer) => outer.post(this.#actor, from, topic, undefined));
  }

  #turn(what: string): Turn {
    return this.#kernel.turnOf(this.#actor, what);
  }

  #ask(turn: Turn, perform: (outer: Turn) => unknown, claims?: Claims): void {
    turn.ask({ levels: this.#levels, claims, commit: () => {}, perform });
  }
}
