import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloseReason } from '../../src/net/close-reason.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Context } from '../../src/server/context.ts';
import type { Server } from '../../src/server/server.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { countsOf, dial, dialToReset, published, serveOn, textOf, until } from './support.ts';

/** What `onError` was called with, and whether the connection was open then. */
interface Seen {
  readonly error: unknown;
  readonly reason: CloseReason | null;
}

function watching(seen: Seen[]): (error: unknown, connection: Connection | undefined) => void {
  return (error, connection) => {
    assert.ok(connection !== undefined);
    seen.push({ error, reason: connection.closeReason });
  };
}

onEachNet('a function that serves', (net) => {
  test('its connection is closed when it returns, after all output was sent', async () => {
    const contexts: Context[] = [];
    const server = await serveOn(net, (conn, context) => {
      contexts.push(context);
      void conn.write('x'.repeat(100_000));
    });
    const client = await dial(net, server);
    assert.equal((await textOf(client)).length, 100_000);
    assert.equal((await client.close()).kind, 'ended');
    await server.stop();
    assert.equal(contexts[0]?.server, server);
    assert.deepEqual(countsOf(server), { active: 0, accepted: 1, errors: 0 });
  });

  test('its connection stays open until its promise is settled', async () => {
    const server = await serveOn(net, async (conn) => {
      for await (const bytes of conn) await conn.write(bytes);
      await conn.write(' and goodbye');
    });
    const client = await dial(net, server);
    void client.write('hello');
    await client.closeWrite();
    assert.equal(await textOf(client), 'hello and goodbye');
    assert.equal((await client.close()).kind, 'ended');
    await server.stop();
    assert.equal(server.status().errors, 0);
  });

  const throwers: readonly (readonly [string, (error: Error, conn: Connection) => void | Promise<void>])[] = [
    [
      'at once',
      (error) => {
        throw error;
      },
    ],
    [
      'after a read',
      async (error, conn) => {
        await conn.read();
        throw error;
      },
    ],
  ];
  for (const [when, fail] of throwers) {
    test(`what it throws ${when} ends its connection and no other, and onError sees it while the connection is open`, async () => {
      const rejections = unhandled();
      const seen: Seen[] = [];
      const boom = new Error('boom');
      let calls = 0;
      const server = await serveOn(
        net,
        async (conn) => {
          calls += 1;
          if (calls === 2) return fail(boom, conn);
          for await (const bytes of conn) await conn.write(bytes);
        },
        { onError: watching(seen) },
      );
      const good = await dial(net, server);
      void good.write('a');
      assert.equal(Buffer.from((await good.readExactly(1)) ?? []).toString(), 'a');
      await dialToReset(net, server, 'b');
      void good.write('c');
      assert.equal(Buffer.from((await good.readExactly(1)) ?? []).toString(), 'c');
      assert.deepEqual(seen, [{ error: boom, reason: null }]);
      await good.close();
      await server.stop();
      assert.deepEqual(countsOf(server), { active: 0, accepted: 2, errors: 1 });
      assert.deepEqual(await rejections(), []);
    });
  }

  test('what a synchronous function throws is seen too', async () => {
    const seen: Seen[] = [];
    const boom = new Error('boom');
    const server = await serveOn(
      net,
      () => {
        throw boom;
      },
      { onError: watching(seen) },
    );
    await dialToReset(net, server);
    await server.stop();
    assert.deepEqual(seen, [{ error: boom, reason: null }]);
  });

  test('what it throws after its connection is over is seen and counted, and does no harm', async () => {
    const rejections = unhandled();
    const seen: Seen[] = [];
    const server = await serveOn(
      net,
      async (conn) => {
        await conn.read().catch(() => null);
        await conn.closed;
        throw new Error('too late');
      },
      { onError: watching(seen) },
    );
    (await dial(net, server)).abort();
    await until(() => seen.length > 0);
    assert.equal(seen[0]?.reason?.kind, 'reset');
    assert.equal(server.status().errors, 1);
    const next = await dial(net, server);
    await endAll(next);
    await server.stop();
    assert.deepEqual(await rejections(), []);
  });

  test('a peer that resets is not an error of the function that was reading or writing', async () => {
    const rejections = unhandled();
    const seen: Seen[] = [];
    let done = 0;
    const server = await serveOn(
      net,
      async (conn) => {
        try {
          for await (const bytes of conn) await conn.write(bytes.length === 1 ? 'started' : Buffer.alloc(1_000_000));
        } finally {
          done += 1;
        }
      },
      { onError: watching(seen) },
    );
    const reader = await dial(net, server);
    void reader.write('r');
    await reader.readExactly(7);
    reader.abort();
    const writer = await dial(net, server);
    void writer.write('many of them');
    await writer.readExactly(10);
    writer.abort();
    await until(() => done === 2);
    await server.stop();
    assert.deepEqual(seen, []);
    assert.deepEqual(countsOf(server), { active: 0, accepted: 2, errors: 0 });
    assert.deepEqual(await rejections(), []);
  });

  test('without onError an error is counted and published on the diagnostics channel', async () => {
    let server: Server | null = null;
    const { errors, stop } = published(() => server);
    const boom = new Error('boom');
    server = await serveOn(net, () => Promise.reject(boom));
    await dialToReset(net, server);
    await server.stop();
    stop();
    assert.deepEqual(errors, [boom]);
    assert.equal(server.status().errors, 1);
  });

  test('what onError itself throws is published, and the connection ends all the same', async () => {
    const rejections = unhandled();
    let server: Server | null = null;
    const { errors, stop } = published(() => server);
    const again = new Error('again');
    server = await serveOn(net, () => Promise.reject(new Error('boom')), {
      onError: () => {
        throw again;
      },
    });
    await dialToReset(net, server);
    await server.stop();
    stop();
    assert.deepEqual(errors, [again]);
    assert.deepEqual(await rejections(), []);
  });

  test('a thenable that is no promise is awaited like one', async () => {
    const server = await serveOn(net, (conn) => {
      const thenable = {
        // oxlint-disable-next-line unicorn/no-thenable -- it is what this is about
        then(resolve: () => void): void {
          void conn.read().then(resolve);
        },
      };
      return thenable as unknown as Promise<void>;
    });
    const client = await dial(net, server);
    void client.write('x');
    assert.equal(await client.read(), null);
    await client.close();
    await server.stop();
    assert.equal(server.status().errors, 0);
  });
});
