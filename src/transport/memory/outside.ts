import { AsyncResource } from 'node:async_hooks';

/**
 * Where sinks and watchers are called from: no async context. What one side does must not lend its context (its scope,
 * its request) to the other, as it doesn't over a socket.
 */
export const outside: AsyncResource = new AsyncResource('PORTSIDE_MEMORY');
