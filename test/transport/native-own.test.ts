import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Channel, Sink } from '../../src/transport/contract.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { closing, leastTurns } from './native-support.ts';
import { pair, promise } from './passage-support.ts';

const LARGE = 65_536;

interface Keeper extends Sink {
  readonly chunks: Uint8Array[];
  readonly bytes: number;
  readonly over: Promise<string>;
}

/** Keeps what it is given, and answers the peer's end with its own. */
function keeper(channel: Channel): Keeper {
  const over = Promise.withResolvers<string>();
  const sink = {
    keeps: true,
    chunks: [] as Uint8Array[],
    bytes: 0,
    over: over.promise,
    data(bytes: Uint8Array, borrowed: boolean) {
      assert.equal(borrowed, false);
      sink.bytes += bytes.length;
      sink.chunks.push(bytes);
    },
    end: () => channel.shutdown(),
    writable() {},
    close: ({ kind }: { kind: string }) => over.resolve(kind),
  };
  channel.sink = sink;
  return sink;
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await nextTurn();
}

/** Has so much read of it that what comes next is read into memory of its own. */
async function warm({ client, server }: { client: Channel; server: Channel }): Promise<Keeper> {
  const kept = keeper(server);
  server.flow(true);
  for (let round = 1; round <= 4; round += 1) {
    client.send(new Uint8Array(4 * LARGE).fill(round));
    await until(() => kept.bytes === round * 4 * LARGE);
  }
  assert.ok(kept.chunks.some(({ length, buffer }) => length === LARGE && buffer.byteLength === LARGE));
  return kept;
}

describe('a connection of the native core that keeps what it is given', () => {
  promise('has each byte once, in memory that nobody else has, through sizes large and small', async () => {
    const { client, server } = await pair();
    const kept = keeper(server);
    server.flow(true);
    const sizes = [...[1, 5, 100, 4_096, 16_383, 16_384, 16_385, 33_000, LARGE, 5 * LARGE], ...[10, LARGE, 20_000, 1]];
    const sent: Uint8Array[] = [];
    for (let i = 0; i < 120; i += 1) {
      const size = sizes[i % sizes.length]!;
      const piece = Uint8Array.from({ length: size }, (_, at) => (at * 31 + i) & 255);
      sent.push(piece);
      client.send(piece);
      if (i % 11 === 0) server.flow(i % 2 === 0);
      if (i % 2 === 0) await nextTurn();
    }
    server.flow(true);
    const ended = closing(client);
    client.flow(true);
    client.shutdown();
    assert.deepEqual([await kept.over, await ended], ['ended', 'ended']);
    assert.ok(Buffer.concat(kept.chunks).equals(Buffer.concat(sent)));
    // Writing over one changes no other, and a large one keeps no more than as much again.
    for (const [i, chunk] of kept.chunks.entries()) chunk.fill(i & 255);
    for (const [i, chunk] of kept.chunks.entries()) assert.ok(chunk.every((byte) => byte === (i & 255)));
    for (const { length, buffer } of kept.chunks) assert.ok(length <= 4_096 || buffer.byteLength <= 2 * length);
  });

  promise('gives large chunks whose memory can be transferred away', async () => {
    const both = await pair();
    const kept = await warm(both);
    const last = kept.chunks.at(-1)!;
    const moved = structuredClone(last, { transfer: [last.buffer as ArrayBuffer] });
    assert.deepEqual([last.length, moved[0]], [0, 4]);
    both.client.destroy('reset');
    assert.equal(await kept.over, 'reset');
  });

  promise('is not read while it is paused, and sleeps; what waits goes along when it is released', async () => {
    const both = await pair();
    const { client, server } = both;
    const kept = await warm(both);
    server.flow(false);
    client.send(new Uint8Array(LARGE).fill(9));
    client.shutdown();
    await nextTurn();
    const before = kept.bytes;
    assert.ok((await leastTurns()) <= 20);
    assert.equal(kept.bytes, before);
    const released = server.release();
    assert.ok(released !== null);
    const again = nativeTransport().adopt(released);
    const rest = keeper(again);
    again.flow(true);
    client.flow(true);
    const ended = closing(client);
    assert.deepEqual([await rest.over, await ended], ['ended', 'ended']);
    assert.equal(rest.bytes, LARGE);
  });

  promise('makes no turns of the loop while it sends its last and its peer sends on', async () => {
    const both = await pair();
    const kept = await warm(both);
    both.server.send(new Uint8Array(320 * LARGE));
    assert.ok(both.server.queued > 16 * LARGE);
    both.server.destroy('flush');
    both.client.send(new Uint8Array(LARGE));
    await nextTurn();
    assert.ok((await leastTurns()) <= 20);
    both.client.destroy('reset');
    assert.equal(await kept.over, 'reset');
  });

  promise('hears the end, a reset and a failed write of its peer as others do', async () => {
    for (const how of ['flush', 'reset'] as const) {
      const both = await pair();
      const kept = await warm(both);
      both.client.destroy(how);
      assert.equal(await kept.over, how === 'flush' ? 'ended' : 'reset');
    }
    const both = await pair();
    const kept = await warm(both);
    both.client.destroy('reset');
    both.server.send(Uint8Array.of(1));
    both.server.send(new Uint8Array(LARGE));
    assert.equal(await kept.over, 'reset');
  });

  promise('can borrow from then on, and keep again', async () => {
    const both = await pair();
    const { client, server } = both;
    const kept = await warm(both);
    const borrowed: boolean[] = [];
    let bytes = 0;
    const sink: Sink = {
      data(chunk, lent) {
        borrowed.push(lent);
        bytes += chunk.length;
      },
      end: () => server.shutdown(),
      writable() {},
      close() {},
    };
    server.sink = sink;
    for (let round = 1; round <= 2; round += 1) {
      client.send(new Uint8Array(LARGE));
      await until(() => bytes === round * LARGE);
    }
    assert.equal(borrowed.at(-1), true);
    server.sink = kept;
    client.send(new Uint8Array(3 * LARGE).fill(7));
    const before = kept.bytes;
    await until(() => kept.bytes === before + 3 * LARGE);
    assert.ok(kept.chunks.at(-1)!.every((byte) => byte === 7));
    client.destroy('reset');
    await kept.over;
  });
});
