import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { lines } from '../../src/codec/lines.ts';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ProxyOutOptions } from '../../src/net/proxy-out.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { formatAddress } from '../../src/transport/address.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { dial, dialToReset, published, serveOn, until } from './support.ts';

const here = { from: ['loopback'] };
const elsewhere = ['198.51.100.0/24'];
const entry = { family: 'ipv4', host: '203.0.113.1', port: 25 } as const;

/** A header that passes a client on. */
const from = (host: string, port = 4711): ProxyOutOptions => ({
  source: { family: 'ipv4', host, port },
  destination: entry,
});
const line = (host: string): string => `PROXY TCP4 ${host} 203.0.113.1 4711 25\r\n`;

/** What each connection of a server was found to be, and what it said, to its end. */
const telling: Readonly<Record<string, (told: string[]) => Handler<never>>> = {
  'a function': (told) => async (conn) => {
    let text = '';
    for await (const bytes of conn) text += Buffer.from(bytes).toString();
    told.push(`${formatAddress(conn.remote)} ${text}`);
  },
  'a protocol': (told) => {
    const texts = new WeakMap<Connection, string>();
    return {
      data: (conn: Connection, bytes: Uint8Array) =>
        void texts.set(conn, (texts.get(conn) ?? '') + Buffer.from(bytes).toString()),
      end(conn: Connection) {
        told.push(`${formatAddress(conn.remote)} ${texts.get(conn) ?? ''}`);
        void conn.close();
      },
    };
  },
  'a protocol on a codec': (told) =>
    defineHandler(lines(), {
      frame: (conn, text) => void told.push(`${formatAddress(conn.remote)} ${text}\n`),
    }),
};

async function counted(net: Net, server: Server, proxy: ProxyOutOptions): Promise<Connection> {
  const client = await dial(net, server, { proxy });
  await client.write('hello\n');
  return client;
}

const echo = async (conn: Connection): Promise<void> => {
  for await (const bytes of conn) await conn.write(bytes);
};

onEachNet('a server behind a proxy', (net) => {
  for (const [shape, make] of Object.entries(telling)) {
    test(`${shape} gets what was behind the header in the same packet, and the end with it`, async () => {
      const noLeaks = watchLeaks();
      const told: string[] = [];
      const server = await serveOn(net, make(told), { proxy: here });
      const client = await dial(net, server);
      void client.write(`${line('192.0.2.1')}hello\n`);
      void client.closeWrite();
      await until(() => told.length === 1);
      assert.deepEqual(told, ['192.0.2.1:4711 hello\n']);
      await client.close();
      await server.stop();
      await noLeaks();
    });

    test(`${shape} gets the bytes of those who send no header where that is allowed`, async () => {
      const told: string[] = [];
      const server = await serveOn(net, make(told), { proxy: { ...here, mode: 'optional' } });
      for (const text of ['PROX', 'hello\n']) {
        const client = await dial(net, server);
        void client.write(text);
        void client.closeWrite();
        const count = told.length;
        await until(() => told.length > count);
        assert.equal(told.at(-1)?.trimEnd(), `${formatAddress(client.local)} ${text.trimEnd()}`);
        await client.close();
      }
      await server.stop();
    });
  }

  test('takes a header from an address that is not listed for bytes, or refuses the connection', async () => {
    const told: string[] = [];
    const open = await serveOn(net, telling['a function']!(told), { proxy: { from: elsewhere, mode: 'optional' } });
    const client = await dial(net, open);
    await client.write(line('192.0.2.1'));
    await client.closeWrite();
    await until(() => told.length === 1);
    assert.deepEqual(told, [`${formatAddress(client.local)} ${line('192.0.2.1')}`]);
    await client.close();
    await open.stop();

    const strict = await serveOn(net, telling['a function']!(told), { proxy: { from: elsewhere } });
    const refusals: string[] = [];
    strict.on('refused', (_remote, refusal) =>
      refusals.push(`${refusal.kind} ${'error' in refusal ? refusal.error.code : ''}`),
    );
    const errors = published(() => strict);
    await dialToReset(net, strict, line('192.0.2.1'));
    await until(() => strict.status().active === 0);
    assert.deepEqual(refusals, ['proxy ERR_PORTSIDE_PROXY_HEADER']);
    assert.deepEqual([strict.status().refused.proxy, errors.errors, told.length], [1, [], 1]);
    errors.stop();
    await strict.stop();
  });

  for (const [what, bytes] of [
    ['no header', 'hello, this is no header\r\n'],
    ['half a lie', 'PROXY TCP4 192.0.2.1 203.0.113.1 4711 025\r\n'],
    ['a header that has no end', `PROXY TCP4 ${'1'.repeat(200)}`],
  ] as const) {
    test(`refuses ${what} from a proxy, counted as such, and goes on`, async () => {
      const server = await serveOn(net, echo, { proxy: here });
      const client = await dial(net, server);
      void client.write(bytes);
      await assert.rejects(client.read(), { code: 'ECONNRESET' });
      await until(() => server.status().active === 0);
      assert.deepEqual([server.status().refused.proxy, server.status().reasons], [1, { handshake: 1 }]);
      const next = await counted(net, server, from('192.0.2.1'));
      assert.equal(await next.readLine(), 'hello');
      await endAll(client, next);
      await server.stop();
    });
  }

  test('ends who sends no header in time, and takes no notice of who only looks in', async () => {
    const server = await serveOn(net, echo, { proxy: { ...here, timeout: 30 } });
    const silent = await dial(net, server);
    assert.equal(await silent.read().catch(() => null), null);
    const looking = await dial(net, server);
    await looking.close();
    await until(() => server.status().active === 0);
    const { reasons, refused } = server.status();
    assert.deepEqual([reasons, refused.proxy], [{ 'timeout-handshake': 1, handshake: 1 }, 0]);
    await silent.close();
    await server.stop();
  });

  test('counts clients by the address that they came from, and not the proxy', async () => {
    for (const tls of [undefined, serverTls()]) {
      const server = await serveOn(net, echo, { proxy: here, maxPerClient: 1, tls });
      const secure = tls === undefined ? {} : { tls: clientTls() };
      const [ada, bob] = await Promise.all(
        ['192.0.2.1', '192.0.2.2'].map((host) => dial(net, server, { proxy: from(host), ...secure })),
      );
      await until(() => server.status().opening === 0 && server.status().active === 2);
      // Under TLS the refusal comes in place of the handshake.
      const second = await dial(net, server, { proxy: from('192.0.2.1', 4712), ...secure }).catch(() => null);
      if (second !== null) await assert.rejects(second.read(), { code: 'ECONNRESET' });
      await until(() => server.status().refused['client-full'] === 1);
      await ada!.close();
      await until(() => server.status().active === 1);
      const again = await dial(net, server, { proxy: from('192.0.2.1', 4713), ...secure });
      void again.write('again\n');
      assert.equal(await again.readLine(), 'again');
      await endAll(bob!, again);
      await server.stop();
    }
  });

  test('denies and allows by the address that they came from', async () => {
    const options: ServerOptions = { proxy: here, deny: ['192.0.2.66'], allow: ['192.0.2.0/24'] };
    const server = await serveOn(net, echo, options);
    const kinds: string[] = [];
    server.on('refused', (remote, { kind }) => kinds.push(`${kind} ${formatAddress(remote)}`));
    const good = await counted(net, server, from('192.0.2.1'));
    assert.equal(await good.readLine(), 'hello');
    for (const host of ['192.0.2.66', '198.51.100.1']) {
      const bad = await dial(net, server, { proxy: from(host) });
      await assert.rejects(bad.read(), { code: 'ECONNRESET' });
    }
    assert.deepEqual(kinds, ['denied 192.0.2.66:4711', 'not-allowed 198.51.100.1:4711']);
    await endAll(good);
    await server.stop();
  });

  test('denies a listed address that comes without a header, as any other', async () => {
    const server = await serveOn(net, echo, { proxy: { ...here, mode: 'optional' }, deny: ['loopback'] });
    await dialToReset(net, server, 'hello, no header here\n');
    await until(() => server.status().refused.denied === 1);
    // Who is passed on is somebody else.
    const client = await counted(net, server, from('192.0.2.1'));
    assert.equal(await client.readLine(), 'hello');
    await endAll(client);
    await server.stop();
  });

  test('limits how often clients come by where they came from, each once', async () => {
    const server = await serveOn(net, echo, { proxy: here, rate: { connections: 1, per: 60_000 } });
    const first = await counted(net, server, from('192.0.2.1'));
    assert.equal(await first.readLine(), 'hello');
    const other = await counted(net, server, from('192.0.2.2'));
    assert.equal(await other.readLine(), 'hello');
    const again = await dial(net, server, { proxy: from('192.0.2.1') });
    await assert.rejects(again.read(), { code: 'ECONNRESET' });
    assert.equal(server.status().refused.rate, 1);
    await endAll(first, other);
    await server.stop();
  });

  test('serves a check of the proxy’s own as coming from the proxy', async () => {
    const told: string[] = [];
    const server = await serveOn(net, telling['a function']!(told), { proxy: here });
    const client = await dial(net, server, { proxy: 'local' });
    void client.write('check');
    void client.closeWrite();
    await until(() => told.length === 1);
    assert.deepEqual(told, [`${formatAddress(client.local)} check`]);
    await client.close();
    await server.stop();
  });
});

describe('endpoints', () => {
  test('may differ: one behind a proxy, one open to all', async () => {
    const place = { port: 0, host: '127.0.0.1' };
    const net = { name: 'node', transport: nodeTransport };
    const told: string[] = [];
    const server = await serve(telling['a function']!(told), { listen: [{ ...place, proxy: here }, place] });
    const passed = await dial(net, server, { proxy: from('192.0.2.1') });
    const direct = await dial(net, server, {}, 1);
    const name = formatAddress(direct.local);
    for (const client of [passed, direct]) {
      void client.write('x');
      await client.close();
    }
    await until(() => told.length === 2);
    assert.deepEqual(told.toSorted(), [`${name} x`, '192.0.2.1:4711 x'].toSorted());
    await server.stop();
  });

  test('that name nobody whose word is taken are wrong', async () => {
    await assert.rejects(serve(echo, { port: 0, proxy: { from: [] } }), { code: 'ERR_PORTSIDE_OPTIONS' });
    await assert.rejects(connect('127.0.0.1:1', { proxy: 'no' as never }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});
