import type { EventEmitter } from 'node:events';
import { rethrowSoon } from './rethrow.ts';

/** Tells those who listen to an event, and goes on whatever they throw: that reaches the process as an uncaught exception, from a fresh stack. */
export function tellListeners<E extends Record<keyof E, unknown[]>, K extends keyof E & string>(
  emitter: EventEmitter<E>,
  name: K,
  args: E[K],
): void {
  // What follows knows events by their names only.
  const plain = emitter as unknown as EventEmitter;
  if (plain.listenerCount(name) === 0) return;
  for (const listener of plain.rawListeners(name)) {
    try {
      Reflect.apply(listener, emitter, args);
    } catch (error) {
      rethrowSoon(error);
    }
  }
}
