import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import {
  anyWay,
  ask,
  dial,
  endOf,
  eventually,
  leavesNoThread,
  line,
  onEachWay,
  settled,
  startOn,
  worker,
} from './support.ts';

describe('connections of workers that are ended by their numbers', () => {
  leavesNoThread();

  onEachWay('over all of them', (way) => {
    for (const module of ['commands', 'bare'] as const) {
      test(`end in order or by a reset, and no others (${module})`, async () => {
        const server = await startOn(way, worker(module), way.kernel ? {} : { dispatch: 'round-robin' });
        const clients: Connection[] = [];
        for (let i = 0; i < 4; i += 1) {
          const client = await dial(server);
          if (module === 'bare') await line(client);
          assert.equal(await ask(client, 'ping'), 'ping');
          clients.push(client);
        }
        const all = await server.connections();
        assert.equal(all.length, 4);
        const portOf = (i: number): number => {
          const { local } = clients[i]!;
          return 'port' in local ? local.port : 0;
        };
        const named = (i: number): { id: number; worker: number } => {
          const one = all.find(({ remote }) => 'port' in remote && remote.port === portOf(i));
          return { id: one!.id, worker: one!.worker };
        };
        assert.deepEqual(all[0]!.local, server.addresses[0]);
        assert.equal(all[0]!.tls, null);

        assert.equal(await server.closeConnections([named(0)]), 1);
        assert.equal(await endOf(clients[0]!), 'end');
        assert.equal(await server.closeConnections([named(1), { id: 999, worker: 0 }], 'reset'), 1);
        assert.equal(await endOf(clients[1]!), 'reset');
        assert.equal(await server.closeConnections([{ id: 1, worker: 7 }]), 0, 'a worker that there is not');
        assert.equal(await server.closeConnections([named(0), named(1)]), 0, 'who is gone');
        for (const i of [2, 3]) assert.equal(await ask(clients[i]!, 'still'), 'still');
        const { reasons } = await settled(server, 2);
        assert.equal(reasons['aborted'], 1);
      });
    }
  });

  test('are told from those of the same number in a worker that leaves', async () => {
    const way = anyWay;
    const server = await startOn(way, worker('commands'), { parallelism: 1, grace: 60_000 });
    const before = await dial(server);
    await before.write('draining\n');
    assert.equal(await line(before), 'waiting');
    const [old] = await server.connections();
    await server.reload();
    const after = await dial(server);
    assert.equal(await ask(after, 'ping'), 'ping');

    const both = await server.connections();
    assert.deepEqual(
      both.map(({ id, worker: index }) => [id, index]),
      [
        [1, 0],
        [1, 0],
      ],
      'both are told',
    );
    assert.notEqual(both[0]!.threadId, both[1]!.threadId);
    const threadId = old!.threadId;
    assert.equal(await server.closeConnections([{ id: 1, worker: 0, threadId }], 'reset'), 1);
    assert.equal(await ask(after, 'still'), 'still');
    assert.equal(await server.closeConnections([{ id: 1, worker: 0 }], 'reset'), 1, 'who is given connections');
    assert.equal(await endOf(after), 'reset');
  });

  test('are told wrong names at once, and TLS as the workers know it', async () => {
    const way = anyWay;
    const server = await startOn(way, worker('commands'), { parallelism: 1, tls: serverTls({ alpn: ['chat/1'] }) });
    const client = await dial(server, { tls: clientTls({ alpn: ['chat/1'] }) });
    assert.equal(await ask(client, 'ping'), 'ping');
    const [one] = await server.connections();
    assert.deepEqual(one?.tls, { protocol: 'TLSv1.3', alpn: 'chat/1' });
    for (const wrong of [[{ id: 0, worker: 0 }], [{ id: 1 }], [{ id: 1, worker: -1 }], [1], {}])
      await assert.rejects(server.closeConnections(wrong as { id: number; worker: number }[]), {
        code: 'ERR_PORTSIDE_OPTIONS',
      });
    await assert.rejects(server.closeConnections([], 'drop' as 'close'), { code: 'ERR_PORTSIDE_OPTIONS' });
  });

  test('may have their handshakes under way, which is told', async () => {
    for (const module of ['commands', 'bare'] as const) {
      const server = await startOn(anyWay, worker(module), { parallelism: 1, tls: serverTls() });
      const stalled = await dial(server);
      await eventually(() => server.status().workers[0]?.accepted === 1);
      const [one] = await server.connections();
      assert.equal(one?.doing, 'opening', module);
      assert.equal(await server.closeConnections([{ id: 1, worker: 0 }]), 1, module);
      await settled(server, 0);
      await endOf(stalled);
      await server.stop({ grace: 0 });
    }
  });

  test('and limits that were changed are told as they are now, and so is an end', async () => {
    const way = anyWay;
    const server = await startOn(way, worker('commands'), { parallelism: 1, maxConnections: 50 });
    assert.equal(server.limits.maxConnections, 50);
    server.set({ maxConnections: 9, maxPerClient: 3, deadlines: { idle: 60_000 }, grace: 77 });
    const { maxConnections, maxPerClient, deadlines, grace } = server.limits;
    assert.deepEqual([maxConnections, maxPerClient, deadlines.idle, grace], [9, 3, 60_000, 77]);
    assert.equal(server.status().ending, null);
    const over = server.drain({ lead: 30_000, grace: 1_000 });
    const { since, left } = server.status().ending!;
    assert.ok(since >= 0 && since < 5_000 && left > 25_000 && left <= 31_000, `${since} ${left}`);
    await server.stop({ grace: 0 });
    await over;
  });
});
