import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { LocalPermits } from '../../src/server/permits.ts';
import { createServer } from '../../src/server/server.ts';
import type { ServerStatus } from '../../src/server/status.ts';
import { systemClock } from '../../src/sync/clock.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { dial, serveOn, until } from './support.ts';
import { Stage } from './virtual.ts';

describe('the limits of a server', () => {
  test('are told as its options say, with every default', () => {
    assert.deepEqual(createServer(() => {}, { port: 0 }).limits, {
      maxConnections: 10_000,
      maxPerClient: Infinity,
      clientPrefix: { ipv4: 32, ipv6: 64 },
      whenFull: 'wait',
      allow: [],
      deny: [],
      rate: null,
      lead: 0,
      grace: 10_000,
      spread: 0,
      deadlines: { firstByte: Infinity, idle: Infinity, read: Infinity, write: 60_000, life: Infinity },
    });
    const { allow, deadlines, grace } = createServer(() => {}, {
      port: 0,
      allow: ['loopback'],
      deadlines: { idle: 1_000 },
      grace: Infinity,
    }).limits;
    assert.deepEqual([allow, deadlines.idle, deadlines.write, grace], [['loopback'], 1_000, 60_000, Infinity]);
  });

  test('are told as they were changed; what was refused changes none', () => {
    const server = createServer(() => {}, { port: 0, rate: { connections: 1, per: 1_000 }, deny: ['any'] });
    server.set({ maxConnections: 7, maxPerClient: 2, clientPrefix: { ipv6: 48 }, whenFull: 'refuse', rate: null });
    server.set({ deadlines: { read: 5 }, grace: 1, deny: [] });
    const changed = server.limits;
    assert.deepEqual(changed, {
      maxConnections: 7,
      maxPerClient: 2,
      clientPrefix: { ipv4: 32, ipv6: 48 },
      whenFull: 'refuse',
      allow: [],
      deny: [],
      rate: null,
      lead: 0,
      grace: 1,
      spread: 0,
      deadlines: { firstByte: Infinity, idle: Infinity, read: 5, write: 60_000, life: Infinity },
    });
    assert.throws(() => server.set({ grace: -1, lead: 5 }), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.deepEqual(server.limits, changed);
    server.set(undefined as never);
    assert.deepEqual(server.limits, changed);
  });

  test('stay where permits of one’s own refuse the change', () => {
    const permits = new LocalPermits({ connections: 5 }, systemClock);
    permits.resize = () => {
      throw new RangeError('not these');
    };
    const server = createServer(() => {}, { port: 0, permits });
    const before = server.limits;
    assert.throws(() => server.set({ maxConnections: 7, grace: 1 }), /not these/u);
    assert.deepEqual(server.limits, before);
  });
});

describe('the end of a server in its status', () => {
  test('tells how long it goes on already, and will at most', async () => {
    const stage = new Stage();
    const looks: ServerStatus['ending'][] = [];
    const server = await stage.serve(
      async (conn) => {
        conn.busy = true;
        await conn.read();
      },
      { grace: 1_000 },
    );
    server.on('state', () => looks.push(server.status().ending));
    const client = await stage.dial(server);
    assert.equal(server.status().ending, null);
    const over = stage.run(() => server.drain({ lead: 500 }));
    assert.deepEqual(looks, [{ since: 0, left: 1_500 }], 'from the first word of it');
    await stage.clock.advance(200);
    assert.deepEqual(server.status().ending, { since: 200, left: 1_300 });
    await stage.clock.advance(500);
    assert.deepEqual(server.status().ending, { since: 700, left: 800 });
    void stage.run(() => server.drain({ grace: 100 }));
    assert.deepEqual(server.status().ending, { since: 700, left: 100 }, 'hastened');
    await stage.clock.advance(100);
    await over;
    assert.equal(server.status().ending?.left, 0);
    await stage.end(server, client);
  });

  test('is over for those who are still being closed by a hook', async () => {
    const stage = new Stage();
    const server = await stage.serve(
      async (conn) => {
        conn.busy = true;
        await conn.read();
      },
      { prepareHardClose: (conn) => void conn.close() },
    );
    const client = await stage.dial(server);
    void stage.run(() => server.drain({ grace: 100 }));
    await stage.clock.advance(150);
    assert.equal(server.status().active, 1);
    assert.deepEqual(server.status().ending, { since: 150, left: 0 });
    await stage.end(server, client);
  });

  test('has no end where there is no grace', async () => {
    const stage = new Stage();
    const server = await stage.serve(async (conn) => {
      conn.busy = true;
      await conn.read();
    });
    const client = await stage.dial(server);
    void stage.run(() => server.drain({ grace: Infinity }));
    await stage.clock.advance(60_000);
    assert.deepEqual(server.status().ending, { since: 60_000, left: Infinity });
    await stage.end(server, client);
  });
});

onEachNet('the bytes of a server', (net) => {
  test('are those of connections that are open, that are over and that were given away', async () => {
    const given: Connection[] = [];
    const server = await serveOn(net, async (conn, { server: mine }) => {
      const line = await conn.readLine();
      await conn.write('12345');
      if (line === 'detach') given.push(mine.detach(conn));
      else if (line === 'stay') await conn.read();
    });
    const clients: Connection[] = [];
    for (const line of ['end', 'stay', 'detach']) {
      const client = await dial(net, server);
      clients.push(client);
      await client.write(`${line}\n`);
      await client.readExactly(5);
    }
    await until(() => given.length === 1);
    await clients[0]!.close();
    await until(() => server.status().closed === 1);
    const { bytesRead, bytesWritten, active } = server.status();
    assert.deepEqual({ bytesRead, bytesWritten, active }, { bytesRead: 16, bytesWritten: 15, active: 1 });
    await endAll(...clients, ...given);
    await server.stop({ grace: 0 });
    assert.equal(server.status().bytesRead, 16);
  });
});
