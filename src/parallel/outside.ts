import { AsyncResource } from 'node:async_hooks';
import { enterNobody, leave } from '../server/ambient.ts';

// Whoever ends a worker, or happens to be on the stack, must not lend its async context to those who hear of it.
const nowhere = new AsyncResource('PORTSIDE_CHANNEL');

/** Runs something that belongs to no connection. */
export function outside(fn: () => void): void {
  const before = enterNobody();
  try {
    nowhere.runInAsyncScope(fn);
  } finally {
    leave(before);
  }
}
