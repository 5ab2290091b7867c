import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { Connection } from '../../src/net/connection.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { watchLeaks } from '../support/leaks.ts';
import { unhandled } from '../support/unhandled.ts';
import { countsOf, dial, dialToReset, serveOn, textOf, turns, until } from './support.ts';

/** Waits for lines, and says goodbye when the server wants to stop; it is never idle. */
async function polite(conn: Connection): Promise<void> {
  conn.busy = true;
  conn.draining.addEventListener('abort', () => void conn.write('stopping\n'));
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) void conn.write(`${line}!\n`);
}

onEachNet('stopping', (net) => {
  test('the port is closed at once, connections are told, and those that come to their end do so well', async () => {
    const noLeaks = watchLeaks();
    const server = await serveOn(net, polite);
    const client = await dial(net, server);
    void client.write('hello\n');
    assert.equal(await client.readLine(), 'hello!');
    const stopped = server.stop({ grace: 60_000 });
    await assert.rejects(dial(net, server), { code: 'ECONNREFUSED' });
    assert.equal(await client.readLine(), 'stopping');
    assert.equal(server.status().active, 1);
    void client.write('still served\n');
    assert.equal(await client.readLine(), 'still served!');
    assert.equal((await client.close()).kind, 'closed');
    await stopped;
    assert.deepEqual(countsOf(server), { active: 0, accepted: 1, errors: 0 });
    await noLeaks();
  });

  test('a connection is told with a reason by its draining signal, asked for before the stop or after', async () => {
    const serving: Connection[] = [];
    const server = await serveOn(net, { open: (conn) => void serving.push(conn) });
    const clients = await Promise.all([dial(net, server), dial(net, server)]);
    await until(() => serving.length === 2);
    const signal = serving[0]?.draining;
    assert.equal(signal?.aborted, false);
    const stopped = server.stop();
    for (const conn of serving) {
      assert.equal(conn.draining.aborted, true);
      assert.equal((conn.draining.reason as { code?: string }).code, 'ERR_PORTSIDE_CLOSED');
      assert.equal(conn.closeReason, null);
      void conn.close();
    }
    await Promise.all(clients.map((client) => client.close()));
    await stopped;
  });

  test('connections that do not end in time are aborted, and that is no error', async () => {
    const rejections = unhandled();
    const reasons: string[] = [];
    const server = await serveOn(net, async (conn) => {
      void conn.closed.then(({ kind }) => reasons.push(kind));
      await polite(conn);
    });
    const client = await dial(net, server);
    await until(() => server.status().active === 1);
    await server.stop({ grace: 20 });
    assert.deepEqual(reasons, ['drained']);
    await assert.rejects(textOf(client), { code: 'ECONNRESET' });
    assert.deepEqual(countsOf(server), { active: 0, accepted: 1, errors: 0 });
    assert.deepEqual(await rejections(), []);
  });

  test('stop with no grace aborts at once', async () => {
    const server = await serveOn(net, polite);
    const clients = await Promise.all(Array.from({ length: 5 }, () => dial(net, server)));
    await until(() => server.status().active === 5);
    await server.stop({ grace: 0 });
    assert.equal(server.status().active, 0);
    await endAll(...clients);
  });

  test('a second stop with a shorter grace hastens the first, even in the same turn; a longer one does not slow it', async () => {
    for (const wait of [0, 30]) {
      const server = await serveOn(net, polite);
      const client = await dial(net, server);
      await until(() => server.status().active === 1);
      const first = server.stop({ grace: 600_000 });
      if (wait > 0) await turns(wait);
      assert.equal(server.status().active, 1);
      const second = server.stop({ grace: 0 });
      void server.stop({ grace: Infinity });
      void server.stop();
      await Promise.all([first, second, server.waitStopped()]);
      assert.equal(server.status().active, 0);
      await endAll(client);
    }
  });

  test('stop may be called often, also when it has stopped, and also when nobody is connected', async () => {
    const noLeaks = watchLeaks();
    const server = await serveOn(net, polite);
    await Promise.all([server.stop(), server.stop()]);
    await server.stop({ grace: 0 });
    await server.waitStopped();
    await server[Symbol.asyncDispose]();
    assert.deepEqual(countsOf(server), { active: 0, accepted: 0, errors: 0 });
    await noLeaks();
  });

  test('stopped waits for a connection that is being aborted or closed', async () => {
    const closed: string[] = [];
    const server = await serveOn(net, {
      open: (conn) => conn.abort(),
      close: (_conn, { kind }) => void closed.push(kind),
    });
    await dialToReset(net, server);
    await server.stop();
    assert.deepEqual(closed, ['aborted']);
  });

  test('clients that come in the turn of the stop are served or reset, never forgotten', async () => {
    const noLeaks = watchLeaks();
    for (let moment = 0; moment < 12; moment += 1) {
      const server: Server = await serveOn(net, polite);
      const coming = [dial(net, server), dial(net, server)].map((dialing) => dialing.catch(() => null));
      await turns(moment % 4);
      for (let step = 0; step < moment; step += 1) await Promise.resolve();
      await server.stop({ grace: 0 });
      assert.equal(server.status().active, 0);
      for (const client of await Promise.all(coming)) if (client !== null) await endAll(client);
    }
    await noLeaks();
  });

  test('a grace that is no time is refused, and nothing is stopped', async () => {
    const server = await serveOn(net, polite);
    for (const grace of [-1, Number.NaN, '5' as unknown as number])
      assert.throws(() => server.stop({ grace }), { code: 'ERR_PORTSIDE_OPTIONS' });
    await endAll(await dial(net, server));
    await server.stop();
  });
});

describe('the grace', () => {
  const place = { host: '127.0.0.1', port: 4000 };

  /** A server in a time of its own, with one client that never leaves. */
  async function besieged(grace?: number): Promise<{ clock: VirtualClock; server: Server; client: Connection }> {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const scope = new Scope({ clock });
    return scope.run(async () => {
      const server = await serve(polite, { ...place, transport, grace });
      const client = await clock.run(connect(place, { transport }));
      await clock.settle();
      assert.equal(server.status().active, 1);
      return { clock, server, client };
    });
  }

  for (const [what, given, ms] of [
    ['10 seconds unless told otherwise', undefined, 10_000],
    ['what the server was made with', 700, 700],
  ] as const) {
    test(`is ${what}, to the millisecond`, async () => {
      const { clock, server, client } = await besieged(given);
      const stopped = server.stop();
      await clock.advance(ms - 1);
      assert.equal(server.status().active, 1);
      await clock.advance(1);
      assert.equal(server.status().active, 0);
      await clock.run(stopped);
      await clock.run(endAll(client));
    });
  }

  test('can be shortened by a second stop, and not made longer by a third', async () => {
    const { clock, server, client } = await besieged();
    void server.stop();
    await clock.advance(1_000);
    void server.stop({ grace: 500 });
    void server.stop({ grace: 5_000 });
    await clock.advance(499);
    assert.equal(server.status().active, 1);
    await clock.advance(1);
    assert.equal(server.status().active, 0);
    await clock.run(endAll(client));
  });

  test('can be without end', async () => {
    const { clock, server, client } = await besieged(Infinity);
    const stopped = server.stop();
    await clock.advance(10 * 60 * 60_000);
    assert.equal(server.status().active, 1);
    void client.close();
    await clock.run(stopped);
  });
});
