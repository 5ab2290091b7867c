import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { link } from '../../src/net/connection.ts';
import { detach } from '../../src/server/detach.ts';
import type { Server } from '../../src/server/server.ts';
import { endAll, onEachNet, pairOn } from '../support/nets.ts';
import { dial, serveOn, turns, until } from './support.ts';

/** Whatever `detach` throws there. */
function codeOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'detached';
}

onEachNet('a connection', (net) => {
  test('can be given away by its own handler only, while that runs', async () => {
    const codes: Record<string, unknown> = {};
    const served: Connection[] = [];
    const stranger = await pairOn(net);
    const wake = Promise.withResolvers<void>();
    const after = Promise.withResolvers<void>();
    const server: Server = await serveOn(net, async (conn) => {
      served.push(conn);
      if (served.length === 1) {
        await wake.promise;
        void after.promise.then(() => {
          codes['after its handler returned'] = codeOf(() => server.detach(conn));
          codes['after its handler returned, by itself'] = codeOf(() => detach(conn));
        });
        return;
      }
      codes['in the handler of another'] = codeOf(() => server.detach(served[0]!));
      codes['in the handler of another, by itself'] = codeOf(() => detach(served[0]!));
      codes['a stranger'] = codeOf(() => server.detach(stranger.server));
      codes['a stranger, by itself'] = codeOf(() => detach(stranger.server));
      wake.resolve();
    });
    const client = await dial(net, server);
    await until(() => served.length === 1);
    codes['outside of any handler'] = codeOf(() => server.detach(served[0]!));
    codes['outside of any handler, by itself'] = codeOf(() => detach(served[0]!));
    const other = await dial(net, server);
    await until(() => link(served[0]!).closing);
    after.resolve();
    await until(() => 'after its handler returned, by itself' in codes);
    assert.deepEqual(new Set(Object.values(codes)), new Set(['ERR_PORTSIDE_STATE']), JSON.stringify(codes));
    assert.equal(Object.keys(codes).length, 8);
    assert.equal(server.status().detached, 0);
    await endAll(client, other, stranger.client, stranger.server);
    await server.stop();
  });

  test('in callbacks can be given away while they run, and not after an await in them, nor from the callbacks of another', async () => {
    const codes: unknown[] = [];
    const served: Connection[] = [];
    const server = await serveOn(net, {
      async open(conn) {
        served.push(conn);
        if (served.length === 2) codes.push(codeOf(() => detach(served[0]!)));
        await turns(1);
        codes.push(codeOf(() => detach(conn)));
      },
    });
    const one = await dial(net, server);
    await until(() => codes.length === 1);
    const two = await dial(net, server);
    await until(() => codes.length === 3);
    assert.deepEqual(codes, Array(3).fill('ERR_PORTSIDE_STATE'));
    await endAll(one, two);
    await server.stop();
  });

  test('without async contexts it is checked that a function is being served, and for callbacks all of it', async () => {
    const codes: unknown[] = [];
    const ambient = false;
    const served: Connection[] = [];
    const functions: Server = await serveOn(
      net,
      async (conn) => {
        served.push(conn);
        if (served.length === 1) await conn.readLine();
        else codes.push(codeOf(() => functions.detach(served[0]!)));
      },
      { ambient },
    );
    const first = await dial(net, functions);
    await until(() => served.length === 1);
    const second = await dial(net, functions);
    // It can't be known whose code it is; that it is one of those that are served is known.
    await until(() => codes.length === 1);
    await until(() => served[1]!.closeReason !== null || link(served[1]!).closing);
    codes.push(codeOf(() => functions.detach(served[1]!)));
    const callbacks = await serveOn(net, { open: (conn) => void served.push(conn) }, { ambient });
    const third = await dial(net, callbacks);
    await until(() => served.length === 3);
    codes.push(codeOf(() => callbacks.detach(served[2]!)));
    assert.deepEqual(codes, ['detached', 'ERR_PORTSIDE_STATE', 'ERR_PORTSIDE_STATE']);
    await endAll(first, second, third, served[0]!);
    await Promise.all([functions.stop(), callbacks.stop()]);
  });

  test('can not be given away once it is over, and the counts stay right', async () => {
    const codes: unknown[] = [];
    const seen: unknown[] = [];
    const server = await serveOn(
      net,
      async (conn) => {
        if ((await conn.read().catch(() => null)) !== null) {
          void conn.read().catch(() => null);
          await conn.closed;
        }
        codes.push(codeOf(() => detach(conn)));
        detach(conn);
      },
      { onError: (error) => void seen.push(error) },
    );
    const bystander = await dial(net, server);
    await until(() => server.status().active === 1);
    const client = await dial(net, server);
    void client.write('x');
    await until(() => server.status().active === 2 && client.queuedBytes === 0);
    await turns(5);
    client.abort();
    await until(() => codes.length === 1);
    await turns(5);
    // How a connection ended is no error of its handler, and was told before.
    assert.deepEqual([codes, seen], [['ECONNRESET'], []]);
    const { active, closed, detached, errors } = server.status();
    assert.deepEqual({ active, closed, detached, errors }, { active: 1, closed: 1, detached: 0, errors: 0 });
    await endAll(bystander);
    await server.stop();
  });

  test('in close it is over already', async () => {
    const codes: unknown[] = [];
    const server = await serveOn(net, { close: (conn) => void codes.push(codeOf(() => detach(conn))) });
    const client = await dial(net, server);
    void client.close();
    await until(() => codes.length === 1);
    assert.notEqual(codes[0], 'detached');
    await server.stop();
    assert.equal(server.status().detached, 0);
  });
});
