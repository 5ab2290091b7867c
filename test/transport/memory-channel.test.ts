import { AsyncLocalStorage } from 'node:async_hooks';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Channel } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { Ear, pairOf, pattern, still } from './memory-support.ts';

describe('a channel in memory', () => {
  test('hears nothing inside of a call, and everything in order from the next turns', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network);
    a.channel.send(Buffer.from('one'));
    a.channel.send(Buffer.from('two'));
    a.channel.shutdown();
    a.channel.wantWritable();
    assert.deepEqual([a.heard, b.heard], [[], []]);
    await clock.settle();
    assert.deepEqual(a.heard, ['writable']);
    assert.deepEqual(b.heard, ['data 3', 'data 3', 'end']);
    b.channel.shutdown();
    await clock.settle();
    assert.deepEqual(a.heard, ['writable', 'end', 'close ended']);
    assert.deepEqual(b.heard, ['data 3', 'data 3', 'end', 'close ended']);
    assert.equal(network.open, 0);
  });

  test('takes what fits into the buffer and queues the rest until the peer reads', async () => {
    const { clock, network } = still({ bufferSize: 1_000 });
    const [a, b] = pairOf(network, false);
    assert.equal(a.channel.send(pattern(700)), 0);
    assert.equal(a.channel.send(pattern(700, 700)), 400);
    assert.equal(a.channel.send(pattern(50, 1_400)), 450);
    a.channel.wantWritable();
    a.channel.wantWritable();
    await clock.settle();
    assert.equal(a.channel.queued, 450);
    assert.deepEqual(a.heard, []);
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual(a.heard, ['writable']);
    assert.deepEqual(Buffer.concat(b.chunks), Buffer.from(pattern(1_450)));
  });

  test('gives the reader bytes that nobody else holds', async () => {
    const { clock, network } = still({ bufferSize: 4 });
    const [a, b] = pairOf(network);
    const sent = Buffer.from('abcdefgh');
    a.channel.send(sent);
    // A view that another backend lent is overwritten once the call is over.
    sent.fill(0);
    await clock.settle();
    assert.equal(b.text, 'abcdefgh');
    b.chunks[0]?.fill(0);
    assert.equal(Buffer.from(b.chunks[1] ?? []).toString(), 'efgh');
  });

  test('stops within a batch when flow is turned off', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network, false);
    b.data = function data(this: Ear, bytes) {
      Ear.prototype.data.call(this, bytes);
      this.channel.flow(false);
    };
    for (const word of ['one', 'two', 'three']) a.channel.send(Buffer.from(word));
    a.channel.destroy('flush');
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual(b.heard, ['data 3']);
    b.channel.flow(true);
    await clock.settle();
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual(b.heard, ['data 3', 'data 3', 'data 5']);
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual(b.heard.slice(3), ['end']);
  });

  test('reads the bytes that arrived before it hears of the reset', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network, false);
    a.channel.send(Buffer.from('last words'));
    a.channel.destroy('reset');
    await clock.settle();
    assert.deepEqual([a.heard, b.heard], [['close aborted'], []]);
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual(b.heard, ['data 10', 'close reset']);
    assert.equal(b.code, 'ECONNRESET');
    assert.equal(network.open, 0);
  });

  test('learns of a reset by writing, with flow off', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network, false);
    a.channel.destroy('reset');
    await clock.settle();
    assert.deepEqual(b.heard, []);
    assert.equal(b.channel.send(Buffer.from('x')), 0);
    await clock.settle();
    assert.equal(b.closed?.kind, 'reset');
  });

  test('gets a reset when it writes to a peer that is gone', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network);
    a.channel.destroy('drop');
    await clock.settle();
    assert.deepEqual(b.heard, ['end']);
    b.channel.send(Buffer.from('hello?'));
    await clock.settle();
    assert.deepEqual(b.heard, ['end', 'close reset']);
    assert.equal(b.code, 'EPIPE');
    assert.equal(network.open, 0);
  });

  test('resets its peer when it is dropped with unread input, and ends in order without', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network, false);
    b.channel.flow(true);
    b.channel.send(Buffer.from('unread'));
    a.channel.destroy('drop');
    await clock.settle();
    assert.deepEqual(b.heard, ['close reset']);
    const [c, d] = pairOf(network);
    d.channel.send(Buffer.from('read'));
    await clock.settle();
    c.channel.destroy('drop');
    await clock.settle();
    assert.deepEqual(d.heard, ['end']);
    d.channel.destroy('drop');
    await clock.settle();
    assert.equal(network.open, 0);
  });

  test('flushes what is queued before it closes, however slowly the peer reads', async () => {
    const { clock, network } = still({ bufferSize: 10 });
    const [a, b] = pairOf(network, false);
    a.channel.send(pattern(35));
    a.channel.destroy('flush');
    await clock.settle();
    assert.equal(a.closed, null);
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual(a.heard, ['close closed']);
    assert.equal(b.bytes, 35);
    assert.equal(b.heard.at(-1), 'end');
  });

  test('counts what a drop leaves unsent, and a harder way to end overtakes a softer one', async () => {
    const { clock, network } = still({ bufferSize: 10 });
    const [a, b] = pairOf(network, false);
    a.channel.send(pattern(35));
    a.channel.destroy('flush');
    a.channel.destroy('drop');
    await clock.settle();
    assert.deepEqual(a.closed, { kind: 'dropped', unsent: 25 });
    b.channel.flow(true);
    await clock.settle();
    assert.deepEqual(b.heard, ['data 10', 'end']);
    const [c, d] = pairOf(network);
    c.channel.destroy('drop');
    c.channel.destroy('reset');
    c.channel.destroy('flush');
    await clock.settle();
    assert.deepEqual([c.heard, d.heard.at(-1)], [['close aborted'], 'close reset']);
  });

  test('does nothing once it is closed or released', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network);
    a.channel.destroy('reset');
    await clock.settle();
    const before = [...a.heard];
    a.channel.flow(true);
    a.channel.wantWritable();
    a.channel.shutdown();
    a.channel.destroy('reset');
    a.channel.set({ kind: 'keepAlive', on: true, delay: 1 });
    assert.deepEqual(
      [a.channel.send(pattern(3)), a.channel.sendAll([pattern(3)]), a.channel.release(), a.channel.queued],
      [0, 0, null, 0],
    );
    await clock.settle();
    assert.deepEqual(a.heard, before);
    assert.equal(b.closed?.kind, 'reset');
  });

  test('is given up whole by release, and taken over with its unread bytes and its end', async () => {
    const { clock, network } = still();
    const [a, b] = pairOf(network, false);
    a.channel.send(Buffer.from('unread'));
    a.channel.shutdown();
    await clock.settle();
    const released = b.channel.release();
    assert.ok(released !== null);
    assert.equal(b.channel.release(), null);
    const next = new Ear(network.transport.adopt({ ...released, unread: [Buffer.from('put back, ')] }));
    await clock.settle();
    assert.deepEqual(b.heard, []);
    assert.equal(next.text, 'put back, unread');
    assert.equal(next.heard.at(-1), 'end');
    assert.throws(() => network.transport.adopt(released), { code: 'ERR_PORTSIDE_RELEASED' });
    assert.throws(() => network.transport.adopt({ kind: 'fd', fd: 3, unix: false, unread: [], ended: false }), {
      code: 'ERR_PORTSIDE_UNSUPPORTED',
    });
    next.channel.send(Buffer.from('bye'));
    next.channel.shutdown();
    a.channel.flow(true);
    await clock.settle();
    assert.deepEqual([a.text, a.closed?.kind, next.closed?.kind], ['bye', 'ended', 'ended']);
    assert.equal(network.open, 0);
  });

  test('with queued output is not released', () => {
    const { network } = still({ bufferSize: 1 });
    const [a] = pairOf(network);
    a.channel.send(pattern(2));
    assert.equal(a.channel.release(), null);
    assert.equal(a.channel.queued, 1);
  });

  test('goes on when its sink throws, and so does everybody else', async () => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    try {
      const network = memoryNetwork();
      const [a, b] = network.pair();
      const ended = new Promise<string>((resolve) => {
        let text = '';
        b.sink = {
          data(bytes) {
            text += Buffer.from(bytes).toString();
            throw new Error('a bug above');
          },
          end() {
            b.shutdown();
          },
          writable() {},
          close(end) {
            resolve(`${text} ${end.kind}`);
          },
        };
      });
      b.flow(true);
      a.flow(true);
      a.send(Buffer.from('one'));
      a.send(Buffer.from('two'));
      a.shutdown();
      assert.equal(await ended, 'onetwo ended');
      while (thrown.length < 2) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(
        thrown.map((error) => (error as Error).message),
        ['a bug above', 'a bug above'],
      );
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });

  test('does not lend the async context of one side to the other', async () => {
    const storage = new AsyncLocalStorage<string>();
    const network = memoryNetwork();
    const [a, b] = network.pair();
    const seen: (string | undefined)[] = [];
    const heard = new Promise<void>((resolve) => {
      b.sink = { data: () => void seen.push(storage.getStore()), end() {}, writable() {}, close: () => resolve() };
    });
    b.flow(true);
    storage.run('of the sender', () => {
      a.send(pattern(1));
      a.destroy('reset');
    });
    await heard;
    assert.deepEqual(seen, [undefined]);
  });

  test('shares the turns: one that never stops sending does not hold up another', async () => {
    const network = memoryNetwork({ bufferSize: 1_000 });
    const [busy, busyPeer] = network.pair();
    const [quiet, quietPeer] = network.pair();
    let chunks = 0;
    const flood = (channel: Channel): void => {
      channel.send(pattern(1_000));
      channel.wantWritable();
    };
    busy.sink = { data() {}, end() {}, writable: () => flood(busy), close() {} };
    busyPeer.sink = { data: () => void chunks++, end() {}, writable() {}, close() {} };
    busyPeer.flow(true);
    flood(busy);
    const answer = new Promise<number>((resolve) => {
      quietPeer.sink = { data: () => resolve(chunks), end() {}, writable() {}, close() {} };
    });
    quietPeer.flow(true);
    quiet.send(pattern(1));
    assert.ok((await answer) < 5);
    network.resetAll();
    for (const channel of [busy, busyPeer, quiet, quietPeer]) channel.destroy('drop');
    assert.equal(network.open, 0);
  });
});
