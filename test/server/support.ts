import assert from 'node:assert/strict';
import { systemCode } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import { handlerErrorChannel } from '../../src/server/channels.ts';
import { serve } from '../../src/server/server.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import type { Server } from '../../src/server/server.ts';
import type { Net } from '../support/nets.ts';

/** A server on a port of its own, on loopback. */
export function serveOn(net: Net, handler: Handler<never>, options: ServerOptions = {}): Promise<Server> {
  const place = options.listen === undefined ? { port: 0, host: '127.0.0.1' } : {};
  return serve(handler, { ...place, transport: net.transport, ...options });
}

export function dial(net: Net, server: Server, options: ConnectOptions = {}, place = 0): Promise<Connection> {
  const address = server.addresses[place];
  if (address === undefined || !('port' in address)) throw new Error('no port');
  return connect({ host: address.host, port: address.port }, { transport: net.transport, timeout: 5_000, ...options });
}

/**
 * Dials a server that resets its clients; whatever was sent before is let go. The reset may come while the connection is still
 * being made, and is only seen by those who read.
 */
export async function dialToReset(net: Net, server: Server, send?: string): Promise<void> {
  const { code } = await dial(net, server)
    .then(async (client) => {
      if (send !== undefined) void client.write(send);
      const error: unknown = await readToEnd(client).then(
        () => null,
        (reason: unknown) => reason,
      );
      await client.closed;
      return { code: systemCode(error) };
    })
    .catch((error: unknown) => ({ code: systemCode(error) }));
  assert.equal(code, 'ECONNRESET');
}

async function readToEnd(connection: Connection): Promise<void> {
  while ((await connection.read()) !== null);
}

/** What comes, as text, until the end of the input. */
export async function textOf(connection: Connection): Promise<string> {
  let text = '';
  for await (const bytes of connection) text += Buffer.from(bytes).toString();
  return text;
}

/** Turns of the loop, for what must not happen. */
export async function turns(count = 30): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

/** Waits, turn by turn, until something is true; the runner's time limit ends it. */
export async function until(met: () => boolean): Promise<void> {
  while (!met()) await new Promise(setImmediate);
}

/** What a server without `onError` publishes, until it is called. */
export function published(server: () => Server | null): { errors: unknown[]; stop: () => void } {
  const errors: unknown[] = [];
  const note = (message: unknown): void => {
    const { server: from, error } = message as { server: Server; error: unknown };
    if (from === server()) errors.push(error);
  };
  handlerErrorChannel.subscribe(note);
  return { errors, stop: () => handlerErrorChannel.unsubscribe(note) };
}

/** How many connections are open and were accepted, and how many errors handlers made. */
export function countsOf(server: Server): { active: number; accepted: number; errors: number } {
  const { active, accepted, errors } = server.status();
  return { active, accepted, errors };
}
