import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CloseReason } from '../../src/net/close-reason.ts';
import type { Connection } from '../../src/net/connection.ts';
import { link } from '../../src/net/connection.ts';
import type { DeadlineName } from '../../src/net/deadlines.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import type { Server } from '../../src/server/server.ts';
import { certificates } from '../support/certificates.ts';
import { dial, serveOn, until } from './support.ts';
import { Fate, Stage } from './virtual.ts';
import { onEachNet } from '../support/nets.ts';

/** Reads all, by asking and by being called. */
const readers: Readonly<Record<string, Handler>> = {
  'a function': async (conn) => {
    while ((await conn.read()) !== null);
  },
  callbacks: { data() {} },
};

/** How the connections of a server ended. */
function endsOf(server: Server): CloseReason[] {
  const ends: CloseReason[] = [];
  server.on('close', (_, reason) => void ends.push(reason));
  return ends;
}

async function running(
  handler: Handler,
  options: ServerOptions,
): Promise<{ stage: Stage; server: Server; ends: CloseReason[] }> {
  const stage = new Stage({ bufferSize: 1_000 });
  const server = await stage.serve(handler, { linger: 0, ...options });
  return { stage, server, ends: endsOf(server) };
}

/** Nothing ends it before, and in this very millisecond it is over. */
async function endsAfter(
  stage: Stage,
  ends: readonly CloseReason[],
  ms: number,
  deadline: DeadlineName,
  limit: number,
): Promise<void> {
  await stage.clock.advance(ms - 1);
  assert.deepEqual(ends, [], 'too early');
  await stage.clock.advance(1);
  assert.deepEqual(ends, [{ kind: 'timeout', deadline, after: limit }]);
}

for (const [shape, reader] of Object.entries(readers)) {
  describe(`a server's deadline, for ${shape}`, () => {
    for (const deadline of ['firstByte', 'idle', 'read', 'life'] as const)
      test(`of ${deadline} ends a silent client, by its name, and is no error`, async () => {
        const { stage, server, ends } = await running(reader, { deadlines: { [deadline]: 700 } });
        const fate = new Fate(await stage.dial(server));
        await endsAfter(stage, ends, 700, deadline, 700);
        assert.equal(fate.end, 'eof');
        const { reasons, errors, active } = server.status();
        assert.deepEqual(
          { reasons, errors, active },
          { reasons: { [`timeout-${deadline}`]: 1 }, errors: 0, active: 0 },
        );
        await stage.end(server, fate.client);
        assert.equal(stage.clock.armed, 0);
      });

    test('is moved on by a byte in time when it is of idleness or reading, not of the first byte or life', async () => {
      for (const [deadline, expected] of [
        ['firstByte', null],
        ['idle', 1_399],
        ['read', 1_399],
        ['life', 700],
      ] as const) {
        const { stage, server, ends } = await running(reader, { deadlines: { [deadline]: 700 } });
        const client = await stage.dial(server);
        await stage.clock.advance(699);
        void client.write('x');
        await stage.clock.settle();
        if (expected === null) {
          await stage.clock.advance(100_000);
          assert.deepEqual(ends, []);
        } else await endsAfter(stage, ends, expected - 699, deadline, 700);
        await stage.end(server, client);
      }
    });

    test('can be changed while running, for those that are open too', async () => {
      const { stage, server, ends } = await running(reader, { linger: 0 });
      const first = await stage.dial(server);
      void first.write('x');
      await stage.clock.advance(10_000);
      server.set({ deadlines: { idle: 500 } });
      await stage.clock.advance(499);
      assert.deepEqual(ends, []);
      server.set({ deadlines: { idle: 2_000 } });
      await stage.clock.advance(1_500);
      assert.deepEqual(ends, []);
      server.set({ deadlines: { idle: 1_999 } });
      await stage.clock.advance(1);
      assert.deepEqual(ends, [{ kind: 'timeout', deadline: 'idle', after: 1_999 }]);
      ends.length = 0;

      // Life and the first byte count from the accept, whenever they are set.
      const second = await stage.dial(server);
      await stage.clock.advance(800);
      server.set({ deadlines: { idle: Infinity, firstByte: 1_000 } });
      await endsAfter(stage, ends, 200, 'firstByte', 1_000);
      ends.length = 0;
      server.set({ deadlines: { firstByte: Infinity } });
      const third = await stage.dial(server);
      await stage.clock.advance(5_000);
      server.set({ deadlines: { life: 6_000 } });
      await endsAfter(stage, ends, 1_000, 'life', 6_000);
      ends.length = 0;

      const fourth = await stage.dial(server);
      await stage.clock.settle();
      server.set({ deadlines: { life: Infinity } });
      assert.equal(stage.clock.armed, 0, 'with none set there is no timer');
      await stage.clock.advance(1_000_000);
      assert.deepEqual(ends, []);
      void fourth.write('x');

      // None was ever set for this one.
      const fifth = await stage.dial(server);
      await stage.clock.advance(800);
      server.set({ deadlines: { firstByte: 1_000 } });
      await endsAfter(stage, ends, 200, 'firstByte', 1_000);
      await stage.end(server, first, second, third, fourth, fifth);
    });
  });
}

describe("a server's deadline", () => {
  test('of reading does not count while callbacks hold their reading, nor while a function does something else', async () => {
    let held: Connection | null = null;
    const { stage, server, ends } = await running(
      {
        open(conn) {
          held = conn;
          link(conn).hold(true);
        },
        data() {},
      },
      { deadlines: { read: 700 } },
    );
    const client = await stage.dial(server);
    await stage.clock.advance(10_000);
    assert.deepEqual(ends, []);
    if (held !== null) link(held).hold(false);
    await endsAfter(stage, ends, 700, 'read', 700);
    await stage.end(server, client);

    let go = (): void => {};
    const other = await running(
      async (conn) => {
        await new Promise<void>((resolve) => (go = resolve));
        await conn.read();
      },
      { deadlines: { read: 700 } },
    );
    const patient = await other.stage.dial(other.server);
    await other.stage.clock.advance(10_000);
    assert.deepEqual(other.ends, []);
    go();
    await endsAfter(other.stage, other.ends, 700, 'read', 700);
    await other.stage.end(other.server, patient);
  });

  test('of writing rejects the write that a function waits for, and is no error of it', async () => {
    for (const how of ['write', 'flushed'] as const) {
      const caught: unknown[] = [];
      const { stage, server, ends } = await running(
        async (conn) => {
          try {
            const writing = conn.write(Buffer.alloc(how === 'write' ? 100_000 : 10_000));
            await (how === 'write' ? writing : conn.flushed());
          } catch (error) {
            caught.push(error);
            throw error;
          }
        },
        { deadlines: { write: 800 } },
      );
      const client = await stage.dial(server);
      await stage.clock.settle();
      await endsAfter(stage, ends, 800, 'write', 800);
      assert.equal((caught[0] as { code?: string }).code, 'ERR_PORTSIDE_TIMEOUT');
      const { errors, reasons } = server.status();
      assert.deepEqual({ errors, reasons }, { errors: 0, reasons: { 'timeout-write': 1 } });
      await stage.end(server, client);
    }
  });

  test('of writing ends callbacks that wait for nothing, and their reading rests meanwhile without being late', async () => {
    const { stage, server, ends } = await running(
      { open: (conn) => void conn.write(Buffer.alloc(100_000)), data() {} },
      { deadlines: { write: 800, read: 300 } },
    );
    const client = await stage.dial(server);
    await stage.clock.settle();
    await endsAfter(stage, ends, 800, 'write', 800);
    assert.equal(server.status().errors, 0);
    await stage.end(server, client);
  });

  test('of writing can be changed while somebody waits', async () => {
    for (const [before, set, ms] of [
      [Infinity, 500, 500],
      [800, 500, 300],
      [800, 150, 1],
      [800, 2_000, 1_800],
    ] as const) {
      const { stage, server, ends } = await running(
        { open: (conn) => void conn.write(Buffer.alloc(100_000)), data() {} },
        { deadlines: { write: before } },
      );
      const client = await stage.dial(server);
      await stage.clock.settle();
      await stage.clock.advance(before === Infinity ? 100_000 : 199);
      server.set({ deadlines: { write: set } });
      if (before === Infinity) await endsAfter(stage, ends, ms, 'write', set);
      else if (set === 150) {
        await stage.clock.settle();
        assert.deepEqual(ends, [{ kind: 'timeout', deadline: 'write', after: set }]);
      } else await endsAfter(stage, ends, ms + 1, 'write', set);
      await stage.end(server, client);
    }
  });

  test('holds for a handler that has thrown nothing, while `read({ timeout })` only rejects', async () => {
    const caught: unknown[] = [];
    const { stage, server, ends } = await running(
      async (conn) => {
        await conn.read({ timeout: 300 }).catch((error: unknown) => caught.push(error));
        await conn.read();
      },
      { deadlines: { idle: 1_000 } },
    );
    const client = await stage.dial(server);
    await stage.clock.advance(300);
    assert.equal((caught[0] as { code?: string }).code, 'ERR_PORTSIDE_TIMEOUT');
    await endsAfter(stage, ends, 700, 'idle', 1_000);
    assert.equal(server.status().errors, 0);
    await stage.end(server, client);
  });

  test('does not hold for a connection that was given away, nor does a change reach it', async () => {
    let mine: Connection | null = null;
    const { stage, server, ends } = await running(
      (conn, { server: it }) => {
        mine = it.detach(conn);
      },
      { deadlines: { idle: 500, life: 700 } },
    );
    const client = await stage.dial(server);
    await stage.clock.settle();
    server.set({ deadlines: { idle: 100 } });
    await stage.clock.advance(100_000);
    assert.equal((mine as Connection | null)?.signal.aborted, false);
    assert.deepEqual(ends, []);
    (mine as Connection | null)?.abort();
    await stage.end(server, client);
    assert.equal(stage.clock.armed, 0);
  });

  test('of the handshake ends a client that is silent or stops in the middle of it, and holds up no other', async () => {
    const { server: pair, ca } = certificates();
    for (const hello of ['', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000']) {
      const { stage, server, ends } = await running(readers['a function']!, {
        tls: { ...pair, handshakeTimeout: 3_000 },
        // Neither holds within a handshake.
        deadlines: { firstByte: 100, idle: 100 },
      });
      const client = await stage.dial(server);
      if (hello !== '') void client.write(Buffer.from(hello, 'latin1'));
      await stage.clock.settle();
      const good = await stage.dial(server, '192.0.2.2', { tls: { ca, servername: 'localhost' } });
      void good.write('hello');
      await until(() => server.status().opening === 1);
      await stage.clock.settle();
      void good.closeWrite();
      for (let i = 0; i < 50 && server.status().active > 1; i += 1) await stage.clock.settle();
      ends.length = 0;
      await endsAfter(stage, ends, 3_000 - stage.clock.now(), 'handshake', 3_000);
      assert.equal(server.status().reasons['timeout-handshake'], 1);
      await stage.end(server, client, good);
    }
  });

  test('of the handshake holds for a PROXY header that does not come', async () => {
    const { stage, server, ends } = await running(readers['a function']!, {
      proxy: { from: ['192.0.2.0/24'], timeout: 400 },
    });
    const client = await stage.dial(server);
    void client.write('PROXY ');
    await stage.clock.settle();
    await endsAfter(stage, ends, 400, 'handshake', 400);
    await stage.end(server, client);
  });

  test('of life and idleness count again once the handshakes are over', async () => {
    for (const [deadline, ms] of [
      ['idle', 500],
      ['firstByte', 500],
      ['life', 300],
    ] as const) {
      const { stage, server, ends } = await running(readers['a function']!, {
        proxy: { from: ['192.0.2.0/24'], timeout: 5_000 },
        deadlines: { [deadline]: 500 },
      });
      const client = await stage.dial(server);
      await stage.clock.advance(200);
      void client.write('PROXY TCP4 203.0.113.1 203.0.113.2 1 2\r\n');
      await stage.clock.settle();
      await endsAfter(stage, ends, ms, deadline, 500);
      await stage.end(server, client);
    }
  });
});

onEachNet("a server's deadlines", (net) => {
  for (const [shape, handler] of Object.entries(readers))
    test(`end silent clients of ${shape}, each by its name`, async () => {
      for (const deadline of ['firstByte', 'idle', 'read', 'life'] as const) {
        const server = await serveOn(net, handler, { deadlines: { [deadline]: 30 }, linger: 500 });
        const ends = endsOf(server);
        const client = await dial(net, server);
        assert.equal(await client.read(), null);
        await client.close();
        await until(() => ends.length > 0);
        assert.deepEqual(ends, [{ kind: 'timeout', deadline, after: 30 }]);
        assert.equal(server.status().errors, 0);
        await server.stop();
      }
    });

  test('end a client that takes no output, while its handler waits', async () => {
    const server = await serveOn(net, async (conn) => conn.write(Buffer.alloc(30_000_000)), {
      deadlines: { write: 60 },
      linger: 60,
    });
    const ends = endsOf(server);
    const client = await dial(net, server);
    await until(() => ends.length > 0);
    assert.deepEqual(ends, [{ kind: 'timeout', deadline: 'write', after: 60 }]);
    assert.equal(server.status().errors, 0);
    client.abort();
    await server.stop();
  });
});
