import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { Channel } from '../../src/transport/contract.ts';
import { portOf } from './crossing.ts';
import type { Promises } from './passage.ts';
import { bytesOf } from './recorder.ts';
import { plainBind } from './stage.ts';
import { tlsBackend } from './tls-backend.ts';

/** Promises about giving: order, room, and what can't be given. */
export function giving(promise: Promises): void {
  describe('giving', () => {
    promise('keeps the order, and counts who is under way and who was taken', async (cross) => {
      const far = await cross.farEnd(32);
      const all = await cross.many(20);
      const { passage } = far;
      assert.deepEqual([passage.capacity, passage.waiting, passage.taken], [32, 0, 0]);
      all.forEach(({ channel }, id) => assert.equal(passage.give(channel, id), true));
      assert.deepEqual([passage.waiting, passage.taken], [20, 0]);
      const first = await far.ask('takeAll', 5);
      assert.deepEqual([passage.waiting, passage.taken], [15, 5]);
      const there = [...first, ...(await far.ask('takeAll', 15))];
      assert.deepEqual([passage.waiting, passage.taken], [0, 20]);
      assert.deepEqual(
        there.map(({ remote }) => portOf(remote)),
        all.map(({ client }) => portOf(client.channel.local)),
      );
      assert.deepEqual(passage.end(), []);
    });

    promise(
      'finds no room beyond the capacity: false, the channel is as it was, and onRoom comes once',
      async (cross) => {
        const { stage } = cross;
        const far = await cross.farEnd(2);
        const { passage } = far;
        const [one, two, here, later] = await cross.many(4);
        assert.ok(one !== undefined && two !== undefined && here !== undefined && later !== undefined);
        let rooms = 0;
        let inside = true;
        passage.onRoom = () => {
          assert.equal(inside, false, 'from a fresh stack');
          rooms += 1;
        };
        assert.ok(passage.give(one.channel, 1));
        assert.ok(passage.give(two.channel, 2));
        assert.equal(passage.give(here.channel, 3), false);
        assert.equal(passage.give(later.channel, 4), false);
        inside = false;
        assert.deepEqual([passage.waiting, passage.taken], [2, 0]);
        const served = stage.record(here.channel);
        here.channel.flow(true);
        here.client.channel.flow(true);
        here.client.channel.send(bytesOf('served here'));
        await stage.received(served, 11);
        here.channel.send(bytesOf('indeed'));
        await stage.received(here.client, 6);
        await far.comes();
        assert.equal(rooms, 0);
        await far.ask('takeAll', 1);
        await stage.until(() => rooms > 0, 'room');
        inside = true;
        assert.equal(passage.give(later.channel, 4), true);
        inside = false;
        await far.ask('takeAll', 2);
        await far.ask('pending');
        await stage.still();
        assert.equal(rooms, 1, 'nobody asked again');
        assert.deepEqual([passage.waiting, passage.taken], [0, 3]);
      },
    );

    promise('without a refusal tells of no room', async (cross) => {
      const far = await cross.farEnd(2);
      let rooms = 0;
      far.passage.onRoom = () => void (rooms += 1);
      for (const { channel } of await cross.many(2)) assert.ok(far.passage.give(channel, 0));
      await far.ask('takeAll', 2);
      await cross.stage.still();
      assert.equal(rooms, 0);
    });

    promise('tells of room to who only looked, and found none', async (cross) => {
      const far = await cross.farEnd(2);
      const { passage } = far;
      let rooms = 0;
      passage.onRoom = () => void (rooms += 1);
      for (let round = 1; round <= 3; round++) {
        assert.equal(passage.full, false);
        for (const { channel } of await cross.many(2)) assert.ok(passage.give(channel, round));
        assert.equal(passage.full, true);
        await far.ask('takeAll', 2);
        await cross.stage.until(() => rooms === round, 'to be told');
        assert.equal(passage.waiting, 0);
      }
    });

    promise('is woken each time: nobody waits for room that is there', async (cross) => {
      const far = await cross.farEnd(1);
      const { passage } = far;
      await far.ask('sink');
      for (let batch = 0; batch < 8; batch++) {
        const all = await cross.many(40);
        let next = 0;
        const go = (): void => {
          for (; next < all.length; next++) if (!passage.give(all[next]!.channel, next)) return;
        };
        passage.onRoom = go;
        go();
        await cross.stage.until(() => next === all.length, 'the last one to be given');
        for (const { client } of all) client.channel.flow(true);
        await cross.stage.until(() => all.every(({ client }) => client.log.includes('end')), 'all to be served');
        for (const { client } of all) client.channel.shutdown();
        await cross.stage.closed(...all.map(({ client }) => client));
      }
      assert.equal(passage.taken, 320);
    });

    promise('of a closed channel gives false, and of one with output that is not with the kernel', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { passage } = far;
      const [dropped, released, flushed, busy] = await cross.many(4);
      assert.ok(dropped !== undefined && released !== undefined && flushed !== undefined && busy !== undefined);
      dropped.channel.destroy('drop');
      assert.equal(passage.give(dropped.channel, 0), false);
      const alone = stage.transport.adopt(released.channel.release()!);
      assert.equal(passage.give(released.channel, 1), false);
      alone.destroy('reset');
      const sink = stage.record(busy.channel);
      const sentAll = await stage.clog(sink);
      assert.equal(passage.give(busy.channel, 2), false);
      assert.deepEqual([passage.waiting, await far.ask('pending')], [0, false]);
      busy.client.channel.flow(true);
      await stage.received(busy.client, sentAll);
      flushed.channel.destroy('flush');
      await stage.still();
      assert.equal(passage.give(flushed.channel, 3), false);
    });

    promise('of a connection of another transport throws ERR_PORTSIDE_UNSUPPORTED, and it goes on', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(1);
      const { transport } = memoryNetwork();
      const acceptor = await transport.listen({ kind: 'memory', name: 'stranger' }, plainBind);
      const client = stage.record(await transport.dial({ kind: 'memory', name: 'stranger' }).result);
      const channel = acceptor.take();
      assert.ok(channel !== null);
      const strange = (): void => void far.passage.give(channel, 0);
      assert.throws(strange, { code: 'ERR_PORTSIDE_UNSUPPORTED' });
      // A mistake is one with no room, too.
      const { channel: last } = await cross.fresh();
      assert.ok(far.passage.give(last, 1));
      assert.throws(strange, { code: 'ERR_PORTSIDE_UNSUPPORTED' });
      client.channel.flow(true);
      channel.send(bytesOf('as before'));
      await stage.received(client, 9);
      acceptor.close();
      channel.destroy('drop');
      await stage.until(() => client.log.includes('end'), 'the end');
    });

    promise('of a connection under TLS throws ERR_PORTSIDE_UNSUPPORTED, and it goes on', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const tls = tlsBackend(stage.backend);
      const { transport } = tls;
      const acceptor = await transport.listen(tls.target(), plainBind);
      const dialled = transport.dial(tls.dialTarget(acceptor.address)).result.then((channel) => stage.record(channel));
      let channel: Channel | null = null;
      acceptor.watcher = {
        ready() {
          channel ??= acceptor.take();
        },
        trouble(error) {
          throw error;
        },
      };
      acceptor.want(true);
      await stage.until(() => channel !== null, 'the connection');
      const client = await dialled;
      const secure = channel as unknown as Channel;
      assert.throws(() => far.passage.give(secure, 0), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
      secure.send(bytesOf('as before'));
      client.channel.flow(true);
      await stage.received(client, 9);
      acceptor.close();
      secure.destroy('drop');
      client.channel.destroy('drop');
      await stage.closed(client);
    });

    promise('before the other thread is there is as good as later', async (cross) => {
      const { stage } = cross;
      const passage = cross.passage(8);
      const all = await cross.many(3);
      all.forEach(({ channel }, id) => assert.ok(passage.give(channel, id)));
      const far = await cross.farEnd(8, passage);
      const there = await far.ask('takeAll', 3);
      assert.deepEqual(
        there.map(({ remote }) => portOf(remote)),
        all.map(({ client }) => portOf(client.channel.local)),
      );
      await far.ask('send', 2, 'at last');
      const { client } = all[2]!;
      client.channel.flow(true);
      await stage.received(client, 7);
    });
  });
}
