import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { autoTransport } from '../../src/net/transports.ts';
import { createServer, serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { formatStatus } from '../../src/server/status.ts';
import { Measures } from '../../src/server/measures.ts';
import type { ServerStatus } from '../../src/server/status.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { seededRandom } from '../../src/sync/random.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { dial, dialToReset, serveOn, turns, until } from './support.ts';

/** Holds the sums that are true at every moment. */
function assertAddsUp(status: ServerStatus): void {
  const { accepted, active, closed, detached, opening, reasons, connections } = status;
  assert.equal(accepted, active + closed + detached, 'every connection is active, closed or detached');
  assert.equal(
    closed,
    Object.values(reasons).reduce((sum, count) => sum + count, 0),
    'each end has its reason',
  );
  assert.ok(opening >= 0 && opening <= active);
  assert.equal(connections?.length ?? active, active);
  assert.equal(connections?.filter(({ doing }) => doing === 'opening').length ?? opening, opening);
}

/** Looks at the status in every event, and says how often. */
function watched(server: Server): () => number {
  let looks = 0;
  const look = (): void => {
    assertAddsUp(server.status({ connections: true }));
    looks += 1;
  };
  for (const name of ['state', 'connection', 'close', 'detach', 'refused', 'error'] as const) server.on(name, look);
  return () => looks;
}

onEachNet('the status of a server', (net) => {
  test('adds up at every moment, whatever becomes of the connections', async () => {
    const random = seededRandom(3);
    const detached: Connection[] = [];
    const server: Server = createServer(
      async (conn, { server: mine }) => {
        const line = await conn.readLine();
        if (line === 'throw') throw new Error(line);
        if (line === 'abort') conn.abort();
        if (line === 'detach') detached.push(mine.detach(conn));
        if (line === 'wait') await conn.read();
        assertAddsUp(mine.status({ connections: true }));
      },
      {
        port: 0,
        host: '127.0.0.1',
        transport: net.transport,
        maxConnections: 8,
        whenFull: 'refuse',
        maxPerClient: 6,
        log: () => assertAddsUp(server.status({ connections: true })),
        verbose: true,
        prepareHardClose: () => assertAddsUp(server.status()),
      },
    );
    const looks = watched(server);
    await server.start();
    const clients: Connection[] = [];
    for (let round = 0; round < 10; round += 1) {
      const coming = Array.from({ length: 10 }, async () => {
        const client = await dial(net, server).catch(() => null);
        if (client === null) return;
        clients.push(client);
        const what = ['throw', 'abort', 'detach', 'wait', 'end'][random.int(5)] ?? '';
        void client.write(`${what}\n`);
        void client.read().catch(() => null);
        if (what === 'wait' && random.int(2) === 1) client.abort();
      });
      await Promise.all(coming);
      await turns();
      assertAddsUp(server.status());
    }
    await endAll(...clients);
    await server.stop({ grace: 0 });
    const status = server.status();
    assertAddsUp(status);
    assert.deepEqual([status.active, status.opening], [0, 0]);
    assert.equal(status.detached, detached.length);
    assert.ok(looks() > 100);
    assert.ok(status.refused['client-full'] > 0);
    await endAll(...detached);
  });

  test('counts ends by their reason, and lists what is open', async () => {
    const server = await serveOn(net, async (conn) => {
      if ((await conn.readLine()) === 'abort') conn.abort();
      else await conn.read();
    });
    const clients = [await dial(net, server), await dial(net, server), await dial(net, server)];
    const [one, two] = clients;
    await one?.write('hello\nyou');
    await two?.write('abort\n');
    await until(() => server.status().closed === 1);
    await until(() => server.status({ connections: true }).connections?.[0]?.bytesRead === 9);
    const { connections, reasons } = server.status({ connections: true });
    assert.deepEqual(reasons, { aborted: 1 });
    assert.deepEqual(
      connections?.map(({ id, bytesRead, bytesWritten, queued }) => ({ id, bytesRead, bytesWritten, queued })),
      [
        { id: 1, bytesRead: 9, bytesWritten: 0, queued: 0 },
        { id: 3, bytesRead: 0, bytesWritten: 0, queued: 0 },
      ],
    );
    assert.equal(server.status().connections, null);
    const stopped = server.stop({ grace: 20 });
    await Promise.all(clients.slice(2).map((client) => client.close()));
    await stopped;
    assert.equal(server.status().closed, 3);
    await endAll(...clients);
  });

  test('is a picture that does not change afterwards', async () => {
    const server = await serveOn(net, { open: (conn) => conn.abort() }, { deny: [] });
    const before = server.status({ connections: true });
    const kept = structuredClone(before);
    await dialToReset(net, server);
    server.set({ deny: ['127.0.0.1'] });
    await dialToReset(net, server);
    await until(() => server.status().refused.denied === 1);
    assert.deepEqual(before, kept);
    await server.stop();
  });
});

describe('the status', () => {
  /** A server in a time of its own. */
  async function timed(): Promise<{ clock: VirtualClock; server: Server; client: Connection }> {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const place = { host: '127.0.0.1', port: 4_000 };
    return new Scope({ clock }).run(async () => {
      const server = await serve(
        { data: (conn, bytes) => void conn.write(bytes) },
        { ...place, transport, shutdown: 4_001, maxConnections: 5, deny: ['10.0.0.0/8'] },
      );
      await clock.advance(1_000);
      const client = await clock.run(connect(place, { transport, localPort: 50_000 }));
      await clock.settle();
      return { clock, server, client };
    });
  }

  test('tells times by the clock: since the start, and of each connection; they stand still after the end', async () => {
    const { clock, server, client } = await timed();
    await clock.advance(1_500);
    const status = server.status({ connections: true });
    assert.deepEqual([status.uptime, status.connections?.[0]?.age], [2_500, 1_500]);
    await clock.run(Promise.all([server.stop({ grace: 0 }), endAll(client)]));
    await clock.advance(1_000);
    assert.equal(server.status().uptime, 2_500);
  });

  test('names what carries the bytes: of all endpoints, each once, before the start too', async (t) => {
    const { transport } = memoryNetwork();
    const at = (port: number) => ({ port, host: '127.0.0.1' });
    const listen = [
      { ...at(1), transport },
      { ...at(2), transport },
      { ...at(0), transport: 'node' as const },
    ];
    const server = createServer(() => {}, { listen });
    assert.equal(server.status().transport, 'memory, node');
    await server.start();
    t.after(() => server.stop({ grace: 0 }));
    assert.equal(server.status().transport, 'memory, node');
    assert.equal(createServer(() => {}, at(0)).status().transport, autoTransport().name);
  });

  test('is a table for people', async () => {
    const { clock, server, client } = await timed();
    await client.write('hello');
    await clock.advance(2_000);
    assert.equal(
      formatStatus(server.status({ connections: true })),
      [
        'state         running, for 3.0 s',
        'listening on  127.0.0.1:4000',
        'shutdown on   127.0.0.1:4001',
        'connections   1 of 5',
        'accepted      1',
        'closed        0',
        'refused       0',
        'errors        0',
        'id  peer             state  age    in  out  queued',
        '#1  127.0.0.1:50000  idle   2.0 s  5   5    0',
      ].join('\n'),
    );
    await clock.run(endAll(client));
    await clock.run(server.stop());
    assert.equal(
      formatStatus(server.status()),
      [
        'state         stopped, not ready, for 3.0 s',
        'listening on  127.0.0.1:4000',
        'shutdown on   127.0.0.1:4001',
        'connections   0 of 5',
        'accepted      1',
        'closed        1 (reset 1)',
        'refused       0',
        'errors        0',
      ].join('\n'),
    );
  });

  test('as a table names what else there was: refusals, gifts, troubles, and long times', () => {
    const refused = {
      denied: 1,
      'not-allowed': 0,
      rate: 2,
      full: 0,
      'client-full': 0,
      'handshakes-full': 0,
      proxy: 0,
      stopping: 0,
    };
    const status: ServerStatus = {
      state: 'suspended',
      ready: false,
      uptime: 9_000_000,
      transport: 'node',
      addresses: [],
      shutdownAddress: null,
      active: 3,
      opening: 2,
      maxConnections: 10_000,
      maxPerClient: Infinity,
      accepted: 12,
      closed: 6,
      detached: 1,
      handedOver: 2,
      bytesRead: 0,
      bytesWritten: 0,
      ending: null,
      errors: 4,
      troubles: 5,
      refused,
      reasons: { ended: 4, 'timeout-idle': 2, reset: 0 },
      measures: new Measures().read(),
      connections: [
        {
          id: 9,
          remote: { family: 'unix', path: '' },
          local: { family: 'unix', path: '/run/x.sock' },
          tls: null,
          age: 600_000,
          doing: 'opening',
          bytesRead: 0,
          bytesWritten: 0,
          queued: 0,
        },
      ],
    };
    assert.equal(
      formatStatus(status),
      [
        'state         suspended, not ready, for 2.5 h',
        'listening on  nothing',
        'connections   3 of 10000, 2 opening',
        'accepted      12',
        'closed        6 (ended 4, timeout-idle 2)',
        'refused       3 (denied 1, rate 2)',
        'detached      1',
        'handed over   2',
        'errors        4, and 5 of accepting',
        'id  peer            state    age       in  out  queued',
        '#9  a local client  opening  10.0 min  0   0    0',
      ].join('\n'),
    );
  });
});
