import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { link } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { endAll, onEachNet, pairOn } from '../support/nets.ts';

describe('deadlines of many connections', () => {
  for (const [what, deadlines, timers] of [
    ['off', {}, 0],
    ['on', { firstByte: 90_000, idle: 60_000, read: 70_000, life: 100_000 }, 1],
  ] as const)
    test(`arm ${timers} timers for ten thousand with deadlines ${what}`, { timeout: 60_000 }, async () => {
      const clock = new VirtualClock();
      const { transport } = memoryNetwork({ clock, seed: 1 });
      const place = { host: '127.0.0.1', port: 4_000 };
      const scope = new Scope({ clock, parent: null });
      const all = await clock.run(
        scope.run(async () => {
          const listener = await listen({ ...place, transport, deadlines, backlog: 60_000 });
          const dialing = Promise.all(Array.from({ length: 10_000 }, () => connect(place, { transport })));
          const accepted: Connection[] = [];
          for (let i = 0; i < 10_000; i += 1) accepted.push(await listener.accept());
          await listener.close();
          return [accepted, await dialing] as const;
        }),
        { limit: 0 },
      );
      const [accepted, clients] = all;
      for (const conn of accepted) void conn.read().catch(() => null);
      const before = clock.everArmed;
      await clock.settle();
      assert.equal(clock.armed, timers);
      // Work arms none.
      for (const client of clients) void client.write('x');
      await clock.advance(1_000);
      for (const conn of accepted) void conn.read().catch(() => null);
      await clock.settle();
      assert.equal(clock.armed, timers);
      assert.ok(clock.everArmed - before <= timers * 2, `${clock.everArmed - before} timers were set`);
      if (timers > 0) {
        await clock.advance(60_000);
        assert.ok(accepted.every((conn) => link(conn).closing));
      }
      await clock.run(endAll(...accepted, ...clients));
      await clock.settle();
      assert.equal(clock.armed, 0);
    });
});

onEachNet('deadlines', (net) => {
  test('of a hundred connections arm one timer of the system, and none when they are off', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    for (const [deadlines, more] of [
      [{}, 0],
      [{ idle: 60_000, read: 50_000, life: 100_000 }, 1],
    ] as const) {
      const before = timers();
      const pairs = [];
      for (let i = 0; i < 100; i += 1) pairs.push(await pairOn(net, { server: { deadlines } }));
      for (const { server, client } of pairs) {
        void server.read().catch(() => null);
        void client.write('x');
      }
      for (let i = 0; i < 20; i += 1) await new Promise(setImmediate);
      assert.equal(timers() - before, more);
      await Promise.all(pairs.map(({ server, client }) => endAll(server, client)));
      assert.equal(timers() - before, 0);
    }
  });

  test('are never early by the time of the machine, and not much too late', async () => {
    for (const [deadline, options] of [
      ['firstByte', { firstByte: 40 }],
      ['idle', { idle: 40 }],
      ['read', { read: 40 }],
      ['life', { life: 40 }],
    ] as const) {
      const { server, client } = await pairOn(net, { server: { deadlines: options, linger: 20 } });
      const began = performance.now();
      await assert.rejects(server.read(), { code: 'ERR_PORTSIDE_TIMEOUT' });
      const took = performance.now() - began;
      // It counts from the accept, which was a moment before.
      assert.ok(took > 25 && took < 2_000, `${deadline}: ${took} ms`);
      assert.equal(await client.read(), null);
      assert.deepEqual(await server.closed, { kind: 'timeout', deadline, after: 40 });
      await endAll(server, client);
    }
  });

  test('of writing see the pieces that the kernel takes of one write, and end a peer that takes none', async () => {
    const { server, client } = await pairOn(net, { server: { deadlines: { write: 400 }, linger: 20 } });
    const writing = server.write(Buffer.alloc(30_000_000));
    const failed = assert.rejects(writing, { code: 'ERR_PORTSIDE_TIMEOUT' });
    const began = performance.now();
    let taken = 0;
    // For three times the deadline, a little now and then: never all.
    while (performance.now() - began < 1_200) {
      for (let i = 0; i < 16; i += 1) taken += (await client.read())?.length ?? 0;
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
      assert.equal(link(server).closing, false, `after ${taken} bytes`);
    }
    assert.ok(taken < 25_000_000, `${taken} bytes were taken: too fast for the test`);
    await failed;
    assert.deepEqual(await server.closed, { kind: 'timeout', deadline: 'write', after: 400 });
    await endAll(server, client);
  });

  test('channels show output going down piece by piece within one large write', async () => {
    const { server, client } = await pairOn(net);
    void server.write(Buffer.alloc(60_000_000)).catch(() => null);
    const { channel } = link(server);
    const left = (): number => channel.queued - (channel.progress ?? 0);
    const seen = new Set([left()]);
    for (let i = 0; i < 2_000 && seen.size < 8; i += 1) {
      await client.read();
      await new Promise(setImmediate);
      const now = left();
      for (const before of seen) assert.ok(now <= before, 'never more than before');
      seen.add(now);
    }
    assert.ok(seen.size >= 8, `${seen.size} steps`);
    assert.ok(server.queuedBytes > 0, 'within one write');
    await endAll(server, client);
  });
});
