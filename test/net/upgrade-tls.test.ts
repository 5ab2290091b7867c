import { test } from 'node:test';
import assert from 'node:assert/strict';
import { lines } from '../../src/codec/lines.ts';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import { isOwnEnd } from '../../src/net/link-errors.ts';
import { link } from '../../src/net/connection.ts';
import type { Connection } from '../../src/net/connection.ts';
import { isPortsideError } from '../../src/base/errors.ts';
import { Scope } from '../../src/sync/scope.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import { certificates, files } from '../support/certificates.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, onEachNet, pairOn, portOf, readAll } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { unhandled } from '../support/unhandled.ts';
import { turns } from '../server/support.ts';

/** Two ends in the clear, the server's with certificates to begin TLS by. */
async function clearPair(net: Net): Promise<{ server: Connection; client: Connection }> {
  return pairOn(net, { server: { endpoint: 'tcp://127.0.0.1:0', port: undefined, host: undefined, tls: serverTls() } });
}

onEachNet('TLS on a connection that began in the clear', (net) => {
  test('goes on with the same connection, and what was written before is in the clear', async () => {
    const noLeaks = watchLeaks();
    const { server, client } = await clearPair(net);
    assert.ok(server.canUpgradeTls);
    void client.write('STARTTLS\n');
    assert.equal(await server.readLine(), 'STARTTLS');
    void server.write('go ahead\n');
    const serving = server.upgradeTls();
    void server.write('under TLS\n');
    assert.equal(await client.readLine(), 'go ahead');
    const info = await client.upgradeTls({ tls: clientTls() });
    assert.equal(info.authorized, true);
    assert.deepEqual([await serving, server.canUpgradeTls], [server.tls, false]);
    assert.equal(await client.readLine(), 'under TLS');
    void client.write('indeed\n');
    assert.equal(await server.readLine(), 'indeed');
    await endAll(server, client);
    await noLeaks();
  });

  test('nothing that is written after the call is ever in the clear, in the same turn or later', async () => {
    const { server, client } = await clearPair(net);
    void server.write('clear.');
    server.cork();
    void server.write('corked.');
    const serving = server.upgradeTls();
    void server.write('secret');
    await turns(5);
    void server.writev(['secret', 'secret']);
    assert.equal(server.queuedBytes, 18);
    assert.equal(Buffer.from((await client.readExactly(13)) ?? []).toString(), 'clear.corked.');
    await turns(5);
    const more = await client.read({ timeout: 1 }).catch(() => null);
    assert.equal(more, null);
    void client.upgradeTls({ tls: clientTls() });
    await serving;
    assert.equal(Buffer.from((await client.readExactly(18)) ?? []).toString(), 'secretsecretsecret');
    await endAll(server, client);
  });

  test('much that was written before leaves first, and who waits for it is told', async () => {
    const { server, client } = await clearPair(net);
    const big = Buffer.alloc(30_000_000, 'b');
    const written = server.write(big);
    const flushed = server.flushed();
    assert.ok(server.queuedBytes > 0);
    const serving = server.upgradeTls();
    assert.ok(server.queuedBytes > 0);
    assert.ok(Buffer.from((await client.readExactly(big.length)) ?? []).equals(big));
    await Promise.all([written, flushed]);
    void client.upgradeTls({ tls: clientTls() });
    await serving;
    await endAll(server, client);
  });

  test('bytes that came before are refused, and end the connection by its own doing', async () => {
    const noLeaks = watchLeaks();
    const { server, client } = await clearPair(net);
    void client.write('STARTTLS\nRCPT TO:<eve>\n');
    assert.equal(await server.readLine(), 'STARTTLS');
    const error: unknown = await server.upgradeTls().catch((reason: unknown) => reason);
    assert.ok(isPortsideError(error) && error.code === 'ERR_PORTSIDE_TOO_EARLY');
    assert.ok(isOwnEnd(link(server), error));
    const reason = await server.closed;
    assert.ok(reason.kind === 'handshake' && reason.error === error);
    await assert.rejects(server.read(), { code: 'ERR_PORTSIDE_TOO_EARLY' });
    await endAll(client);
    await noLeaks();
  });

  test('so are frames that were read ahead, and bytes that a handler put back', async () => {
    const first = await clearPair(net);
    void first.client.write('STARTTLS\nNOOP\n');
    for await (const line of first.server.frames(lines())) {
      assert.equal(line, 'STARTTLS');
      await assert.rejects(first.server.upgradeTls(), { code: 'ERR_PORTSIDE_TOO_EARLY' });
      break;
    }
    const second = await clearPair(net);
    second.server.unread(Buffer.from('x'));
    await assert.rejects(second.server.upgradeTls(), { code: 'ERR_PORTSIDE_TOO_EARLY' });
    await endAll(first.client, second.client);
  });

  test('the end of the peer, which came before, ends it', async () => {
    const { server, client } = await clearPair(net);
    await client.closeWrite();
    assert.equal(await server.read(), null);
    await assert.rejects(server.upgradeTls(), { code: 'ERR_PORTSIDE_UNEXPECTED_END' });
    assert.equal((await server.closed).kind, 'handshake');
    await endAll(client);
  });

  test('wrong use is an error with a code, and the connection stays as it was', async () => {
    const { server, client } = await pairOn(net);
    await assert.rejects(server.upgradeTls(), { code: 'ERR_PORTSIDE_CERTIFICATE', message: /listener/u });
    await assert.rejects(server.upgradeTls({ tls: { cert: 1 } as never }), { code: 'ERR_PORTSIDE_OPTIONS' });
    await assert.rejects(server.upgradeTls({ role: 'peer' as never }), { code: 'ERR_PORTSIDE_OPTIONS' });
    const tls = serverTls();
    const reading = server.read();
    await assert.rejects(server.upgradeTls({ tls }), { code: 'ERR_PORTSIDE_READ_BUSY' });
    void client.write('fine\n');
    assert.equal(Buffer.from((await reading) ?? []).toString(), 'fine\n');
    await endAll(server, client);
    await assert.rejects(server.upgradeTls({ tls }), { code: 'ERR_PORTSIDE_CLOSED' });

    const ended = await clearPair(net);
    await ended.server.closeWrite();
    assert.equal(ended.server.canUpgradeTls, false);
    await assert.rejects(ended.server.upgradeTls(), { code: 'ERR_PORTSIDE_STATE' });
    ended.client.closeRead();
    await assert.rejects(ended.client.upgradeTls(), { code: 'ERR_PORTSIDE_STATE' });
    await endAll(ended.server, ended.client);
  });

  test('twice is an error, during the first and after it, and does not disturb it', async () => {
    const { server, client } = await clearPair(net);
    const first = server.upgradeTls();
    await assert.rejects(server.upgradeTls(), { code: 'ERR_PORTSIDE_STATE', message: /under way/u });
    const info = await client.upgradeTls({ tls: clientTls() });
    await first;
    await assert.rejects(server.upgradeTls(), { code: 'ERR_PORTSIDE_STATE', message: /already/u });
    await assert.rejects(client.upgradeTls(), { code: 'ERR_PORTSIDE_STATE' });
    assert.equal(info.protocol, 'TLSv1.3');
    void client.write('on\n');
    assert.equal(await server.readLine(), 'on');
    await endAll(server, client);
  });

  test('certificates may be given to the call, as files, as PEM, or as a context', async (t) => {
    const context = await TlsServerContext.create(serverTls());
    for (const tls of [serverTls(), files(t).server, context]) {
      const { server, client } = await pairOn(net);
      const serving = server.upgradeTls({ tls });
      void server.write('queued\n');
      await client.upgradeTls({ tls: clientTls() });
      await serving;
      assert.equal(await client.readLine(), 'queued');
      await endAll(server, client);
    }
    context.close();
  });

  test('certificates that are given and wrong are the caller’s mistake, and what was written is not sent', async () => {
    const noLeaks = watchLeaks();
    const { server, client } = await pairOn(net);
    const wrong = { cert: certificates().server.cert, key: certificates().other.key };
    const serving = server.upgradeTls({ tls: wrong });
    void server.write('secret');
    const error: unknown = await serving.catch((reason: unknown) => reason);
    assert.ok(isPortsideError(error) && error.code === 'ERR_PORTSIDE_CERTIFICATE');
    assert.equal(isOwnEnd(link(server), error), false);
    const reason = await server.closed;
    assert.ok(reason.kind === 'aborted' && reason.cause === error);
    await assert.rejects(readAll(client));
    await endAll(client);
    await noLeaks();
  });

  test('the side of a handshake can be chosen: the one who connected may be the server', async () => {
    const { server, client } = await pairOn(net);
    const secured = client.upgradeTls({ role: 'server', tls: serverTls() });
    await server.upgradeTls({ role: 'client', tls: clientTls() });
    await secured;
    void server.write('odd\n');
    assert.equal(await client.readLine(), 'odd');
    await endAll(server, client);
  });

  test('a client holds the certificate against the name that it connected to', async () => {
    const { server, client } = await clearPair(net);
    void server.upgradeTls();
    const info = await client.upgradeTls({ tls: { ca: certificates().ca } });
    assert.deepEqual([info.authorized, info.servername], [true, null]);
    await endAll(server, client);
  });

  for (const [what, end] of [
    ['abort()', (conn: Connection) => conn.abort(new Error('enough'))],
    ['close() without a linger', (conn: Connection) => void conn.close({ linger: 0 })],
    ['close() with a short one', (conn: Connection) => void conn.close({ linger: 20 })],
  ] as const) {
    test(`${what} during the handshake ends it, and whoever waits is told once`, async () => {
      const noLeaks = watchLeaks();
      const loose = unhandled();
      for (let step = 0; step < 6; step += 1) {
        const { server, client } = await clearPair(net);
        const reasons: string[] = [];
        void server.closed.then(({ kind }) => reasons.push(kind));
        // Nobody looks at the outcome.
        void server.upgradeTls();
        const secured = step < 3 ? null : client.upgradeTls({ tls: clientTls() });
        for (let moment = 0; moment < step % 3; moment += 1) await turns(moment);
        end(server);
        const reason = await server.closed;
        await secured?.catch(() => null);
        assert.ok(['aborted', 'closed', 'dropped', 'handshake', 'reset'].includes(reason.kind), reason.kind);
        await turns(2);
        assert.equal(reasons.length, 1);
        await endAll(client);
      }
      assert.deepEqual(await loose(), []);
      await noLeaks();
    });
  }

  test('the end of its scope ends it during the handshake', async () => {
    const noLeaks = watchLeaks();
    const scope = new Scope({ name: 'test' });
    const listener = await listen({ endpoint: 'tcp://127.0.0.1:0', tls: serverTls(), transport: net.transport });
    const [server, client] = await Promise.all([
      scope.run(() => listener.accept()),
      connect({ host: '127.0.0.1', port: portOf(listener) }, { transport: net.transport }),
    ]);
    await listener.close();
    const serving = server.upgradeTls();
    await turns(3);
    const report = await scope.close();
    assert.equal(report.errors.length, 0);
    await assert.rejects(serving, { code: 'ERR_PORTSIDE_CLOSED' });
    assert.notEqual(server.closeReason, null);
    await endAll(client);
    await noLeaks();
  });

  test('a peer that resets, or says something else, at any step is an end with a reason', async () => {
    const noLeaks = watchLeaks();
    const loose = unhandled();
    for (const spoil of [
      (client: Connection) => client.abort(),
      (client: Connection) => void client.write('no TLS at all, sorry, but thank you\r\n'),
      (client: Connection) => void client.close(),
      (client: Connection) => void client.write(Uint8Array.of(22, 3, 1, 0, 200, 1, 0)),
    ]) {
      const { server, client } = await clearPair(net);
      void server.write('go ahead\n');
      const serving = server.upgradeTls();
      await client.readLine();
      spoil(client);
      if (client.closeReason === null) void client.closeWrite();
      const error: unknown = await serving.catch((reason: unknown) => reason);
      assert.ok(isPortsideError(error) && isOwnEnd(link(server), error), String(error));
      assert.ok(['handshake', 'reset'].includes((await server.closed).kind));
      await endAll(client);
    }
    assert.deepEqual(await loose(), []);
    await noLeaks();
  });

  test('what was set meanwhile holds after it', async () => {
    const { server, client } = await clearPair(net);
    const serving = server.upgradeTls();
    server.setNoDelay(false);
    server.setKeepAlive(true, 5_000);
    server.ref(false);
    await client.upgradeTls({ tls: clientTls() });
    await serving;
    server.ref(true);
    void client.closeWrite();
    assert.equal(await server.read(), null);
    await endAll(server, client);
  });
});
