import type { TimerHandle } from '../sync/clock.ts';
import type { ActorId, EndpointHandle } from './endpoint.ts';
import type { EndReason } from './reasons.ts';
import type { Boot, Self } from './self.ts';
import type { Datum } from './topic-types.ts';

/**
 * What is going on for one demand. `idle`: nothing is to be done. `starting`: the task was started, and there is no supply
 * yet. `up`: there is. `stopping`: it was told to stop, and has not ended. `waiting`: it was lost, and is started again
 * soon. `given up`: it was lost too often, and is left alone until the demand is gone.
 */
export type DemandState = 'idle' | 'starting' | 'up' | 'stopping' | 'waiting' | 'given up';

/** When what was lost is started again. Milliseconds. */
export interface DemandRestart {
  /** Before the first restart; twice that before each further one. @default 100 */
  readonly delay?: number | undefined;
  /** Before any restart, at most. @default 10000 */
  readonly maxDelay?: number | undefined;
  /** Losses within `within` beyond which it is given up. @default 10 */
  readonly limit?: number | undefined;
  /** @default 60000 */
  readonly within?: number | undefined;
}

/** How one demand is met. */
export interface DemandPlan {
  readonly self: Self;
  readonly name: string | undefined;
  readonly boot: Boot;
  /** Asks a task that is up to end by itself; undefined when it is told to quit. */
  readonly stop: ((actor: ActorId) => unknown) | undefined;
  readonly giveUp: ((reason: EndReason) => EndpointHandle | undefined) | undefined;
  /** Whether the task's life is the supply. */
  readonly lifeIsSupply: boolean;
  readonly whileStarting: 'stop' | 'wait';
  readonly startTimeout: number;
  readonly stopTimeout: number;
  readonly restart: { readonly [K in keyof DemandRestart]-?: number };
  /** There is nothing left to remember. */
  readonly onOver: () => void;
  /** Timers that run, to be cancelled when the actor ends. */
  readonly timers: Set<TimerHandle>;
}

/**
 * One thing that may be demanded, and the task that supplies it. It goes by what there is now: demand, supply, and the
 * task's life; which change came last is of no importance.
 */
export class Demanded {
  demand = 0;
  supply = 0;
  #actor: ActorId | undefined;
  readonly #plan: DemandPlan;
  #closed = false;
  #state: DemandState = 'idle';
  /** Whether it stops because it was lost, and not because nobody wants it. */
  #failing = false;
  /** When it was lost, the latest last; none older than the window, and no more than the limit and one. */
  readonly #losses: number[] = [];
  #notice: EndpointHandle | undefined;
  #cancel: (() => void) | undefined;

  constructor(plan: DemandPlan) {
    this.#plan = plan;
  }

  get state(): DemandState {
    return this.#state;
  }

  get actor(): ActorId | undefined {
    return this.#actor;
  }

  /** Does what follows from what there is now. */
  settle(): void {
    // Who asks again is served as if nothing had been.
    if (this.demand === 0) this.#losses.length = 0;
    this.#follow();
    if (this.#state === 'idle' && this.demand === 0 && this.supply === 0) this.#plan.onOver();
  }

  /** Nobody tells of demand or supply any more: what runs is stopped, and nothing is started. */
  close(): void {
    this.#closed = true;
    this.demand = 0;
    this.supply = 0;
    this.settle();
  }

  #follow(): void {
    const wanted = this.demand > 0;
    switch (this.#state) {
      case 'idle':
        if (wanted && this.supply === 0) this.#start();
        return;
      case 'starting':
        if (this.supply > 0) this.#rise();
        else if (!wanted && (this.#closed || this.#plan.whileStarting === 'stop')) this.#callOff();
        return;
      case 'up':
        if (!wanted) this.#stop();
        else if (this.supply === 0 && !this.#plan.lifeIsSupply) this.#lose('the supply is gone');
        return;
      case 'waiting':
        if (!wanted || this.supply > 0) this.#rest();
        return;
      case 'given up':
        if (!wanted) this.#rest();
        break;
      case 'stopping':
    }
  }

  #start(): void {
    const { self, boot, name, startTimeout, lifeIsSupply } = this.#plan;
    this.#failing = false;
    this.#actor = self.spawnLinked(boot, { name, onEnd: (reason) => this.#ended(reason) });
    this.#enter(lifeIsSupply ? 'up' : 'starting');
    if (this.#state === 'starting') this.#later(startTimeout, () => this.#late());
  }

  // Supply may be there already, and demand gone, without having been followed.
  #late(): void {
    this.settle();
    if (this.#state !== 'starting') return;
    if (this.demand > 0) this.#lose(`no supply within ${this.#plan.startTimeout} ms`);
    else this.#callOff();
  }

  #rise(): void {
    this.#enter('up');
    this.#follow();
  }

  #callOff(): void {
    this.#enter('stopping');
    this.#quit('no demand');
  }

  #stop(): void {
    const { stop, stopTimeout } = this.#plan;
    if (stop === undefined) {
      this.#callOff();
      return;
    }
    this.#enter('stopping');
    stop(this.#actor as ActorId);
    this.#later(stopTimeout, () => this.#quit(`not stopped within ${stopTimeout} ms`));
  }

  #lose(why: string): void {
    this.#failing = true;
    this.#enter('stopping');
    this.#quit(why);
  }

  #quit(why: Datum): void {
    this.#plan.self.quit(this.#actor as ActorId, why);
  }

  #ended(reason: EndReason): void {
    const stopped = this.#state === 'stopping' && !this.#failing;
    this.#actor = undefined;
    this.#enter('idle');
    if (!stopped && this.demand > 0) this.#count(reason);
    else this.settle();
  }

  #count(reason: EndReason): void {
    const { self, restart, giveUp } = this.#plan;
    const { delay, maxDelay, limit, within } = restart;
    const now = self.clock.now();
    this.#losses.push(now);
    while (now - (this.#losses[0] as number) > within) this.#losses.shift();
    if (this.#losses.length > limit) {
      this.#enter('given up');
      this.#notice = giveUp?.(reason);
    } else {
      this.#enter('waiting');
      this.#later(Math.min(maxDelay, delay * 2 ** (this.#losses.length - 1)), () => this.#rest());
    }
    this.settle();
  }

  #rest(): void {
    this.#notice?.withdraw();
    this.#notice = undefined;
    this.#enter('idle');
    this.settle();
  }

  #enter(state: DemandState): void {
    this.#state = state;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Calls `then` when this state has lasted for so long. */
  #later(ms: number, then: () => void): void {
    if (ms === Number.POSITIVE_INFINITY) return;
    const { self, timers } = this.#plan;
    const source = self.outside();
    let live = true;
    const drop = (): void => {
      live = false;
      timers.delete(timer);
      timer.cancel();
      source.release();
    };
    const timer = self.clock.after(ms, () => {
      // The state may change between now and the turn.
      source.enter(() => live && then());
      timers.delete(timer);
    });
    timers.add(timer);
    this.#cancel = drop;
  }
}
