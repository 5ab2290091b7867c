import type { ServerOptions } from '../server/options.ts';
import type { Clock } from '../sync/clock.ts';
import { HandedFront } from './front.ts';
import type { Front, FrontHost } from './front.ts';
import { KernelFront } from './kernel-front.ts';
import type { ParallelOptions } from './options.ts';
import type { PermitPool } from './permit-pool.ts';
import type { Plan } from './plan.ts';

/** Connections that may wait in the kernel for each address when nothing says so: many workers take many at once. */
const BACKLOG = 4_096;

/** What stands towards the clients, as the plan has it. */
export function frontOf(options: ParallelOptions, plan: Plan, pool: PermitPool, clock: Clock, host: FrontHost): Front {
  const { transport: _, dispatch = 'least-busy', queue = 128, ...rest } = options;
  const all = { ...rest, tls: plan.tls, backlog: options.backlog ?? BACKLOG } as ServerOptions;
  if (dispatch === 'kernel') return new KernelFront(all, plan, pool, clock, host);
  return new HandedFront({ ...all, dispatch, queue }, plan, pool, clock, host);
}
