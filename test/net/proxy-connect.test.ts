import { test } from 'node:test';
import assert from 'node:assert/strict';
import { proxyTlvs } from '../../src/codec/proxy-header.ts';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ListenOptions } from '../../src/net/listen.ts';
import { pipe } from '../../src/net/pipe.ts';
import type { ProxyOutOptions } from '../../src/net/proxy-out.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, listenOn, onEachNet, pairOn, portOf, readAll } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';

const ada = { family: 'ipv4', host: '192.0.2.7', port: 4711 } as const;
const entry = { family: 'ipv4', host: '198.51.100.1', port: 25 } as const;
const proxy = { from: ['loopback'] };

onEachNet('a PROXY header before the bytes of a connection', (net) => {
  const pair = async (
    options: ConnectOptions,
    listening: ListenOptions = { proxy },
  ): Promise<{ server: Connection; client: Connection }> => pairOn(net, { server: listening, client: options });

  for (const version of [1, 2] as const) {
    test(`of version ${version} makes the server know the client, in the clear and under TLS`, async () => {
      const noLeaks = watchLeaks();
      for (const secure of [false, true]) {
        const header: ProxyOutOptions = { version, source: ada, destination: entry };
        const { server, client } = await pair(
          { proxy: header, ...(secure ? { tls: clientTls() } : {}) },
          { proxy, ...(secure ? { tls: serverTls() } : {}) },
        );
        void client.write('hello\n');
        assert.equal(await server.readLine(), 'hello');
        assert.deepEqual([server.remote, server.proxy?.version, server.proxy?.destination], [ada, version, entry]);
        assert.equal(server.tls !== null, secure);
        assert.equal(server.bytesRead, 6);
        void server.write('welcome\n');
        assert.equal(await client.readLine(), 'welcome');
        await endAll(server, client);
      }
      await noLeaks();
    });
  }

  test('tells this connection’s own addresses, or none, when nobody is passed on', async () => {
    const own = await pair({ proxy: {} });
    await own.server.opened;
    assert.deepEqual(own.server.remote, own.client.local);
    const local = await pair({ proxy: 'local' });
    await local.server.opened;
    assert.equal(local.server.proxy?.command, 'local');
    assert.deepEqual(local.server.remote, local.client.local);
    await endAll(own.server, own.client, local.server, local.client);
  });

  test('with extensions and a checksum arrives as it was sent', async () => {
    const tlvs = proxyTlvs({ authority: 'a.example.org', alpn: 'h2' });
    const { server, client } = await pair({ proxy: { source: ada, destination: entry, tlvs, checksum: true } });
    await server.opened;
    assert.deepEqual([server.proxy?.authority, server.proxy?.alpn], ['a.example.org', 'h2']);
    await endAll(server, client);
  });

  test('is nothing but bytes for a server that asks for none', async () => {
    const { server, client } = await pair({ proxy: { version: 1, source: ada, destination: entry } }, {});
    await client.close({ linger: 0 });
    assert.equal((await readAll(server)).toString(), 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n');
    assert.equal(server.proxy, null);
    await server.close();
  });

  test('is passed on by a proxy between two others', async () => {
    const last = await listenOn(net, { proxy });
    const middle = await listenOn(net, { proxy });
    const passing = (async () => {
      const front = await middle.accept();
      await front.opened;
      const { source, destination } = front.proxy ?? {};
      assert.ok(source != null && destination != null);
      const back = await connect(
        { host: '127.0.0.1', port: portOf(last) },
        { transport: net.transport, proxy: { source, destination } },
      );
      await pipe(front, back);
    })();
    const client = await connect(
      { host: '127.0.0.1', port: portOf(middle) },
      { transport: net.transport, proxy: { source: ada, destination: entry } },
    );
    void client.write('question\n');
    const server = await last.accept();
    assert.equal(await server.readLine(), 'question');
    assert.deepEqual(server.remote, ada);
    void server.write('answer\n');
    assert.equal(await client.readLine(), 'answer');
    const closing = client.close();
    assert.equal(await server.read(), null);
    await Promise.all([server.close(), closing, passing]);
    await Promise.all([last.close(), middle.close()]);
  });

  test('that can’t be sent is told before anything is dialled', async () => {
    const place = { host: '127.0.0.1', port: 9 };
    for (const wrong of [
      { version: 3 },
      { source: { family: 'ipv4', host: '::1', port: 1 } },
      { version: 1, checksum: true },
    ])
      await assert.rejects(connect(place, { transport: net.transport, proxy: wrong as never }), {
        code: 'ERR_PORTSIDE_OPTIONS',
      });
  });

  test('that is refused ends the connection with its reason', async () => {
    const listener = await listenOn(net, { proxy: { from: ['192.0.2.0/24'] } });
    // The reset may come while the connection is still being made.
    const dialing = connect(
      { host: '127.0.0.1', port: portOf(listener) },
      { transport: net.transport, proxy: { source: ada, destination: entry } },
    ).catch(() => null);
    const server = await listener.accept();
    await assert.rejects(server.opened, { code: 'ERR_PORTSIDE_PROXY_HEADER' });
    const client = await dialing;
    if (client !== null) {
      await assert.rejects(client.read());
      await endAll(client);
    }
    assert.deepEqual([server.proxy, server.closeReason?.kind], [null, 'handshake']);
    await listener.close();
  });
});
