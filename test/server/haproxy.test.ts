import { test } from 'node:test';
import type { TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { formatAddress } from '../../src/transport/address.ts';
import type { Server } from '../../src/server/server.ts';
import { startHaproxy, withoutHaproxy } from '../support/haproxy.ts';
import type { Haproxy } from '../support/haproxy.ts';
import { endAll, nets } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { published, serveOn, until } from './support.ts';

const skip = withoutHaproxy();
const system: readonly Net[] = nets().filter(({ name }) => name !== 'memory');

/** Says who the client is, and repeats what it says. */
const telling = async (conn: Connection): Promise<void> => {
  await conn.write(`${formatAddress(conn.remote)}\n`);
  for await (const bytes of conn) await conn.write(bytes);
};

async function behind(
  t: TestContext,
  net: Net,
  words: string,
  options: ServerOptions = {},
  more: readonly string[] = [],
): Promise<{ server: Server; haproxy: Haproxy<'main'> }> {
  const server = await serveOn(net, telling, { proxy: { from: ['loopback'] }, ...options });
  t.after(() => server.stop({ grace: 0 }));
  const [address] = server.addresses;
  assert.ok(address !== undefined && 'port' in address);
  const haproxy = await startHaproxy(t, {
    doors: { main: '127.0.0.1' },
    config: ({ main }) =>
      ['listen main', `  bind ${main.bind}`, ...more, `  server one 127.0.0.1:${address.port} ${words}`].join('\n'),
  });
  return { server, haproxy };
}

for (const net of system) {
  for (const words of ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id']) {
    test(`behind haproxy (${words}, ${net.name}) the client is known, in the clear`, { skip }, async (t) => {
      const { haproxy } = await behind(t, net, words);
      const { host, port } = haproxy.doors.main;
      const client = await connect({ host, port });
      // Sent at once, so that it may come in one packet with the header.
      void client.write('hello\n');
      assert.equal(await client.readLine(), formatAddress(client.local));
      assert.equal(await client.readLine(), 'hello');
      await client.close();
    });

    test(
      `behind haproxy (${words}, ${net.name}) the client is known, and its TLS goes through`,
      { skip },
      async (t) => {
        const { server, haproxy } = await behind(t, net, words, { tls: serverTls() });
        const { host, port } = haproxy.doors.main;
        const client = await connect({ host, port }, { tls: clientTls() });
        assert.equal(client.tls?.authorized, true);
        assert.equal(await client.readLine(), formatAddress(client.local));
        const big = Buffer.alloc(1_000_000, 'h');
        void client.write(big);
        assert.ok(Buffer.from((await client.readExactly(big.length)) ?? []).equals(big));
        await client.close();
        await until(() => server.status().active === 0);
        assert.deepEqual(server.status().reasons, { ended: 1 });
      },
    );

    test(`behind haproxy (${words}, ${net.name}) the limits are those of the client`, { skip }, async (t) => {
      const { server, haproxy } = await behind(t, net, words, { maxPerClient: 1, deny: ['127.0.0.3'] });
      const door = { host: haproxy.doors.main.host, port: haproxy.doors.main.port };
      const first = await connect(door, { localHost: '127.0.0.1' });
      const second = await connect(door, { localHost: '127.0.0.2' });
      assert.equal(await first.readLine(), formatAddress(first.local));
      assert.equal(await second.readLine(), formatAddress(second.local));
      const third = await connect(door, { localHost: '127.0.0.2' });
      assert.equal(await third.readLine().catch(() => null), null);
      const denied = await connect(door, { localHost: '127.0.0.3' });
      assert.equal(await denied.readLine().catch(() => null), null);
      const { refused, active } = server.status();
      assert.deepEqual([refused['client-full'], refused.denied, active], [1, 1, 2]);
      await endAll(first, second, third, denied);
    });
  }

  for (const [words, check] of [
    ['check inter 20 send-proxy', 'tcp-check connect send-proxy'],
    ['check inter 20 send-proxy-v2', 'tcp-check connect send-proxy'],
  ] as const) {
    test(
      `behind haproxy (${words}, ${net.name}) its health checks are served, and are no errors`,
      { skip },
      async (t) => {
        const { server, haproxy } = await behind(t, net, words, {}, [
          '  option tcp-check',
          // Else a check has the 20 ms until the next.
          '  timeout check 10s',
          `  ${check}`,
          '  tcp-check send ping\\n',
          '  tcp-check expect string ping',
        ]);
        const errors = published(() => server);
        const kinds: (string | undefined)[] = [];
        server.on('connection', (conn) => kinds.push(conn.proxy?.command));
        await until(() => kinds.length >= 4);
        assert.equal(kinds[0], words.includes('v2') ? 'local' : 'proxy');
        assert.deepEqual([errors.errors, server.status().refused.proxy], [[], 0]);
        // It is up: clients come through.
        const { host, port } = haproxy.doors.main;
        const client = await connect({ host, port });
        assert.equal(await client.readLine(), formatAddress(client.local));
        errors.stop();
        await client.close();
        assert.doesNotMatch(haproxy.log, /is DOWN/u);
      },
    );
  }
}
