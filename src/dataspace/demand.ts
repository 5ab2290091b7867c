import {
  check,
  fn,
  integer,
  milliseconds,
  object,
  oneOf,
  OptionsError,
  required,
  string,
  table,
  union,
} from '../base/options.ts';
import type { Agrees } from '../base/options.ts';
import type { TimerHandle } from '../sync/clock.ts';
import { Demanded } from './demanded.ts';
import type { DemandPlan, DemandRestart, DemandState } from './demanded.ts';
import type { ActorId, EndpointHandle } from './endpoint.ts';
import type { EndReason } from './reasons.ts';
import type { Self } from './self.ts';
import type { BindingsOf, Datum, Topic } from './topic-types.ts';
import { look, namesOf, watchesRule } from './watch.ts';
import type { Caught, Watch } from './watch.ts';

/** The topics of watches. */
export type WatchedTopic<W> = W extends Watch<infer P> ? P : W extends readonly Watch<infer P>[] ? P : never;

/** What is demanded. */
export interface DemandTask<P extends Topic = Topic> {
  /** What the captures of the demand's topic caught. */
  readonly bindings: BindingsOf<P>;
  /** What the first who demanded it has in common with the topic that was watched for. */
  readonly topic: Topic;
}

/** How demand is met. */
export interface DemandOptions<W extends Watch | readonly Watch[] = Watch | readonly Watch[]> {
  /** Whose presence is demand. All topics must capture by the same names. */
  readonly demand: W;
  /**
   * Whose presence is supply, by the same names.
   * @default the life of the task
   */
  readonly supply?: Watch | readonly Watch[] | undefined;
  /** What the task's actor does first. It is linked with this one, but its failure is a loss of supply and nothing more. */
  start(self: Self, task: DemandTask<WatchedTopic<W>>): unknown;
  /**
   * Asks a task that is up to end by itself, in a turn of the matcher's actor. Without this it is told to quit, and so is
   * one that is still starting.
   */
  stop?(actor: ActorId, task: DemandTask<WatchedTopic<W>>): unknown;
  /**
   * Called when the task was lost too often. An endpoint that it gives back, such as one that publishes the error, is
   * withdrawn when the demand is gone.
   */
  giveUp?(reason: EndReason, task: DemandTask<WatchedTopic<W>>): EndpointHandle | undefined;
  /**
   * When demand goes before there is supply: the task is stopped at once, or when it is up and still not wanted.
   * @default 'stop'
   */
  readonly whileStarting?: 'stop' | 'wait' | undefined;
  /**
   * Milliseconds from the start within which there must be supply, else the task is ended as lost.
   * @default Infinity
   */
  readonly startTimeout?: number | undefined;
  /**
   * Milliseconds that `stop` gives it before it is told to quit.
   * @default 10000
   */
  readonly stopTimeout?: number | undefined;
  /** When what was lost is started again; false for never. */
  readonly restart?: DemandRestart | false | undefined;
  /** What the tasks are called, for reports and errors. */
  readonly name?: string | undefined;
}

/** What is done about one demand, as data. */
export interface DemandReport {
  readonly bindings: BindingsOf<Topic>;
  readonly state: DemandState;
  /** How many want it. */
  readonly demand: number;
  /** How many supply it. */
  readonly supply: number;
  readonly actor: ActorId | undefined;
}

/** A matcher in the hands of its actor. */
export interface DemandHandle {
  /** What there is to do, as far as it is known. */
  report(): readonly DemandReport[];
  /** Watches for no demand any more, and stops all tasks. Throws ERR_PORTSIDE_STATE outside of a turn of its actor. */
  withdraw(reason?: Datum): void;
}

const demandTable = table('matchDemand', {
  demand: required(watchesRule),
  supply: watchesRule,
  start: required(fn()),
  stop: fn(),
  giveUp: fn(),
  whileStarting: oneOf('stop', 'wait'),
  startTimeout: milliseconds({ infinite: true }),
  stopTimeout: milliseconds({ infinite: true }),
  restart: union(
    oneOf(false),
    object({ delay: milliseconds(), maxDelay: milliseconds(), limit: integer({ min: 0 }), within: milliseconds() }),
  ),
  name: string(),
});
const agreed: Agrees<typeof demandTable, DemandOptions> = true;
void agreed;

/**
 * Starts an actor for each thing that is demanded and not supplied, and stops it when nobody wants it any more.
 *
 *     matchDemand(self, {
 *       demand: subscribersOf(temperature(capture('city'), _)),
 *       supply: publishersOf(temperature(capture('city'), _)),
 *       start: (task, { bindings }) => task.publish(temperature(bindings.city, _)),
 *     });
 *
 * One thing is what the captures catch: demand and supply for the same values belong together, by whatever topics.
 * Without captures there is one thing. Who leaves a captured place open demands nothing.
 *
 * | when | then |
 * | --- | --- |
 * | demand comes, and there is neither supply nor a task | start |
 * | more demand comes | nothing |
 * | supply is there already, by whomever | nothing; start when it goes |
 * | demand goes, and there is more of it | nothing |
 * | the last demand goes while the task is up | stop |
 * | the last demand goes while the task is starting | stop, or with `whileStarting: 'wait'` stop it when it is up |
 * | demand comes back within the turn in which it went | nothing |
 * | demand comes back while the task is stopping | start when that has ended |
 * | there is no supply within `startTimeout` | end the task; it is lost |
 * | the supply goes while the task is up | end the task; it is lost |
 * | the task ends, or fails, by itself | it is lost |
 * | it is lost while there is demand | start again after a while; give up when it happens too often |
 * | supply by somebody else comes while it waits for that | nothing; start when it goes |
 * | the demand goes after it was given up | forget that it was; the next demand starts |
 *
 * Tasks end with the matcher's actor. There are as many as things that are demanded: there is no other limit.
 *
 * @throws ERR_PORTSIDE_OPTIONS, ERR_PORTSIDE_TOPIC, and ERR_PORTSIDE_STATE outside of a turn of the actor.
 */
export function matchDemand<const W extends Watch | readonly Watch[]>(
  self: Self,
  options: DemandOptions<W>,
): DemandHandle {
  check(demandTable, options);
  return new DemandMatcher(self, options);
}

interface Thing {
  task: DemandTask;
  readonly demanded: Demanded;
}

class DemandMatcher implements DemandHandle {
  readonly #self: Self;
  readonly #options: DemandOptions;
  readonly #restart: DemandPlan['restart'];
  readonly #things = new Map<string, Thing>();
  /** Those of which something changed that was not followed yet. */
  readonly #changed = new Set<Demanded>();
  readonly #timers = new Set<TimerHandle>();
  readonly #endpoints: readonly EndpointHandle[];

  constructor(self: Self, options: DemandOptions) {
    const demand = listOf(options.demand);
    const supply = listOf(options.supply ?? []);
    checkNames(demand, supply);
    this.#self = self;
    this.#options = options;
    this.#restart = restartOf(options.restart);
    self.onEnd(() => {
      for (const timer of this.#timers) timer.cancel();
    });
    // Supply first, so that what is there when the matcher comes is known before it is asked for.
    this.#endpoints = [
      ...supply.map((watch) => look(self, watch, (caught, by) => this.#change('supply', caught, by))),
      ...demand.map((watch) => look(self, watch, (caught, by) => this.#change('demand', caught, by))),
    ];
  }

  report(): readonly DemandReport[] {
    return [...this.#things.values()].map(({ task, demanded }) => {
      const { state, demand, supply, actor } = demanded;
      return { bindings: task.bindings, state, demand, supply, actor };
    });
  }

  withdraw(reason?: Datum): void {
    for (const endpoint of this.#endpoints) endpoint.withdraw(reason);
    for (const { demanded } of this.#things.values()) demanded.close();
  }

  #change(what: 'demand' | 'supply', caught: Caught, by: 1 | -1): void {
    const { key } = caught;
    let thing = this.#things.get(key);
    if (thing === undefined) {
      thing = this.#make(caught);
      this.#things.set(key, thing);
    }
    const { demanded } = thing;
    if (what === 'demand' && demanded.demand === 0) thing.task = taskOf(caught);
    demanded[what] += by;
    if (this.#changed.size === 0) this.#followSoon();
    this.#changed.add(demanded);
  }

  // What changed in one turn of somebody else comes as many events: the last of them has to be heard first.
  #followSoon(): void {
    const source = this.#self.outside();
    source.enter(() => {
      const changed = [...this.#changed];
      this.#changed.clear();
      for (const demanded of changed) demanded.settle();
    });
    source.release();
  }

  #make(caught: Caught): Thing {
    const options = this.#options;
    const { name, supply, whileStarting = 'stop' } = options;
    const { startTimeout = Number.POSITIVE_INFINITY, stopTimeout = 10_000 } = options;
    const demanded = new Demanded({
      self: this.#self,
      name,
      boot: (self) => options.start(self, thing.task),
      stop: options.stop === undefined ? undefined : (actor) => options.stop?.(actor, thing.task),
      giveUp: (reason) => options.giveUp?.(reason, thing.task),
      lifeIsSupply: supply === undefined,
      whileStarting,
      startTimeout,
      stopTimeout,
      restart: this.#restart,
      timers: this.#timers,
      onOver: () => {
        if (this.#things.get(caught.key) === thing) this.#things.delete(caught.key);
      },
    });
    const thing: Thing = { task: taskOf(caught), demanded };
    return thing;
  }
}

const NEVER: DemandRestart = { limit: 0 };

function listOf(given: Watch | readonly Watch[]): readonly Watch[] {
  return 'topic' in given ? [given] : given;
}

function taskOf({ bindings, topic }: Caught): DemandTask {
  return { bindings, topic };
}

function restartOf(given: DemandRestart | false | undefined): DemandPlan['restart'] {
  const { delay = 100, maxDelay = 10_000, limit = 10, within = 60_000 } = given === false ? NEVER : (given ?? {});
  return { delay, maxDelay, limit, within };
}

function checkNames(demand: readonly Watch[], supply: readonly Watch[]): void {
  const [first, ...others] = [...demand, ...supply].map((watch) => namesOf(watch).join());
  if (others.every((names) => names === first)) return;
  const message = 'must capture by the same names in all topics, else nothing says what belongs together';
  throw new OptionsError('matchDemand', [{ path: 'demand and supply', message }]);
}
