import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe } from 'node:test';
import type { Channel, TransportFlags } from '../../src/transport/contract.ts';
import type { Address } from '../../src/transport/address.ts';
import { portOf } from './crossing.ts';
import type { Promises } from './passage.ts';
import { bytesOf, pattern } from './recorder.ts';

/** Whether a socket's keep-alive timer runs, as the system lists it; null where it doesn't list. */
function keptAlive(local: Address, remote: Address): boolean | null {
  let table: string;
  try {
    table = readFileSync('/proc/self/net/tcp', 'latin1');
  } catch {
    return null;
  }
  const hex = (address: Address): string => `0100007F:${portOf(address).toString(16).toUpperCase().padStart(4, '0')}`;
  const line = table.split('\n').find((row) => row.includes(` ${hex(local)} ${hex(remote)} `));
  // The sixth column: kind of timer and when; 2 is keep-alive.
  return line === undefined ? null : line.trim().split(/\s+/u)[5]?.startsWith('02:') === true;
}

/** Promises about what a connection is in the other thread. */
export function roaming(promise: Promises, flags: TransportFlags): void {
  describe('a connection that was given', () => {
    promise('carries bytes both ways, those that waited too, and closes in order', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      client.channel.send(bytesOf('early '));
      await stage.still();
      assert.equal(far.passage.give(channel, 7), true);
      const { index } = (await far.ask('takeAll', 1))[0]!;
      client.channel.send(bytesOf('late'));
      client.channel.shutdown();
      client.channel.flow(true);
      await far.ask('flow', index, true);
      await far.heard(index, /^end$/u);
      await far.ask('send', index, 'reply');
      await far.ask('shutdown', index);
      await stage.closed(client);
      assert.deepEqual(await far.heard(index, /^close/u), ['data:early late', 'end', 'close:ended']);
      assert.deepEqual(client.log, ['data:reply', 'end', 'close:ended']);
    });

    promise('carries much, unchanged', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      const bytes = pattern(600_000);
      client.channel.send(bytes);
      assert.ok(far.passage.give(channel, 0));
      const { index } = (await far.ask('takeAll', 1))[0]!;
      await far.ask('flow', index, true);
      client.channel.shutdown();
      await far.heard(index, /^end$/u);
      assert.ok(Buffer.from(await far.ask('bytes', index)).equals(bytes));
      await far.ask('destroy', index, 'drop');
      client.channel.flow(true);
      await stage.closed(client);
    });

    promise('has the addresses there that it had here, and nothing is left of it here', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      const here = stage.record(channel);
      const { local, remote } = channel;
      assert.ok(far.passage.give(channel, 0));
      assert.equal(channel.closed, true);
      assert.deepEqual([channel.send(bytesOf('ghost')), channel.queued, channel.release()], [0, 0, null]);
      channel.flow(true);
      channel.shutdown();
      channel.destroy('reset');
      const [there] = await far.ask('takeAll', 1);
      assert.deepEqual([there?.local, there?.remote], [local, remote]);
      assert.deepEqual([there?.local, there?.remote], [client.channel.remote, client.channel.local]);
      client.channel.flow(true);
      await far.ask('send', 0, 'alive');
      await stage.received(client, 5);
      assert.deepEqual([client.log, here.log], [['data:alive'], []]);
    });

    promise('is read there only when flow is on', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      assert.ok(far.passage.give(channel, 0));
      await far.ask('takeAll', 1);
      client.channel.send(bytesOf('wait'));
      await stage.still();
      assert.deepEqual(await far.ask('log', 0), []);
      await far.ask('flow', 0, true);
      assert.deepEqual(await far.heard(0, /^data/u), ['data:wait']);
    });

    promise('whose client ended its direction before hears that there, and may still answer', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      client.channel.send(bytesOf('last words'));
      client.channel.shutdown();
      client.channel.flow(true);
      await stage.still();
      assert.ok(far.passage.give(channel, 0));
      await far.ask('takeAll', 1);
      await far.ask('flow', 0, true);
      await far.heard(0, /^end$/u);
      await far.ask('send', 0, 'heard');
      await far.ask('shutdown', 0);
      await stage.closed(client);
      assert.deepEqual(client.log, ['data:heard', 'end', 'close:ended']);
      assert.deepEqual(await far.heard(0, /^close/u), ['data:last words', 'end', 'close:ended']);
    });

    promise('whose output was ended before stays so, and is read on', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      client.channel.flow(true);
      channel.shutdown();
      await stage.until(() => client.log.includes('end'), 'the end');
      await stage.still();
      assert.ok(far.passage.give(channel, 0));
      await far.ask('takeAll', 1);
      await far.ask('flow', 0, true);
      client.channel.send(bytesOf('one way'));
      await far.heard(0, /one way/u);
      assert.equal(await far.ask('send', 0, 'ghost'), 0);
      client.channel.shutdown();
      await stage.closed(client);
      assert.deepEqual(await far.heard(0, /^close/u), ['data:one way', 'end', 'close:ended']);
      assert.deepEqual(client.log, ['end', 'close:ended']);
    });

    promise('keeps the options that it had, and they can be changed there', async (cross) => {
      const far = await cross.farEnd(4);
      const { channel } = await cross.fresh();
      const { local, remote } = channel;
      const alive = (): boolean | null => keptAlive(local, remote);
      const listed = alive() !== null;
      channel.set({ kind: 'noDelay', on: true });
      channel.set({ kind: 'keepAlive', on: true, delay: 60_000 });
      if (listed) assert.equal(alive(), true, 'it is on before');
      assert.ok(far.passage.give(channel, 0));
      await far.ask('takeAll', 1);
      if (listed) assert.equal(alive(), true, 'it is on after');
      await far.ask('keepAlive', 0, false);
      if (listed) assert.equal(alive(), false, 'it was turned off there');
      await far.ask('keepAlive', 0, true);
      if (listed) assert.equal(alive(), true, 'it was turned on there');
    });

    promise('whose client resets it on the way counts as taken, and stops nobody behind it', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const [gone, next] = await cross.many(2);
      assert.ok(gone !== undefined && next !== undefined);
      const { remote } = gone.channel;
      assert.ok(far.passage.give(gone.channel, 0));
      gone.client.channel.destroy('reset');
      await stage.closed(gone.client);
      await stage.still();
      assert.ok(far.passage.give(next.channel, 1));
      let index = -1;
      while (index === -1) {
        const [there] = await far.ask('takeAll', 1);
        assert.ok(there !== undefined);
        if (portOf(there.remote) === portOf(next.client.channel.local)) index = there.index;
        else {
          assert.deepEqual(there.remote, remote, 'it has the address that it had');
          await far.ask('flow', there.index, true);
          assert.deepEqual(await far.heard(there.index, /^close/u), ['close:reset']);
        }
      }
      assert.deepEqual([far.passage.taken, far.passage.waiting], [2, 0]);
      next.client.channel.flow(true);
      await far.ask('send', index, 'here');
      await stage.received(next.client, 4);
    });

    promise(
      flags.handOver
        ? 'takes along what was read of it and not consumed'
        : 'was not read before: one that was is refused with ERR_PORTSIDE_UNSUPPORTED, and goes on here',
      async (cross) => {
        const { stage } = cross;
        const far = await cross.farEnd(4);
        const { client, channel } = await cross.fresh();
        const here = stage.record(channel);
        here.habits = { data: () => channel.flow(false) };
        const bytes = pattern(300_000);
        client.channel.send(bytes);
        channel.flow(true);
        await stage.until(() => here.batches > 0, 'the first bytes');
        if (flags.handOver) {
          assert.ok(far.passage.give(channel, 0));
          await far.ask('takeAll', 1);
          client.channel.shutdown();
          await far.ask('flow', 0, true);
          await far.heard(0, /^end$/u);
          assert.ok(Buffer.concat([here.bytes, Buffer.from(await far.ask('bytes', 0))]).equals(bytes));
          assert.equal(here.batches, 1);
          return;
        }
        assert.throws(() => far.passage.give(channel, 0), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
        here.habits = {};
        channel.flow(true);
        client.channel.flow(true);
        await stage.received(here, bytes.length);
        assert.ok(here.bytes.equals(bytes));
        channel.send(bytesOf('still here'));
        await stage.received(client, 10);
        assert.deepEqual([far.passage.waiting, await far.ask('pending')], [0, false]);
      },
    );

    if (!flags.handOver) return;
    promise('tells an end there that was heard here, behind the unread bytes', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      const here = stage.record(channel);
      client.channel.flow(true);
      channel.flow(true);
      client.channel.send(bytesOf('all'));
      client.channel.shutdown();
      await stage.until(() => here.log.includes('end'), 'the end');
      assert.ok(far.passage.give(channel, 0));
      await far.ask('takeAll', 1);
      await far.ask('flow', 0, true);
      await far.heard(0, /^end$/u);
      await far.ask('send', 0, 'answer');
      await far.ask('shutdown', 0);
      await stage.closed(client);
      assert.deepEqual(client.log, ['data:answer', 'end', 'close:ended']);
      assert.deepEqual(await far.heard(0, /^close/u), ['end', 'close:ended']);
    });

    promise('may have been written to before', async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      client.channel.flow(true);
      channel.send(bytesOf('from here, '));
      await sent(stage.until.bind(stage), channel);
      assert.ok(far.passage.give(channel, 0));
      await far.ask('takeAll', 1);
      await far.ask('send', 0, 'from there');
      await stage.received(client, 21);
      assert.deepEqual(client.log, ['data:from here, from there']);
    });
  });
}

function sent(until: (holds: () => boolean, what: string) => Promise<void>, channel: Channel): Promise<void> {
  return until(() => channel.queued === 0, 'the output to leave');
}
