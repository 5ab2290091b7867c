import type { Actor } from './actor.ts';
import type { EndReason } from './reasons.ts';

/** Adds those who end because others do: all that are linked with one from below, and above it who shares its failure. */
// The map grows while it is gone through, and what comes in is gone through too.
export function spreadToLinked(ending: Map<Actor, EndReason>): void {
  for (const [actor, reason] of ending) {
    const linked: EndReason = { kind: 'linked', actor: actor.id, reason };
    for (const child of actor.children) if (!ending.has(child)) ending.set(child, linked);
    const { parent } = actor;
    if (parent === null || parent.ended !== null || actor.monitored) continue;
    if (!ending.has(parent) && isFailure(reason)) ending.set(parent, linked);
  }
}

/** Whether an end goes back to an error. */
export function isFailure(reason: EndReason): boolean {
  let root = reason;
  while (root.kind === 'linked') root = root.reason;
  return root.kind === 'failed';
}
