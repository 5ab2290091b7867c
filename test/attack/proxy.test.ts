import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeProxyHeader } from '../../src/codec/proxy-header.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import type { ServerStatus } from '../../src/server/status.ts';
import { onEachNet } from '../support/nets.ts';
import { besiegedInTime } from '../support/siege-in-time.ts';
import { besieged, eventually } from '../support/siege.ts';
import { echoes } from './handlers.ts';
import { oneAddress, stranger } from './raw.ts';

const PROXIES = ['127.0.0.1'];
const behind = { proxy: { source: { family: 'ipv4', host: '203.0.113.7', port: 50_000 } } } as const;
const spoof = 'PROXY TCP4 198.51.100.1 127.0.0.1 1 2\r\n';

const head = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** A header of version 2: its command, its family, the length that it tells, and what follows. */
function second(command: number, family: number, length: number, body: Uint8Array): Buffer {
  return Buffer.concat([head, Buffer.from([command, family, length >> 8, length & 255]), body]);
}

const addresses = Buffer.from([198, 51, 100, 1, 127, 0, 0, 1, 0, 1, 0, 2]);
const checksummed = encodeProxyHeader(
  {
    version: 2,
    source: { family: 'ipv4', host: '198.51.100.1', port: 1 },
    destination: { family: 'ipv4', host: '127.0.0.1', port: 2 },
  },
  { checksum: true },
);
const wrongSum = Buffer.from(checksummed);
wrongSum[20] = (wrongSum[20] ?? 0) ^ 1;

/** What is no header, or one that lies. None of it may be taken for a client's address, or passed to the handler. */
const malformed: Readonly<Record<string, string | Uint8Array>> = {
  'no header at all': 'hello\n',
  HTTP: 'GET / HTTP/1.1\r\n\r\n',
  'a line without CR': 'PROXY TCP4 198.51.100.1 127.0.0.1 1 2\n',
  'a CR before the end': 'PROXY TCP4 198.51.100.1\r127.0.0.1 1 2\r\n',
  'a line that is too long': `PROXY TCP4 ${'1'.repeat(200)}\r\n`,
  'two spaces': 'PROXY  TCP4 198.51.100.1 127.0.0.1 1 2\r\n',
  'a word too many': 'PROXY TCP4 198.51.100.1 127.0.0.1 1 2 3\r\n',
  'an octal address': 'PROXY TCP4 0198.051.0100.01 127.0.0.1 1 2\r\n',
  'an address of the other family': 'PROXY TCP4 ::1 ::1 1 2\r\n',
  'a port that is none': 'PROXY TCP4 198.51.100.1 127.0.0.1 65536 2\r\n',
  'a negative port': 'PROXY TCP4 198.51.100.1 127.0.0.1 -1 2\r\n',
  'an unknown protocol': 'PROXY UDP4 198.51.100.1 127.0.0.1 1 2\r\n',
  'small letters': 'proxy tcp4 198.51.100.1 127.0.0.1 1 2\r\n',
  'a version 3': second(0x31, 0x11, 12, addresses),
  'an unknown command': second(0x22, 0x11, 12, addresses),
  'addresses that are cut': second(0x21, 0x11, 11, addresses.subarray(0, 11)),
  'IPv6 in the room of IPv4': second(0x21, 0x21, 12, addresses),
  'an extension longer than the header': second(0x21, 0x11, 15, Buffer.concat([addresses, Buffer.from([1, 255, 255])])),
  'an extension that is cut': second(0x21, 0x11, 14, Buffer.concat([addresses, Buffer.from([1, 0])])),
  'a wrong checksum': wrongSum,
  '64 KiB of extensions': second(0x21, 0x11, 65_535, Buffer.alloc(65_535)),
};

function trusting(more: ServerOptions = {}): ServerOptions {
  return { proxy: { from: PROXIES, timeout: 300 }, ...more };
}

/** How many ended because their header did not come in time. */
function late({ reasons }: ServerStatus): number {
  return (reasons['timeout-handshake'] ?? 0) + (reasons['handshake'] ?? 0);
}

async function endedBy(client: Connection): Promise<string> {
  try {
    while ((await client.read()) !== null);
    return 'ended';
  } catch {
    return 'reset';
  } finally {
    client.abort();
  }
}

onEachNet('PROXY headers that are forged or broken', (net) => {
  test('are refused, each kind of them, over and over, and counted as such', async () => {
    const rounds = 5;
    const kinds = Object.values(malformed);
    const seen: string[] = [];
    await besieged(net, {
      handler: echoes.function,
      options: trusting(),
      client: behind,
      attack: async (siege) => {
        siege.server.on('connection', ({ proxy }) => {
          if (proxy?.source != null && 'host' in proxy.source) seen.push(proxy.source.host);
        });
        for (let round = 0; round < rounds; round += 1) {
          await Promise.all(
            kinds.map(async (bytes) => {
              const client = await siege.dial();
              void client.write(bytes).catch(() => {});
              await endedBy(client);
            }),
          );
        }
      },
      counted: ({ refused, reasons, errors }) => {
        assert.deepEqual([...new Set(seen)], ['203.0.113.7'], 'nobody got in by a lie');
        assert.equal(refused.proxy, rounds * kinds.length);
        assert.equal(reasons['handshake'], rounds * kinds.length);
        assert.equal(errors, 0);
      },
    });
  });

  test('are refused from those who are not listed, without a byte being read', { skip: oneAddress }, async () => {
    await besieged(net, {
      handler: echoes.protocol,
      options: trusting(),
      client: behind,
      attack: async (siege) => {
        for (let i = 0; i < 200; i += 1) {
          const client = await siege.dial({ localHost: stranger(i) }).catch(() => null);
          void client?.write(spoof).catch(() => {});
          if (client !== null) assert.equal(await endedBy(client), 'reset');
        }
      },
      counted: ({ refused }) => assert.equal(refused.proxy, 200),
    });
  });

  test(
    'are bytes like any others from those who are not listed, where headers are optional',
    { skip: oneAddress },
    async () => {
      const forged: string[] = [];
      await besieged(net, {
        handler: echoes['framed protocol'],
        options: {
          proxy: { from: PROXIES, mode: 'optional', timeout: 300 },
          deny: ['198.51.100.0/24'],
          maxPerClient: 3,
        },
        client: behind,
        attack: async (siege) => {
          siege.server.on('connection', ({ remote }) => {
            if ('host' in remote && remote.host.startsWith('198.')) forged.push(remote.host);
          });
          for (let i = 0; i < 50; i += 1) {
            const client = await siege.dial({ localHost: stranger(9) });
            await client.write(spoof);
            assert.equal(await client.readLine(), spoof.trim());
            await client.close();
          }
        },
        counted: ({ refused }) => {
          assert.deepEqual(forged, []);
          assert.equal(refused.denied, 0);
        },
      });
    },
  );

  test('that are never finished end by their deadline, and keep nobody out', async () => {
    const beginnings = ['PROXY TCP4 198.51', head, head.subarray(0, 5), second(0x21, 0x11, 4_000, addresses), ''];
    const count = 40;
    await besieged(net, {
      handler: echoes['framed function'],
      options: trusting(),
      client: behind,
      attack: async (siege) => {
        const clients = await Promise.all(Array.from({ length: count * beginnings.length }, () => siege.dial()));
        for (const [i, client] of clients.entries())
          void client.write(beginnings[i % beginnings.length] ?? '').catch(() => {});
        await eventually(
          () => late(siege.server.status()) === clients.length,
          () => siege.server.status(),
        );
        for (const client of clients) client.abort();
      },
      counted: (status) => assert.equal(late(status), count * beginnings.length),
    });
  });

  test('can not make one client many: behind a proxy too it is held to what it may have', async () => {
    await besieged(net, {
      handler: echoes.function,
      options: trusting({ maxPerClient: 5 }),
      client: behind,
      attack: async (siege) => {
        const source = (port: number) =>
          ({ proxy: { source: { family: 'ipv4', host: '203.0.113.66', port } } }) as const;
        const clients = await Promise.all(Array.from({ length: 300 }, (_, i) => siege.dial(source(i + 1))));
        await eventually(
          () => siege.server.status().refused['client-full'] === 295,
          () => siege.server.status(),
        );
        for (const client of clients) client.abort();
      },
      counted: ({ refused }) => assert.equal(refused['client-full'], 295),
    });
  });
});

describe('a PROXY header a byte at a time', () => {
  const line = Buffer.from('PROXY TCP4 198.51.100.1 127.0.0.1 1 2\r\nhello\n');

  for (const [what, ms, served] of [
    ['within its time is one', 100, true],
    ['that takes longer than its time is none', 1_000, false],
  ] as const) {
    test(what, async () => {
      await besiegedInTime({
        handler: echoes.protocol,
        options: { proxy: { from: PROXIES, timeout: 5_000 } },
        client: behind,
        attack: async ({ dial, pass, clock, server }) => {
          const clients = await Promise.all(Array.from({ length: 50 }, () => dial()));
          for (const byte of line) {
            for (const client of clients) client.write(Buffer.from([byte])).catch(() => {});
            await pass(ms, ms);
          }
          assert.equal(server.status().active, served ? 51 : 1);
          for (const client of clients) client.abort();
          await clock.settle();
        },
        counted: (status) => assert.equal(late(status), served ? 0 : 50),
      });
    });
  }
});
