import { copyFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { serve } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import { certificates, files } from '../support/certificates.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, nets, onEachNet } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { countsOf, dial, published, serveOn, until } from './support.ts';

const echo = async (conn: Connection): Promise<void> => {
  for await (const bytes of conn) await conn.write(bytes);
};
const node = nets()[0]!;

async function shown(client: Connection): Promise<string | undefined> {
  const print = client.tls?.peerCertificate?.fingerprint256;
  await endAll(client);
  return print;
}

onEachNet('a server under TLS', (net) => {
  test('serves by every shape of handler, after the handshake', async () => {
    const noLeaks = watchLeaks();
    const opened: (string | undefined)[] = [];
    for (const handler of [
      echo,
      {
        open: (conn: Connection) => void opened.push(conn.tls?.protocol),
        data: (conn: Connection, bytes: Uint8Array) => void conn.write(bytes),
      },
    ]) {
      const server = await serveOn(net, handler, { tls: serverTls() });
      const client = await dial(net, server, { tls: clientTls() });
      void client.write('hello\n');
      assert.equal(await client.readLine(), 'hello');
      await client.close();
      await server.stop();
    }
    assert.deepEqual(opened, ['TLSv1.3']);
    await noLeaks();
  });

  test('has endpoints in the clear and under TLS, with one certificate for both', async () => {
    const server = await serveOn(
      net,
      async (conn) => {
        await conn.write(conn.tls === null ? 'clear\n' : 'secure\n');
      },
      { listen: ['tcp://127.0.0.1:0', 'tls://127.0.0.1:0'], tls: serverTls() },
    );
    const clear = await dial(net, server);
    const secure = await dial(net, server, { tls: clientTls() }, 1);
    assert.deepEqual([await clear.readLine(), await secure.readLine()], ['clear', 'secure']);
    await Promise.all([clear.close(), secure.close()]);
    await server.stop();
  });

  test('a client that stalls in its handshake delays nobody', async () => {
    const server = await serveOn(net, echo, { tls: serverTls({ maxHandshakes: 100 }) });
    const stalled = await Promise.all(Array.from({ length: 50 }, () => dial(net, server)));
    await until(() => server.status().opening === 50);
    const client = await dial(net, server, { tls: clientTls() });
    void client.write('quick\n');
    assert.equal(await client.readLine(), 'quick');
    assert.deepEqual([server.status().active, server.status().opening], [51, 50]);
    await endAll(client, ...stalled);
    await server.stop({ grace: 0 });
  });

  test('with one connection at a time the next is served when a handshake fails', async () => {
    const server = await serveOn(net, echo, { tls: serverTls(), maxConnections: 1 });
    const bad = await dial(net, server);
    await until(() => server.status().opening === 1);
    const next = dial(net, server, { tls: clientTls() });
    void bad.write('no TLS\r\n\r\n at all');
    const client = await next;
    void client.write('mine\n');
    assert.equal(await client.readLine(), 'mine');
    assert.deepEqual(server.status().reasons, { handshake: 1 });
    await endAll(bad, client);
    await server.stop();
  });

  test('a handshake that fails is a reason and no error of the handler, which never begins', async () => {
    const begun: number[] = [];
    const server = await serveOn(net, (_conn, { id }) => void begun.push(id), { tls: serverTls() });
    const errors = published(() => server);
    const reasons: string[] = [];
    server.on('close', (_conn, reason) => reasons.push(reason.kind === 'handshake' ? reason.error.code : reason.kind));
    const client = await dial(net, server);
    void client.write('GET / HTTP/1.0\r\n\r\n');
    await until(() => reasons.length === 1);
    assert.deepEqual([reasons, begun, errors.errors], [['ERR_PORTSIDE_TLS'], [], []]);
    assert.deepEqual(countsOf(server), { active: 0, accepted: 1, errors: 0 });
    errors.stop();
    await endAll(client);
    await server.stop();
  });

  test('one that stops ends the handshakes that are under way, and its ledger adds up', async () => {
    const noLeaks = watchLeaks();
    const server = await serveOn(net, echo, { tls: serverTls({ maxHandshakes: 1 }) });
    const stalled = await Promise.all([dial(net, server), dial(net, server)]);
    const waiting = connect(
      { host: '127.0.0.1', port: (server.addresses[0] as { port: number }).port },
      { transport: net.transport, tls: clientTls() },
    ).catch(() => null);
    await until(() => server.status().opening === 3);
    const ledger = await server.stop();
    assert.deepEqual([ledger.connections, ledger.idle], [3, 3]);
    const late = await waiting;
    await endAll(...stalled, ...(late === null ? [] : [late]));
    await noLeaks();
  });

  test('new certificates are taken on all endpoints, or on none', async () => {
    const { other, renewed, server: pair } = certificates();
    const server = await serveOn(net, echo, {
      listen: ['tls://127.0.0.1:0', { port: 0, host: '127.0.0.1', tls: other }],
      tls: serverTls(),
    });
    const prints = async (): Promise<(string | undefined)[]> => [
      await shown(await dial(net, server, { tls: clientTls() })),
      await shown(await dial(net, server, { tls: clientTls({ servername: 'other.example.org' }) }, 1)),
    ];
    const before = await prints();
    await assert.rejects(server.reloadTls({ cert: renewed.cert, key: pair.key }), { code: 'ERR_PORTSIDE_CERTIFICATE' });
    assert.deepEqual(await prints(), before);
    await server.reloadTls(renewed);
    const [first, second] = await prints();
    assert.deepEqual([first === before[0], second === before[1]], [false, true]);
    await server.stop({ grace: 0 });
  });
});

describe('the certificates of a server', () => {
  test('are exchanged on no endpoint while those of one are wrong', async (t) => {
    const paths = files(t);
    const server = await serveOn(node, echo, {
      listen: [
        { port: 0, host: '127.0.0.1', tls: paths.server },
        { port: 0, host: '127.0.0.1', tls: paths.other },
      ],
    });
    const print = async (): Promise<string | undefined> => shown(await dial(node, server, { tls: clientTls() }));
    const before = await print();
    await assert.rejects(server.reloadTls(certificates().server), { code: 'ERR_PORTSIDE_STATE', message: /each/u });
    copyFileSync(paths.renewed.cert, paths.server.cert);
    copyFileSync(paths.renewed.key, paths.server.key);
    // Of the second endpoint.
    copyFileSync(paths.expired.cert, paths.other.cert);
    await assert.rejects(server.reloadTls(), { code: 'ERR_PORTSIDE_CERTIFICATE' });
    assert.equal(await print(), before);
    copyFileSync(paths.wildcard.cert, paths.other.cert);
    copyFileSync(paths.wildcard.key, paths.other.key);
    await server.reloadTls();
    assert.notEqual(await print(), before);
    await server.stop({ grace: 0 });
  });

  test('are needed to reload, and by tls:// endpoints to start', async () => {
    const server = await serveOn(node, echo);
    await assert.rejects(server.reloadTls(), { code: 'ERR_PORTSIDE_STATE' });
    await server.stop();
    await assert.rejects(serve(echo, { listen: ['tcp://127.0.0.1:0', 'tls://127.0.0.1:0'] }), {
      code: 'ERR_PORTSIDE_CERTIFICATE',
    });
  });

  for (const where of ['the server', 'an endpoint'] as const) {
    test(`of ${where} are watched when asked for: what is wrong is an error of the server's, which goes on`, async (t) => {
      const noLeaks = watchLeaks();
      const { server: paths, other, renewed } = files(t);
      const tls = { ...paths, watch: true };
      const place = { port: 0, host: '127.0.0.1' };
      const errors: unknown[] = [];
      const lines: string[] = [];
      const server = await serve(echo, {
        ...(where === 'the server' ? { ...place, tls } : { listen: [{ ...place, tls }] }),
        onError: (error, conn) => void errors.push(error, conn),
        verbose: true,
        log: (line) => lines.push(line),
      });
      const print = async (): Promise<string | undefined> => shown(await dial(node, server, { tls: clientTls() }));
      const before = await print();
      copyFileSync(other.cert, paths.cert);
      await until(() => errors.length > 0);
      assert.equal((errors[0] as { code: string }).code, 'ERR_PORTSIDE_CERTIFICATE');
      assert.match(String(errors[0]), /server\.cert\.pem/u);
      assert.equal(errors[1], undefined);
      assert.equal(await print(), before);
      copyFileSync(renewed.cert, paths.cert);
      copyFileSync(renewed.key, paths.key);
      await until(() => lines.some((line) => line.includes('certificates were read anew')));
      assert.notEqual(await print(), before);
      assert.ok(lines.some((line) => line.includes('certificates were not taken up')));
      assert.equal(server.state, 'running');
      await server.stop({ grace: 0 });
      await noLeaks();
    });
  }

  test('may be a context that several servers share; it is its maker’s to close', async () => {
    const context = await TlsServerContext.create(serverTls());
    const told: unknown[] = [];
    context.onReload = (error) => told.push(error);
    const servers = await Promise.all([serveOn(node, echo, { tls: context }), serveOn(node, echo, { tls: context })]);
    await servers[0].stop();
    await context.reload(certificates().renewed);
    const client = await dial(node, servers[1], { tls: clientTls() });
    assert.equal(client.tls?.authorized, true);
    await endAll(client);
    await servers[1].stop({ grace: 0 });
    assert.deepEqual(told, []);
    context.close();
  });
});

describe('a client whose turn to shake hands does not come in time', () => {
  test('is refused and counted as handshakes-full; one that is slow itself is not', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const place = { host: '127.0.0.1', port: 4000 };
    await new Scope({ clock }).run(async () => {
      const tls = serverTls({ maxHandshakes: 1, handshakeTimeout: 2_000 });
      const server = await serve(echo, { ...place, transport, tls });
      const refused: string[] = [];
      server.on('refused', (_remote, refusal) => refused.push(refusal.kind));
      const slow = await clock.run(connect(place, { transport }));
      const late = await clock.run(connect(place, { transport }));
      await clock.settle();
      await clock.advance(2_000);
      assert.deepEqual(refused, ['handshakes-full']);
      const { reasons, refused: counts, active } = server.status();
      assert.deepEqual([reasons, counts['handshakes-full'], active], [{ 'timeout-handshake': 1, refused: 1 }, 1, 0]);
      await clock.run(endAll(slow, late));
      await clock.run(server.stop());
      assert.equal(clock.armed, 0);
    });
  });
});
