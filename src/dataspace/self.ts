import { check, checkValue, fn, string, table, that } from '../base/options.ts';
import type { Agrees } from '../base/options.ts';
import type { Clock } from '../sync/clock.ts';
import type { Actor } from './actor.ts';
import { Endpoint, endpointTable, makeRole } from './endpoint.ts';
import type { ActorId, EndpointHandle, EndpointOptions, Handlers, Interest, Orientation } from './endpoint.ts';
import type { Kernel } from './kernel.ts';
import { toDetail, toMessage } from './message.ts';
import { nest } from './nested.ts';
import { actorIdRule, OuterSelf } from './outer.ts';
import type { OuterSpace } from './outer.ts';
import type { EndReason } from './reasons.ts';
import { Receipt } from './receipt.ts';
import { notOnTheGround } from './state-errors.ts';
import type { Datum, Topic } from './topic-types.ts';

/**
 * What an actor does first, in a turn of its own: it makes endpoints and starts others. What it gives back is ignored,
 * but for a promise: it is waited for, and its rejection ends the actor.
 */
export type Boot = (self: Self) => unknown;

/** Settings of an actor. */
export interface SpawnOptions {
  /** For reports and errors. */
  readonly name?: string | undefined;
}

/** Settings of an actor that is linked with the one that starts it. */
export interface LinkOptions extends SpawnOptions {
  /**
   * Called in a turn of the actor that started it, when it has ended, whatever ended it: its failure is told by this,
   * and does not end the other one.
   */
  readonly onEnd?: ((reason: EndReason) => unknown) | undefined;
}

/** Something outside of the space from which an actor may be entered, such as a socket. */
export interface OutsideSource {
  /**
   * Calls `fn` in a turn of the actor, soon. Gives false when the source was released or the actor ended, and then
   * never calls it.
   */
  enter(fn: () => unknown): boolean;
  /** Nothing will come any more; what came already is still done. Does nothing the second time. */
  release(): void;
}

/**
 * The space as one actor sees it: what its boot function and its handlers ask for things by.
 *
 * What is asked for in a turn (the synchronous part of a handler) takes effect together when the handler returns, and not
 * at all when it throws: then the actor ends, with the error as the reason. Peers see what came before what was sent, and
 * what was sent before what went. Except for `enter` and `release` of a source, and for the fields, everything here throws
 * `ERR_PORTSIDE_STATE` outside of a turn of this actor.
 */
export interface Self {
  /** What the actor is called by. */
  readonly id: ActorId;
  /** What the space goes by: see `outside` for how to get back from a timer of it. */
  readonly clock: Clock;
  /**
   * The space around the one that this actor is in, to ask things of.
   *
   * @throws ERR_PORTSIDE_STATE on the ground.
   */
  readonly atMeta: OuterSpace;
  /** Aborts when the actor ends, with the `EndReason` as its reason. */
  readonly signal: AbortSignal;
  /** Publishes a topic: subscribers see that it has a publisher. Messages reach it by `feedback`. */
  publish<const P extends Topic>(topic: P, handlers?: Handlers<P>, options?: EndpointOptions): EndpointHandle;
  /** Subscribes to a topic: publishers see that it has a subscriber. Messages reach it by `send`. */
  subscribe<const P extends Topic>(topic: P, handlers?: Handlers<P>, options?: EndpointOptions): EndpointHandle;
  /** Watches who publishes, and what is sent, without being seen. */
  observePublishers<const P extends Topic>(topic: P, handlers: Handlers<P>, options?: EndpointOptions): EndpointHandle;
  /** Watches who subscribes, and what is fed back, without being seen. */
  observeSubscribers<const P extends Topic>(topic: P, handlers: Handlers<P>, options?: EndpointOptions): EndpointHandle;
  /**
   * Sends a message to all endpoints on the subscribers' side that its topic meets, one's own included. Nobody has to
   * publish it.
   *
   * @throws ERR_PORTSIDE_TOPIC for what is not plain data or has holes.
   */
  send(message: Datum): void;
  /** Sends a message to all endpoints on the publishers' side, as `send` does to the other. */
  feedback(message: Datum): void;
  /** Starts an actor that lives by itself. */
  spawn(boot: Boot, options?: SpawnOptions): ActorId;
  /**
   * Starts an actor that ends when this one does. When it fails, this one ends too; when it quits or is done, this one
   * goes on. While it lives, this one counts as having work. With `onEnd`, its failure is told and not shared.
   */
  spawnLinked(boot: Boot, options?: LinkOptions): ActorId;
  /**
   * Starts a space within this one, by its first actor; within, `atMeta` reaches back here. The id is that of the actor that
   * stands for it here: to quit that one ends the space, and what its actors publish and subscribe to out here is that one's.
   * It ends when its last actor has, and not for being idle. When that actor ends first, those within see the absence of
   * whom they saw out here, and then end.
   */
  spawnSpace(boot: Boot, options?: SpawnOptions): ActorId;
  /**
   * Ends this actor when the turn is over; what else the turn asks for is done before. Or ends another one, if there is
   * one of that id: `quit(id, reason)`. A lone number is a reason.
   */
  quit(reason?: Datum): void;
  quit(id: ActorId, reason: Datum | undefined): void;
  /**
   * Waits for a promise and calls `fn` with its value in a turn of this actor. Its rejection ends the actor. What comes
   * after the actor's end is dropped.
   */
  async<T>(promise: PromiseLike<T>, fn?: (value: T) => unknown): void;
  /** Registers something from outside, which may enter as often as it wants and keeps the actor and the space waiting. */
  outside(): OutsideSource;
  /** Calls `fn` when the actor has ended, whatever ended it; the last one given first. It must not throw. */
  onEnd(fn: (reason: EndReason) => void): void;
}

const spawnTable = table('spawn', { name: string() });
const agreed: Agrees<typeof spawnTable, SpawnOptions> = true;
void agreed;
const spaceTable = table('spawnSpace', { name: string() });
const linkTable = table('spawnLinked', { name: string(), onEnd: fn<(reason: EndReason) => unknown>() });
const linkAgreed: Agrees<typeof linkTable, LinkOptions> = true;
void linkAgreed;
const bootRule = fn<Boot>();
const callRule = fn();
const endRule = fn<(reason: EndReason) => void>();
const promiseRule = that<PromiseLike<unknown>>(
  'a promise',
  (value) => typeof value === 'object' && value !== null && 'then' in value,
);

/** Makes an actor of a boot function, which is what waits for it first. */
export function createActor(
  kernel: Kernel,
  boot: Boot,
  options: SpawnOptions | undefined,
  parent: Actor | null,
): Actor {
  checkValue('spawn', 'boot', bootRule, boot);
  const actor = kernel.create(check(spawnTable, options).name, parent);
  const self = new ActorSelf(kernel, actor);
  actor.queue.push({ kind: 'call', fn: () => boot(self) });
  return actor;
}

let sendWith: (self: ActorSelf, message: Datum, receipt: Receipt) => void;

/**
 * Sends a message as `self.send` does, for a driver: `onTaken` is called once, when all that it was for have dealt with it
 * (an asynchronous handler when its promise is settled) or are gone; at the commit where it was for nobody. `onMissed`, where
 * there is one, is called in its place, at the commit, where the message was for no participant. Neither is called when the
 * turn throws. They are called within somebody else's turn or between turns, and must not throw.
 */
export function sendTracked(self: Self, message: Datum, onTaken: () => void, onMissed?: () => void): void {
  sendWith(self as ActorSelf, message, new Receipt(onTaken, onMissed));
}

class ActorSelf implements Self {
  readonly #kernel: Kernel;
  readonly #actor: Actor;
  #controller: AbortController | undefined;
  #outer: OuterSelf | undefined;

  static {
    sendWith = (self, message, receipt) => self.#post('send', 'publisher', message, receipt);
  }

  constructor(kernel: Kernel, actor: Actor) {
    this.#kernel = kernel;
    this.#actor = actor;
  }

  get id(): ActorId {
    return this.#actor.id;
  }

  get clock(): Clock {
    return this.#kernel.clock;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      const { ended, cleanups } = this.#actor;
      if (ended === null) cleanups.push((reason) => controller.abort(reason));
      else controller.abort(ended);
      this.#controller = controller;
    }
    return this.#controller.signal;
  }

  get atMeta(): OuterSpace {
    const { standIn } = this.#kernel.settings;
    if (standIn === null) throw notOnTheGround();
    this.#outer ??= new OuterSelf(this.#kernel, this.#actor, standIn, 1, (kernel, boot, options) =>
      createActor(kernel, boot, options, null),
    );
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
    this.#post('send', 'publisher', message, undefined);
  }

  feedback(message: Datum): void {
    this.#post('feedback', 'subscriber', message, undefined);
  }

  spawn(boot: Boot, options?: SpawnOptions): ActorId {
    return this.#spawn('spawn', boot, options, null).id;
  }

  spawnLinked(boot: Boot, options?: LinkOptions): ActorId {
    const { name, onEnd }: LinkOptions = check(linkTable, options);
    const linked = this.#spawn('spawnLinked', boot, { name }, this.#actor);
    if (onEnd !== undefined) {
      linked.monitored = true;
      linked.cleanups.push((reason) => this.#kernel.push(this.#actor, { kind: 'call', fn: () => onEnd(reason) }));
    }
    return linked.id;
  }

  spawnSpace(boot: Boot, options?: SpawnOptions): ActorId {
    const turn = this.#kernel.turnOf(this.#actor, 'spawnSpace');
    checkValue('spawnSpace', 'boot', bootRule, boot);
    const kernel = this.#kernel;
    const actor = kernel.create(check(spaceTable, options).name, null);
    const first = (inner: Kernel): Actor => createActor(inner, boot, undefined, null);
    actor.queue.push({ kind: 'call', fn: () => nest(kernel, actor, first) });
    turn.spawned.push(actor);
    return actor.id;
  }

  quit(reason?: Datum): void;
  quit(id: ActorId, reason: Datum | undefined): void;
  quit(...given: [reason?: Datum | undefined] | [id: Datum, reason: Datum | undefined]): void {
    const turn = this.#kernel.turnOf(this.#actor, 'quit');
    const id = given.length < 2 ? this.#actor.id : checkValue('quit', 'id', actorIdRule, given[0]);
    const detail = toDetail(given.length < 2 ? given[0] : given[1]);
    if (!turn.quits.has(id)) turn.quits.set(id, { kind: 'quit', by: this.#actor.id, detail });
  }

  async<T>(promise: PromiseLike<T>, then?: (value: T) => unknown): void {
    this.#kernel.turnOf(this.#actor, 'async');
    checkValue('async', 'promise', promiseRule, promise);
    if (then !== undefined) checkValue('async', 'fn', callRule, then);
    this.#kernel.watch(this.#actor, promise, then as ((value: unknown) => unknown) | undefined);
  }

  outside(): OutsideSource {
    this.#kernel.turnOf(this.#actor, 'outside');
    const release = this.#kernel.hold(this.#actor);
    let open = true;
    return {
      enter: (call) => {
        checkValue('enter', 'fn', callRule, call);
        return open && this.#kernel.enter(this.#actor, call);
      },
      release: () => {
        open = false;
        release();
      },
    };
  }

  onEnd(call: (reason: EndReason) => void): void {
    this.#kernel.turnOf(this.#actor, 'onEnd');
    this.#actor.cleanups.push(checkValue('onEnd', 'fn', endRule, call));
  }

  #post(what: string, from: Orientation, message: Datum, receipt: Receipt | undefined): void {
    const turn = this.#kernel.turnOf(this.#actor, what);
    turn.post(this.#actor, from, toMessage(message), receipt);
  }

  #spawn(what: string, boot: Boot, options: SpawnOptions | undefined, parent: Actor | null): Actor {
    const turn = this.#kernel.turnOf(this.#actor, what);
    const actor = createActor(this.#kernel, boot, options, parent);
    turn.spawned.push(actor);
    return actor;
  }

  #add<P extends Topic>(
    what: string,
    orientation: Orientation,
    usual: Interest,
    topic: P,
    given: Handlers<P> | undefined,
    options: EndpointOptions | undefined,
  ): EndpointHandle {
    const turn = this.#kernel.turnOf(this.#actor, what);
    const settings: EndpointOptions = check(endpointTable, options);
    const role = makeRole(orientation, usual, topic, given, settings);
    const { name } = settings;
    let endpoint: Endpoint | undefined;
    if (name !== undefined) endpoint = turn.names.get(name) ?? this.#actor.names.get(name);
    endpoint ??= new Endpoint(this.#kernel.nextEndpointId(), this.#actor, name);
    if (name !== undefined) turn.names.set(name, endpoint);
    turn.changes.set(endpoint, { role, reason: { kind: 'replaced' } });
    return this.#handle(endpoint);
  }

  #handle(endpoint: Endpoint): EndpointHandle {
    return {
      id: endpoint.id,
      withdraw: (reason) => {
        // Whoever has ended has nothing left to withdraw, but is wrong to believe that it has.
        const turn = this.#kernel.turnOf(this.#actor, 'withdraw');
        const detail = toDetail(reason);
        if (turn.roleOf(endpoint) === null) return;
        turn.changes.set(endpoint, { role: null, reason: { kind: 'withdrawn', detail } });
      },
    };
  }
}
