import { Hub } from './hub.ts';
import type { WorkerChannel } from './worker-channel.ts';

/** The channels of this thread. */
export const threadHub: Hub = new Hub();

/**
 * The channel of a name, by which the workers of a parallel listener, and its parent, send one another messages: the same object for the same name
 * in one thread. The parent's own ends are its server's. The type is a promise that all who use the name keep: `channel<RoomEvent>('room')`.
 * Throws ERR_PORTSIDE_OPTIONS for a name that is no text, or empty.
 */
export function channel<T = unknown>(name: string): WorkerChannel<T> {
  return threadHub.channel<T>(name);
}

/**
 * Sends a value to every other worker, and the parent: `channel(name).broadcast(value)`. Throws as that does:
 * ERR_PORTSIDE_OPTIONS for a value that can't be cloned, ERR_PORTSIDE_LIMIT when the parent is too far behind.
 */
export function broadcast(name: string, value: unknown): void {
  channel(name).broadcast(value);
}
