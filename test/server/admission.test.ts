import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { Handler } from '../../src/server/handler.ts';
import { defineHandler, isHandler } from '../../src/server/define-handler.ts';
import { serve } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { endAll, listenOn, onEachNet, portOf } from '../support/nets.ts';
import { watchLeaks } from '../support/leaks.ts';
import { countsOf, dial, serveOn, textOf, turns, until } from './support.ts';

/** Serves one line, and notes how many it serves at once. */
function counting(): { readonly handler: Handler; most: number; now: number; served: string[] } {
  const state = { handler, most: 0, now: 0, served: [] as string[] };
  async function handler(conn: Connection): Promise<void> {
    state.now += 1;
    state.most = Math.max(state.most, state.now);
    void conn.closed.then(() => (state.now -= 1));
    // The end of the server must not take the wait for the line for idleness.
    conn.busy = true;
    const line = await conn.readLine();
    state.served.push(line ?? 'nothing');
    await conn.write(`${line ?? ''}\n`);
  }
  return state;
}

onEachNet('admission', (net) => {
  for (const [what, listeners] of [
    ['one endpoint', 1],
    ['three endpoints', 3],
  ] as const) {
    test(`with ${what}, never more than maxConnections are served at a time, and the others later`, async () => {
      const state = counting();
      const place = { port: 0, host: '127.0.0.1' };
      const server = await serveOn(net, state.handler, {
        listen: Array.from({ length: listeners }, () => place),
        maxConnections: 2,
      });
      const clients = await Promise.all(Array.from({ length: 12 }, (_, i) => dial(net, server, {}, i % listeners)));
      await until(() => state.now === 2);
      await turns();
      assert.equal(server.status().active, 2);
      assert.equal(server.status().accepted, 2);
      const echoes = clients.map(async (client, i) => {
        void client.write(`${i}\n`);
        const text = await textOf(client);
        await client.close();
        return text;
      });
      assert.deepEqual(
        await Promise.all(echoes),
        clients.map((_, i) => `${i}\n`),
      );
      await server.stop();
      assert.equal(state.most, 2);
      assert.equal(state.served.length, 12);
      assert.deepEqual(countsOf(server), { active: 0, accepted: 12, errors: 0 });
    });
  }

  test('a server that is full can be stopped; those that wait are reset', async () => {
    const state = counting();
    const server = await serveOn(net, state.handler, { maxConnections: 1 });
    const first = await dial(net, server);
    await until(() => state.now === 1);
    const waiting = await dial(net, server);
    const refused = assert.rejects(waiting.read(), { code: 'ECONNRESET' });
    const stopped = server.stop();
    await refused;
    void first.write('done\n');
    assert.equal(await textOf(first), 'done\n');
    await first.close();
    await stopped;
    assert.equal(server.status().accepted, 1);
  });

  test('one server can have several endpoints', async () => {
    const server = await serveOn(net, (conn) => void conn.write(`port ${portOf({ address: conn.local })}`), {
      listen: ['tcp://127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
    });
    const ports = server.addresses.map((address) => portOf({ address }));
    assert.equal(new Set(ports).size, 2);
    for (const [place, port] of ports.entries()) {
      const client = await dial(net, server, {}, place);
      assert.equal(await textOf(client), `port ${port}`);
      await client.close();
    }
    await server.stop();
    assert.deepEqual(
      server.addresses.map((address) => portOf({ address })),
      ports,
      'addresses can be read after the stop',
    );
  });

  test('when one endpoint can not be had, the others are free again', async () => {
    const noLeaks = watchLeaks();
    const taken = await listenOn(net);
    const free = await listenOn(net);
    const port = portOf(free);
    await free.close();
    const places = [port, portOf(taken)].map((each) => ({ host: '127.0.0.1', port: each }));
    await assert.rejects(
      serveOn(net, () => {}, { listen: places }),
      {
        code: 'EADDRINUSE',
        local: `127.0.0.1:${portOf(taken)}`,
      },
    );
    const again = await listen({ host: '127.0.0.1', port, transport: net.transport });
    await Promise.all([again.close(), taken.close()]);
    await noLeaks();
  });

  test('a server whose scope is closed stops', async () => {
    const scope = new Scope({ name: 'pool' });
    const server = await scope.run(() => serveOn(net, async (conn) => void (await conn.read())));
    const client = await dial(net, server);
    await until(() => server.status().active === 1);
    await scope.close();
    await server.waitStopped();
    assert.equal(server.status().active, 0);
    await endAll(client);
  });
});

describe('what can not serve', () => {
  const wrong: readonly unknown[] = [undefined, null, 5, 'echo', {}, { data: 5 }, { data() {}, end: 'x' }, []];
  for (const value of wrong) {
    test(`${JSON.stringify(value) ?? 'undefined'} is refused with ERR_PORTSIDE_HANDLER, and nothing is bound`, async () => {
      const noLeaks = watchLeaks();
      assert.equal(isHandler(value), false);
      await assert.rejects(serve(value as Handler, { port: 0 }), { code: 'ERR_PORTSIDE_HANDLER', op: 'createServer' });
      await noLeaks();
    });
  }

  test('a function, and an object with any of the callbacks, are handlers', () => {
    assert.equal(
      isHandler(() => {}),
      true,
    );
    for (const name of ['open', 'data', 'end', 'drain', 'close']) assert.equal(isHandler({ [name]() {} }), true);
    const handler = { data() {} };
    assert.equal(defineHandler(handler), handler);
  });

  test('wrong options are told all at once', async () => {
    await assert.rejects(
      serve(() => {}, { port: 0, maxConnections: 0, grace: -1, onErorr() {} } as never),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
        for (const part of ['maxConnections', 'grace', 'onErorr', 'onError'])
          assert.match(error.message, new RegExp(part));
        return true;
      },
    );
    const twice = serve(() => {}, { listen: 'tcp://127.0.0.1:0', endpoint: 'tcp://127.0.0.1:0' });
    await assert.rejects(twice, { code: 'ERR_PORTSIDE_OPTIONS' });
    await assert.rejects(
      serve(() => {}, {}),
      { code: 'ERR_PORTSIDE_OPTIONS' },
    );
  });

  test('a Unix domain socket and a port can be served by one server', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portside-'));
    try {
      const path = join(folder, 'x.sock');
      const server = await serve((conn) => void conn.write(conn.local.family), {
        listen: [`unix://${path}`, 'tcp://127.0.0.1:0'],
      });
      const families: string[] = [];
      for (const address of server.addresses) {
        const client = await connect(
          'path' in address ? { path: address.path } : { port: portOf({ address }), host: '127.0.0.1' },
        );
        families.push(await textOf(client));
        await client.close();
      }
      await server.stop();
      assert.deepEqual(families, ['unix', 'ipv4']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
