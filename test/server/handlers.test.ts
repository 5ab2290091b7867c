import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { current, print } from '../../src/server/ambient.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, onEachNet, readAll } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { countsOf, dial, serveOn, textOf, turns, until } from './support.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const codec = lengthPrefix({ bytes: 2 });

/** Echo, in each shape. What is no whole frame at the end is left out, so the scripts have whole frames. */
const echoes: Readonly<Record<string, Handler>> = {
  'a function': async (conn) => {
    for await (const bytes of conn) await conn.write(bytes);
  },
  'a function that reads by length': async (conn) => {
    for (;;) {
      const head = await conn.readExactly(2);
      if (head === null) return;
      const body = (await conn.readExactly(head[0]! * 256 + head[1]!)) ?? new Uint8Array(0);
      await conn.writev([head, body]);
    }
  },
  'a function on a codec': defineHandler(codec, async (frames) => {
    for await (const frame of frames) await frames.send(frame);
  }),
  'a protocol': { data: (conn, bytes) => void conn.write(bytes) },
  'a protocol on a codec': defineHandler(codec, {
    frame: (conn, frame) => void conn.write(codec.encode(frame)),
  }),
};

describe('echo', () => {
  test('gives the same bytes in every shape, for every script of frames and every way to cut them', async () => {
    const net = { name: 'memory', transport: memoryNetwork().transport };
    const servers = await Promise.all(Object.values(echoes).map((echo) => serveOn(net, echo, { highWaterMark: 512 })));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 20 }),
        fc.array(fc.nat({ max: 5_000 }), { maxLength: 20 }),
        fc.boolean(),
        async (frames, cuts, patient) => {
          const sent = Buffer.concat(frames.map((frame) => codec.encode(frame)));
          const places = [0, ...cuts.map((cut) => cut % (sent.length + 1)).toSorted((a, b) => a - b), sent.length];
          for (const [i, server] of servers.entries()) {
            const client = await dial(net, server);
            const all = readAll(client);
            for (let at = 1; at < places.length; at += 1) {
              void client.write(sent.subarray(places[at - 1], places[at]));
              if (patient) await turns(1);
            }
            void client.closeWrite();
            assert.ok((await all).equals(sent), Object.keys(echoes)[i]);
            assert.equal((await client.close()).kind, 'ended');
          }
        },
      ),
      { numRuns: 60 },
    );
    for (const server of servers) {
      await server.stop();
      assert.equal(server.status().errors, 0);
    }
  });
});

onEachNet('a handler', (net) => {
  for (const [shape, echo] of Object.entries(echoes)) {
    test(`that is ${shape} costs at most one async context for each connection, and none for a chunk`, async () => {
      const server = await serveOn(net, echo);
      // oxlint-disable-next-line typescript/unbound-method -- it is called with its own `this`
      const original = AsyncLocalStorage.prototype.run;
      let runs = 0;
      AsyncLocalStorage.prototype.run = function counted(this: AsyncLocalStorage<unknown>, ...args: never) {
        runs += 1;
        return Reflect.apply(original, this, args) as never;
      };
      try {
        for (let connections = 1; connections <= 3; connections += 1) {
          const client = await dial(net, server);
          for (let chunk = 0; chunk < 50; chunk += 1) {
            void client.write(codec.encode(Buffer.from('some words')));
            await client.readExactly(12);
          }
          await client.close();
          assert.equal(runs, shape.startsWith('a function') ? connections : 0);
        }
      } finally {
        AsyncLocalStorage.prototype.run = original;
      }
      await server.stop();
    });
  }

  const asked: Readonly<Record<string, Handler>> = {
    'a function': async (conn) => {
      await conn.readLine();
      await print('for you', current() === conn);
    },
    'a function on a codec': defineHandler(lines(), async (frames, conn) => {
      await frames.next();
      await print('for you', current() === conn);
    }),
    'a protocol': { data: (conn) => void print('for you', current() === conn), end: (conn) => void conn.close() },
    'a protocol on a codec': defineHandler(lines(), {
      frame: (conn) => void print('for you', current() === conn),
    }),
  };
  for (const [shape, handler] of Object.entries(asked)) {
    test(`that is ${shape} may ask whom it serves, and print to it`, async () => {
      const server = await serveOn(net, handler);
      const clients = await Promise.all([dial(net, server), dial(net, server), dial(net, server)]);
      for (const client of clients) void client.write('x\n');
      for (const client of clients)
        assert.equal(Buffer.from((await client.readExactly(13)) ?? []).toString(), 'for you true\n');
      await endAll(...clients);
      await server.stop();
    });
  }

  test('that returns while a read waits closes its connection, and the read sees the end', async () => {
    const rejections = unhandled();
    const reads: unknown[] = [];
    const server = await serveOn(net, async (conn) => {
      const left = async (): Promise<void> => {
        for await (const chunk of conn) reads.push(chunk.length);
        reads.push('end');
      };
      void left();
      await conn.write('bye');
    });
    const client = await dial(net, server);
    assert.equal(await textOf(client), 'bye');
    await client.close();
    await server.stop();
    assert.deepEqual(reads, ['end']);
    assert.deepEqual(await rejections(), []);
    assert.deepEqual(countsOf(server), { active: 0, accepted: 1, errors: 0 });
  });

  test('that has begun a read and is at something else is not the end of the process when the peer resets, or it throws itself', async () => {
    const rejections = unhandled();
    const noted: unknown[] = [];
    for (const own of [false, true]) {
      const over = Promise.withResolvers<void>();
      const server = await serveOn(
        net,
        async (conn) => {
          await conn.readExactly(1);
          const [chunk, line, exact] = [conn.read(), conn.readLine(), conn.readExactly(5)];
          void line;
          void exact.catch(() => null);
          void line.catch(() => null);
          if (own) throw new Error('boom');
          await conn.closed;
          await turns(3);
          noted.push(await chunk.catch((error: unknown) => (error as { code: string }).code));
          over.resolve();
        },
        { onError: () => over.resolve() },
      );
      const client = await dial(net, server);
      await client.write('x');
      await until(() => server.status({ connections: true }).connections?.[0]?.bytesRead === 1 || own);
      await turns(3);
      client.abort();
      await over.promise;
      await server.stop();
    }
    assert.deepEqual(noted, ['ECONNRESET']);
    assert.deepEqual(await rejections(), []);
  });

  test('whose promise never settles keeps nothing once its connection is gone', async () => {
    const noLeaks = watchLeaks();
    const seen: WeakRef<Connection>[] = [];
    const never = new Promise<void>(() => {});
    const server = await serveOn(
      net,
      async (conn) => {
        seen.push(new WeakRef(conn));
        await conn.read();
        await new Promise(() => {});
        await never;
      },
      { maxConnections: 1, maxPerClient: 1 },
    );
    const rounds = 5;
    for (let round = 1; round <= rounds; round += 1) {
      // The one permit has to be free again.
      const client = await dial(net, server);
      await client.write('x');
      await until(() => seen.length === round);
      await until(() => server.status({ connections: true }).connections?.[0]?.bytesRead === 1);
      client.abort();
      await until(() => server.status().active === 0);
    }
    // The last one may still be on a stack, or in a slot that is written over by the next.
    await until(() => {
      collect();
      return seen.filter((ref) => ref.deref() !== undefined).length <= 1;
    });
    assert.deepEqual(countsOf(server), { active: 0, accepted: rounds, errors: 0 });
    await server.stop();
    await noLeaks();
  });

  test('of callbacks hears nothing of input after it closed in open, nor of what came with the handshakes', async () => {
    const calls: string[] = [];
    const server = await serveOn(
      net,
      {
        open(conn) {
          void conn.write('no');
          void conn.close();
        },
        data: () => void calls.push('data'),
        end: () => void calls.push('end'),
        close: (_conn, reason) => void calls.push(`close ${reason.kind}`),
      },
      { proxy: { from: ['127.0.0.0/8'] } },
    );
    const client = await dial(net, server);
    void client.write('PROXY UNKNOWN\r\nhello');
    void client.closeWrite();
    assert.equal(await textOf(client), 'no');
    await client.close();
    await until(() => calls.length > 0);
    await server.stop();
    assert.equal(calls.length, 1, calls.join());
    assert.match(calls[0]!, /^close/u);
  });

  test('of callbacks whose connection somebody reads already is an error of that connection, and no other', async () => {
    const errors: unknown[] = [];
    const server = await serveOn(net, echoes['a protocol']!, { onError: (error) => void errors.push(error) });
    server.once('connection', (conn) => void conn.read());
    const first = await dial(net, server).catch(() => null);
    await until(() => errors.length === 1);
    assert.equal((errors[0] as { code: string }).code, 'ERR_PORTSIDE_READ_BUSY');
    const second = await dial(net, server);
    void second.write('hello');
    assert.equal(Buffer.from((await second.readExactly(5)) ?? []).toString(), 'hello');
    await endAll(...(first === null ? [second] : [first, second]));
    await server.stop();
  });
});
