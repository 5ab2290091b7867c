import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import { pipe } from '../../src/net/pipe.ts';
import type { Connection } from '../../src/net/connection.ts';
import { after, select } from '../../src/sync/evt.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Ledger } from '../../src/server/drain.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { Server } from '../../src/server/server.ts';
import { certificates } from '../support/certificates.ts';
import { onEachNet } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { dial, serveOn, textOf, turns, until } from './support.ts';
import { Stage } from './virtual.ts';

/** A way to wait for messages of four bytes, and to answer each; `whole`: whether it knows where one ends. */
interface Way {
  readonly name: string;
  readonly handler: Handler;
  readonly whole: boolean;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

const way = (name: string, whole: boolean, handler: Handler): Way => ({ name, whole, handler });

/** Serves by asking, with one answer for each message. */
function asking(next: (conn: Connection) => () => Promise<string | null>): Handler {
  return async (conn) => {
    const ask = next(conn);
    for (let got = await ask(); got !== null; got = await ask()) void conn.write(`<${got.trim()}>`);
  };
}

const prefix = lengthPrefix({ bytes: 1 });
const said = (bytes: Uint8Array | null): string | null => (bytes === null ? null : text(bytes));

const ways: readonly Way[] = [
  way(
    'read',
    false,
    asking((conn) => async () => said(await conn.read())),
  ),
  way(
    'a read with a time',
    false,
    asking((conn) => async () => said(await conn.read({ timeout: 600_000 }))),
  ),
  way(
    'an iteration',
    false,
    asking((conn) => {
      const chunks = conn[Symbol.asyncIterator]();
      return async () => said((await chunks.next()).value ?? null);
    }),
  ),
  way(
    'select on readEvt',
    false,
    asking((conn) => async () => said((await select(conn.readEvt(), after(600_000))) ?? null)),
  ),
  way('callbacks', false, { data: (conn, bytes) => void conn.write(`<${text(bytes).trim()}>`) }),
  way(
    'readExactly',
    true,
    asking((conn) => async () => said(await conn.readExactly(4))),
  ),
  way(
    'readLine',
    true,
    asking((conn) => () => conn.readLine()),
  ),
  way(
    'readUntil',
    true,
    asking((conn) => async () => said(await conn.readUntil('\n'))),
  ),
  way(
    'frames',
    true,
    asking((conn) => {
      const frames = conn.frames(lines());
      return async () => (await frames.next()).value ?? null;
    }),
  ),
  way(
    'a function on a codec',
    true,
    defineHandler(lines(), async (frames, conn) => {
      for await (const line of frames) void conn.write(`<${line}>`);
    }) as Handler,
  ),
  way('callbacks on a codec', true, defineHandler(lines(), { frame: (conn, line) => void conn.write(`<${line}>`) })),
];

/** What the server's one connection does, by its status. */
function doing(server: Server): string | undefined {
  return server.status({ connections: true }).connections?.[0]?.doing;
}

/** A server with one client that it has begun to serve. */
async function served(net: Net, handler: Handler, options = {}): Promise<{ server: Server; client: Connection }> {
  const server = await serveOn(net, handler, options);
  const client = await dial(net, server);
  await until(() => server.status().active === 1);
  await turns(2);
  return { server, client };
}

/** Drains with more time than the test has, so that only idleness ends anything. */
function drained(server: Server): Promise<Ledger> {
  return server.drain({ grace: 3_600_000 });
}

/** The turn of everybody in a drain that has just begun: timers come in order. */
async function itsTurn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 3));
  await turns();
}

onEachNet('what is idle', (net) => {
  for (const { name, handler, whole } of ways) {
    test(`who waits in ${name} is, and is closed in order at once`, async () => {
      const { server, client } = await served(net, handler);
      void client.write('abc\n');
      assert.equal(text((await client.readExactly(5)) ?? new Uint8Array()), '<abc>');
      await until(() => doing(server) === 'idle');
      const done = drained(server);
      assert.equal(await client.read(), null);
      await client.close();
      const { connections, idle } = await done;
      assert.deepEqual({ connections, idle }, { connections: 1, idle: 1 });
      assert.deepEqual(server.status().errors, 0);
    });

    if (!whole) continue;
    test(`who has part of a message in ${name} is not, until it was answered`, async () => {
      const { server, client } = await served(net, handler);
      void client.write('ab');
      await until(() => doing(server) === 'busy');
      const done = drained(server);
      await turns();
      assert.equal(doing(server), 'busy');
      void client.write('c\n');
      // The answer, and then the end: nobody polls for it.
      assert.equal(await textOf(client), '<abc>');
      await client.close();
      assert.equal((await done).idle, 1);
    });
  }

  test('who has part of a frame of known length is not', async () => {
    const { server, client } = await served(
      net,
      defineHandler(prefix, { frame: (conn, frame) => void conn.write(`<${text(frame)}>`) }),
    );
    void client.write(Uint8Array.of(3, 97));
    await until(() => doing(server) === 'busy');
    const done = drained(server);
    await itsTurn();
    void client.write('bc');
    assert.equal(await textOf(client), '<abc>');
    await client.close();
    assert.equal((await done).idle, 1);
  });

  for (const [name, handler] of [
    [
      'a function',
      async (conn: Connection) => {
        void conn.write(Buffer.alloc(6_000_000, 'x'));
        while ((await conn.read()) !== null);
      },
    ],
    ['callbacks', { open: (conn: Connection) => void conn.write(Buffer.alloc(6_000_000, 'x')) }],
  ] as readonly (readonly [string, Handler])[]) {
    test(`who has output queued is not, below the high-water mark too, until the peer took it: ${name}`, async () => {
      const { server, client } = await served(net, handler, { highWaterMark: 50_000_000, writeLimit: 60_000_000 });
      await until(() => (server.status({ connections: true }).connections?.[0]?.queued ?? 0) > 0);
      const done = drained(server);
      await turns();
      assert.equal(doing(server), 'busy');
      assert.equal((await textOf(client)).length, 6_000_000);
      await client.close();
      assert.equal((await done).idle, 1);
    });
  }

  test('who is marked busy is not, and is closed as soon as it is not marked any more', async () => {
    const serving: Connection[] = [];
    const { server, client } = await served(net, {
      open(conn) {
        conn.busy = true;
        serving.push(conn);
      },
    });
    assert.equal(doing(server), 'busy');
    const done = drained(server);
    await itsTurn();
    const [conn] = serving;
    assert.ok(conn !== undefined && conn.closeReason === null);
    // Marked again in the same turn it is at work still.
    conn.busy = false;
    conn.busy = true;
    await turns();
    assert.equal(doing(server), 'busy');
    conn.busy = false;
    assert.equal(await client.read(), null);
    await client.close();
    assert.equal((await done).idle, 1);
  });

  test('whose handler awaits something else is not, and is closed once it reads again', async () => {
    const begun = Promise.withResolvers<void>();
    const work = Promise.withResolvers<void>();
    const { server, client } = await served(net, async (conn) => {
      await conn.readLine();
      begun.resolve();
      await work.promise;
      void conn.write('done\n');
      await conn.readLine();
    });
    void client.write('work\n');
    await begun.promise;
    const done = drained(server);
    await itsTurn();
    assert.equal(doing(server), 'busy');
    work.resolve();
    assert.equal(await textOf(client), 'done\n');
    await client.close();
    assert.equal((await done).idle, 1);
  });

  test('whose input was closed by its handler is not: it waits for nothing', async () => {
    const serving: Connection[] = [];
    const { server, client } = await served(net, {
      open(conn) {
        conn.closeRead();
        serving.push(conn);
      },
    });
    const done = drained(server);
    await itsTurn();
    assert.equal(doing(server), 'busy');
    void serving[0]?.write('a push');
    void serving[0]?.close();
    assert.equal(await textOf(client), 'a push');
    await client.close();
    assert.equal((await done).finished, 1);
  });

  test('who has ended its output and waits for the rest of its input is', async () => {
    const { server, client } = await served(net, async (conn) => {
      await conn.closeWrite();
      while ((await conn.read()) !== null);
    });
    assert.equal(await client.read(), null);
    await until(() => doing(server) === 'idle');
    const done = drained(server);
    await until(() => doing(server) === 'closing');
    await client.close();
    assert.equal((await done).idle, 1);
  });

  test('who holds its output back by a cork is not, until the cork is out', async () => {
    const serving: Connection[] = [];
    const { server, client } = await served(net, {
      open(conn) {
        conn.cork();
        void conn.write('held back');
        serving.push(conn);
      },
    });
    const done = drained(server);
    await itsTurn();
    assert.equal(doing(server), 'busy');
    void serving[0]?.uncork();
    assert.equal(await textOf(client), 'held back');
    await client.close();
    assert.equal((await done).idle, 1);
  });

  test('who shakes hands for TLS is not, and is closed once that is over and it waits again', async () => {
    const { server: pair, ca } = certificates();
    const server = await serveOn(
      net,
      {
        data(conn) {
          void conn.write('go\n');
          void conn.upgradeTls();
        },
      },
      { listen: 'tcp://127.0.0.1:0', tls: pair },
    );
    const client = await dial(net, server);
    void client.write('STARTTLS\n');
    assert.equal(await client.readLine(), 'go');
    const done = drained(server);
    await itsTurn();
    assert.equal(doing(server), 'busy');
    await client.upgradeTls({ tls: { ca, servername: 'localhost' } });
    assert.equal(await client.read(), null);
    await client.close();
    assert.equal((await done).idle, 1);
  });

  test('a connection in a pipe is while nothing is on its way', async () => {
    const echo = await serveOn(net, { data: (conn, bytes) => void conn.write(bytes) });
    const back = await serveOn(net, async (conn) => void (await pipe(conn, await dial(net, echo))));
    const client = await dial(net, back);
    void client.write('through\n');
    assert.equal(await client.readLine(), 'through');
    await until(() => doing(back) === 'idle');
    const done = drained(back);
    assert.equal(await client.read(), null);
    await client.close();
    assert.equal((await done).idle, 1);
    await echo.stop({ grace: 0 });
  });
});

describe('becoming idle', () => {
  test('is noticed by what happens, without a timer', async () => {
    const stage = new Stage();
    const server = await stage.serve(async (conn) => {
      for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
        await new Promise<void>((resolve) => void work.push(resolve));
        void conn.write('done\n');
      }
    });
    const work: (() => void)[] = [];
    const client = await stage.dial(server);
    void client.write('one\ntwo\n');
    await stage.clock.settle();
    const done = stage.run(() => server.drain({ grace: Infinity }));
    await stage.clock.advance(1_000);
    const { everArmed, armed } = stage.clock;
    work.shift()?.();
    await stage.clock.settle();
    // The second line was there already: it has its answer first.
    assert.equal(doing(server), 'busy');
    assert.deepEqual([stage.clock.everArmed, stage.clock.armed], [everArmed, armed]);
    work.shift()?.();
    await stage.clock.settle();
    assert.notEqual(doing(server), 'busy');
    const all = await stage.now(() => textOf(client));
    assert.equal(all, 'done\ndone\n');
    void client.close();
    assert.equal((await stage.clock.run(done)).idle, 1);
    assert.equal(stage.clock.armed, 0);
  });
});
