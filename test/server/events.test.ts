import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { expectTypeOf } from 'expect-type';
import type { CloseReason } from '../../src/net/close-reason.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Refusal } from '../../src/server/refusal.ts';
import { createServer } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import type { ServerState } from '../../src/server/events.ts';
import type { Address } from '../../src/transport/address.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, dialToReset, serveOn, turns, until } from './support.ts';

/** Every event of a server, in order, in a word or two each. */
function told(server: Server): string[] {
  const log: string[] = [];
  server.on('state', (state, before) => log.push(`${before} -> ${state}`));
  server.on('connection', (_connection, id) => log.push(`connection ${id}`));
  server.on('close', (_connection, reason, id) => log.push(`close ${id} ${reason.kind}`));
  server.on('detach', (_connection, id) => log.push(`detach ${id}`));
  server.on('refused', (_remote, refusal) => log.push(`refused ${refusal.kind}`));
  server.on('error', (error) => log.push(`error ${(error as Error).message}`));
  return log;
}

onEachNet('the events of a server', (net) => {
  test('tell its states, and each connection that begins and ends, in order and once', async () => {
    const server = createServer(
      async (conn) => {
        await conn.readLine();
      },
      { port: 0, host: '127.0.0.1', transport: net.transport },
    );
    const log = told(server);
    await server.start();
    for (const count of [1, 2]) {
      const client = await dial(net, server);
      await client.write('enough\n');
      await client.read();
      await client.close();
      await until(() => server.status().closed === count);
    }
    await server.stop();
    assert.deepEqual(log, [
      'idle -> starting',
      'starting -> running',
      'connection 1',
      'close 1 closed',
      'connection 2',
      'close 2 closed',
      'running -> draining',
      'draining -> stopped',
    ]);
  });

  test('a connection is told before its handler begins, and may be ended there', async () => {
    let served = 0;
    const server = await serveOn(net, () => void (served += 1));
    server.on('connection', (conn) => {
      assert.equal(served, 0);
      conn.abort();
    });
    const [[conn, reason, id]] = await Promise.all([once(server, 'close'), dialToReset(net, server)]);
    assert.deepEqual([(reason as CloseReason).kind, id, (conn as Connection).closeReason], ['aborted', 1, reason]);
    await server.stop();
  });

  test('what is refused, detached or fails is told', async () => {
    const server = await serveOn(
      net,
      async (conn, { server: mine, id }) => {
        if (id === 1) mine.detach(conn).abort();
        else throw new Error('spilt');
      },
      { deny: [] },
    );
    const log = told(server);
    await dialToReset(net, server);
    await dialToReset(net, server);
    server.set({ deny: ['127.0.0.0/8'] });
    await dialToReset(net, server);
    await until(() => server.status().refused.denied === 1);
    await server.stop();
    assert.deepEqual(log.slice(0, -2), [
      'connection 1',
      'detach 1',
      'connection 2',
      'error spilt',
      'close 2 aborted',
      'refused denied',
    ]);
  });

  test('an error that nobody listens for throws nowhere, and is counted', async () => {
    const rejections = unhandled();
    const server = await serveOn(net, () => {
      throw new Error('nobody hears this');
    });
    await dialToReset(net, server);
    await until(() => server.status().closed === 1);
    assert.equal(server.status().errors, 1);
    await server.stop();
    assert.deepEqual(await rejections(), []);
  });

  test('what a listener throws is an uncaught exception; the other listeners are told, and the server goes on', async () => {
    await capturingUncaught(async (caught) => {
      const server = createServer(
        (conn) => {
          void conn.write('served\n');
          throw new Error('from the handler');
        },
        { port: 0, host: '127.0.0.1', transport: net.transport },
      );
      for (const name of ['state', 'connection', 'close', 'error'] as const) {
        server.on(name, () => {
          throw new Error(name);
        });
      }
      const log = told(server);
      await server.start();
      await dialToReset(net, server);
      await until(() => server.status().closed === 1);
      await dialToReset(net, server);
      await until(() => server.status().closed === 2);
      await server.stop();
      await turns();
      assert.equal(server.state, 'stopped');
      assert.equal(log.length, 4 + 2 * 3);
      assert.deepEqual(caught.map((error) => (error as Error).message).toSorted(), [
        'close',
        'close',
        'connection',
        'connection',
        'error',
        'error',
        'state',
        'state',
        'state',
        'state',
      ]);
    });
  });

  test('a listener of the end may stop the server again: it ends once', async () => {
    const server = await serveOn(net, (conn) => conn.closed.then(() => {}));
    const states: ServerState[] = [];
    let stops = 0;
    server.on('state', (state) => {
      states.push(state);
      void server.stop({ grace: 0 }).then(() => (stops += 1));
    });
    const client = await dial(net, server);
    await until(() => server.status().active === 1);
    const ledger = await server.drain({ lead: 60_000, grace: 60_000 });
    await turns();
    assert.deepEqual([states, stops, ledger.forced], [['draining', 'stopped'], 2, 1]);
    await endAll(client);
  });

  test('once, removal and waiting work as with any emitter', async () => {
    const server = createServer(
      { open: (conn) => conn.abort() },
      { port: 0, host: '127.0.0.1', transport: net.transport },
    );
    let calls = 0;
    const never = (): void => assert.fail('it was removed');
    server.on('state', never).off('state', never);
    server.once('state', () => (calls += 1));
    const running = once(server, 'state');
    await server.start();
    assert.deepEqual(await running, ['starting', 'idle']);
    assert.equal(server.listenerCount('state'), 0);
    await server.stop();
    assert.equal(calls, 1);
  });
});

test('events are typed', () => {
  const server = {} as Server;
  void (() => {
    server.on('state', (...args) => expectTypeOf(args).toEqualTypeOf<[state: ServerState, before: ServerState]>());
    server.on('connection', (...args) => expectTypeOf(args).toEqualTypeOf<[connection: Connection, id: number]>());
    server.on('close', (_conn, reason) => expectTypeOf(reason).toEqualTypeOf<CloseReason>());
    server.on('refused', (...args) => expectTypeOf(args).toEqualTypeOf<[remote: Address, refusal: Refusal]>());
    server.on('error', (error, conn) => {
      expectTypeOf(error).toBeUnknown();
      expectTypeOf(conn).toEqualTypeOf<Connection | undefined>();
    });
    // @ts-expect-error there is no such event
    server.on('nonsense', () => {});
  });
});
