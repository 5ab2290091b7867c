import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import type { Protocol } from '../../src/server/handler.ts';
import { endAll, onEachNet, readAll } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, serveOn, textOf, turns, until } from './support.ts';

const MIB = 1_048_576;

onEachNet('a protocol that serves', (net) => {
  test('open, data, end and close come in order, open and close once, as methods of the object', async () => {
    const calls: string[] = [];
    const protocol: Protocol & { readonly name: string } = {
      name: 'it',
      open(conn, { server: by }) {
        calls.push(`${this.name} open ${by === server} ${conn.closeReason === null}`);
      },
      data(conn, bytes) {
        calls.push(`${this.name} data ${Buffer.from(bytes).toString()}`);
        void conn.write(bytes);
      },
      end(conn) {
        calls.push(`${this.name} end`);
        void conn.write('bye');
        void conn.close();
      },
      close(_conn, reason) {
        calls.push(`${this.name} close ${reason.kind}`);
      },
    };
    const server = await serveOn(net, protocol);
    const client = await dial(net, server);
    void client.write('one');
    assert.equal(Buffer.from((await client.readExactly(3)) ?? []).toString(), 'one');
    await client.closeWrite();
    assert.equal(await textOf(client), 'bye');
    await client.close();
    await server.stop();
    assert.deepEqual(calls, ['it open true true', 'it data one', 'it end', 'it close ended']);
  });

  test('drain comes when output that was above the mark is with the kernel, before close', async () => {
    const calls: string[] = [];
    const server = await serveOn(net, {
      open(conn) {
        void conn.write(Buffer.alloc(8 * MIB));
        calls.push(conn.queuedBytes > 65_536 ? 'queued' : 'gone');
      },
      drain(conn) {
        calls.push(`drain ${conn.queuedBytes}`);
        void conn.close();
      },
      close: (_conn, reason) => void calls.push(`close ${reason.kind}`),
    });
    const client = await dial(net, server);
    assert.equal((await readAll(client)).length, 8 * MIB);
    await client.close();
    await server.stop();
    assert.deepEqual(calls, ['queued', 'drain 0', 'close closed']);
  });

  test('without end, the end of the input sends what is queued and closes', async () => {
    const server = await serveOn(net, { data: (conn, bytes) => void conn.write(bytes) });
    const client = await dial(net, server);
    const sent = Buffer.alloc(3 * MIB, 'portside ');
    void client.write(sent);
    void client.closeWrite();
    assert.ok((await readAll(client)).equals(sent));
    assert.equal((await client.close()).kind, 'ended');
    await server.stop();
    assert.equal(server.status().errors, 0);
  });

  for (const name of ['open', 'data', 'end', 'drain', 'close'] as const) {
    for (const how of ['throws', 'gives a promise that rejects'] as const) {
      test(`when ${name} ${how}, that connection ends and no other`, async () => {
        const rejections = unhandled();
        const boom = new Error('boom');
        const seen: unknown[] = [];
        let bad: Connection | null = null;
        const fail = (conn: Connection): void => {
          if (conn !== bad) return;
          if (how === 'throws') throw boom;
          return Promise.reject(boom) as unknown as void;
        };
        let first: Connection | null = null;
        const over: Connection[] = [];
        const server = await serveOn(
          net,
          {
            open(conn) {
              if (first === null) first = conn;
              else bad = conn;
              if (name === 'open') return fail(conn);
            },
            data(conn, bytes) {
              void conn.write(bytes);
              if (name === 'drain' && conn === bad) void conn.write(Buffer.alloc(8 * MIB));
              if (name === 'data') return fail(conn);
            },
            end(conn) {
              if (name === 'end' && conn === bad) return fail(conn);
              void conn.close();
            },
            drain(conn) {
              if (name === 'drain') return fail(conn);
            },
            close(conn) {
              over.push(conn);
              if (name === 'close') return fail(conn);
            },
          },
          { onError: (error, conn) => seen.push([error, conn === bad, conn?.closeReason?.kind ?? null]) },
        );
        const good = await dial(net, server);
        await until(() => first !== null);
        // A reset may come while the connection is still being made.
        const other = await dial(net, server).catch(() => null);
        void other?.write('x');
        // An end would overtake the rejection of a promise that the callbacks before it gave.
        if (name === 'end' || name === 'close') void other?.closeWrite();
        await (other === null ? null : readAll(other).catch(() => null));
        await other?.close();
        await until(() => over.length === 1);
        assert.equal(over[0], bad);
        assert.deepEqual(seen, [[boom, true, name === 'close' ? 'ended' : null]]);
        assert.equal(server.status().errors, 1);
        void good.write('still here');
        assert.equal(Buffer.from((await good.readExactly(10)) ?? []).toString(), 'still here');
        await good.close();
        await server.stop();
        assert.equal(over.length, 2);
        assert.deepEqual(await rejections(), []);
      });
    }
  }

  test('nothing more comes after a callback threw, but close, once', async () => {
    const calls: string[] = [];
    const server = await serveOn(
      net,
      {
        data() {
          calls.push('data');
          throw new Error('boom');
        },
        end: () => void calls.push('end'),
        drain: () => void calls.push('drain'),
        close: (_conn, reason) => void calls.push(`close ${reason.kind}`),
      },
      { onError: () => calls.push('error') },
    );
    const client = await dial(net, server);
    for (let i = 0; i < 20; i += 1) void client.write('x'.repeat(10_000));
    void client.closeWrite();
    await readAll(client).catch(() => null);
    await server.stop();
    await turns();
    assert.deepEqual(calls, ['data', 'error', 'close aborted']);
  });

  test('reading rests while a peer does not take its output, and goes on when it does', async () => {
    const total = 48 * MIB;
    let received = 0;
    let most = 0;
    let rested = 0;
    let serving: Connection | null = null;
    const server = await serveOn(net, {
      open(conn) {
        serving = conn;
      },
      data(conn, bytes) {
        received += bytes.length;
        void conn.write(bytes);
        most = Math.max(most, conn.queuedBytes);
      },
      drain: () => void (rested += 1),
    });
    const client = await dial(net, server, { writeLimit: 2 * total });
    void client.write(Buffer.alloc(total));
    void client.closeWrite();
    // It has come to rest when nothing was received for a while.
    for (let still = 0, before = -1; still < 50; before = received) {
      await turns(1);
      still = received === before && received > 0 ? still + 1 : 0;
    }
    assert.ok(received < total, 'it stopped reading');
    assert.ok(most < 2 * MIB, `${most} bytes were queued`);
    assert.ok(((serving as Connection | null)?.queuedBytes ?? 0) > 65_536);
    assert.equal((await readAll(client)).length, total);
    assert.ok(rested > 0);
    await client.close();
    await server.stop();
    assert.equal(received, total);
    assert.ok(most < 2 * MIB, `${most} bytes were queued`);
    assert.equal(server.status().errors, 0);
  });

  test('close is told the reason: ended, closed, aborted, reset', async () => {
    const reasons: string[] = [];
    const server = await serveOn(net, {
      data(conn, bytes) {
        if (Buffer.from(bytes).toString() === 'close') void conn.close();
        else conn.abort();
      },
      close: (_conn, reason) => void reasons.push(reason.kind),
    });
    const ends: readonly ((client: Connection) => void)[] = [
      (client) => void client.close(),
      (client) =>
        void client
          .write('close')
          .then(() => textOf(client))
          .then(() => client.close()),
      (client) => void client.write('abort'),
      (client) => client.abort(),
    ];
    for (const [i, end] of ends.entries()) {
      const client = await dial(net, server);
      await until(() => server.status().accepted === i + 1);
      end(client);
      await until(() => reasons.length === i + 1);
      await endAll(client);
    }
    await server.stop();
    assert.deepEqual(reasons, ['ended', 'closed', 'aborted', 'reset']);
  });
});
