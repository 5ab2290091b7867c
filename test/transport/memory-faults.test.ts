import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Channel } from '../../src/transport/contract.ts';
import { Ear, listenAt, pairOf, pattern, still, watched } from './memory-support.ts';

const chat = { kind: 'memory', name: 'chat' } as const;

describe('faults of a network in memory', () => {
  test('latency delays each delivery within its range, and keeps the order', async () => {
    const { clock, network } = still({ faults: { latency: { min: 10, max: 90 } } });
    const [a, b] = pairOf(network);
    for (let i = 0; i < 20; i++) a.channel.send(pattern(1, i));
    a.channel.shutdown();
    await clock.advance(9.9);
    assert.deepEqual(b.heard, []);
    await clock.advance(80.2);
    assert.deepEqual(Buffer.concat(b.chunks), Buffer.from(pattern(20)));
    assert.equal(b.heard.at(-1), 'end');
  });

  test('bandwidth spreads bytes over time, piece by piece', async () => {
    const { clock, network } = still({ faults: { bandwidth: 1_000 } });
    const [a, b] = pairOf(network);
    a.channel.send(pattern(2_000));
    a.channel.send(pattern(500));
    await clock.advance(1_000.5);
    assert.equal(b.bytes, 1_000);
    assert.ok(b.chunks.length >= 10);
    await clock.advance(1_500);
    assert.equal(b.bytes, 2_500);
  });

  test('split cuts chunks, and every piece arrives in a turn of its own', async () => {
    const { clock, network } = still({ faults: { split: 1 } });
    const [a, b] = pairOf(network);
    a.channel.send(pattern(10_000));
    await clock.settle();
    assert.ok(b.chunks.length > 3);
    assert.deepEqual(Buffer.concat(b.chunks), Buffer.from(pattern(10_000)));
  });

  test('coalesce joins chunks that were not read yet, up to 16 KiB', async () => {
    const { clock, network } = still({ faults: { coalesce: 1 } });
    const [a, b] = pairOf(network);
    for (let i = 0; i < 40; i++) a.channel.send(pattern(1_000, i * 1_000));
    await clock.settle();
    assert.deepEqual(Buffer.concat(b.chunks), Buffer.from(pattern(40_000)));
    assert.deepEqual(
      b.chunks.map((chunk) => chunk.length),
      [16_000, 16_000, 8_000],
    );
  });

  test('reset breaks the connection for both sides, at a delivery', async () => {
    const { clock, network } = still({ faults: { reset: 1 } });
    const [a, b] = pairOf(network);
    await clock.advance(1_000);
    assert.deepEqual([a.heard, b.heard], [[], []]);
    a.channel.send(pattern(10));
    await clock.settle();
    assert.deepEqual([a.heard, b.heard], [['close reset'], ['close reset']]);
    assert.equal(network.open, 0);
  });

  test('half-open is silence: the writer times out, the other side never hears', async () => {
    const { clock, network } = still({ faults: { halfOpen: 1 }, userTimeout: 5_000 });
    const [a, b] = pairOf(network);
    a.channel.send(pattern(10));
    await clock.advance(4_999);
    assert.deepEqual([a.heard, b.heard], [[], []]);
    await clock.advance(2);
    assert.deepEqual(a.closed?.kind, 'failed');
    assert.equal(a.code, 'ETIMEDOUT');
    await clock.advance(1_000_000);
    assert.deepEqual(b.heard, []);
    assert.equal(network.open, 1);
    b.channel.shutdown();
    await clock.advance(5_001);
    assert.equal(b.code, 'ETIMEDOUT');
    assert.equal(network.open, 0);
  });

  test('keep-alive finds out about a half-open peer without writing', async () => {
    const { clock, network } = still({ faults: { halfOpen: 1 }, userTimeout: 5_000 });
    const [a, b] = pairOf(network);
    b.channel.set({ kind: 'keepAlive', on: true, delay: 60_000 });
    a.channel.send(pattern(10));
    await clock.advance(64_999);
    assert.equal(b.closed, null);
    await clock.advance(2);
    assert.equal(b.code, 'ETIMEDOUT');
    assert.equal(network.open, 0);
  });

  test('refuse and lost SYNs fail dials as a kernel would', async () => {
    const { clock, network } = still({ synRetry: 2 });
    await listenAt(network);
    network.faults({ refuse: 1 });
    const refused = watched(network.transport.dial(chat).result);
    await clock.settle();
    assert.equal(refused.code, 'ECONNREFUSED');
    network.faults({ backlogFull: 1 });
    const lost = watched(network.transport.dial(chat).result);
    await clock.advance(6_999);
    assert.equal(lost.code, undefined);
    await clock.advance(2);
    assert.equal(lost.code, 'ETIMEDOUT');
    const late = watched(network.transport.dial(chat).result);
    await clock.advance(500);
    network.faults({});
    await clock.advance(501);
    assert.ok(late.value !== undefined);
  });

  test('descriptors that are lacking fail dials and hold up takes', async () => {
    const { clock, network } = still({ faults: { noDescriptors: 1 } });
    const acceptor = await listenAt(network);
    const dial = watched(network.transport.dial(chat).result);
    await clock.settle();
    assert.equal(dial.code, 'EMFILE');
    network.faults({});
    await clock.run(network.transport.dial(chat).result);
    network.faults({ noDescriptors: 1 });
    let trouble = '';
    acceptor.watcher = { ready() {}, trouble: (error) => (trouble = String(error.code)) };
    assert.equal(acceptor.take(), null);
    assert.equal(trouble, '');
    await clock.settle();
    assert.equal(trouble, 'EMFILE');
    assert.equal(acceptor.pending(), false);
    network.faults({});
    await clock.advance(51);
    assert.ok(acceptor.take() !== null);
  });

  test('a slow reader takes its bytes at its own pace and holds the writer up', async () => {
    const { clock, network } = still({ bufferSize: 1_000, faults: { slowReader: { rate: 100, side: 'server' } } });
    const [client, server] = pairOf(network);
    assert.equal(client.channel.send(pattern(1_500)), 500);
    server.channel.send(pattern(500));
    await clock.settle();
    assert.equal(client.bytes, 500, 'the other side reads as fast as ever');
    await clock.advance(5_000);
    assert.ok(server.bytes >= 500 && server.bytes <= 510, String(server.bytes));
    client.channel.destroy('flush');
    await clock.advance(10_100);
    assert.deepEqual(Buffer.concat(server.chunks), Buffer.from(pattern(1_500)));
    assert.equal(server.heard.at(-1), 'end');
  });

  test('hold where they are set, over those of the whole network', async () => {
    const { clock, network } = still({ faults: { latency: { min: 10, max: 10 } } });
    const open = async (name: string): Promise<[Ear, Ear]> => {
      const acceptor = await listenAt(network, name);
      const client = await clock.run(network.transport.dial({ kind: 'memory', name }).result);
      return [new Ear(client), new Ear(acceptor.take() as Channel)];
    };
    const [one, oneServer] = await open('one');
    const [two, twoServer] = await open('two');
    network.faults({ latency: { min: 100, max: 100 } }, 'memory://one');
    network.faults({ reset: 1 }, two.channel.local);
    one.channel.send(pattern(1));
    two.channel.send(pattern(1));
    await clock.advance(50);
    assert.deepEqual([oneServer.heard, twoServer.heard], [[], ['close reset']]);
    await clock.advance(51);
    assert.deepEqual(oneServer.heard, ['data 1']);
    network.faults({}, 'memory://one');
    one.channel.send(pattern(1));
    await clock.advance(11);
    assert.deepEqual(oneServer.heard, ['data 1', 'data 1']);
  });

  test('a reset discards what is in flight, not what arrived', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network, false);
    a.channel.send(Buffer.from('arrived'));
    network.faults({ latency: { min: 50, max: 50 } });
    a.channel.send(Buffer.from('in flight'));
    a.channel.destroy('reset');
    await clock.advance(100);
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual([b.text, b.heard.at(-1)], ['arrived', 'close reset']);
  });
});

describe('controls of a network in memory', () => {
  test('a partition holds everything up, and what was sent arrives when it heals', async () => {
    const { clock, network } = still({ userTimeout: 5_000 });
    await listenAt(network);
    const [a, b] = pairOf(network);
    network.partition(true);
    a.channel.send(Buffer.from('later'));
    a.channel.shutdown();
    const dial = watched(network.transport.dial(chat).result);
    await clock.advance(4_000);
    assert.deepEqual([b.heard, dial.value, dial.code], [[], undefined, undefined]);
    network.partition(false);
    await clock.advance(4_000);
    assert.deepEqual([b.text, b.heard.at(-1)], ['later', 'end']);
    assert.ok(dial.value !== undefined);
  });

  test('a partition that outlasts the user timeout fails who waits; the other side finds out by writing', async () => {
    const { clock, network } = still({ userTimeout: 5_000, bufferSize: 10 });
    const [a, b] = pairOf(network, false);
    a.channel.send(pattern(20));
    network.partition(true);
    await clock.advance(5_001);
    assert.equal(a.code, 'ETIMEDOUT');
    network.partition(false);
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual(b.heard, ['data 10']);
    b.channel.send(pattern(1));
    await clock.settle();
    assert.deepEqual(b.heard, ['data 10', 'close reset']);
    assert.equal(network.open, 0);
  });

  test('resetAll breaks every connection, the untaken too', async () => {
    const { clock, network } = still();
    const acceptor = await listenAt(network);
    const client = new Ear(await clock.run(network.transport.dial(chat).result));
    const [a, b] = pairOf(network);
    network.resetAll();
    await clock.settle();
    assert.deepEqual([client.closed?.kind, a.closed?.kind, b.closed?.kind], ['reset', 'reset', 'reset']);
    const server = new Ear(acceptor.take() as Channel);
    await clock.settle();
    assert.equal(server.closed?.kind, 'reset');
    assert.equal(network.open, 0);
  });

  test('open counts ends that live, released ones included', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network);
    assert.equal(network.open, 2);
    a.channel.destroy('drop');
    await clock.settle();
    assert.equal(network.open, 1);
    const released = b.channel.release();
    assert.equal(network.open, 1);
    assert.ok(released !== null);
    network.transport.adopt(released).destroy('drop');
    assert.equal(network.open, 0);
  });
});
