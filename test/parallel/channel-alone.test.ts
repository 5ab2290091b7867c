import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { broadcast, channel } from '../../src/parallel/channel.ts';
import { connectSwitchboard, Switchboard } from '../../src/parallel/switchboard.ts';
import type { Peer } from '../../src/parallel/worker-channel.ts';
import { held } from '../support/memory.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { startNode } from '../support/program.ts';

const wrong = { code: 'ERR_PORTSIDE_OPTIONS' };

/** What is open for messages in this thread. */
const ports = (): number => process.getActiveResourcesInfo().filter((kind) => kind.includes('MessagePort')).length;

describe('a channel without a parallel listener', () => {
  leavesNothing();

  test('works, with nobody else there', () => {
    const room = channel<string>('alone');
    const heard: unknown[] = [];
    const offs = [room.receive((value) => heard.push(value)), room.onMember((event) => heard.push(event))];
    room.broadcast('x');
    broadcast('alone', 'y');
    assert.deepEqual([room.send({ parent: true }, 'x'), room.send({ worker: 0 }, 'x')], [false, false]);
    assert.deepEqual([room.self, room.members, room.name], [null, [], 'alone']);
    for (const off of offs) {
      off();
      off();
    }
    assert.deepEqual(heard, []);
  });

  test('is the same for the same name', () => {
    assert.equal(channel('a'), channel('a'));
    assert.notEqual(channel('a'), channel('b'));
    for (const name of ['', 7, undefined]) assert.throws(() => channel(name as string), wrong);
  });

  test('refuses what can’t be cloned, as it would with others there', () => {
    const room = channel('alone');
    const values: readonly unknown[] = [() => 1, Symbol('s'), Promise.resolve(), { inside: new WeakMap() }];
    for (const value of values) {
      assert.throws(() => room.broadcast(value), { ...wrong, message: /^broadcast: the value can't be cloned: / });
      assert.throws(() => room.send({ parent: true }, value), { ...wrong, message: /^send: / });
    }
    const cause = new Error('from a getter');
    const getter = Object.defineProperty({}, 'x', {
      enumerable: true,
      get: () => {
        throw cause;
      },
    });
    assert.throws(() => broadcast('alone', getter), { ...wrong, cause });
    // The reason that the engine gives quotes all of a function.
    const long = (): string =>
      'a password that stands somewhere in a function which is so long that nobody would look for it there: 12345';
    assert.throws(
      () => room.broadcast(long),
      ({ message }: Error) => message.endsWith('…') && !message.includes('12345'),
    );
  });

  test('refuses whom it can’t understand', () => {
    for (const to of [null, 1, 'parent', {}, { parent: false }, { worker: -1 }, { worker: 0.5 }]) {
      assert.throws(() => channel('alone').send(to as Peer, 1), { ...wrong, message: /to must be/u });
    }
  });

  test('leaves nothing of names that come and go', async () => {
    const kept = channel('kept');
    const before = held();
    for (let i = 0; i < 100_000; i += 1) channel(`room of client ${i}`).receive(() => {})();
    let more = Infinity;
    // Names are forgotten in turns after the collection.
    for (let i = 0; i < 50 && more > 2_000_000; i += 1) {
      await turn();
      more = held() - before;
    }
    assert.ok(more < 2_000_000, String(more));
    assert.equal(channel('kept'), kept);
  });

  test('keeps no process alive, nor does a switchboard with a ticket that nobody took', async (t) => {
    const lines = [
      `import { channel } from '${new URL('../../src/parallel/channel.ts', import.meta.url).href}';`,
      `import { Switchboard } from '${new URL('../../src/parallel/switchboard.ts', import.meta.url).href}';`,
      `channel('room').receive(() => {}); channel('room').broadcast(1);`,
      `const switchboard = new Switchboard(); switchboard.join(0);`,
      `switchboard.channel('room').receive(() => {}); switchboard.channel('room').broadcast(1);`,
    ];
    const program = startNode(t, ['--input-type=module', '-e', lines.join('\n')]);
    assert.deepEqual(await program.exit, { code: 0, signal: null }, program.err);
  });
});

describe('a switchboard and a link to it in one thread', () => {
  leavesNothing();

  test('leave nothing when they are closed, whoever is first, and can be made again', async () => {
    const exits = process.listenerCount('exit');
    // The channels would not wait for one another.
    const alive = setInterval(() => {}, 1_000);
    for (let round = 0; round < 50; round += 1) {
      const switchboard = new Switchboard();
      const link = connectSwitchboard(switchboard.join(round).ticket);
      assert.throws(() => connectSwitchboard(switchboard.join(round + 1).ticket), { code: 'ERR_PORTSIDE_STATE' });
      const parents = switchboard.channel<string>('room');
      const room = channel<string>('room');
      const heard: [string, Peer][] = [];
      const both = new Promise<void>((resolve) => {
        const hear = (value: string, from: Peer): void => {
          if (heard.push([value, from]) === 2) resolve();
        };
        const off = room.receive((value, from) => {
          off();
          hear(value, from);
        });
        parents.receive((value, from) => {
          parents.broadcast(`${value}!`);
          hear(value, from);
        });
      });
      room.broadcast('a');
      await both;
      assert.deepEqual(heard, [
        ['a', { worker: round }],
        ['a!', { parent: true }],
      ]);
      assert.equal(room.self, round);
      if (round % 2 === 0) {
        link.close();
        link.close();
        switchboard.close();
      } else {
        switchboard.close();
        while (room.send({ parent: true }, 'still there?')) await turn();
      }
    }
    while (ports() > 0) await turn();
    clearInterval(alive);
    assert.equal(process.listenerCount('exit'), exits);
  });
});
