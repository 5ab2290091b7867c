import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { current } from '../../src/server/ambient.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import { createServer } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { lines } from '../../src/codec/lines.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { countsOf, dial, dialToReset, published, serveOn, textOf, turns, until } from './support.ts';

const boom = new Error('boom');

/** Handlers that throw at the word `boom`, and else answer. */
const shapes: Readonly<Record<string, Handler>> = {
  'a function': async (conn) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      if (line === 'boom') throw boom;
      await conn.write(`${line}\n`);
    }
  },
  'a function on a codec': defineHandler(lines(), async (frames) => {
    for await (const line of frames) {
      if (line === 'boom') throw boom;
      await frames.send(line);
    }
  }),
  'a protocol': {
    data(conn, bytes) {
      const line = Buffer.from(bytes).toString();
      if (line === 'boom\n') throw boom;
      void conn.write(line);
    },
  },
  'a protocol whose promises reject': {
    data(conn, bytes) {
      const line = Buffer.from(bytes).toString();
      if (line === 'boom\n') return Promise.reject(boom) as unknown as void;
      void conn.write(line);
    },
  },
  'a protocol on a codec': defineHandler(lines(), {
    frame(conn, line) {
      if (line === 'boom') throw boom;
      void conn.write(`${line}\n`);
    },
  }),
};
const inCallbacks = (shape: string): boolean => shape.startsWith('a protocol');

async function talk(client: Connection, word: string): Promise<void> {
  void client.write(`${word}\n`);
  assert.equal(await client.readLine(), word);
}

onEachNet('what a handler throws', (net) => {
  for (const [shape, handler] of Object.entries(shapes)) {
    test(`in ${shape} is told to onError with its connection open and its server, runs prepareHardClose, and ends that connection only`, async () => {
      const rejections = unhandled();
      const order: unknown[] = [];
      const server: Server = await serveOn(net, handler, {
        onError(error, conn, by) {
          order.push(['onError', error === boom, conn?.closeReason, by === server]);
        },
        prepareHardClose: (conn) => void order.push(['prepare', conn.closeReason]),
      });
      const bystander = await dial(net, server);
      await talk(bystander, 'before');
      await dialToReset(net, server, 'boom\n');
      await until(() => server.status().active === 1);
      await talk(bystander, 'after');
      assert.deepEqual(order, [
        ['onError', true, null, true],
        ['prepare', null],
      ]);
      assert.deepEqual(server.status().reasons, { aborted: 1 });
      await bystander.close();
      await server.stop();
      assert.equal(server.status().errors, 1);
      assert.deepEqual(await rejections(), []);
    });

    test(`in ${shape} is an event, a count and on the channel when there is no onError`, async () => {
      let server: Server | null = null;
      const { errors, stop } = published(() => server);
      server = await serveOn(net, handler);
      const events: unknown[] = [];
      server.on('error', (error, conn) => events.push([error, conn?.closeReason]));
      await dialToReset(net, server, 'boom\n');
      await until(() => server?.status().active === 0);
      await server.stop();
      stop();
      assert.deepEqual([errors, events, server.status().errors], [[boom], [[boom, null]], 1]);
    });

    test(`in ${shape} ${inCallbacks(shape) ? 'leaves the connection open' : 'ends the connection all the same'} when onError answers "keep"`, async () => {
      const server = await serveOn(net, handler, { onError: () => 'keep' });
      if (inCallbacks(shape)) {
        const client = await dial(net, server);
        await talk(client, 'one');
        void client.write('boom\n');
        await until(() => server.status().errors === 1);
        await talk(client, 'two');
        await endAll(client);
      } else await dialToReset(net, server, 'boom\n');
      await server.stop();
      assert.equal(server.status().errors, 1);
    });

    test(`in ${shape} can be answered by onError or by prepareHardClose, which close in order`, async () => {
      for (const where of ['onError', 'prepareHardClose'] as const) {
        const say = (conn: Connection | undefined): void => {
          void conn?.write('500');
          void conn?.close();
        };
        const server = await serveOn(net, handler, {
          onError: (_error, conn) => (where === 'onError' ? say(conn) : undefined),
          ...(where === 'prepareHardClose' && { prepareHardClose: say }),
        });
        const client = await dial(net, server);
        void client.write('boom\n');
        assert.equal(await textOf(client), '500');
        await client.close();
        await server.stop();
      }
    });

    test(`in ${shape} is not told to the client by an onError that prints`, async () => {
      const seen: unknown[] = [];
      const server = await serveOn(net, handler, {
        onError: () => void seen.push(current()),
        prepareHardClose: () => void seen.push(current()),
      });
      await dialToReset(net, server, 'boom\n');
      await server.stop();
      assert.deepEqual(seen, [undefined, undefined]);
    });
  }

  test('after it ended its connection in order does not wait for a peer: the end is abrupt', async () => {
    const reasons: string[] = [];
    const server = await serveOn(
      net,
      {
        data(conn) {
          void conn.close();
          throw boom;
        },
        close: (_conn, reason) => void reasons.push(reason.kind),
      },
      { onError: () => {}, linger: 60_000 },
    );
    const client = await dial(net, server);
    void client.write('x');
    await until(() => reasons.length === 1);
    assert.deepEqual(reasons, ['aborted']);
    await endAll(client);
    await server.stop();
  });

  test('an onError whose promise rejects, and one that answers "keep" too late, change nothing', async () => {
    const rejections = unhandled();
    for (const answer of [() => Promise.reject(new Error('again')), () => Promise.resolve('keep')]) {
      let server: Server | null = null;
      const { errors, stop } = published(() => server);
      server = await serveOn(net, shapes['a protocol']!, { onError: answer });
      await dialToReset(net, server, 'boom\n');
      await server.stop();
      await turns(3);
      stop();
      assert.ok(errors.length <= 1);
    }
    assert.deepEqual(await rejections(), []);
  });

  test('a prepareHardClose that throws is an error of its own, and the end is abrupt all the same', async () => {
    const seen: unknown[] = [];
    const again = new Error('again');
    const server = await serveOn(net, shapes['a function']!, {
      onError: (error) => void seen.push(error),
      prepareHardClose() {
        throw again;
      },
    });
    await dialToReset(net, server, 'boom\n');
    await server.stop();
    assert.deepEqual(seen, [boom, again]);
    assert.deepEqual(countsOf(server), { active: 0, accepted: 1, errors: 2 });
  });

  test('a hook that belongs to no connection is told without one', async () => {
    const seen: unknown[] = [];
    const server = await serveOn(net, shapes['a function']!, {
      onError: (error, conn) => void seen.push([error, conn]),
      onStop() {
        throw boom;
      },
    });
    await server.stop();
    assert.deepEqual(seen, [[boom, undefined]]);
  });

  test('what is no handler is refused before anything is opened', () => {
    const frame = (): void => {};
    const wrong: readonly unknown[] = [
      null,
      undefined,
      5,
      'chat.ts',
      {},
      lines(),
      { data: 'x' },
      { frame },
      { frame, codec: lines(), data: frame },
      defineHandler(lines(), {} as { frame: () => void }),
      defineHandler(lines(), { frame: 'x' } as unknown as { frame: () => void }),
      defineHandler(lines(), null as unknown as { frame: () => void }),
    ];
    for (const handler of wrong)
      assert.throws(() => createServer(handler as Handler, { port: 0 }), { code: 'ERR_PORTSIDE_HANDLER' });
  });
});
