import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemCode } from '../../src/base/errors.ts';
import { jsonLines } from '../../src/codec/json-lines.ts';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import { onEachNet } from '../support/nets.ts';
import { besieged, eventually } from '../support/siege.ts';
import type { Siege } from '../support/siege.ts';

const MEGABYTE = 1_048_576;

/** Sends a block again and again until so many bytes are gone, or the server has enough. Returns how many were taken. */
async function pour(client: Connection, block: Uint8Array, total: number): Promise<number> {
  let poured = 0;
  try {
    for (; poured < total; poured += block.length) await client.write(block);
  } catch {
    // The server has ended it; how, its counts tell.
  }
  client.abort();
  return poured;
}

/** What handlers' errors were, by code. */
function collecting(): { readonly onError: (error: unknown) => void; readonly codes: Record<string, number> } {
  const codes: Record<string, number> = {};
  return {
    codes,
    onError: (error) => {
      const code = systemCode(error) ?? String(error);
      codes[code] = (codes[code] ?? 0) + 1;
    },
  };
}

async function ended({ server }: Siege, count: number): Promise<void> {
  await eventually(
    () => (server.status().reasons['aborted'] ?? 0) === count,
    () => server.status(),
  );
}

const readers: Readonly<Record<string, Handler>> = {
  'readLine()': async (conn) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) await conn.write(`${line}\n`);
  },
  'a framed protocol': defineHandler(lines(), { frame: (conn, line) => void conn.write(`${line}\n`) }),
  'a framed function': defineHandler(lines(), async (frames) => {
    for await (const line of frames) await frames.send(line);
  }),
};

onEachNet('frames that are too long, too many or nonsense', (net) => {
  for (const [reader, handler] of Object.entries(readers)) {
    test(`a line of 100 MB without an end is refused at its limit by ${reader}`, async () => {
      const { onError, codes } = collecting();
      let most = 0;
      await besieged(net, {
        handler,
        options: { onError },
        attack: async (siege) => {
          const client = await siege.dial();
          const taken = await pour(client, Buffer.alloc(65_536, 'x'), 100 * MEGABYTE);
          assert.ok(taken < 32 * MEGABYTE, 'it was ended long before');
          await ended(siege, 1);
          most = siege.peak;
        },
        counted: ({ errors }) => {
          assert.deepEqual(codes, {
            [reader === 'readLine()' ? 'ERR_PORTSIDE_LIMIT' : 'ERR_PORTSIDE_FRAME_TOO_LONG']: 1,
          });
          assert.equal(errors, 1);
          assert.ok(most < 50 * MEGABYTE);
        },
      });
    });
  }

  test('a length of 4 GB is refused before a byte of it is kept, and lengths that lie wait for no more than they say', async () => {
    const { onError, codes } = collecting();
    const codec = lengthPrefix({ bytes: 4 });
    await besieged(net, {
      handler: defineHandler(codec, { frame: (conn, frame) => void conn.write(codec.encode(frame)) }),
      options: { onError, deadlines: { read: 1_500 }, linger: 100 },
      ask: async (client, within) => {
        await client.write(codec.encode(Buffer.from('is anybody there?')));
        assert.equal(
          Buffer.from((await client.readExactly(21, { timeout: within })) ?? [])
            .subarray(4)
            .toString(),
          'is anybody there?',
        );
      },
      attack: async (siege) => {
        const liars = await Promise.all(Array.from({ length: 50 }, () => siege.dial()));
        for (const [i, client] of liars.entries())
          void client.write(Buffer.from(i % 2 === 0 ? [255, 255, 255, 255] : [0, 16, 0, 1])).catch(() => {});
        await ended(siege, 50);
        // Nearly a megabyte each is announced, and never comes.
        const silent = await Promise.all(Array.from({ length: 200 }, () => siege.dial()));
        for (const client of silent) void client.write(Buffer.from([0, 15, 255, 255, 1, 2, 3])).catch(() => {});
        await eventually(
          () => siege.server.status().reasons['timeout-read'] === 200,
          () => siege.server.status(),
        );
        assert.ok(siege.peak < 100 * MEGABYTE, 'what is announced is not set aside');
        for (const client of [...liars, ...silent]) client.abort();
      },
      counted: () => assert.deepEqual(codes, { ERR_PORTSIDE_FRAME_TOO_LONG: 50 }),
    });
  });

  test('a million empty lines are answered, and nobody waits for long meanwhile', async () => {
    await besieged(net, {
      handler: readers['a framed protocol']!,
      within: 2_000,
      attack: async (siege) => {
        const client = await siege.dial();
        const reading = (async () => {
          let got = 0;
          for await (const bytes of client) got += bytes.length;
          return got;
        })();
        const block = Buffer.alloc(62_500, '\n');
        for (let i = 0; i < 16; i += 1) await client.write(block);
        await client.closeWrite();
        assert.equal(await reading, 1_000_000);
        await client.close();
      },
      counted: ({ errors }) => assert.equal(errors, 0),
    });
  });

  test('JSON that is deep, broken or full of traps ends its own connection by a code, or is just a value', async () => {
    const { onError, codes } = collecting();
    const nonsense = [
      '{"a":',
      'nul',
      '[1,]',
      '"\\u12"',
      '{"a":1}}',
      '\u0000',
      '['.repeat(500_000),
      `${'{"a":'.repeat(100_000)}1`,
    ];
    const odd = ['['.repeat(5_000) + ']'.repeat(5_000), '{"__proto__":{"polluted":true}}', '1e999', '"\\ud800"'];
    await besieged(net, {
      handler: defineHandler(jsonLines(), { frame: (conn) => void conn.write('{"question":1}\n') }),
      options: { onError },
      ask: async (client, within) => {
        await client.write('{"question":1}\n');
        assert.equal(await client.readLine({ timeout: within }), '{"question":1}');
      },
      attack: async (siege) => {
        for (let round = 0; round < 10; round += 1) {
          for (const text of [...nonsense, ...odd]) {
            const client = await siege.dial();
            void client.write(`${text}\n`).catch(() => {});
            if (odd.includes(text)) await client.read();
            else await assert.rejects(client.readLine(), { code: 'ECONNRESET' });
            await client.close();
          }
        }
      },
      counted: () => {
        assert.deepEqual(codes, { ERR_PORTSIDE_FRAME_INVALID: 10 * nonsense.length });
        assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
      },
    });
  });

  test('bytes that are no text end their own connection only', async () => {
    const { onError, codes } = collecting();
    await besieged(net, {
      handler: readers['a framed function']!,
      options: { onError },
      attack: async (siege) => {
        for (const bytes of [
          [0xff, 0xfe],
          [0xc0, 0x80],
          [0xed, 0xa0, 0x80],
          [0xf8, 0x88, 0x80, 0x80, 0x80],
        ]) {
          const client = await siege.dial();
          void client.write(Buffer.from([...bytes, 10])).catch(() => {});
          await assert.rejects(client.readLine(), { code: 'ECONNRESET' });
        }
      },
      counted: () => assert.deepEqual(codes, { ERR_PORTSIDE_FRAME_INVALID: 4 }),
    });
  });
});
