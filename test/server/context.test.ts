import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import type { Context } from '../../src/server/context.ts';
import { detach } from '../../src/server/detach.ts';
import type { Handler } from '../../src/server/handler.ts';
import { Scope, currentScope } from '../../src/sync/scope.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { dial, serveOn, turns, until } from './support.ts';

onEachNet('the context of a handler', (net) => {
  test('has the server, its context, and a number that is given once', async () => {
    const shared = { greeting: 'hello' };
    const contexts: Context[] = [];
    const handlers: readonly Handler[] = [
      (_conn, context) => void contexts.push(context),
      { open: (_conn, context) => void contexts.push(context) },
    ];
    for (const handler of handlers) {
      contexts.length = 0;
      const server = await serveOn(net, handler, { context: shared });
      for (let i = 0; i < 4; i += 1) {
        const client = await dial(net, server).catch(() => null);
        await until(() => contexts.length === i + 1);
        if (client !== null) await endAll(client);
      }
      await server.stop();
      assert.deepEqual(
        contexts.map(({ id }) => id),
        [1, 2, 3, 4],
      );
      for (const context of contexts) {
        assert.equal(context.server, server);
        assert.equal(context.context, shared);
      }
    }
  });

  test('has a scope that is closed with the connection, and not before: not when the handler returns, gives it away, or asked within another', async () => {
    const opened: { listener: Listener; context: Context; given: Connection }[] = [];
    const inner = new Scope({ name: 'inner' });
    const server = await serveOn(net, async (conn, context) => {
      const listener = await inner.run(() =>
        context.scope.run(() => listen({ port: 0, host: '127.0.0.1', transport: net.transport })),
      );
      opened.push({ listener, context, given: detach(conn) });
    });
    const client = await dial(net, server);
    await until(() => opened.length === 1);
    const { listener, context, given } = opened[0]!;
    await inner.close();
    await server.stop();
    await turns(3);
    assert.equal(context.scope.closed, false);
    assert.equal(listener.acceptReady, false);
    await endAll(client, given);
    await listener.closed;
    assert.equal(context.scope.closed, true);
  });

  test('closes what was opened in its scope when the connection is over, however that came', async () => {
    for (const how of ['returns', 'throws', 'peer resets', 'server stops'] as const) {
      let context: Context | null = null;
      let inside: unknown = null;
      let listener: Listener | null = null;
      const server = await serveOn(
        net,
        async (conn, given) => {
          context = given;
          await given.scope.run(async () => {
            inside = currentScope();
            listener = await listen({ port: 0, host: '127.0.0.1', transport: net.transport });
          });
          await conn.readExactly(1);
          if (how === 'throws') throw new Error('boom');
          if (how !== 'returns') await conn.read();
        },
        { onError: () => {} },
      );
      const client = await dial(net, server);
      await until(() => listener !== null);
      const { scope } = context as unknown as Context;
      assert.equal(inside, scope);
      assert.equal(scope.closed, false);
      void client.write('x');
      if (how === 'peer resets') {
        await client.flushed();
        await turns(5);
        client.abort();
      }
      if (how === 'server stops') await server.stop({ grace: 0 });
      if (how === 'returns') void client.read().then(() => client.close());
      else if (how !== 'peer resets') void client.read().catch(() => null);
      await (listener as unknown as Listener).closed;
      assert.equal(scope.closed, true);
      await endAll(client);
      await server.stop();
    }
  });

  test('has a scope within that in which the server was made, and none of anybody else’s', async () => {
    const home = new Scope({ name: 'home' });
    const scopes: Scope[] = [];
    let elsewhere: Scope | undefined = new Scope({ name: 'never' });
    const server = await home.run(() =>
      serveOn(net, async (conn, context) => {
        elsewhere = currentScope();
        scopes.push(context.scope);
        await conn.read();
      }),
    );
    const client = await dial(net, server);
    await until(() => scopes.length === 1);
    assert.equal(elsewhere, home);
    assert.match(JSON.stringify(home.report()), /connection 1/u);
    const report = await home.close();
    assert.equal(scopes[0]?.closed, true);
    assert.deepEqual(report.errors, []);
    await endAll(client);
  });

  test('gives a scope that is closed when it is asked for too late', async () => {
    let late: Context | null = null;
    const server = await serveOn(net, (_conn, context) => {
      late = context;
    });
    const client = await dial(net, server);
    await client.read().catch(() => null);
    await client.close();
    await until(() => server.status().active === 0);
    const { scope } = late as unknown as Context;
    assert.equal(scope.closed, true);
    await assert.rejects(
      scope.run(() => connect({ host: '127.0.0.1', port: 1 }, { transport: net.transport })),
      { code: 'ERR_PORTSIDE_SCOPE_CLOSED' },
    );
    await server.stop();
  });
});
