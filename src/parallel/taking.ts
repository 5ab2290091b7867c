import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds in which one that takes connections takes at least one. */
const PATIENCE = 250;

/** Connections that wait to be taken by somebody. */
export interface Taking {
  /** Whether any do. */
  readonly waits: () => boolean;
  /** A number that changes when one is taken. */
  readonly taken: () => number;
  /** Whether there is time left. */
  readonly goesOn: () => boolean;
}

/** Waits until no connection waits to be taken, as long as some are taken: one that takes nobody must not keep its end from coming. */
export async function untilTaken({ waits, taken, goesOn }: Taking): Promise<void> {
  let before = taken();
  let since = performance.now();
  while (waits() && goesOn()) {
    await sleep(1);
    const now = performance.now();
    const count = taken();
    if (count !== before) since = now;
    else if (now - since > PATIENCE) return;
    before = count;
  }
}
