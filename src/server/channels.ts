import { channel } from 'node:diagnostics_channel';
import type { Channel } from 'node:diagnostics_channel';

/** `{ server, state, before }`, when a server goes from one state to another. */
export const stateChannel: Channel = channel('portside.server.state');
/** `{ server, connection, id }`, when a connection was admitted and its handler begins. */
export const startChannel: Channel = channel('portside.connection.start');
/** `{ server, connection, id, reason }`, when a connection that was accepted is over; its handler may never have begun. */
export const closeChannel: Channel = channel('portside.connection.close');
/** `{ server, connection, id }`, when a handler gave its connection away; no close follows. */
export const detachChannel: Channel = channel('portside.connection.detach');
/** `{ server, remote, refusal }`, when a connection is not let in. */
export const refusedChannel: Channel = channel('portside.connection.refused');
/** `{ server, connection, error }`, for each error of a handler or hook when the server has no `onError`, or that `onError` throws. */
export const handlerErrorChannel: Channel = channel('portside.handler.error');
