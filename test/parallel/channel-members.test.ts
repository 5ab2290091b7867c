import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, test } from 'node:test';
import type { MemberEvent, Peer } from '../../src/parallel/worker-channel.ts';
import { Switchboard } from '../../src/parallel/switchboard.ts';
import { current, enter, leave } from '../../src/server/ambient.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { endAll, nets, pairOn } from '../support/nets.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { Network } from './station.ts';
import type { Station } from './station.ts';

const closedCode = { code: 'ERR_PORTSIDE_CLOSED' };

/** What the parent hears: `joined 1`, `gone 1`, and values with their senders. */
function listenIn(network: Network): string[] {
  const log: string[] = [];
  const room = network.switchboard.channel('room');
  room.onMember(({ kind, worker }) => log.push(`${kind} ${worker}`));
  room.receive((value, from) => log.push(`${String(value)} from ${String(from.worker)}`));
  return log;
}

describe('the members of a channel', () => {
  leavesNothing();

  test('are the other workers, at each and at the parent, with each one’s own index', async (t) => {
    const network = new Network(t);
    const events: MemberEvent[] = [];
    const room = network.switchboard.channel('room');
    room.onMember((event) => events.push(event));
    const [a, b, c] = await network.start(4, 0, 2);
    assert.ok(a && b && c);
    assert.deepEqual(await a.do({ kind: 'members' }), { self: 4, members: [0, 2] });
    assert.deepEqual(await b.do({ kind: 'members' }), { self: 0, members: [2, 4] });
    assert.deepEqual([room.self, room.members], [null, [0, 2, 4]]);
    assert.deepEqual(events.map(({ kind, worker }) => `${kind} ${worker}`).toSorted(), [
      'joined 0',
      'joined 2',
      'joined 4',
    ]);
  });

  test('one that comes later is told of all, and all of it', async (t) => {
    const network = new Network(t);
    const [a] = await network.start(0);
    const [b] = await network.start(1);
    assert.ok(a && b);
    assert.deepEqual([a.events, b.events], [[{ kind: 'joined', worker: 1 }], [{ kind: 'joined', worker: 0 }]]);
  });

  test('one that boots is none yet: nothing is sent to it, until it sends itself or is opened', async (t) => {
    const network = new Network(t);
    const [a] = await network.start(0);
    const b = network.boot(1);
    const c = network.boot(2);
    assert.ok(a);
    await Promise.all([b, c].map((each) => each.until(() => each.ready)));
    const room = network.switchboard.channel('room');
    room.broadcast('too early');
    assert.deepEqual([room.members, room.send({ worker: 1 }, 'nobody')], [[0], false]);
    assert.deepEqual(await b.do({ kind: 'members' }), { self: 1, members: [] });
    await b.do({ kind: 'broadcast', channel: 'room', values: ['here I am'] });
    await a.until(() => a.log.includes('room from 1'));
    assert.deepEqual(a.log, ['room from parent', 'joined 1', 'room from 1']);
    await c.do({ kind: 'open' });
    await b.until(() => b.log.includes('joined 2'));
    room.broadcast('now');
    await Promise.all([b.untilHeard('room', 1), c.untilHeard('room', 1)]);
    assert.deepEqual([b.values('room'), c.values('room')], [['now'], ['now']]);
    assert.deepEqual([b.log[0], c.events.length, network.switchboard.dropped(1)], ['joined 0', 2, 0]);
  });

  for (const how of ['terminate', 'exit', 'throw'] as const) {
    test(`are told once when one ends by ${how}, after all that it sent`, async (t) => {
      const network = new Network(t);
      const log = listenIn(network);
      const [a, b, c] = await network.start(0, 1, 2);
      assert.ok(a && b && c);
      await b.do({ kind: 'broadcast', channel: 'room', values: ['x', 'y'] });
      if (how !== 'terminate') void b.do({ kind: how });
      await b.end(how === 'terminate' ? 'terminate' : 'wait');
      await Promise.all([a, c].map((each) => each.until(() => each.log.includes('gone 1'))));
      for (const { log: heard } of [a, c]) {
        assert.deepEqual(heard.filter((line) => line.endsWith('1')).slice(1), ['room from 1', 'room from 1', 'gone 1']);
      }
      assert.deepEqual(log.slice(3), ['x from 1', 'y from 1', 'gone 1']);
      assert.deepEqual(network.switchboard.channel('room').members, [0, 2]);
      assert.deepEqual(b.errors.map(String), how === 'throw' ? ['Error: it was told to'] : []);
      network.switchboard.leave(1);
      assert.equal(log.length, 6);
    });
  }

  test('one that ends is missed without being told to leave', async (t) => {
    const network = new Network(t);
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    await b.worker.terminate();
    await a.until(() => a.log.includes('gone 1'));
    assert.deepEqual(network.switchboard.channel('room').members, [0]);
  });

  test('one that is restarted is another with the same index: what is meant for the old one never reaches it', async (t) => {
    const network = new Network(t);
    const senders: Peer[] = [];
    const room = network.switchboard.channel('room');
    room.receive((_value, from) => senders.push(from));
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    await b.do({ kind: 'broadcast', channel: 'room', values: ['old'] });
    await a.untilHeard('room', 1);
    await b.end();
    const [again] = await network.start(1);
    assert.ok(again);
    await again.do({ kind: 'broadcast', channel: 'room', values: ['new'] });
    await a.untilHeard('room', 2);
    assert.deepEqual(a.log, ['joined 1', 'room from 1', 'gone 1', 'joined 1', 'room from 1']);
    const [old, now] = senders;
    assert.ok(old && now);
    assert.deepEqual([old, now], [{ worker: 1 }, { worker: 1 }]);
    assert.deepEqual([room.send(old, 'late'), room.send(now, 'answer')], [false, true]);
    assert.equal(room.send({ worker: 1 }, 'by index'), true);
    await again.untilHeard('room', 2);
    assert.deepEqual(again.values('room'), ['answer', 'by index']);
  });

  test('nothing of one comes after it is gone, and all before is whole, whenever it is ended', async (t) => {
    const network = new Network(t);
    const log = listenIn(network);
    const [a] = await network.start(0);
    assert.ok(a);
    for (let round = 0; round < 8; round += 1) {
      const [b] = await network.start(1);
      assert.ok(b);
      void b.do({ kind: 'stream', channel: 'room' });
      const from = a.log.length - 1;
      await a.until(() => a.log.length > from + 200 * round);
      await b.end();
      const gone = a.log.filter((line) => line === 'gone 1').length;
      await a.until(() => a.log.filter((line) => line === 'gone 1').length > gone || a.log.at(-1) === 'gone 1');
      assert.equal(a.log.at(-1), 'gone 1');
    }
    for (const lives of [eachLife(log), eachLife(lifeOf(a))]) {
      assert.equal(lives.length, 8);
      for (const values of lives) assert.deepEqual(values, [...values.keys()]);
    }
  });

  test('one that has to leave while it lives has nobody else any more, and can go on', async (t) => {
    const network = new Network(t);
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    network.switchboard.channel('room').broadcast('last');
    network.switchboard.leave(1);
    await b.until(() => b.log.includes('gone 0'));
    assert.deepEqual(b.log, ['joined 0', 'room from parent', 'gone 0']);
    assert.deepEqual(await b.do({ kind: 'members' }), { self: 1, members: [] });
    await b.do({ kind: 'broadcast', channel: 'room', values: ['anybody?'] });
    assert.equal(await b.do({ kind: 'send', channel: 'room', to: { parent: true }, value: 1 }), false);
    await a.until(() => a.log.includes('gone 1'));
    assert.deepEqual(a.values('room'), ['last']);
  });

  test('a worker may leave by itself', async (t) => {
    const network = new Network(t);
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    await b.do({ kind: 'broadcast', channel: 'room', values: ['bye'] });
    await b.do({ kind: 'close' });
    await a.until(() => a.log.includes('gone 1'));
    assert.deepEqual(a.log, ['joined 1', 'room from 1', 'gone 1']);
    assert.deepEqual(b.log, ['joined 0', 'gone 0']);
  });

  test('all are gone when the switchboard closes, and nobody can join', async (t) => {
    const network = new Network(t);
    const log = listenIn(network);
    const room = network.switchboard.channel('room');
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    room.broadcast('last');
    await network.switchboard[Symbol.asyncDispose]();
    network.switchboard.close();
    assert.deepEqual(log.slice(2).toSorted(), ['gone 0', 'gone 1']);
    room.broadcast('nobody');
    assert.deepEqual([room.members, room.send({ worker: 0 }, 1)], [[], false]);
    assert.throws(() => network.switchboard.join(3), closedCode);
    await Promise.all([a, b].map((each) => each.until(() => each.log.some((line) => line.startsWith('gone')))));
    assert.deepEqual([a.values('room'), b.values('room')], [['last'], ['last']]);
  });

  test('joining twice, or under no index, is a mistake', (t) => {
    const { switchboard } = new Network(t);
    switchboard.join(0);
    assert.throws(() => switchboard.join(0), { code: 'ERR_PORTSIDE_STATE', message: /worker 0 has not left/u });
    for (const index of [-1, 1.5, Number.NaN]) {
      assert.throws(() => switchboard.join(index), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    switchboard.leave(0);
    switchboard.join(0);
    assert.throws(() => new Switchboard({ limit: 0 }), { code: 'ERR_PORTSIDE_OPTIONS', message: /limit/u });
  });
});

describe('who hears in the parent', () => {
  leavesNothing();

  test('may throw: it is uncaught, and stops no other', async (t) => {
    const network = new Network(t);
    const heard: string[] = [];
    const room = network.switchboard.channel('room');
    const [a] = await network.start(0);
    assert.ok(a);
    await capturingUncaught(async (caught) => {
      room.receive(() => {
        throw new Error('receiver');
      });
      room.receive((value) => heard.push(String(value)));
      room.onMember(() => {
        throw new Error('watcher');
      });
      room.onMember(({ kind }) => heard.push(kind));
      await a.do({ kind: 'broadcast', channel: 'room', values: ['a', 'b'] });
      await a.end();
      assert.deepEqual(heard, ['a', 'b', 'gone']);
      while (caught.length < 3) await new Promise((resolve) => void setImmediate(resolve));
      assert.deepEqual(caught.map(String), ['Error: receiver', 'Error: receiver', 'Error: watcher']);
    });
  });

  test('may make the sender leave: all that came is heard before it is gone', async (t) => {
    const network = new Network(t);
    const log: string[] = [];
    const room = network.switchboard.channel('room');
    room.receive((value) => {
      log.push(String(value));
      network.switchboard.leave(0);
      log.push(`after ${String(value)}`);
    });
    const gone = new Promise<void>((resolve) => {
      room.onMember(({ kind }) => {
        log.push(kind);
        if (kind === 'gone') resolve();
      });
    });
    const [a] = await network.start(0);
    assert.ok(a);
    await a.do({ kind: 'broadcast', channel: 'room', values: [1, 2, 3] });
    await gone;
    assert.deepEqual(log, ['joined', '1', 'after 1', '2', 'after 2', '3', 'after 3', 'gone']);
  });

  test('hears what came before a worker leaves, in the same turn too', async (t) => {
    const network = new Network(t);
    const log = listenIn(network);
    const [a] = await network.start(0);
    assert.ok(a);
    const raised = new SharedArrayBuffer(8);
    // So many go out at once, and this thread has no turn in which it could take them.
    void a.do({ kind: 'flood', channel: 'room', count: 64 * 3, raise: raised });
    assert.notEqual(Atomics.wait(new Int32Array(raised), 0, 0, 20_000), 'timed-out');
    network.switchboard.leave(0);
    const came = log.slice(1, -1);
    assert.deepEqual([log.at(0), log.at(-1)], ['joined 0', 'gone 0']);
    assert.ok(came.length >= 64 * 2);
    assert.deepEqual(
      came,
      came.map((_, i) => `${i} from 0`),
    );
    assert.equal(came.length + network.switchboard.lost(0), 64 * 3);
  });

  test('hears from the next message on when it began within one', async (t) => {
    const network = new Network(t);
    const room = network.switchboard.channel('room');
    const log: string[] = [];
    room.receive((value) => {
      log.push(`first ${String(value)}`);
      if (value === 1) room.receive((later) => log.push(`second ${String(later)}`));
    });
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    await a.do({ kind: 'broadcast', channel: 'room', values: [1, 2] });
    await b.untilHeard('room', 2);
    assert.deepEqual(log, ['first 1', 'first 2', 'second 2']);
  });

  test('hears no more once it is off, also within one message', async (t) => {
    const network = new Network(t);
    const room = network.switchboard.channel('room');
    const log: string[] = [];
    const offs = [
      room.receive((value) => {
        log.push(`first ${String(value)}`);
        offs[0]?.();
        offs[1]?.();
        room.receive((later) => log.push(`third ${String(later)}`));
      }),
      room.receive((value) => log.push(`second ${String(value)}`)),
    ];
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    await a.do({ kind: 'broadcast', channel: 'room', values: [1, 2] });
    await b.untilHeard('room', 2);
    assert.deepEqual(log, ['first 1', 'third 2']);
  });

  test('hears it for no connection, whoever made it hear or made another leave', async (t) => {
    const network = new Network(t);
    const [net] = nets();
    assert.ok(net);
    const { server, client } = await pairOn(net);
    const room = network.switchboard.channel('room');
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const see = (): void => void seen.push(current(), storage.getStore());
    const inside = (fn: () => void): void =>
      storage.run('somebody', () => {
        const before = enter(server);
        fn();
        leave(before);
      });
    inside(() => {
      room.receive(see);
      room.onMember(see);
    });
    const started: Station[] = [];
    inside(() => started.push(network.boot(0)));
    const [a] = started;
    assert.ok(a);
    // The parent's answer comes after it has heard.
    const asked = network.switchboard.channel('ask');
    asked.receive((value, from) => void room.send(from, value));
    await a.do({ kind: 'broadcast', channel: 'room', values: [1] });
    await a.do({ kind: 'broadcast', channel: 'ask', values: [2] });
    await a.untilHeard('room', 1);
    assert.equal(seen.length, 4);
    inside(() => network.switchboard.leave(0));
    assert.deepEqual(seen, Array(6).fill(undefined));
    await endAll(server, client);
  });
});

/** The numbers that came between each time that worker 1 came and went. */
function eachLife(log: readonly string[]): number[][] {
  return log
    .join('\n')
    .split('joined 1\n')
    .slice(1)
    .map((life) => {
      assert.match(life, /^(?:\d+ from 1\n)*gone 1\n?$/u);
      return [...life.matchAll(/^(\d+) from 1$/gmu)].map(([, value]) => Number(value));
    });
}

/** What a station heard, as the parent's log has it. */
function lifeOf(station: Station): string[] {
  const values = station.values('room')[Symbol.iterator]();
  return station.log.map((line) => (line === 'room from 1' ? `${String(values.next().value)} from 1` : line));
}
