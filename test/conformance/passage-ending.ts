import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { TransportFlags } from '../../src/transport/contract.ts';
import type { Untaken } from '../../src/transport/passage.ts';
import { portOf } from './crossing.ts';
import type { Crossing, Fresh } from './crossing.ts';
import { dice } from './dice.ts';
import type { Promises } from './passage.ts';
import { bytesOf } from './recorder.ts';

const ROUNDS = 16;
const MOST = 40;

/** Holds what end() told to what has to become of it: back and alive, or lost and over. */
async function settles(
  cross: Crossing,
  told: readonly Untaken[],
  given: readonly Fresh[],
  back: boolean,
): Promise<void> {
  const { stage } = cross;
  cross.back(told);
  for (const { id, channel } of told) {
    const { client } = given[id]!;
    client.channel.flow(true);
    assert.equal(channel !== null, back, `number ${id} came back, or it didn't, as the transport can`);
    if (channel === null) continue;
    assert.equal(portOf(channel.remote), portOf(client.channel.local));
    channel.send(bytesOf('back'));
    channel.shutdown();
  }
  const first = back ? /^data:back$/u : /^(?:end|close:reset)$/u;
  await stage.until(() => told.every(({ id }) => given[id]!.client.log.length > 0), 'all to hear of it');
  for (const { id } of told) assert.match(given[id]!.client.log[0] ?? '', first);
}

/** Promises about the end of a passage. */
export function passageEnding(promise: Promises, { handOver }: TransportFlags): void {
  describe('the end', () => {
    promise('of one whose other thread lives tells whom it never took, in order, once', async (cross) => {
      const far = await cross.farEnd(8);
      const { passage } = far;
      const all = await cross.many(6);
      let rooms = 0;
      passage.onRoom = () => void (rooms += 1);
      all.slice(0, 5).forEach(({ channel }, index) => assert.ok(passage.give(channel, index)));
      await far.ask('takeAll', 2);
      const told = passage.end();
      assert.deepEqual(
        told.map(({ id }) => id),
        [2, 3, 4],
      );
      assert.deepEqual([passage.taken, passage.end()], [2, []]);
      assert.equal(passage.give(all[5]!.channel, 5), false);
      await settles(cross, told, all, handOver);
      assert.deepEqual([await far.ask('take'), await far.ask('pending')], [null, false], 'it takes nobody any more');
      const { client } = all[1]!;
      client.channel.flow(true);
      await far.ask('send', 1, 'taken is taken');
      await cross.stage.received(client, 14);
      const last = all[5]!;
      last.client.channel.flow(true);
      last.channel.send(bytesOf('as before'));
      await cross.stage.received(last.client, 9);
      assert.equal(rooms, 0);
    });

    promise('is known there at once: what was told is not taken, whoever comes first', async (cross) => {
      const far = await cross.farEnd(8);
      const all = await cross.many(5);
      all.forEach(({ channel }, index) => assert.ok(far.passage.give(channel, index)));
      await far.comes();
      const told = far.passage.end();
      assert.equal(told.length, 5);
      assert.deepEqual([await far.ask('take'), await far.ask('pending')], [null, false]);
      assert.equal(far.passage.taken, 0);
      await settles(cross, told, all, handOver);
    });

    promise('of one whose other thread has died is exact, and whoever was given to the dead is told', async (cross) => {
      const far = await cross.farEnd(8);
      const { passage } = far;
      const all = await cross.many(6);
      all.slice(0, 4).forEach(({ channel }, index) => assert.ok(passage.give(channel, index)));
      const [kept] = await far.ask('takeAll', 1);
      assert.ok(kept !== undefined);
      await far.kill();
      const count = all.slice(4).filter(({ channel }, index) => passage.give(channel, 4 + index)).length;
      const told = passage.end();
      assert.equal(passage.taken, 1);
      assert.deepEqual(
        told.map(({ id }) => id),
        [1, 2, 3, 4, 5].slice(0, 3 + count),
      );
      const { client } = all[0]!;
      client.channel.flow(true);
      await cross.stage.until(() => client.log.length > 0, 'the end of what was taken');
      await settles(cross, told, all, handOver);
    });

    promise('of one that nobody ever took over leaves nothing', async (cross) => {
      const passage = cross.passage(8);
      const all = await cross.many(3);
      all.forEach(({ channel }, id) => assert.ok(passage.give(channel, id)));
      const told = passage.end();
      assert.deepEqual(
        told.map(({ id }) => id),
        [0, 1, 2],
      );
      await settles(cross, told, all, handOver);
    });

    promise(
      'after the thread was ended in the middle of anything has each either taken or told, exactly once',
      async (cross) => {
        for (let seed = 1; seed <= ROUNDS; seed++) {
          const draw = dice(seed);
          const capacity = 1 + draw(MOST);
          const far = await cross.farEnd(capacity);
          const { passage } = far;
          const book = new Int32Array(new SharedArrayBuffer(4 * (MOST + 1)));
          await far.ask('harvest', seed, book);
          const all = await cross.many(MOST);
          const ports = all.map(({ client }) => portOf(client.channel.local));
          let next = 0;
          let kept = 0;
          const given: Fresh[] = [];
          const give = (): void => {
            for (let burst = 1 + draw(6); burst > 0 && next < all.length; burst--) {
              if (!passage.give(all[next]!.channel, given.length)) {
                kept += 1;
                return;
              }
              given.push(all[next]!);
              next += 1;
            }
          };
          // Ended at a turn that nobody knows, from before the first to after the last.
          const last = draw(12);
          let dead: Promise<void> | null = null;
          for (let turn = 0; turn < 16; turn++) {
            if (turn === last) dead = far.kill();
            give();
            await new Promise((resolve) => {
              setImmediate(resolve);
            });
          }
          await (dead ?? far.kill());
          const told = passage.end();
          const written = book[0]!;
          const what = `seed ${seed}: ${given.length} given, ${kept} times refused, ${passage.taken} taken, ${told.length} told, ${written} written down`;
          assert.equal(passage.taken + told.length, given.length, what);
          assert.deepEqual(
            told.map(({ id }) => id),
            given.map((_, index) => index).slice(passage.taken),
            what,
          );
          // It may have been ended between taking one and writing it down.
          assert.ok(written === passage.taken || written === passage.taken - 1, what);
          assert.deepEqual([...book.subarray(1, 1 + written)], ports.slice(0, written), what);
          assert.deepEqual(passage.end(), []);
          await settles(cross, told, given, handOver);
          for (const { client } of all) client.channel.destroy('reset');
          for (const { channel } of told) channel?.destroy('reset');
          for (const { channel } of all.slice(next)) channel.destroy('reset');
          await cross.stage.closed(...all.map(({ client }) => client));
        }
      },
    );
  });
}
