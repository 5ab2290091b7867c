import type { Clock } from '../sync/clock.ts';
import type { Actor } from './actor.ts';
import type { ActorId } from './endpoint.ts';
import type { Kernel } from './kernel.ts';
import type { EndReason } from './reasons.ts';
import type { SchedulerLimits } from './scheduler.ts';

/** An actor's end, as it is reported. */
export interface ActorEnd {
  readonly actor: ActorId;
  readonly name: string | undefined;
  readonly reason: EndReason;
  /** The nested space that it was in: the actors that stand for it and for those around it, from the ground on. */
  readonly space: readonly ActorId[];
}

/** How a nested space is reached from within: the actor that stands for it in the space around. */
export interface StandIn {
  readonly kernel: Kernel;
  readonly actor: Actor;
}

/** What a kernel is made with. */
export interface KernelSettings extends SchedulerLimits {
  readonly clock: Clock;
  /** Turns that may wait for one actor. */
  readonly queueLimit: number;
  readonly maxActors: number;
  readonly maxEndpoints: number;
  /** Null on the ground. */
  readonly standIn: StandIn | null;
  /** Told of each end. */
  readonly onEnd: (end: ActorEnd) => void;
  /** Nothing is left that could go on by itself, or nobody: called again and again. */
  readonly onIdle: () => void;
}
