import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import { onEachNet } from '../support/nets.ts';
import { besieged, eventually } from '../support/siege.ts';
import type { Siege } from '../support/siege.ts';

/** What an attacker asks for: far more than it means to read. */
const FLOOD = 'flood';
const BLOCK = Buffer.alloc(65_536, 'x');
const BLOCKS = 4_000;
const ATTACKERS = 10;
const LIMIT = 1_048_576;
const MEGABYTE = 1_048_576;

/** Asks for it, and never reads. */
async function askAndNeverRead(siege: Siege, asking: string | Uint8Array = `${FLOOD}\n`): Promise<Connection[]> {
  const clients = await Promise.all(Array.from({ length: ATTACKERS }, () => siege.dial()));
  for (const client of clients) void client.write(asking).catch(() => {});
  return clients;
}

/** Waits until the server has ended all of them, and lets go. */
async function untilEnded({ server }: Siege, clients: readonly Connection[], reason: string): Promise<void> {
  await eventually(
    () => (server.status().reasons[reason] ?? 0) === clients.length,
    () => server.status({ connections: true }),
  );
  for (const client of clients) client.abort();
}

const awaiting: Handler = async (conn) => {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line === FLOOD) for (let i = 0; i < BLOCKS; i += 1) await conn.write(BLOCK);
    else await conn.write(`${line}\n`);
  }
};

const hasty: Handler = async (conn) => {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line !== FLOOD) await conn.write(`${line}\n`);
    else for (let i = 0; i < BLOCKS; i += 1) conn.write(BLOCK).catch(() => {});
  }
};

/** Answers whatever comes with much more of it. */
const amplifying: Handler = {
  data(conn, bytes) {
    // The honest one asks in one piece.
    if (!Buffer.from(bytes).includes(FLOOD)) void conn.write(bytes);
    else for (let i = 0; i < 8; i += 1) conn.write(BLOCK).catch(() => {});
  },
};

const framed: Handler = defineHandler(lines(), {
  frame(conn, line) {
    conn.write(line === FLOOD ? BLOCK : `${line}\n`).catch(() => {});
  },
});

onEachNet('clients that never read', (net) => {
  test('end by the write deadline where a handler waits for each write', async () => {
    await besieged(net, {
      handler: awaiting,
      options: { deadlines: { write: 300 } },
      attack: async (siege) => {
        const clients = await askAndNeverRead(siege);
        await untilEnded(siege, clients, 'timeout-write');
        assert.ok(siege.peak < 60 * MEGABYTE, `${siege.peak}`);
      },
      counted: ({ errors }) => assert.equal(errors, 0, 'that a peer takes nothing is no error of the handler'),
    });
  });

  test('end by write-overflow where a handler waits for none', async () => {
    await besieged(net, {
      handler: hasty,
      options: { writeLimit: LIMIT },
      attack: async (siege) => untilEnded(siege, await askAndNeverRead(siege), 'write-overflow'),
      counted: ({ errors }) => assert.equal(errors, 0),
    });
  });

  for (const [shape, handler] of [
    ['a protocol', amplifying],
    ['a framed protocol', framed],
  ] as const) {
    test(`are read from no more by ${shape} while their output waits, and end by the write deadline`, async () => {
      const asked: number[] = [];
      await besieged(net, {
        handler,
        options: { deadlines: { write: 300 }, writeLimit: 4 * MEGABYTE },
        attack: async (siege) => {
          siege.server.on('close', ({ bytesRead }, { kind }) => {
            if (kind === 'timeout') asked.push(bytesRead);
          });
          const clients = await askAndNeverRead(siege, Buffer.from(`${FLOOD}\n`.repeat(500_000)));
          await untilEnded(siege, clients, 'timeout-write');
        },
        counted: () => {
          assert.equal(asked.length, ATTACKERS);
          // Answers go into the kernel's buffers for a while; half of the three megabytes would be worth hundreds in answers.
          for (const bytes of asked) assert.ok(bytes < 1_500_000, `${bytes} bytes of questions were read all the same`);
        },
      });
    });
  }

  test('and read a little now and then are slow, not late: they are served, and the others too', async () => {
    await besieged(net, {
      handler: defineHandler(lines(), {
        frame(conn, line) {
          if (line === FLOOD) for (let i = 0; i < 16; i += 1) conn.write(BLOCK).catch(() => {});
          else void conn.write(`${line}\n`);
        },
      }),
      options: { deadlines: { write: 1_000 } },
      attack: async (siege) => {
        const clients = await askAndNeverRead(siege);
        const slow = clients.map(async (client) => {
          for (let got = 0; got < 16 * BLOCK.length;) {
            await new Promise((resolve) => {
              setTimeout(resolve, 5);
            });
            const bytes = await client.read({ max: 16_384 });
            if (bytes === null) break;
            got += bytes.length;
          }
          await client.close();
        });
        await Promise.all(slow);
      },
      counted: ({ reasons }) => assert.deepEqual(Object.keys(reasons), ['ended']),
    });
  });

  test('and go away with 64 MB unsent leave none of it behind', async () => {
    await besieged(net, {
      handler: async (conn) => {
        for (let line = await conn.readLine(); line !== null; line = await conn.readLine())
          await conn.write(line === FLOOD ? Buffer.alloc(64 * MEGABYTE) : `${line}\n`);
      },
      options: { deadlines: { write: Infinity } },
      attack: async (siege) => {
        const clients = await Promise.all([siege.dial(), siege.dial()]);
        for (const client of clients) void client.write(`${FLOOD}\n`);
        const owing = (): number =>
          (siege.server.status({ connections: true }).connections ?? []).filter(({ queued }) => queued > MEGABYTE)
            .length;
        await eventually(() => owing() === 2, owing);
        for (const client of clients) client.abort();
      },
      counted: ({ reasons }) => assert.equal(reasons['reset'], 2),
    });
  });
});
