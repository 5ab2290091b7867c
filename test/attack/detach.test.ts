import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import type { Context } from '../../src/server/context.ts';
import type { Handler } from '../../src/server/handler.ts';
import { onEachNet } from '../support/nets.ts';
import { besieged, eventually } from '../support/siege.ts';
import type { Siege } from '../support/siege.ts';

const WAVES = 15;
const AT_ONCE = 20;

/** Who took connections from the server, and how many it has. */
class Taker {
  has = 0;
  taken = 0;

  take(conn: Connection): void {
    this.has += 1;
    this.taken += 1;
    void conn.closed.then(() => (this.has -= 1));
    void (async () => {
      for await (const bytes of conn) await conn.write(bytes);
      await conn.close();
    })().catch(() => {});
  }
}

function shapes(taker: Taker): Readonly<Record<string, Handler>> {
  return {
    'a function': async (conn, { server }: Context) => {
      for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
        if (line === 'detach') {
          taker.take(server.detach(conn));
          return;
        }
        await conn.write(`${line}\n`);
      }
    },
    'a protocol': {
      open(conn, { server }) {
        conn.data = server;
      },
      data(conn, bytes) {
        const text = Buffer.from(bytes).toString();
        if (!text.startsWith('detach\n')) {
          void conn.write(bytes);
          return;
        }
        (conn.data as Context['server']).detach(conn);
        conn.unread(bytes.subarray('detach\n'.length));
        taker.take(conn);
      },
    },
  };
}

/** Asks to be given away, and goes at some moment or other. */
async function storm(siege: Siege): Promise<void> {
  for (let wave = 0; wave < WAVES; wave += 1) {
    const clients = await Promise.all(Array.from({ length: AT_ONCE }, () => siege.dial()));
    await Promise.all(
      clients.map(async (client, i) => {
        await client.write('detach\n').catch(() => {});
        for (let turn = 0; turn < (i + wave) % 6; turn += 1) await new Promise(setImmediate);
        if (i % 2 === 0) {
          client.abort();
          return;
        }
        await client.write('still there?\n').catch(() => {});
        await client.read().catch(() => null);
        await client.close();
      }),
    );
  }
}

onEachNet('storms of connections that are given away', (net) => {
  for (const shape of ['a function', 'a protocol'] as const) {
    test(`free their places at once, and leave nothing behind (${shape})`, async () => {
      const taker = new Taker();
      await besieged(net, {
        handler: shapes(taker)[shape]!,
        options: { maxConnections: 40, maxPerClient: 40 },
        attack: async (siege) => {
          await storm(siege);
          await eventually(
            () => taker.has === 0,
            () => taker.has,
          );
        },
        counted: ({ detached, errors, accepted }) => {
          assert.equal(detached, taker.taken);
          assert.ok(detached >= (WAVES * AT_ONCE) / 2, `${detached} of ${accepted}`);
          assert.equal(errors, 0);
        },
      });
    });
  }
});
