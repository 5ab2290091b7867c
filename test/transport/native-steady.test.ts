import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Channel, ChannelEnd } from '../../src/transport/contract.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { closing, dial, leastTurns, next, plainBind, readAll } from './native-support.ts';
import { pair, promise } from './passage-support.ts';

const MEGABYTE = 1_048_576;

/** Counts what it hears. */
function counting(channel: Channel): { bytes: number; closed: Promise<ChannelEnd> } {
  const { promise: closed, resolve } = Promise.withResolvers<ChannelEnd>();
  const heard = { bytes: 0, closed };
  channel.sink = { data: (bytes) => void (heard.bytes += bytes.length), end() {}, writable() {}, close: resolve };
  return heard;
}

function endBoth(...channels: readonly Channel[]): Promise<unknown> {
  const ends = channels.filter(({ closed }) => !closed).map((channel) => closing(channel));
  for (const channel of channels) channel.destroy('reset');
  return Promise.all(ends);
}

async function unixPair(): Promise<{ readonly client: Channel; readonly server: Channel }> {
  const transport = nativeTransport();
  const acceptor = await transport.listen({ kind: 'unix', path: `\0portside steady ${process.pid}` }, plainBind);
  const [client, server] = await Promise.all([dial(transport, acceptor.address), next(acceptor)]);
  acceptor.close();
  return { client, server };
}

describe('a connection of the native core', () => {
  promise('is not read while it is paused: its peer’s output stays where it is', async () => {
    const { client, server } = await pair();
    const heard = counting(server);
    server.flow(true);
    client.send(new Uint8Array(1_000));
    while (heard.bytes < 1_000) await nextTurn();
    server.flow(false);
    client.send(new Uint8Array(32 * MEGABYTE));
    await sleep(20);
    const { queued } = client;
    assert.ok(queued > 16 * MEGABYTE, `only ${queued} bytes wait`);
    await sleep(50);
    assert.deepEqual([client.queued, heard.bytes], [queued, 1_000]);
    server.flow(true);
    while (heard.bytes < 32 * MEGABYTE + 1_000) await nextTurn();
    assert.equal(client.queued, 0);
    await endBoth(client, server);
  });

  promise('in which nothing happens makes no turns of the loop, in whatever state it is', async () => {
    const pairs = await Promise.all(Array.from({ length: 5 }, () => pair()));
    const [idle, read, paused, ended, reset] = pairs;
    assert.ok(idle && read && paused && ended && reset);
    for (const { client, server } of [read, ended]) for (const channel of [client, server]) channel.flow(true);
    for (const channel of [paused.client, paused.server, reset.server]) channel.flow(true);
    await nextTurn();
    for (const channel of [paused.client, paused.server, reset.server]) channel.flow(false);
    paused.client.send(new Uint8Array(100));
    paused.client.shutdown();
    // Heard, and not answered.
    ended.client.shutdown();
    reset.client.destroy('reset');
    const turns = await leastTurns();
    assert.ok(turns <= 20, `${turns} turns in 50 ms`);
    await endBoth(...pairs.flatMap(({ client, server }) => [client, server]));
  });

  promise('with output that the kernel does not take makes no turns of the loop', async () => {
    for (const size of [100, 1_000_000]) {
      const { client, server } = await pair();
      // Small pieces are held by the core, large ones by reference.
      const piece = new Uint8Array(size);
      while (client.queued < 100_000) {
        for (let i = 0; i < 200; i += 1) client.send(piece);
        await nextTurn();
      }
      client.wantWritable();
      client.flow(true);
      const turns = await leastTurns();
      assert.ok(turns <= 20, `${turns} turns in 50 ms, with pieces of ${size}`);
      await endBoth(client, server);
    }
  });

  promise('is read once in a turn, however much there is, so that all are heard', async () => {
    const pairs = [];
    for (let i = 0; i < 40; i += 1) pairs.push(await pair());
    const [flood, ...others] = pairs;
    assert.ok(flood !== undefined);
    flood.client.send(new Uint8Array(16 * MEGABYTE));
    for (const { client } of others) client.send(Uint8Array.of(1));
    await sleep(20);
    const heard = counting(flood.server);
    flood.server.flow(true);
    const before = await Promise.all(
      others.map(({ server }) => {
        return new Promise<number>((resolve) => {
          server.sink = { data: () => resolve(heard.bytes), end() {}, writable() {}, close() {} };
          server.flow(true);
        });
      }),
    );
    // One read of the flood, or two when the others came a turn later.
    assert.ok(Math.max(...before) <= 2 * 65_536, `${Math.max(...before)} bytes of the flood came first`);
    await endBoth(...pairs.flatMap(({ client, server }) => [client, server]));
  });

  promise('that is paused hears at once that it was reset, when output of its own waits', async () => {
    for (const size of [100, 1_000_000]) {
      const { client, server } = await pair();
      const { closed } = counting(server);
      while (server.queued < 100_000) {
        for (let i = 0; i < 200; i += 1) server.send(new Uint8Array(size));
        await nextTurn();
      }
      client.destroy('reset');
      assert.equal((await closed).kind, 'reset');
    }
  });

  promise('gathers what is written in a turn, wherever from, and sends it at once before the loop sleeps', async () => {
    const { client, server } = await pair();
    client.set({ kind: 'noDelay', on: true });
    const segments = (): number => client.tcpInfo?.()?.segmentsSent ?? assert.fail('no TCP_INFO');
    const heard = counting(server);
    server.flow(true);
    const small = new Uint8Array(10);
    let expected = 0;
    const check = async (write: () => unknown, pieces: number): Promise<void> => {
      const before = segments();
      await write();
      expected += pieces * small.length;
      while (heard.bytes < expected) await sleep(1);
      assert.equal(segments() - before, 1, `${pieces} writes left in ${segments() - before} segments`);
    };
    const many = (): void => {
      for (let i = 0; i < 20; i += 1) client.send(small);
    };
    await check(many, 20);
    await check(async () => {
      for (let i = 0; i < 20; i += 1) {
        await Promise.resolve();
        client.send(small);
      }
    }, 20);
    await check(() => void setTimeout(many, 1), 20);
    await check(() => void setImmediate(many), 20);
    await check(() => process.nextTick(many), 20);
    await check(
      () =>
        void setTimeout(() => {
          many();
          process.nextTick(many);
          void Promise.resolve().then(many);
        }, 1),
      60,
    );
    await check(() => client.sendAll(Array.from({ length: 20 }, () => small)), 20);
    // And from what another connection hears.
    const other = await pair();
    other.server.sink = { data: many, end() {}, writable() {}, close() {} };
    other.server.flow(true);
    await check(() => other.client.send(small), 20);
    await endBoth(client, server, other.client, other.server);
  });

  promise('tells what the kernel knows about it, over TCP, while it is there', async () => {
    const { client, server } = await pair();
    const heard = counting(server);
    server.flow(true);
    client.send(new Uint8Array(10_000));
    while (heard.bytes < 10_000) await sleep(1);
    const info = client.tcpInfo?.() ?? assert.fail('no TCP_INFO');
    assert.equal(info.state, 'established');
    assert.deepEqual([info.bytesAcknowledged, server.tcpInfo?.()?.bytesReceived], [10_001, 10_000]);
    assert.ok(info.roundTrip > 0 && info.roundTrip < 1_000 && info.retransmitTimeout >= 100);
    assert.ok(info.congestionWindow > 0 && info.sendSegment > 500 && info.pathMtu > 500 && info.sinceSent < 10_000);
    assert.deepEqual([info.timeouts, info.lost, info.notSent, info.unacknowledged], [0, 0, 0, 0]);
    client.shutdown();
    // The peer's kernel may take its time to acknowledge it.
    while (client.tcpInfo?.()?.state !== 'fin-wait-2') await sleep(1);
    assert.equal(server.tcpInfo?.()?.state, 'close-wait');
    await endBoth(client, server);
    assert.equal(client.tcpInfo?.(), null);
    const unix = await unixPair();
    assert.deepEqual([unix.client.tcpInfo?.(), unix.client.userTimeout?.(100)], [null, false]);
    await endBoth(unix.client, unix.server);
  });

  promise('fails when nothing is acknowledged within its user timeout', async () => {
    const { client, server } = await pair();
    const { closed } = counting(client);
    assert.equal(client.userTimeout?.(300), true);
    client.flow(true);
    client.send(new Uint8Array(32 * MEGABYTE));
    const began = performance.now();
    const end = await closed;
    assert.equal(end.kind, 'failed');
    assert.ok('error' in end && end.error.code === 'ETIMEDOUT');
    const took = performance.now() - began;
    assert.ok(took > 250 && took < 20_000, `after ${took} ms`);
    assert.equal(client.userTimeout?.(0), false);
    await endBoth(server);
  });

  promise('read to its end has given each byte once, whatever its sink does with the memory', async () => {
    const { client, server } = await pair();
    const kept: Uint8Array[] = [];
    server.sink = {
      data(bytes, borrowed) {
        kept.push(borrowed ? bytes.slice() : bytes);
        if (borrowed) bytes.fill(0xff);
      },
      end: () => server.shutdown(),
      writable() {},
      close() {},
    };
    server.flow(true);
    const sent = Array.from({ length: 300 }, (_, i) => new Uint8Array(1 + ((i * 7919) % 30_000)).fill(i));
    for (const [i, piece] of sent.entries()) {
      client.send(piece);
      if (i % 10 === 0) server.flow(i % 20 === 0);
      if (i % 7 === 0) await nextTurn();
    }
    server.flow(true);
    const over = readAll(client);
    client.shutdown();
    assert.equal((await over).why, 'ended');
    assert.ok(Buffer.concat(kept).equals(Buffer.concat(sent)));
  });
});
