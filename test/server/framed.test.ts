import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { link } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import { endAll, onEachNet, readAll } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, serveOn, textOf, turns, until } from './support.ts';

const MIB = 1_048_576;

/** Counts the calls of a connection's channel that send something. */
function countSends(connection: Connection): { calls: number; bytes: number } {
  const { channel } = link(connection);
  const count = { calls: 0, bytes: 0 };
  const send = channel.send.bind(channel);
  const sendAll = channel.sendAll.bind(channel);
  // Callers within the channel itself are none of ours.
  let inside = false;
  const counted = <T>(bytes: number, run: () => T): T => {
    if (inside) return run();
    count.calls += 1;
    count.bytes += bytes;
    inside = true;
    try {
      return run();
    } finally {
      inside = false;
    }
  };
  channel.send = (bytes) => counted(bytes.length, () => send(bytes));
  channel.sendAll = (chunks) =>
    counted(
      chunks.reduce((total, { length }) => total + length, 0),
      () => sendAll(chunks),
    );
  return count;
}

onEachNet('a protocol on a codec', (net) => {
  test('gets one call for each frame, in order, with the last one that lacks its ending, then end', async () => {
    const calls: string[] = [];
    const server = await serveOn(
      net,
      defineHandler(lines(), {
        open: () => void calls.push('open'),
        frame: (_conn, line) => void calls.push(`frame ${line}`),
        end(conn) {
          calls.push('end');
          void conn.close();
        },
        close: (_conn, reason) => void calls.push(`close ${reason.kind}`),
      }),
    );
    const client = await dial(net, server);
    for (const piece of ['a', 'b\nc', 'd\r\n\ne', 'f']) await client.write(piece).then(() => turns(2));
    await client.closeWrite();
    await textOf(client);
    await client.close();
    await server.stop();
    assert.deepEqual(calls, ['open', 'frame ab', 'frame cd', 'frame ', 'frame ef', 'end', 'close ended']);
  });

  test('has its callbacks called as methods of the object that they were given on, inherited ones too', async () => {
    class Counter {
      #frames = 0;
      frame(conn: Connection, line: string): void {
        this.#frames += 1;
        void conn.write(`${this.#frames} ${line}\n`);
      }
      end(conn: Connection): void {
        void conn.write(`${this.#frames} in all`);
        void conn.close();
      }
    }
    const server = await serveOn(net, defineHandler(lines(), new Counter()));
    const client = await dial(net, server);
    void client.write('a\nb\n');
    void client.closeWrite();
    assert.equal(await textOf(client), '1 a\n2 b\n2 in all');
    await client.close();
    await server.stop();
  });

  test('sends the replies to frames that came together together, and that to a single one at once', async () => {
    let count = { calls: 0, bytes: 0 };
    const server = await serveOn(
      net,
      defineHandler(lines(), {
        open(conn) {
          count = countSends(conn);
        },
        frame: (conn, line) => void conn.write(`+${line}\n`),
      }),
    );
    const client = await dial(net, server);
    const ask = async (lineCount: number): Promise<number> => {
      const before = count.calls;
      await client.write('x\n'.repeat(lineCount));
      await client.readExactly(3 * lineCount);
      return count.calls - before;
    };
    assert.equal(await ask(1), 1);
    // In one piece of input; a backend may cut it, but not into a hundred.
    assert.ok((await ask(1_000)) < 10);
    assert.equal(await ask(1), 1);
    assert.equal(count.bytes, 3 * 1_002);
    await endAll(client);
    await server.stop();
  });

  test('is not held up by its own batch: what it awaits, flushes, or writes later goes out', async () => {
    const server = await serveOn(
      net,
      defineHandler(lines(), {
        // oxlint-disable-next-line typescript/no-misused-promises -- it is not awaited, which is what this is about
        async frame(conn, line) {
          await conn.write(`1${line}`);
          await conn.flushed();
          void conn.write(`2${line}`);
          conn.cork();
          void conn.write(`3${line}`);
          setImmediate(() => void conn.uncork());
        },
      }),
    );
    const client = await dial(net, server);
    void client.write('a\nb\nc\n');
    const text = Buffer.from((await client.readExactly(18)) ?? []).toString();
    for (const line of ['a', 'b', 'c']) {
      const order = [1, 2, 3].map((step) => text.indexOf(`${step}${line}`));
      assert.ok(!order.includes(-1) && order[0]! < order[1]! && order[1]! < order[2]!, text);
    }
    await endAll(client);
    await server.stop();
  });

  test('holds a cork of its own over many frames', async () => {
    let seen = 0;
    let count = { calls: 0, bytes: 0 };
    const server = await serveOn(
      net,
      defineHandler(lines(), {
        open(conn) {
          count = countSends(conn);
          conn.cork();
        },
        frame(conn, line) {
          seen += 1;
          void conn.write(line);
          if (line === 'go') void conn.uncork();
        },
      }),
    );
    const client = await dial(net, server);
    void client.write('a\nb\nc\n');
    await until(() => seen === 3);
    void client.write('d\n');
    await until(() => seen === 4);
    await turns(3);
    assert.equal(count.calls, 0);
    void client.write('go\n');
    assert.equal(Buffer.from((await client.readExactly(6)) ?? []).toString(), 'abcdgo');
    assert.equal(count.calls, 1);
    await endAll(client);
    await server.stop();
  });

  test('gets the next frame only when its output is taken: a flood of small requests with huge replies is bounded', async () => {
    const reply = Buffer.alloc(300_000, 'r');
    const requests = 400;
    let served = 0;
    let most = 0;
    let serving: Connection | null = null;
    // Far below what all replies come to.
    const writeLimit = 2 * MIB;
    const server = await serveOn(
      net,
      defineHandler(lines(), {
        open(conn) {
          serving = conn;
        },
        frame(conn) {
          served += 1;
          void conn.write(reply);
          most = Math.max(most, conn.queuedBytes);
        },
      }),
      { writeLimit },
    );
    const client = await dial(net, server);
    void client.write('\n'.repeat(requests));
    void client.closeWrite();
    for (let still = 0, before = -1; still < 50; before = served) {
      await turns(1);
      still = served === before && served > 0 ? still + 1 : 0;
    }
    assert.ok(served < requests / 2, `${served} were served while nobody read`);
    assert.ok(most < 65_536 + reply.length + 1, `${most} bytes were queued`);
    assert.equal((serving as Connection | null)?.closeReason, null);
    assert.equal((await readAll(client)).length, requests * reply.length);
    assert.equal((await client.close()).kind, 'ended');
    await server.stop();
    assert.equal(served, requests);
    assert.equal(server.status().errors, 0);
  });

  test('is not ended by the write limit for a single reply that is larger, nor for small ones that came together', async () => {
    for (const size of [3 * MIB, 700]) {
      const server = await serveOn(
        net,
        defineHandler(lines(), { frame: (conn) => void conn.write(Buffer.alloc(size)) }),
        { writeLimit: MIB },
      );
      const client = await dial(net, server);
      const count = size > MIB ? 3 : 5_000;
      void client.write('\n'.repeat(count));
      void client.closeWrite();
      assert.equal((await readAll(client)).length, count * size);
      assert.equal((await client.close()).kind, 'ended');
      await server.stop();
    }
  });

  test('meets the write limit when one frame writes on and on without waiting', async () => {
    let reason: string | null = null;
    const server = await serveOn(
      net,
      defineHandler(lines(), {
        frame(conn) {
          for (let i = 0; i < 4_000; i += 1) void conn.write(Buffer.alloc(10_000));
        },
        close: (_conn, why) => void (reason = why.kind),
      }),
      { writeLimit: MIB },
    );
    const client = await dial(net, server);
    void client.write('a\nb\n');
    await until(() => reason !== null);
    assert.equal(reason, 'write-overflow');
    await endAll(client);
    await server.stop();
  });

  for (const answer of ['keep', undefined] as const) {
    test(`ends with the codec's error when its input is no frame, though onError answers ${String(answer)}`, async () => {
      const seen: unknown[] = [];
      const frames: number[] = [];
      const reasons: string[] = [];
      const server = await serveOn(
        net,
        defineHandler(lengthPrefix({ bytes: 2, maxLength: 100 }), {
          frame(conn, frame) {
            frames.push(frame.length);
            void conn.write(`${frame.length}\n`);
          },
          close: (_conn, reason) => void reasons.push(reason.kind),
        }),
        {
          onError(error, conn) {
            seen.push([(error as { code: string }).code, conn?.closeReason]);
            return answer;
          },
          // In order, so that what was answered before is seen.
          prepareHardClose: (conn) => void conn.close(),
        },
      );
      const client = await dial(net, server);
      void client.write(
        Buffer.concat([Buffer.from([0, 1, 7, 0, 2, 7, 7]), Buffer.from([255, 255]), Buffer.alloc(500)]),
      );
      assert.equal(await textOf(client), '1\n2\n');
      await client.close();
      await until(() => reasons.length === 1);
      assert.deepEqual([seen, frames, reasons], [[['ERR_PORTSIDE_FRAME_TOO_LONG', null]], [1, 2], ['aborted']]);
      await server.stop();
    });
  }

  for (const [what, input] of [
    ['throws', 'a\nthrow\nb\n'],
    ['is none', `a\n${'x'.repeat(200)}\nb\n`],
  ] as const) {
    test(`has the replies to the frames before one that ${what} on their way when onError is told`, async () => {
      let count = { calls: 0, bytes: 0 };
      const seen: unknown[] = [];
      const server = await serveOn(
        net,
        defineHandler(lines({ maxLength: 100 }), {
          open(conn) {
            count = countSends(conn);
          },
          frame(conn, line) {
            if (line === 'throw') throw new Error('boom');
            void conn.write(`${line}\n`);
          },
        }),
        { onError: (_error, conn) => void seen.push([count.bytes, conn?.queuedBytes === 0 || net.name !== 'node']) },
      );
      const client = await dial(net, server);
      void client.write(input);
      await until(() => seen.length === 1);
      assert.deepEqual(seen, [[2, true]]);
      await endAll(client);
      await server.stop();
    });
  }

  test('is told of an input that ends in the middle of a frame', async () => {
    const codes: unknown[] = [];
    const server = await serveOn(
      net,
      defineHandler(lengthPrefix({ bytes: 2 }), { frame: () => {}, end: () => void codes.push('end') }),
      { onError: (error) => void codes.push((error as { code: string }).code) },
    );
    const client = await dial(net, server);
    void client.write(Buffer.from([0, 5, 1]));
    void client.closeWrite();
    await client.read().catch(() => null);
    await until(() => codes.length > 0);
    assert.deepEqual(codes, ['ERR_PORTSIDE_UNEXPECTED_END']);
    await endAll(client);
    await server.stop();
  });

  test('that throws for one frame has answered those before, and gets none after it; with "keep" it goes on', async () => {
    for (const keep of [true, false]) {
      const seen: string[] = [];
      const server = await serveOn(
        net,
        defineHandler(lines(), {
          frame(conn, line) {
            seen.push(line);
            if (line === 'b') throw new Error('b');
            void conn.write(`${line}\n`);
          },
        }),
        { onError: () => (keep ? 'keep' : undefined), prepareHardClose: (conn) => void conn.close() },
      );
      const client = await dial(net, server);
      void client.write('a\nb\nc\n');
      void client.closeWrite();
      assert.equal(await textOf(client), keep ? 'a\nc\n' : 'a\n');
      await client.close();
      await server.stop();
      assert.deepEqual(seen, keep ? ['a', 'b', 'c'] : ['a', 'b']);
    }
  });
});

onEachNet('a function on a codec', (net) => {
  test('iterates over the frames, sends frames, and is closed when it returns', async () => {
    const codec = lengthPrefix({ bytes: 1 });
    const server = await serveOn(
      net,
      defineHandler(codec, async (frames, conn, context) => {
        assert.equal(context.server, server);
        for await (const frame of frames) {
          await frames.send(Buffer.from(frame).reverse());
          if (frame.length === 3) break;
        }
        await conn.write('bare');
      }),
    );
    const client = await dial(net, server);
    for (const text of ['a', 'bc', 'def', 'never']) void client.write(codec.encode(Buffer.from(text)));
    const queue = new ByteQueue();
    queue.append(await readAll(client));
    const decoder = codec.decoder();
    const got = [1, 2, 3].map(() => Buffer.from(decoder.decode(queue) as Uint8Array).toString());
    assert.deepEqual([...got, Buffer.from(queue.takeAll()).toString()], ['a', 'cb', 'fed', 'bare']);
    await client.close();
    await server.stop();
    assert.equal(server.status().errors, 0);
  });

  const bad: Readonly<Record<string, readonly [Handler, string]>> = {
    'an input that is no frame': [
      defineHandler(lengthPrefix({ bytes: 1, maxLength: 10 }), async (frames) => {
        for await (const frame of frames) void frame;
      }),
      'ERR_PORTSIDE_FRAME_TOO_LONG',
    ],
    'a frame that can not be sent': [
      defineHandler(lines(), async (frames) => {
        await frames.send('two\nlines');
      }),
      'ERR_PORTSIDE_FRAME_INVALID',
    ],
  };
  for (const [what, [handler, code]] of Object.entries(bad)) {
    test(`ends with the codec's error by ${what}`, async () => {
      const rejections = unhandled();
      const codes: unknown[] = [];
      const server = await serveOn(net, handler, {
        onError: (error, conn) => void codes.push([(error as { code: string }).code, conn?.closeReason]),
      });
      const client = await dial(net, server).catch(() => null);
      void client?.write(Buffer.alloc(100, 255));
      await until(() => codes.length === 1);
      assert.deepEqual(codes, [[code, null]]);
      if (client !== null) await endAll(client);
      await server.stop();
      assert.deepEqual(await rejections(), []);
    });
  }
});
