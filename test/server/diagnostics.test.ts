import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { createServer } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { inCheckout } from '../support/program.ts';
import { dial, dialToReset, serveOn, until } from './support.ts';

const NAMES = [
  'portside.server.state',
  'portside.connection.start',
  'portside.connection.close',
  'portside.connection.detach',
  'portside.connection.refused',
  'portside.handler.error',
] as const;

type Message = Readonly<Record<string, unknown>>;

/** What is published of a server while a test runs, by channel. */
function listening(t: TestContext, server: () => Server): Map<string, Message[]> {
  const heard = new Map<string, Message[]>(NAMES.map((name) => [name, []]));
  for (const name of NAMES) {
    const note = (message: unknown): void => {
      if ((message as Message)['server'] === server()) heard.get(name)?.push(message as Message);
    };
    subscribe(name, note);
    t.after(() => unsubscribe(name, note));
  }
  return heard;
}

/** Counts the calls that publish while a test runs: a message is built for each. */
function publishing(t: TestContext): () => number {
  let calls = 0;
  for (const name of NAMES) {
    const one = channel(name);
    one.publish = () => void (calls += 1);
    t.after(() => Reflect.deleteProperty(one, 'publish'));
  }
  return () => calls;
}

/** A server with a bit of everything in its life: orderly ends, errors, gifts, refusals. */
async function busyLife(net: Parameters<typeof serveOn>[0], server: Server, count: number): Promise<void> {
  await server.start();
  for (let round = 0; round < count; round += 1) {
    await dialToReset(net, server, 'abort\n');
    await dialToReset(net, server, 'throw\n');
    await dialToReset(net, server, 'detach\n');
    const client = await dial(net, server);
    await client.write('end\n');
    await client.read();
    await client.close();
  }
  await until(() => server.status().active === 0);
  server.set({ deny: ['127.0.0.1'] });
  await dialToReset(net, server);
  await until(() => server.status().refused.denied === 1);
  await server.stop();
}

function makeServer(net: Parameters<typeof serveOn>[0]): Server {
  return createServer(
    async (conn, context) => {
      const line = await conn.readLine();
      if (line === 'abort') conn.abort();
      if (line === 'throw') throw new Error(line);
      if (line === 'detach') context.server.detach(conn).abort();
    },
    { port: 0, host: '127.0.0.1', transport: net.transport },
  );
}

onEachNet('what is published', (net) => {
  test('is one start and one close for each connection, in this order, with what they are about', async (t) => {
    const server = makeServer(net);
    const heard = listening(t, () => server);
    await busyLife(net, server, 3);
    const of = (name: (typeof NAMES)[number]): Message[] => heard.get(name) ?? [];
    const starts = of('portside.connection.start').map(({ id }) => id);
    const ends = of('portside.connection.close').map(({ id }) => id);
    const gifts = of('portside.connection.detach').map(({ id }) => id);
    assert.deepEqual(
      starts,
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
    assert.deepEqual([ends.length, gifts.length], [9, 3]);
    assert.equal(new Set([...ends, ...gifts]).size, 12);
    for (const { connection, reason, id } of of('portside.connection.close')) {
      assert.equal((connection as Connection).closeReason, reason);
      assert.equal(of('portside.connection.start').find((start) => start['id'] === id)?.['connection'], connection);
    }
    assert.deepEqual(
      of('portside.handler.error').map(({ error }) => (error as Error).message),
      ['throw', 'throw', 'throw'],
    );
    const [refused] = of('portside.connection.refused');
    assert.deepEqual(refused?.['refusal'], { kind: 'denied' });
    assert.equal((refused?.['remote'] as { host: string } | undefined)?.host, '127.0.0.1');
    assert.deepEqual(
      of('portside.server.state').map(({ before, state }) => `${String(before)} -> ${String(state)}`),
      ['idle -> starting', 'starting -> running', 'running -> draining', 'draining -> stopped'],
    );
  });

  test('a start is told when the handler begins: its connection is open and nothing was read', async (t) => {
    let begun: unknown = null;
    const server = createServer(
      (conn) => {
        begun = [heard.get('portside.connection.start')?.length, conn.closeReason, conn.bytesRead];
        conn.abort();
      },
      { port: 0, host: '127.0.0.1', transport: net.transport },
    );
    const heard = listening(t, () => server);
    await server.start();
    await dialToReset(net, server);
    assert.deepEqual(begun, [1, null, 0]);
    await server.stop();
  });

  test('is nothing while nobody listens: no message is made', async (t) => {
    const calls = publishing(t);
    await busyLife(net, makeServer(net), 1);
    assert.equal(calls(), 0);
  });

  test('is counted by that counter while somebody listens, so that the test above can fail', async (t) => {
    const server = makeServer(net);
    listening(t, () => server);
    const calls = publishing(t);
    await busyLife(net, server, 1);
    // Four states, four starts, three closes, a gift, an error, a refusal.
    assert.equal(calls(), 14);
  });

  test('goes on whatever a subscriber does to the server', async (t) => {
    const stopAll = (message: unknown): void => {
      void (message as { server: Server }).server.stop({ grace: 0 });
    };
    subscribe('portside.connection.start', stopAll);
    t.after(() => unsubscribe('portside.connection.start', stopAll));
    const server = await serveOn(net, (conn) => conn.closed.then(() => {}));
    // It may be reset while it is being made.
    const client = await dial(net, server).catch(() => null);
    assert.equal(await server.waitStopped(), true);
    assert.equal(server.status().closed, 1);
    if (client !== null) await endAll(client);
  });
});

test('every channel of the library is in the reference', () => {
  const reference = readFileSync(inCheckout('docs/reference/diagnostics.md'), 'utf8');
  const names = readdirSync(inCheckout('src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('channels.ts') || file.endsWith('udp-socket.ts'))
    .flatMap((file) => [
      ...readFileSync(inCheckout(`src/${file}`), 'utf8').matchAll(/channel\('(portside\.[a-z.]+)'\)/gu),
    ])
    .map((match) => match[1] ?? '');
  for (const name of [...NAMES, 'portside.listener.trouble']) assert.ok(names.includes(name), name);
  for (const name of names)
    assert.ok(reference.includes(`\`${name}\``), `${name} is not in docs/reference/diagnostics.md`);
});
