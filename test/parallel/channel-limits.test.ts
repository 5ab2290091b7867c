import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Network } from './station.ts';
import type { Station } from './station.ts';

const LIMIT = 100;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Two flags that both threads see. */
function gate(): { shared: SharedArrayBuffer; open: () => void; passed: () => void } {
  const shared = new SharedArrayBuffer(8);
  const flags = new Int32Array(shared);
  return {
    shared,
    open: () => {
      Atomics.store(flags, 1, 1);
      Atomics.notify(flags, 1);
    },
    // Node lets its main thread wait too; nothing else happens in it meanwhile.
    passed: () => {
      assert.notEqual(Atomics.wait(flags, 0, 0, 20_000), 'timed-out');
    },
  };
}

/** Blocks a worker, and returns what lets it go on. */
function block(station: Station): () => Promise<unknown> {
  const { shared, open, passed } = gate();
  const done = station.do({ kind: 'block', gate: shared });
  passed();
  return () => {
    open();
    return done;
  };
}

describe('a worker that takes no messages', () => {
  leavesNothing();

  test('has as many on their way as the limit allows, and loses exactly those that come then', async (t) => {
    const network = new Network(t, { limit: LIMIT });
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    const room = network.switchboard.channel<number>('room');
    const release = block(a);
    for (let i = 0; i < 250; i += 1) room.broadcast(i);
    assert.equal(room.send({ worker: 0 }, -1), false);
    assert.equal(network.switchboard.dropped(0), 151);
    // The other one is blocked by nothing, but was sent all of it in one turn of the parent.
    await b.untilHeard('room', LIMIT);
    await release();
    await a.untilHeard('room', LIMIT);
    assert.deepEqual(a.values('room'), numbers(LIMIT));
    assert.equal(room.send({ worker: 0 }, 1_000), true);
    await a.untilHeard('room', LIMIT + 1);
    assert.equal(a.values('room').at(-1), 1_000);
    assert.equal(network.switchboard.dropped(0), 151);
  });

  test('holds up none of the others, whoever sends', async (t) => {
    const network = new Network(t, { limit: LIMIT });
    const [a, b, c] = await network.start(0, 1, 2);
    assert.ok(a && b && c);
    const release = block(a);
    let sent = 0;
    // Each part is taken before the next, so that nobody but the blocked one is behind.
    while (sent < 10 * LIMIT) {
      assert.deepEqual(await b.do({ kind: 'flood', channel: 'room', count: LIMIT / 2 }), { sent: 50, code: null });
      sent += LIMIT / 2;
      await c.untilHeard('room', sent);
    }
    assert.equal(network.switchboard.dropped(0), 9 * LIMIT);
    assert.deepEqual([network.switchboard.dropped(1), network.switchboard.dropped(2)], [0, 0]);
    await release();
    await a.untilHeard('room', LIMIT);
  });

  test('learns who came and went meanwhile, whatever it lost', async (t) => {
    const network = new Network(t, { limit: LIMIT });
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    const release = block(a);
    const room = network.switchboard.channel<number>('room');
    for (let i = 0; i < 250; i += 1) room.broadcast(i);
    await b.end();
    const again = network.boot(1);
    await again.do({ kind: 'open' });
    await again.untilEvents(1);
    await release();
    await a.untilEvents(3);
    assert.deepEqual(
      a.events.map(({ kind, worker }) => `${kind} ${worker}`),
      ['joined 1', 'gone 1', 'joined 1'],
    );
  });

  test('and is ended: what it never took is counted, and its follower begins with nothing on the way', async (t) => {
    const network = new Network(t, { limit: LIMIT });
    const [a] = await network.start(0);
    assert.ok(a);
    const room = network.switchboard.channel<number>('room');
    room.broadcast(1);
    await a.untilHeard('room', 1);
    block(a);
    for (let i = 0; i < 250; i += 1) room.broadcast(i);
    assert.equal(network.switchboard.dropped(0), 150);
    await a.end();
    assert.equal(network.switchboard.dropped(0), 250);
    const [again] = await network.start(0);
    assert.ok(again);
    for (let i = 0; i < LIMIT; i += 1) room.broadcast(i);
    await again.untilHeard('room', LIMIT);
    assert.equal(network.switchboard.dropped(0), 250);
  });

  test('takes no memory for what is dropped', async (t) => {
    const network = new Network(t);
    const [a] = await network.start(0);
    assert.ok(a);
    const release = block(a);
    const room = network.switchboard.channel('room');
    const value = 'x'.repeat(1_000);
    for (let i = 0; i < 10_000; i += 1) room.broadcast(value);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 200_000; i += 1) room.broadcast(value);
    assert.ok(process.memoryUsage().rss - before < 50_000_000);
    assert.equal(network.switchboard.dropped(0), 200_000);
    await release();
  });
});

describe('a worker that sends more than the parent takes', () => {
  leavesNothing();

  test('is told so at the message above the limit, and nothing that was sent is lost', async (t) => {
    const network = new Network(t, { limit: LIMIT });
    const heard: unknown[] = [];
    network.switchboard.channel('room').receive((value) => heard.push(value));
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    const { shared, passed } = gate();
    const flooded = a.do({ kind: 'flood', channel: 'room', count: 250, raise: shared });
    // The parent is in this turn, so it takes none.
    passed();
    assert.deepEqual(await flooded, { sent: LIMIT, code: 'ERR_PORTSIDE_LIMIT' });
    await b.untilHeard('room', LIMIT);
    assert.deepEqual([heard, b.values('room')], [numbers(LIMIT), numbers(LIMIT)]);
    assert.deepEqual(await a.do({ kind: 'flood', channel: 'room', count: 10 }), { sent: 10, code: null });
    await b.untilHeard('room', LIMIT + 10);
    assert.deepEqual([network.switchboard.lost(0), network.switchboard.dropped(1)], [0, 0]);
  });

  test('and is ended before it let them out: they are counted', async (t) => {
    const network = new Network(t);
    const heard: unknown[] = [];
    network.switchboard.channel('room').receive((value) => heard.push(value));
    const [a] = await network.start(0);
    assert.ok(a);
    const { shared, passed } = gate();
    void a.do({ kind: 'flood', channel: 'room', count: 100, raise: shared, hang: true });
    passed();
    await a.end();
    assert.deepEqual(heard, numbers(heard.length));
    assert.ok(heard.length < 100);
    assert.equal(heard.length + network.switchboard.lost(0), 100);
  });

  test('sends what the parent has not enough stack to read, or to pass on: it is counted, and the rest arrives', async (t) => {
    const network = new Network(t, { limit: 10 });
    const [a, b] = await network.start(0, 1);
    assert.ok(a && b);
    const depths = Array.from({ length: 60 }, (_, i) => 1_000 + 100 * i);
    let [ends, deep, alone] = [0, 0, 0];
    for (const depth of depths) {
      await a.do({ kind: 'nest', channel: 'room', depth });
      await a.do({ kind: 'broadcast', channel: 'room', values: ['end'] });
      ends += 1;
      await b.until(() => b.values('room').filter((value) => value === 'end').length === ends);
      const values = b.values('room').slice(deep + alone + ends - 1);
      const nested = values.filter((value) => value === 'nested').length;
      deep += nested * 2;
      if (nested === 0 && values.includes(depth)) alone += 1;
    }
    // What can't be passed on is alone in being lost; of what can't be read, all that came in its turn.
    assert.ok(deep > 0, String(deep));
    assert.equal(network.switchboard.dropped(1), alone);
    assert.equal(network.switchboard.lost(0), depths.length * 2 - deep - alone * 2);
    assert.ok(network.switchboard.lost(0) > 0);
  });
});
