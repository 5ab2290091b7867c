import { channel } from 'node:diagnostics_channel';
import type { Channel } from 'node:diagnostics_channel';

/**
 * The names under which the library publishes on `node:diagnostics_channel`. Nothing is
 * built for a message while nobody listens.
 *
 *  - `portside.listener.trouble`: `{ listener, error }`, when something of the process or the system stands in the way of accepting (EMFILE, …). The listener goes on.
 *  - `portside.tls.reload`: `{ listener, error }`, when watched files changed and a listener has taken them up (`error` is null), or could not and goes on with the old ones.
 */
export const troubleChannel: Channel = channel('portside.listener.trouble');
export const tlsReloadChannel: Channel = channel('portside.tls.reload');
