import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Handler } from '../../src/server/handler.ts';
import { onEachNet } from '../support/nets.ts';
import { besieged, eventually } from '../support/siege.ts';
import type { Siege } from '../support/siege.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { echoes } from './handlers.ts';

const WAVES = 10;
const AT_ONCE = 20;

class Thrown extends Error {
  override name = 'Thrown';
}

function thrower(what: string): () => never {
  return () => {
    const error = new Thrown(what);
    // Until it is looked at, a stack holds whoever stands on it.
    void error.stack;
    throw error;
  };
}

/** How many came to the server, let in or not. */
function comers({ server }: Siege): number {
  const { accepted, refused } = server.status();
  return accepted + refused.full;
}

/** Clients that come in waves, say a line, and end in all ways, for a server that can't take all of them. */
async function flood(siege: Siege, line = 'hello\n'): Promise<void> {
  for (let wave = 0; wave < WAVES; wave += 1) {
    const seen = comers(siege) + AT_ONCE;
    const clients = await Promise.all(Array.from({ length: AT_ONCE }, () => siege.dial().catch(() => null)));
    await eventually(
      () => comers(siege) >= seen,
      () => siege.server.status(),
    );
    await Promise.all(
      clients.map(async (client, i) => {
        if (client === null) return;
        try {
          await client.write(line);
          await client.read();
        } catch {
          // It was refused, or its handler threw.
        }
        if (i % 3 === 0) await client.close();
        else client.abort();
      }),
    );
  }
}

/** Handlers that throw in each of their places, when they are told to. */
const throwing: Readonly<Record<string, Handler>> = {
  'a function': async (conn) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      if (line === 'throw') thrower('in a function')();
      await conn.write(`${line}\n`);
    }
  },
  'a function without waiting': (conn) => {
    void (async () => {
      for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) void conn.write(`${line}\n`);
      await conn.close();
    })().catch(() => {});
    return conn.closed.then(thrower('after the end'));
  },
  'a protocol': {
    data(conn, bytes) {
      if (Buffer.from(bytes).includes('throw')) thrower('in data')();
      void conn.write(bytes);
    },
    end: thrower('in end'),
    close: thrower('in close'),
    draining: thrower('in draining'),
  },
};

onEachNet('hooks that throw', (net) => {
  test('all of them, in a flood: everybody who is let in is served, and what was thrown is told', async () => {
    await capturingUncaught(async (caught) => {
      await besieged(net, {
        handler: echoes.function,
        options: {
          maxConnections: 8,
          whenFull: 'refuse',
          refuseWith: thrower('refuseWith'),
          onError: thrower('onError'),
          prepareHardClose: thrower('prepareHardClose'),
          verbose: true,
          log: thrower('log'),
        },
        newcomers: false,
        attack: async (siege) => {
          for (const name of ['connection', 'close', 'refused', 'error', 'state', 'trouble', 'detach'] as const)
            siege.server.on(name, thrower(name));
          await flood(siege);
          await eventually(
            () => siege.server.status().active === 1,
            () => siege.server.status(),
          );
          for (const name of ['connection', 'close', 'refused', 'error', 'state', 'trouble', 'detach'] as const)
            siege.server.removeAllListeners(name);
        },
        counted: ({ refused, errors }) => {
          assert.ok(refused.full > 0, JSON.stringify(refused));
          assert.ok(errors > refused.full, 'each refusal and each line of the log threw');
        },
      });
      assert.ok(caught.length > 0 && caught.every((error) => error instanceof Thrown), String(caught[0]));
      const from = new Set(caught.map((error) => error.message));
      for (const name of ['connection', 'close', 'refused']) assert.ok(from.has(name), name);
    });
  });

  for (const [shape, handler] of Object.entries(throwing)) {
    test(`${shape}: its own connections end, the rest goes on, and each error is counted`, async () => {
      const told: string[] = [];
      await besieged(net, {
        handler,
        options: {
          onError: (error) => void told.push((error as Error).name),
          prepareHardClose: thrower('prepareHardClose'),
        },
        attack: (siege) => flood(siege, 'throw\n'),
        counted: ({ errors }) => {
          assert.equal(told.length, errors);
          assert.ok(errors >= WAVES * AT_ONCE, `${errors}`);
          assert.deepEqual(new Set(told), new Set(['Thrown']));
        },
      });
    });
  }
});
