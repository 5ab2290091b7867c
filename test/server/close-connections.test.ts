import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloseReason } from '../../src/net/close-reason.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Server } from '../../src/server/server.ts';

import { leavesNothing } from '../support/leaves-nothing.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { dial, serveOn, textOf, turns, until } from './support.ts';

leavesNothing();

/** A server whose clients read `hi`, with how its connections ended. */
async function greeting(net: Parameters<typeof serveOn>[0]): Promise<{
  readonly server: Server;
  readonly ends: Map<number, CloseReason['kind']>;
  readonly errors: unknown[];
}> {
  const ends = new Map<number, CloseReason['kind']>();
  const errors: unknown[] = [];
  const server = await serveOn(net, async (conn) => {
    await conn.write('hi');
    for await (const bytes of conn) void bytes;
  });
  server.on('close', (_, { kind }, id) => ends.set(id, kind));
  server.on('error', (error) => errors.push(error));
  return { server, ends, errors };
}

onEachNet('connections that are ended by their numbers', (net) => {
  test('end in order, with what was queued sent, or by a reset, and nobody else does', async () => {
    const { server, ends, errors } = await greeting(net);
    const clients: Connection[] = [];
    for (let i = 0; i < 4; i += 1) clients.push(await dial(net, server));
    await until(() => server.status().active === 4);
    await turns();

    assert.equal(server.closeConnections([2]), 1);
    assert.equal(await textOf(clients[1]!), 'hi');
    await clients[1]!.close();
    assert.equal(server.closeConnections([3], 'reset'), 1);
    await assert.rejects(textOf(clients[2]!), { code: 'ECONNRESET' });
    await until(() => ends.size === 2);

    assert.deepEqual(
      [...ends].toSorted(([a], [b]) => a - b),
      [
        [2, 'closed'],
        [3, 'aborted'],
      ],
    );
    assert.deepEqual(errors, [], 'their handlers did not fail');
    assert.deepEqual(
      server.status({ connections: true }).connections?.map(({ id }) => id),
      [1, 4],
    );
    assert.equal(server.closeConnections([2, 3, 99]), 0, 'who is not there any more, and who never was');
    await endAll(...clients);
    await server.stop({ grace: 0 });
  });

  test('are counted once when they are being closed already, and are ended by a reset all the same', async () => {
    const { server, ends } = await greeting(net);
    const client = await dial(net, server);
    await until(() => server.status().active === 1);
    assert.equal(server.closeConnections([1]), 1);
    // The client keeps its side open, for which the server waits a while.
    assert.equal(server.closeConnections([1]), 0);
    assert.equal(server.closeConnections([1], 'reset'), 1);
    await until(() => ends.has(1));
    await endAll(client);
    await server.stop({ grace: 0 });
  });

  test('are told wrong numbers at once', async () => {
    const { server } = await greeting(net);
    for (const wrong of [[0], [1.5], ['1'], 'x', null])
      assert.throws(() => server.closeConnections(wrong as number[]), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => server.closeConnections([1], 'drop' as 'close'), { code: 'ERR_PORTSIDE_OPTIONS' });
    await server.stop({ grace: 0 });
  });

  test('may have their handshakes under way', async () => {
    const ends: string[] = [];
    const server = await serveOn(net, () => {}, { tls: serverTls() });
    server.on('close', (_, { kind }) => ends.push(kind));
    const client = await dial(net, server);
    await until(() => server.status().opening === 1);
    const [one] = server.status({ connections: true }).connections ?? [];
    assert.equal(one?.doing, 'opening');
    assert.equal(one.tls, null);
    assert.equal(server.closeConnections([1]), 1);
    await until(() => ends.length === 1);
    assert.equal(server.status().active, 0);
    await endAll(client);
    await server.stop({ grace: 0 });
  });
});

onEachNet('what is told of a connection', (net) => {
  test('has the address that it came to, and what TLS agreed on', async () => {
    const handler = async (conn: Connection): Promise<void> => {
      await conn.read();
    };
    const server = await serveOn(net, handler, { tls: serverTls({ alpn: ['chat/1'] }) });
    const client = await dial(net, server, { tls: clientTls({ alpn: ['chat/1'] }) });
    await until(() => server.status().active === 1 && server.status().opening === 0);
    const [one] = server.status({ connections: true }).connections ?? [];
    assert.deepEqual(one?.local, server.addresses[0]);
    assert.deepEqual(one?.tls, { protocol: 'TLSv1.3', alpn: 'chat/1' });
    await endAll(client);
    await server.stop({ grace: 0 });
  });
});
