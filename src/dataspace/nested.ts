import type { Actor } from './actor.ts';
import { Kernel } from './kernel.ts';
import type { EndReason } from './reasons.ts';

/**
 * Begins a space within another one. `actor` stands for it in the space around, and is in its first turn; `first` makes the
 * first actor within. It goes by the clock and the limits of the space around, and ends when its last actor has.
 */
export function nest(around: Kernel, actor: Actor, first: (kernel: Kernel) => Actor): void {
  const kernel = new Kernel({
    ...around.settings,
    standIn: { kernel: around, actor },
    onIdle: () => settle(),
  });
  let ended = false;
  const settle = (): void => {
    if (kernel.actors.size > 0) {
      around.rest();
      return;
    }
    if (ended) return;
    ended = true;
    around.nested.delete(actor);
    kernel.scheduler.stop();
    // What its actors asked for last is done first.
    actor.kept = false;
    around.scheduler.wake(actor);
    around.rest();
  };
  around.nested.set(actor, kernel);
  actor.kept = true;
  actor.cleanups.push((reason) => close(kernel, reason));
  kernel.admit(first(kernel));
  kernel.scheduler.start();
}

function close(kernel: Kernel, reason: EndReason): void {
  for (const actor of kernel.actors.values()) for (const endpoint of actor.outward?.keys() ?? []) endpoint.lose(reason);
  kernel.close({ kind: 'stopped', detail: 'detail' in reason ? reason.detail : undefined });
}
