import { channel } from 'node:diagnostics_channel';
import type { Channel } from 'node:diagnostics_channel';

/**
 * The names under which the library publishes on `node:diagnostics_channel`. Nothing is
 * built for a message while nobody listens.
 *
 *  - `portside.listener.trouble`: `{ listener, error }`, when something of the process or the system stands in the way of accepting (EMFILE, …). The listener goes on.
 */
export const troubleChannel: Channel = channel('portside.listener.trouble');
