import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { Promises } from './passage.ts';
import { bytesOf } from './recorder.ts';

/** Promises about the acceptor in the other thread. */
export function arriving(promise: Promises): void {
  describe('the arrivals', () => {
    promise('say that they listen where they were told', async (cross) => {
      const far = await cross.farEnd(4);
      assert.deepEqual(await far.ask('about'), await cross.listensOn());
    });

    promise(
      'have something pending before it is taken and nothing after, and are taken without being wanted',
      async (cross) => {
        const far = await cross.farEnd(4);
        assert.equal(await far.ask('pending'), false);
        assert.equal(await far.ask('take'), null);
        const { channel, client } = await cross.fresh();
        const { remote } = channel;
        assert.ok(far.passage.give(channel, 0));
        await far.comes();
        assert.equal(await far.ask('pending'), true, 'asking consumes nothing');
        assert.deepEqual((await far.ask('take'))?.remote, remote);
        assert.equal(await far.ask('pending'), false);
        assert.equal(await far.ask('take'), null);
        client.channel.flow(true);
        await far.ask('send', 0, 'x');
        await cross.stage.received(client, 1);
      },
    );

    promise('call again each turn while something is left, and not while they are not wanted', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const [one, two] = await cross.many(2);
      assert.ok(one !== undefined && two !== undefined);
      assert.ok(far.passage.give(one.channel, 0));
      await far.ask('readies', 5);
      assert.equal(await far.ask('calls'), 5);
      assert.ok(far.passage.give(two.channel, 1));
      await stage.still();
      await far.comes();
      assert.equal(await far.ask('calls'), 5, 'it was not wanted');
      await far.ask('readies', 2);
      await far.ask('takeAll', 2);
      const calls = await far.ask('calls');
      await far.ask('want', true);
      await stage.still();
      assert.equal(await far.ask('calls'), calls, 'there is nothing to call for');
    });

    promise('closed, reset whom they have, take nobody, and the account of the giver is exact', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(8);
      const { passage } = far;
      const all = await cross.many(6);
      for (const { client } of all) client.channel.flow(true);
      all.slice(0, 5).forEach(({ channel }, id) => assert.ok(passage.give(channel, id)));
      const [kept] = await far.ask('takeAll', 1);
      assert.ok(kept !== undefined);
      await far.comes();
      await far.ask('close');
      await far.ask('close');
      assert.deepEqual([await far.ask('take'), await far.ask('pending')], [null, false]);
      const last = all[5]!;
      const late = passage.give(last.channel, 5);
      const told = passage.end();
      cross.back(told);
      assert.equal(passage.taken + told.length, late ? 6 : 5);
      assert.deepEqual(
        told.map(({ id }) => id),
        [0, 1, 2, 3, 4, 5].slice(passage.taken, late ? 6 : 5),
      );
      for (const { channel } of told) channel?.destroy('reset');
      const left = late ? all.slice(1) : all.slice(1, 5);
      await stage.until(
        () => left.every(({ client }) => /^(?:end|close)/u.test(client.log[0] ?? '')),
        'all to be told',
      );
      // What was taken lives on.
      await far.ask('send', kept.index, 'still here');
      await stage.received(all[0]!.client, 10);
      assert.deepEqual(all[0]!.client.log, ['data:still here']);
      if (late) return;
      last.channel.send(bytesOf('as before'));
      await stage.received(last.client, 9);
    });
  });
}
