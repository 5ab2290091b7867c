import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import type { Peer } from '../../src/parallel/worker-channel.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Network } from './station.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('a channel between workers', () => {
  leavesNothing();

  test('what one sends arrives at every other and the parent, in order, and not at oneself', async (t) => {
    const network = new Network(t);
    const heard: { value: unknown; from: Peer }[] = [];
    network.switchboard.channel('room').receive((value, from) => heard.push({ value, from }));
    const [a, b, c] = await network.start(0, 1, 2);
    assert.ok(a && b && c);
    await Promise.all([
      a.do({ kind: 'flood', channel: 'room', count: 1_000 }),
      b.do({ kind: 'flood', channel: 'room', count: 1_000 }),
    ]);
    await Promise.all([a.untilHeard('room', 1_000), b.untilHeard('room', 1_000), c.untilHeard('room', 2_000)]);
    for (const index of [0, 1]) {
      const from = (entry: { from: Peer }): boolean => entry.from.worker === index;
      for (const all of [c.heard('room'), heard]) {
        assert.deepEqual(
          all.filter(from).map(({ value }) => value),
          numbers(1_000),
        );
      }
    }
    assert.deepEqual([...new Set(a.heard('room').map(({ from }) => from.worker))], [1]);
    assert.deepEqual([...new Set(b.heard('room').map(({ from }) => from.worker))], [0]);
    assert.equal(heard.length, 2_000);
    // An answer to all of it, so that nothing more can be on its way.
    network.switchboard.channel('room').broadcast('end');
    await Promise.all([a, b, c].map((each) => each.until(() => each.values('room').at(-1) === 'end')));
    assert.deepEqual([a.heard('room').length, b.heard('room').length, c.heard('room').length], [1_001, 1_001, 2_001]);
    for (const each of [a, b, c]) assert.deepEqual(each.heard('room').at(-1)?.from, { parent: true });
  });

  test('channels are apart by name, made before the worker was connected or after', async (t) => {
    const network = new Network(t, { channels: ['before', 'after'] });
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    await a.do({ kind: 'broadcast', channel: 'before', values: [1] });
    await a.do({ kind: 'broadcast', channel: 'nobody', values: [2] });
    await a.do({ kind: 'broadcast', channel: 'after', values: [3] });
    await b.untilHeard('after', 1);
    assert.deepEqual([b.values('before'), b.values('after')], [[1], [3]]);
  });

  test('a message to one reaches that one, whoever it is, and is refused for oneself and for nobody', async (t) => {
    const network = new Network(t);
    const heard: unknown[] = [];
    const room = network.switchboard.channel('room');
    room.receive((value) => heard.push(value));
    const [a, b, c] = await network.start(0, 1, 7);
    assert.ok(a && b && c);
    const send = (to: Peer, value: unknown): Promise<unknown> => a.do({ kind: 'send', channel: 'room', to, value });
    assert.equal(await send({ worker: 7 }, 'to c'), true);
    assert.equal(await send({ parent: true }, 'to the parent'), true);
    assert.equal(await send({ worker: 0 }, 'to oneself'), false);
    assert.equal(await send({ worker: 2 }, 'to nobody'), false);
    assert.deepEqual([room.send({ worker: 1 }, 'down'), room.send({ worker: 2 }, 'x')], [true, false]);
    assert.equal(room.send({ parent: true }, 'to oneself'), false);
    await a.do({ kind: 'broadcast', channel: 'room', values: ['end'] });
    await Promise.all([b.untilHeard('room', 2), c.untilHeard('room', 2)]);
    assert.deepEqual([b.values('room'), c.values('room'), a.values('room')], [['down', 'end'], ['to c', 'end'], []]);
    assert.deepEqual(heard, ['to the parent', 'end']);
  });

  test('a worker answers what the parent asks, and the parent what a worker asks', async (t) => {
    const network = new Network(t, { channels: ['double'] });
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    await b.do({ kind: 'double', channel: 'double' });
    const ask = network.switchboard.channel<number>('double');
    const answer = new Promise<{ value: number; from: Peer }>((resolve) => {
      ask.receive((value, from) => {
        if (from.worker === 1) resolve({ value, from });
        else ask.send(from, value * 3);
      });
    });
    assert.ok(ask.send({ worker: 1 }, 21));
    assert.deepEqual(await answer, { value: 42, from: { worker: 1 } });
    await a.do({ kind: 'send', channel: 'double', to: { parent: true }, value: 5 });
    await a.untilHeard('double', 1);
    assert.deepEqual(a.heard('double'), [{ value: 15, from: { parent: true } }]);
  });

  test('values are copies: bytes, maps, dates; memory that is shared stays so', async (t) => {
    const network = new Network(t);
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    const room = network.switchboard.channel('room');
    const bytes = new Uint8Array([1, 2, 3]);
    const object = { list: [1], when: new Date(5), map: new Map([['k', new Set([1n])]]) };
    room.broadcast(bytes);
    room.broadcast(object);
    const shared = new SharedArrayBuffer(4);
    room.broadcast(new Int32Array(shared));
    // What becomes of them in this turn is nobody's business.
    bytes.fill(9);
    object.list.push(2);
    await a.untilHeard('room', 3);
    const [first, second, third] = a.values('room') as [Uint8Array, typeof object, Int32Array];
    assert.deepEqual(first, new Uint8Array([1, 2, 3]));
    assert.deepEqual(second, { list: [1], when: new Date(5), map: new Map([['k', new Set([1n])]]) });
    new Int32Array(shared)[0] = 77;
    assert.equal(third[0], 77);
  });

  test('a small piece of a large buffer takes only itself along', async (t) => {
    const network = new Network(t);
    const [a] = await network.start(0);
    assert.ok(a);
    network.switchboard.channel('room').broadcast(Buffer.alloc(100_000, 'x').subarray(10, 12));
    await a.untilHeard('room', 1);
    const [piece] = a.values('room') as [Uint8Array];
    assert.deepEqual([piece.length, piece.buffer.byteLength], [2, 2]);
  });

  test('a receiver in the parent can’t change what the workers get', async (t) => {
    const network = new Network(t);
    const room = network.switchboard.channel<{ n: number }>('room');
    room.receive((value) => {
      value.n = -1;
    });
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    await a.do({ kind: 'broadcast', channel: 'room', values: [{ n: 1 }, { n: 2 }] });
    await b.untilHeard('room', 2);
    assert.deepEqual(b.values('room'), [{ n: 1 }, { n: 2 }]);
  });

  test('what was sent last arrives although the worker exits in the same turn', async (t) => {
    const network = new Network(t);
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    void a.do({ kind: 'last-words', channel: 'room', value: 'farewell' });
    await b.until(() => b.log.includes('gone 0'));
    assert.deepEqual(b.log, ['joined 0', 'room from 0', 'gone 0']);
    await a.end('wait');
    assert.deepEqual([network.switchboard.lost(0), network.switchboard.dropped(0)], [0, 0]);
  });

  test('keeps no thread alive, neither the worker’s nor the parent’s', async (t) => {
    const network = new Network(t);
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    const exit = once(a.worker, 'exit');
    void a.do({ kind: 'quiet' });
    assert.deepEqual(await exit, [0]);
    await b.until(() => b.log.includes('gone 0'));
  });
});
