import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { watchLeaks } from '../support/leaks.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, serveOn, turns, until } from './support.ts';

/** Waits for its client for as long as that likes. */
const patient = (conn: Connection): Promise<void> => conn.closed.then(() => {});

/** Goes to the shutdown port. */
async function ask(net: Net, server: Server): Promise<Connection> {
  const address = server.shutdownAddress;
  if (address === null || !('port' in address)) throw new Error('no shutdown port');
  return connect({ host: address.host, port: address.port }, { transport: net.transport, timeout: 5_000 });
}

onEachNet('the shutdown port', (net) => {
  test('is on loopback, of a number that is reported, and any connection stops the server', async () => {
    const noLeaks = watchLeaks();
    const log: string[] = [];
    const server = await serveOn(net, patient, {
      shutdown: 0,
      grace: 0,
      onStop: (it, given) => void log.push(`${it.status().active} ${typeof given}`),
    });
    const { shutdownAddress } = server;
    assert.ok(shutdownAddress !== null && 'port' in shutdownAddress);
    assert.equal(shutdownAddress.host, '127.0.0.1');
    assert.notEqual(shutdownAddress.port, 0);
    assert.notDeepEqual([shutdownAddress], server.addresses);
    assert.deepEqual(server.status().shutdownAddress, shutdownAddress);
    const client = await dial(net, server);
    await until(() => server.status().active === 1);
    const asking = await ask(net, server);
    assert.equal(await server.waitStopped(), true);
    assert.deepEqual(log, ['0 undefined']);
    // It ends in order for the one who asked, and is no connection of the server's.
    assert.equal(await asking.read(), null);
    assert.equal(server.status().accepted, 1);
    assert.deepEqual(server.shutdownAddress, shutdownAddress);
    await assert.rejects(ask(net, server), { code: 'ECONNREFUSED' });
    await asking.close();
    await endAll(client);
    await noLeaks();
  });

  test('is where it is told to be', async () => {
    const server = await serveOn(net, patient, { shutdown: 'tcp://127.0.0.1:0' });
    await (await ask(net, server)).close();
    assert.equal(await server.waitStopped(), true);
  });

  test('is not there unless it is asked for', async () => {
    const server = await serveOn(net, patient);
    assert.equal(server.shutdownAddress, null);
    await server.stop();
  });

  test('asks its handler, with the server and the connection: only true stops, also from a promise', async () => {
    const answers: unknown[] = [false, 1, 'true', undefined, {}, Promise.resolve('yes'), Promise.resolve(true)];
    const asked: boolean[] = [];
    const server: Server = await serveOn(net, patient, {
      shutdown: 0,
      shutdownHandler: async (it, conn) => {
        asked.push(it === server && conn.closeReason === null);
        await conn.write('asked\n');
        return answers.shift();
      },
    });
    while (answers.length > 0) {
      assert.equal(server.state, 'running');
      const client = await ask(net, server);
      assert.equal(await client.readLine(), 'asked');
      await client.close();
      await turns();
    }
    assert.equal(await server.waitStopped(), true);
    assert.deepEqual(
      asked,
      Array.from({ length: 7 }, () => true),
    );
  });

  test('a handler may ask for a word, and only who knows it stops the server', async () => {
    const server = await serveOn(net, patient, {
      shutdown: 0,
      shutdownHandler: async (_server, conn) => (await conn.readLine()) === 'please',
    });
    for (const word of ['now', 'please']) {
      assert.equal(server.state, 'running');
      const client = await ask(net, server);
      await client.write(`${word}\n`);
      assert.equal(await client.read(), null);
      await client.close();
    }
    assert.equal(await server.waitStopped(), true);
  });

  test('a handler that throws or rejects is told to onError, and the server goes on', async () => {
    const told: unknown[] = [];
    const server = await serveOn(net, patient, {
      shutdown: 0,
      shutdownHandler: (() => {
        let count = 0;
        return () => {
          count += 1;
          if (count === 1) throw new Error('at once');
          return Promise.reject(new Error('later'));
        };
      })(),
      onError: (error, conn, it) => void told.push((error as Error).message, conn?.closeReason, it === server),
    });
    for (let count = 0; count < 2; count += 1) {
      const client = await ask(net, server);
      assert.equal(await client.read(), null);
      await client.close();
    }
    assert.deepEqual(told, ['at once', null, true, 'later', null, true]);
    assert.deepEqual([server.state, server.status().errors], ['running', 2]);
    await endAll(await dial(net, server));
    await server.stop({ grace: 0 });
  });

  test('a client that leaves while it is asked is no error', async () => {
    const rejections = unhandled();
    let asked = 0;
    const server = await serveOn(net, patient, {
      shutdown: 0,
      shutdownHandler: async (_server, conn) => {
        asked += 1;
        return (await conn.readLine()) === 'please';
      },
    });
    const client = await ask(net, server);
    await until(() => asked === 1);
    await endAll(client);
    await turns();
    assert.deepEqual([server.state, server.status().errors], ['running', 0]);
    await server.stop();
    assert.deepEqual(await rejections(), []);
  });

  test('the end of the server waits for nobody there, and leaves nothing open', async () => {
    const noLeaks = watchLeaks();
    let asked = 0;
    const server = await serveOn(net, patient, {
      shutdown: 0,
      shutdownHandler: async (_server, conn) => {
        asked += 1;
        await conn.read();
        return new Promise(() => {});
      },
    });
    const silent = await Promise.all(Array.from({ length: 100 }, () => ask(net, server)));
    // A few at a time, the others wait.
    await until(() => asked === 16);
    await turns();
    assert.equal(asked, 16);
    await server.stop();
    assert.deepEqual([server.state, server.status().errors], ['stopped', 0]);
    for (const client of silent) await assert.rejects(client.read(), { code: 'ECONNRESET' });
    await endAll(...silent);
    await noLeaks();
  });
});

describe('the time at the shutdown port', () => {
  const host = '127.0.0.1';

  async function timed(options: Partial<ServerOptions>) {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const scope = new Scope({ clock });
    const server = await scope.run(() => serve(patient, { host, port: 4_000, transport, shutdown: 4_001, ...options }));
    return { clock, server, ask: () => scope.run(() => clock.run(connect({ host, port: 4_001 }, { transport }))) };
  }

  test('is ten seconds for each: a hundred that say nothing do not keep one out who has the word', async () => {
    const {
      clock,
      server,
      ask: come,
    } = await timed({
      shutdownHandler: async (_server, conn) => (await conn.readLine()) === 'please',
    });
    const silent = [];
    for (let count = 0; count < 100; count += 1) silent.push(await come());
    const honest = await come();
    void honest.write('please\n');
    void honest.read();
    for (const client of silent) void client.read().catch(() => null);
    // They come in seven lots of sixteen; a lot is let go after its time and that of lingering.
    await clock.advance(6 * 10_000 - 1);
    assert.equal(server.state, 'running');
    await clock.advance(6 * 1_000 + 1);
    assert.equal(server.stopped, true);
    assert.equal(server.status().errors, 0);
    await clock.run(endAll(honest, ...silent));
  });

  test('is ten seconds with a handler that never answers too, and a late answer counts', async () => {
    const answers: ((answer: boolean) => void)[] = [];
    const {
      clock,
      server,
      ask: come,
    } = await timed({
      shutdownHandler: () => new Promise((resolve) => void answers.push(resolve)),
    });
    const clients = [];
    for (let count = 0; count < 17; count += 1) clients.push(await come());
    for (const client of clients) void client.read().catch(() => null);
    await clock.settle();
    assert.equal(answers.length, 16);
    await clock.advance(10_000);
    // They have not closed, and are let go within the time of lingering.
    await clock.advance(1_000);
    assert.equal(answers.length, 17);
    answers[0]?.(true);
    await clock.settle();
    assert.equal(server.stopped, true);
    await clock.run(endAll(...clients));
  });
});
