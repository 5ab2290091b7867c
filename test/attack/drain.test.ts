import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lines } from '../../src/codec/lines.ts';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import { serve } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { watchLeaks } from '../support/leaks.ts';
import { watchMemory } from '../support/memory.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { askByLine, assertAddsUp, eventually } from '../support/siege.ts';
import { unhandled } from '../support/unhandled.ts';

const STUCK = 'stuck';
const COUNT = 100;

/** A promise of its own for each, since one for all would hold them all. */
function never(): Promise<void> {
  return new Promise(() => {});
}

/** Handlers that serve lines and, asked for it, never come to an end. A loop that never lets go of the thread is not among them: nothing in the same thread can end that. */
const stuck: Readonly<Record<string, Handler>> = {
  'a function that waits for ever': async (conn) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      if (line === STUCK) await never();
      await conn.write(`${line}\n`);
    }
  },
  'a function that waits for ever, and marked its connection as busy': async (conn) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      conn.busy = line === STUCK;
      if (line === STUCK) await conn.closed.then(never);
      await conn.write(`${line}\n`);
    }
  },
  'a function that turns round and round': async (conn) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      // It ends with the connection, so that the test can; not before.
      while (line === STUCK && conn.closeReason === null) await new Promise(setImmediate);
      await conn.write(`${line}\n`).catch(() => {});
    }
  },
  'a function that takes its connection’s end for nothing': async (conn) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      await conn.write(`${line}\n`);
      if (line !== STUCK) continue;
      conn.draining.addEventListener('abort', () => {
        conn.busy = true;
        void conn.write('not me\n').catch(() => {});
      });
    }
  },
  'a protocol that is busy for ever': {
    data(conn, bytes) {
      conn.busy = Buffer.from(bytes).includes(STUCK);
      void conn.write(bytes);
    },
    end() {},
  },
  'a framed protocol whose callbacks never settle': defineHandler(lines(), {
    // oxlint-disable-next-line typescript/no-misused-promises -- that it never settles is the point
    async frame(conn: Connection, line) {
      conn.busy = line === STUCK;
      await conn.write(`${line}\n`);
      await never();
    },
    end() {},
  }),
};

onEachNet('handlers that never return', (net) => {
  for (const [shape, handler] of Object.entries(stuck)) {
    test(`do not hold the end of the server up, nor memory (${shape})`, async () => {
      const noLeaks = watchLeaks();
      const escaped = unhandled();
      const server = await serve(handler, { port: 0, host: '127.0.0.1', transport: net.transport, grace: 150 });
      const { port } = server.addresses[0] as { port: number };
      const dial = (): Promise<Connection> =>
        connect({ host: '127.0.0.1', port }, { transport: net.transport, timeout: 5_000 });
      const memoryIsBack = await watchMemory(server);
      const honest = await dial();
      await askByLine(honest, 5_000);
      const clients = await Promise.all(Array.from({ length: COUNT }, dial));
      await Promise.all(clients.map((client) => client.write(`${STUCK}\n`)));
      await eventually(
        () => server.status({ connections: true }).connections!.filter(({ bytesRead }) => bytesRead > 0).length > COUNT,
        () => server.status(),
      );
      await askByLine(honest, 5_000);
      const began = performance.now();
      const ledger = await server.stop();
      const took = performance.now() - began;
      assert.ok(took >= 149 && took < 3_000, `${took}`);
      assert.equal(ledger.connections, COUNT + 1);
      assert.equal(ledger.forced, COUNT);
      assert.equal(ledger.idle, 1, 'the honest one was closed in order');
      assertAddsUp(server.status());
      assert.equal(server.status().reasons['drained-forced'], COUNT);
      await endAll(honest, ...clients);
      clients.length = 0;
      await memoryIsBack(12 * 1_048_576);
      await noLeaks();
      assert.deepEqual(await escaped(), []);
    });
  }
});

describe('the shutdown port', () => {
  test('filled up by connections that say nothing, still hears who is meant to be heard, and the server serves on', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const place = { host: '127.0.0.1', port: 4_000 };
    await new Scope({ clock }).run(async () => {
      const server = await serve(stuck['a protocol that is busy for ever']!, {
        ...place,
        transport,
        shutdown: 4_001,
        shutdownHandler: async (_server, conn) => (await conn.readLine({ limit: 100 })) === 'secret',
      });
      const silent = await clock.run(
        Promise.all(Array.from({ length: 40 }, () => connect({ ...place, port: 4_001 }, { transport }))),
      );
      const honest = await clock.run(connect(place, { transport }));
      const admin = await clock.run(connect({ ...place, port: 4_001 }, { transport }));
      void admin.write('secret\n');
      for (let second = 0; second < 9; second += 1) {
        await clock.advance(1_000);
        await clock.run(askByLine(honest, 1), { limit: 0 });
        assert.equal(server.state, 'running');
      }
      // Two lots of sixteen and one of eight, ten seconds each at most, and a second for each to end.
      await clock.run(server.waitStopped(), { limit: 25_000 });
      await clock.run(endAll(admin, honest, ...silent));
      assert.equal(server.stopped, true);
    });
  });
});
