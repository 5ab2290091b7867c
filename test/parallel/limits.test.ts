import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { encodeProxyHeader } from '../../src/codec/proxy-header.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import type { Refusal } from '../../src/server/refusal.ts';
import { endAll } from '../support/nets.ts';
import {
  anyWay,
  ask,
  assertAddsUp,
  dial,
  endOf,
  eventually,
  leavesNoThread,
  onEachWay,
  settled,
  startOn,
  worker,
} from './support.ts';

/** What becomes of a client that is not let in: a reset may find it while it still connects. */
async function refusal(...args: Parameters<typeof dial>): Promise<string> {
  try {
    return await endOf(await dial(...args));
  } catch {
    return 'reset';
  }
}

/** The answer to a client that comes until it is let in: a worker tells the parent a moment after a connection is over. */
async function answered(server: ParallelServer, word: string): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask(await dial(server), word);
    } catch (error) {
      if (tries === 50) throw error;
    }
  }
}

describe('limits over all workers', () => {
  leavesNoThread();

  onEachWay('as if it were one server', (way) => {
    test('maxConnections is exact: the next waits, whichever worker has room, and comes in when one leaves anywhere', async () => {
      const server = await startOn(way, worker('commands'), { parallelism: 3, maxConnections: 5 });
      const inside: Connection[] = [];
      while (inside.length < 5) {
        const client = await dial(server);
        assert.equal(await ask(client, 'in?'), 'in?');
        inside.push(client);
      }
      const late = await Promise.all(Array.from({ length: 12 }, () => dial(server)));
      const answers = late.map((client, i) => ask(client, `late ${i}`).then(() => client));
      let answered = 0;
      for (const answer of answers) void answer.then(() => (answered += 1));
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(answered, 0);
      assert.ok(server.status().active <= 5);
      // Everybody gets in, one for each that goes, and never one too many.
      let most = 0;
      const look = setInterval(() => {
        const { workers } = server.status();
        most = Math.max(
          most,
          workers.reduce((sum, { connections, waiting }) => sum + connections + waiting, 0),
        );
      }, 1);
      for (const client of inside) await client.close();
      const next = new Set<Connection>();
      for (let i = 0; i < late.length; i += 1) {
        const client = await Promise.any(answers.filter((_, j) => !next.has(late[j]!)));
        next.add(client);
        await client.close();
      }
      clearInterval(look);
      assert.ok(most <= 5, `${most}`);
      const status = await settled(server, 0);
      assert.equal(status.accepted, 17, JSON.stringify(status));
    });

    test('changed while it runs: fewer wait for those that are in, more let the waiting in', async () => {
      const server = await startOn(way, worker('commands'), { maxConnections: 1_000 });
      const clients = await Promise.all(Array.from({ length: 6 }, () => dial(server)));
      for (const client of clients) await ask(client, 'in?');
      server.set({ maxConnections: 3 });
      assert.equal(server.status().maxConnections, 3);
      const late = await dial(server);
      let answered = false;
      const answer = ask(late, 'late').then(() => (answered = true));
      for (const client of clients.slice(0, 3)) await client.close();
      await eventually(() => server.status().active === 3 || answered);
      assert.equal(answered, false, 'three are in');
      server.set({ maxConnections: 4 });
      await answer;
    });

    test('connections of one client are counted over all workers, from the moment in which a limit is set', async () => {
      const server = await startOn(way, worker('commands'), { parallelism: 3, maxPerClient: 4 });
      const mine = await Promise.all(Array.from({ length: 4 }, () => dial(server)));
      for (const client of mine) await ask(client, 'in?');
      const other = await dial(server, { localHost: '127.0.0.2' });
      assert.equal(await ask(other, 'another address'), 'another address');
      const refused = await Promise.all(Array.from({ length: 6 }, () => refusal(server)));
      assert.deepEqual(new Set(refused), new Set(['reset']));
      await mine[0]!.close();
      await settled(server, 4);
      assert.equal(server.status().refused['client-full'], 6);
      assert.equal(await answered(server, 'a place is free'), 'a place is free');
      server.set({ maxPerClient: 5 });
      assert.equal(await ask(await dial(server), 'five may come'), 'five may come');
      assert.equal(await refusal(server), 'reset');
    });

    test('a worker that dies gives its permits and its clients back', async () => {
      const server = await startOn(way, worker('commands'), { parallelism: 1, maxConnections: 2, maxPerClient: 2 });
      const held = [await dial(server), await dial(server)];
      for (const client of held) await ask(client, 'in?');
      await held[0]!.write('exit\n');
      await eventually(() => server.status().restarts === 1);
      const next = [await dial(server), await dial(server)];
      for (const client of next) assert.equal(await ask(client, 'in?'), 'in?');
      const { reasons } = await settled(server, 2);
      assert.equal(reasons['worker-died'], 2);
    });
  });

  onEachWay(
    'where the parent lets in',
    (way) => {
      test('lists and rates refuse before any worker hears of it, with their reasons', async () => {
        const server = await startOn(way, worker('commands'), {
          deny: ['127.0.0.9'],
          rate: { connections: 3, per: 60_000 },
        });
        const refused: Refusal['kind'][] = [];
        server.on('refused', (_remote, refusal) => refused.push(refusal.kind));
        for (let i = 0; i < 3; i += 1) assert.equal(await ask(await dial(server), 'in?'), 'in?');
        assert.equal(await refusal(server), 'reset');
        assert.equal(await refusal(server, { localHost: '127.0.0.9' }), 'reset');
        assert.deepEqual(refused, ['rate', 'denied']);
        const { accepted, refused: counts } = server.status();
        assert.deepEqual([accepted, counts.rate, counts.denied], [3, 1, 1]);
        server.set({ deny: [], rate: null });
        assert.equal(await ask(await dial(server, { localHost: '127.0.0.9' }), 'in?'), 'in?');
      });

      test('maxConnections: 1 serves one after another, in the order in which they came', async () => {
        const server = await startOn(way, worker('commands'), { parallelism: 3, maxConnections: 1 });
        const order: number[] = [];
        const clients: Connection[] = [];
        // Each is there before the next comes.
        for (let i = 0; i < 8; i += 1) clients.push(await dial(server));
        await Promise.all(
          clients.map(async (client, i) => {
            await ask(client, `${i}`);
            order.push(i);
            await client.close();
          }),
        );
        assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7]);
      });

      test('whenFull: refuse says so to who comes too many', async () => {
        const server = await startOn(way, worker('commands'), {
          maxConnections: 2,
          whenFull: 'refuse',
          // oxlint-disable-next-line unicorn/no-thenable -- the option's value is no promise
          refuseWith: { send: 'full\n', then: 'close' },
        });
        const inside = [await dial(server), await dial(server)];
        for (const client of inside) await ask(client, 'in?');
        const late = await dial(server);
        assert.equal(await late.readLine(), 'full');
        assert.equal(await endOf(late), 'end');
        assert.equal(server.status().refused.full, 1);
      });

      test('behind a proxy the effective client is counted, over all workers', async () => {
        const server = await startOn(way, worker('commands'), {
          parallelism: 2,
          dispatch: 'round-robin',
          proxy: { from: ['127.0.0.1'] },
          maxPerClient: 2,
          deny: ['192.0.2.66'],
        });
        const come = async (host: string): Promise<Connection> => {
          const client = await dial(server);
          const source = { family: 'ipv4', host, port: 4_000 } as const;
          const destination = { family: 'ipv4', host: '192.0.2.200', port: 25 } as const;
          await client.write(encodeProxyHeader({ version: 2, source, destination }));
          return client;
        };
        const first = [await come('192.0.2.1'), await come('192.0.2.1')];
        for (const client of first) assert.equal(await ask(client, 'in?'), 'in?');
        assert.equal(await ask(await come('192.0.2.2'), 'another'), 'another');
        assert.equal(await endOf(await come('192.0.2.1')), 'reset');
        assert.equal(await endOf(await come('192.0.2.66')), 'reset');
        const { refused } = server.status();
        assert.deepEqual([refused['client-full'], refused.denied], [1, 1]);
        const remotes = (await server.connections()).map(({ remote }) => ('host' in remote ? remote.host : ''));
        assert.deepEqual(remotes.toSorted(), ['192.0.2.1', '192.0.2.1', '192.0.2.2']);
      });
    },
    (way) => way.handed,
  );

  test('an endpoint has its own limit beside that of the server, over all workers', async () => {
    const server = await startOn(anyWay, worker('commands'), {
      listen: [
        { port: 0, host: '127.0.0.1', maxConnections: 2 },
        { port: 0, host: '127.0.0.1' },
      ],
    });
    const [narrow, wide] = server.addresses.map((address) => ('port' in address ? address.port : 0));
    const { dialPort } = await import('./support.ts');
    const inside = [await dialPort(narrow!), await dialPort(narrow!)];
    for (const client of inside) await ask(client, 'in?');
    const late = await dialPort(narrow!);
    let answered = false;
    const answer = ask(late, 'late').then(() => (answered = true));
    for (let i = 0; i < 5; i += 1) assert.equal(await ask(await dialPort(wide!), 'in?'), 'in?');
    assert.equal(answered, false);
    await inside[1]!.close();
    await answer;
    assertAddsUp(await settled(server, 7));
    await endAll(...inside);
  });
});
