import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import { certificates } from '../support/certificates.ts';
import { onEachNet } from '../support/nets.ts';
import { besieged, eventually } from '../support/siege.ts';

const { ca, server: pair } = certificates();

/** What was carried out, and whether that was under TLS. */
const done: { readonly secure: boolean; readonly command: string }[] = [];

function carryOut(conn: Connection, command: string): string {
  done.push({ secure: conn.tls !== null, command });
  return `${command}\n`;
}

const handlers: Readonly<Record<string, Handler>> = {
  'a function': async (conn) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      if (line !== 'STARTTLS') await conn.write(carryOut(conn, line));
      else {
        await conn.write('go ahead\n');
        await conn.upgradeTls();
      }
    }
  },
  'a framed protocol': defineHandler(lines(), {
    // oxlint-disable-next-line typescript/no-misused-promises -- what it rejects with is the handler's error
    async frame(conn: Connection, line) {
      if (line !== 'STARTTLS') void conn.write(carryOut(conn, line));
      else {
        void conn.write('go ahead\n');
        await conn.upgradeTls();
      }
    },
  }),
};

/** Makes the connection secure first, once, and asks then. */
async function askSecurely(client: Connection, within: number): Promise<void> {
  if (client.tls === null) {
    await client.write('STARTTLS\n');
    assert.equal(await client.readLine({ timeout: within }), 'go ahead');
    await client.upgradeTls({ tls: { ca, servername: 'localhost' } });
  }
  await client.write('is anybody there?\n');
  assert.equal(await client.readLine({ timeout: within }), 'is anybody there?');
}

/** All the ways to get a command in between. */
const injections: readonly (readonly string[])[] = [
  ['STARTTLS\nDELETE\n'],
  ['STARTTLS\n', 'DELETE\n'],
  ['STARTTLS\nDEL', 'ETE\n'],
  ['STARTTLS\n', 'D'],
  ['STARTTLS\n', 'DELETE\n'.repeat(20_000)],
  ['STARTTLS\nSTARTTLS\nDELETE\n'],
];

onEachNet('commands put in before the handshake of STARTTLS', (net) => {
  for (const [shape, handler] of Object.entries(handlers)) {
    test(`are never carried out, neither in the clear nor under TLS (${shape})`, async () => {
      done.length = 0;
      const rounds = 6;
      const errors: unknown[] = [];
      await besieged(net, {
        handler,
        options: {
          listen: 'tcp://127.0.0.1:0',
          tls: { ...pair, handshakeTimeout: 2_000 },
          onError: (error) => void errors.push(error),
        },
        ask: askSecurely,
        attack: async (siege) => {
          const before = siege.server.status().closed;
          const inject = async (pieces: readonly string[], pause: number): Promise<void> => {
            const client = await siege.dial();
            for (const [i, piece] of pieces.entries()) {
              if (i > 0) for (let turn = 0; turn < pause; turn += 1) await new Promise(setImmediate);
              void client.write(piece).catch(() => {});
            }
            try {
              // The client itself knows nothing of what somebody put in, and goes on as it should.
              if (pause % 2 === 0 && (await client.readLine()) === 'go ahead')
                await client.upgradeTls({ tls: { ca, servername: 'localhost' } });
              while ((await client.read()) !== null);
            } catch {
              // It was reset.
            }
            client.abort();
          };
          const all = Array.from({ length: rounds }, (_, round) => injections.map((pieces) => inject(pieces, round)));
          await Promise.all(all.flat());
          await eventually(
            () => siege.server.status().closed >= before + rounds * injections.length,
            () => siege.server.status(),
          );
        },
        counted: ({ reasons }) => {
          assert.deepEqual(
            done.filter(({ secure, command }) => !secure || command !== 'is anybody there?'),
            [],
          );
          assert.ok(done.length > 4);
          const told = (reasons['handshake'] ?? 0) + (reasons['timeout-handshake'] ?? 0) + (reasons['reset'] ?? 0);
          assert.equal(told, rounds * injections.length, JSON.stringify(reasons));
        },
      });
    });
  }
});
