import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { systemCode } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { Group } from '../../src/net/group.ts';
import { listen } from '../../src/net/listen.ts';
import { pipe } from '../../src/net/pipe.ts';
import { after, select } from '../../src/sync/evt.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import { certificates, files } from '../support/certificates.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, listenOn, onEachNet, pairOn, portOf, readAll } from '../support/nets.ts';
import { clientTls, nodeClient, securePair, serverTls } from '../support/tls.ts';
import { until } from '../server/support.ts';

const node = { name: 'node', transport: nodeTransport };

onEachNet('TLS from the first byte', (net) => {
  test('carries bytes both ways, and tells both sides what was agreed on', async () => {
    const noLeaks = watchLeaks();
    const { server, client } = await securePair(net, { server: { alpn: ['two', 'one'] }, client: { alpn: ['one'] } });
    void client.write('hello\n');
    assert.equal(await server.readLine(), 'hello');
    void server.write('welcome\n');
    assert.equal(await client.readLine(), 'welcome');
    assert.equal(server.tls?.protocol, 'TLSv1.3');
    assert.deepEqual([server.tls?.alpn, client.tls?.alpn], ['one', 'one']);
    assert.deepEqual([server.tls?.servername, client.tls?.authorized], ['localhost', true]);
    assert.deepEqual([server.bytesRead, server.bytesWritten], [6, 8]);
    await endAll(server, client);
    await noLeaks();
  });

  test('what is written and read before the handshake is over waits for it', async () => {
    const listener = await listenOn(net, { tls: serverTls() });
    const dialing = connect(
      { host: '127.0.0.1', port: portOf(listener) },
      { transport: net.transport, tls: clientTls() },
    );
    const server = await listener.accept();
    assert.equal(server.tls, null);
    void server.write('first ');
    const flushed = server.writev(['second ', 'third']).then(() => server.flushed());
    const asked = server.read();
    assert.equal(server.queuedBytes, 18);
    const client = await dialing;
    await flushed;
    assert.notEqual(server.tls, null);
    assert.equal(Buffer.from((await client.readExactly(18)) ?? []).toString(), 'first second third');
    void client.write('ping');
    assert.equal(Buffer.from((await asked) ?? []).toString(), 'ping');
    await endAll(server, client);
    await listener.close();
  });

  test('both sides end in order, with megabytes before the end', async () => {
    const { server, client } = await securePair(net);
    const big = Buffer.alloc(5_000_000, 'x');
    void server.write(big);
    const closing = server.close();
    const all = await readAll(client);
    assert.equal(all.length, big.length);
    assert.ok(all.equals(big));
    void client.close();
    assert.deepEqual([(await closing).kind, (await client.closed).kind], ['closed', 'ended']);
  });

  test('a direction can end alone: the other goes on', async () => {
    const { server, client } = await securePair(net);
    void client.write('question');
    await client.closeWrite();
    assert.equal((await readAll(server)).toString(), 'question');
    void server.write('answer');
    void server.close();
    assert.equal((await readAll(client)).toString(), 'answer');
    await Promise.all([server.closed, client.closed]);
  });

  test('close() during the handshake sends what was written once it is over, and never in the clear', async () => {
    const listener = await listenOn(net, { tls: serverTls() });
    const raw = await connect({ host: '127.0.0.1', port: portOf(listener) }, { transport: net.transport });
    const server = await listener.accept();
    void server.write('the secret');
    const closing = server.close();
    const info = raw.upgradeTls({ tls: clientTls() });
    assert.equal((await info).authorized, true);
    assert.equal((await readAll(raw)).toString(), 'the secret');
    await raw.close();
    assert.equal((await closing).kind, 'closed');
    await listener.close();
  });

  test('streams, pipes, groups and select work over it', async () => {
    const first = await securePair(net);
    const second = await securePair(net);
    const piped = pipe(first.server, second.server);
    const ends = [first.client, second.client] as const;
    void ends[0].write('through');
    assert.equal(Buffer.from((await ends[1].readExactly(7)) ?? []).toString(), 'through');
    void ends[1].close();
    assert.equal(await ends[0].read(), null);
    void ends[0].close();
    assert.deepEqual([(await piped).forth, (await piped).back], [7, 0]);

    const third = await securePair(net);
    const group = new Group();
    group.add(third.server);
    group.send(Buffer.from('to all'));
    const chosen = await select(third.client.readEvt(), after(5_000));
    assert.equal(Buffer.from(chosen as Uint8Array).toString(), 'to all');

    const stream = third.client.toNodeStream();
    const big = Buffer.alloc(1_000_000, 'y');
    stream.end(big);
    assert.ok((await readAll(third.server)).equals(big));
    third.server.toNodeStream().end('bye');
    let said = '';
    for await (const chunk of stream) said += String(chunk);
    assert.equal(said, 'bye');
    await Promise.all([third.server.closed, third.client.closed]);
  });

  test('a connection under TLS can not be given to another owner, and goes on', async () => {
    const { server, client } = await securePair(net);
    await assert.rejects(server.release(), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
    void client.write('still here\n');
    assert.equal(await server.readLine(), 'still here');
    await endAll(server, client);
  });

  test('while handshakes are under way a connection can not be given to another owner', async () => {
    const listener = await listenOn(net, { tls: serverTls() });
    const raw = await connect({ host: '127.0.0.1', port: portOf(listener) }, { transport: net.transport });
    const server = await listener.accept();
    await assert.rejects(server.release(), { code: 'ERR_PORTSIDE_STATE' });
    await endAll(server, raw);
    await listener.close();
  });

  for (const [what, send, code] of [
    ['what is not TLS', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', 'ERR_PORTSIDE_TLS'],
    ['an end', null, 'ERR_PORTSIDE_UNEXPECTED_END'],
  ] as const) {
    test(`${what} in place of the handshake ends that connection with its reason`, async () => {
      const noLeaks = watchLeaks();
      const listener = await listenOn(net, { tls: serverTls() });
      const raw = await connect({ host: '127.0.0.1', port: portOf(listener) }, { transport: net.transport });
      const server = await listener.accept();
      const reading = server.read();
      if (send === null) void raw.closeWrite();
      else void raw.write(send);
      await assert.rejects(server.opened, { code });
      await assert.rejects(reading, { code });
      const reason = await server.closed;
      assert.equal(reason.kind, 'handshake');
      assert.ok(reason.kind === 'handshake' && reason.error.code === code);
      await assert.rejects(server.opened, { code });
      await endAll(raw);
      await listener.close();
      await noLeaks();
    });
  }

  test('a client that does not know the authority, or expects another name, refuses the server', async () => {
    const listener = await listenOn(net, { tls: serverTls() });
    const place = { host: '127.0.0.1', port: portOf(listener) };
    for (const tls of [clientTls({ ca: certificates().strangerCa }), clientTls({ servername: 'example.com' })]) {
      const accepted = listener.accept();
      await assert.rejects(connect(place, { transport: net.transport, tls }), { code: 'ERR_PORTSIDE_TLS' });
      const server = await accepted;
      void server.read().catch(() => {});
      await endAll(server);
    }
    await listener.close();
  });

  test('connect with TLS gives up by its signal and by its time, and leaves nothing', async () => {
    const noLeaks = watchLeaks();
    // Accepts, and says nothing.
    const listener = await listenOn(net);
    const place = { host: '127.0.0.1', port: portOf(listener) };
    const controller = new AbortController();
    const called = connect(place, { transport: net.transport, tls: clientTls(), signal: controller.signal });
    const first = await listener.accept();
    controller.abort(new Error('enough'));
    await assert.rejects(called, { message: 'enough' });
    const late = connect(place, { transport: net.transport, tls: clientTls({ handshakeTimeout: 30 }) });
    const second = await listener.accept();
    await assert.rejects(late, { code: 'ERR_PORTSIDE_TIMEOUT', message: /did not shake hands within 30 ms/u });
    const third = connect(place, { transport: net.transport, tls: clientTls(), timeout: 30 });
    const [, last] = await Promise.all([assert.rejects(third, { code: 'ERR_PORTSIDE_TIMEOUT' }), listener.accept()]);
    await endAll(first, second, last);
    await listener.close();
    await noLeaks();
  });
});

onEachNet('who TLS is begun with', (net) => {
  const place = (listener: { address: Parameters<typeof portOf>[0]['address'] }): { host: string; port: number } => ({
    host: '127.0.0.1',
    port: portOf(listener),
  });

  test('the certificate follows the name that is asked for: exact, wildcard, and the default', async () => {
    const { other, wildcard } = certificates();
    const listener = await listenOn(net, {
      tls: serverTls({ servers: { 'other.example.org': other, '*.wild.example.org': wildcard } }),
    });
    const subjects: (string | undefined)[] = [];
    for (const servername of ['other.example.org', 'a.wild.example.org', 'localhost']) {
      const [server, client] = await Promise.all([
        listener.accept(),
        connect(place(listener), { transport: net.transport, tls: clientTls({ servername }) }),
      ]);
      await server.opened;
      assert.equal(server.tls?.servername, servername);
      subjects.push(client.tls?.peerCertificate?.subjectAltName?.split(',')[0]);
      await endAll(server, client);
    }
    assert.deepEqual(subjects, ['DNS:other.example.org', 'DNS:*.wild.example.org', 'DNS:localhost']);
    await listener.close();
  });

  test('certificates of clients can be asked for, and required', async () => {
    const { ca, client: alice, strangerClient } = certificates();
    const outcomes: unknown[] = [];
    for (const clientCertificate of ['request', 'require'] as const) {
      const listener = await listenOn(net, { tls: serverTls({ clientCertificate, ca }) });
      for (const pair of [alice, strangerClient, undefined]) {
        const accepted = listener.accept();
        const client = await connect(place(listener), {
          transport: net.transport,
          tls: clientTls({ ...pair }),
        }).catch(() => null);
        const server = await accepted;
        const opened = await server.opened.then(
          () => [server.tls?.authorized, server.tls?.peerCertificate?.subject ?? null],
          (error: unknown) => systemCode(error),
        );
        outcomes.push(opened);
        if (client !== null) await endAll(client);
        await endAll(server);
      }
      await listener.close();
    }
    assert.deepEqual(outcomes, [
      [true, 'CN=alice'],
      [false, 'CN=mallory'],
      [false, null],
      [true, 'CN=alice'],
      'ERR_PORTSIDE_TLS',
      'ERR_PORTSIDE_TLS',
    ]);
  });

  test('a protocol that nobody here speaks is refused, and TLS 1.1 is', async (t) => {
    const listener = await listenOn(node, { tls: serverTls({ alpn: ['chat'] }) });
    for (const options of [{ ALPNProtocols: ['mail'] }, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }] as const) {
      const accepted = listener.accept();
      const client = nodeClient(t, portOf(listener), { ...options, ciphers: 'DEFAULT:@SECLEVEL=0' });
      await assert.rejects(client);
      const server = await accepted;
      await assert.rejects(server.opened, { code: 'ERR_PORTSIDE_TLS' });
    }
    await listener.close();
  });

  test('sessions are resumed at another listener of the same context', async () => {
    const context = await TlsServerContext.create(serverTls());
    const sessions: Uint8Array[] = [];
    const resumed: (boolean | undefined)[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      const listener = await listenOn(net, { tls: context });
      const session = sessions.at(-1);
      const tls = clientTls({ onSession: (one) => sessions.push(one), ...(session === undefined ? {} : { session }) });
      const [server, client] = await Promise.all([
        listener.accept(),
        connect(place(listener), { transport: net.transport, tls }),
      ]);
      await server.opened;
      void server.write('x');
      await client.read();
      await until(() => sessions.length > 0);
      resumed.push(client.tls?.resumed);
      await endAll(server, client);
      await listener.close();
    }
    assert.deepEqual(resumed, [false, true]);
    context.close();
  });
});

describe('where TLS is', () => {
  test('an endpoint that says tcp:// begins in the clear, and every other with TLS', async () => {
    const { transport } = memoryNetwork();
    const tls = serverTls();
    for (const [where, secure] of [
      ['tcp://127.0.0.1:1001', false],
      [{ kind: 'tcp', host: '127.0.0.1', port: 1002 }, false],
      ['tls://127.0.0.1:1003', true],
      ['127.0.0.1:1004', true],
      [{ host: '127.0.0.1', port: 1005 }, true],
      [1006, true],
      ['memory://here', true],
      ['unix:///there.sock', true],
    ] as const) {
      const listener = await listen({ endpoint: where, tls, transport });
      const to = listener.address;
      const [server, client] = await Promise.all([
        listener.accept(),
        connect(to, { transport, ...(secure ? { tls: clientTls() } : {}) }),
      ]);
      await server.opened;
      assert.deepEqual([server.tls !== null, server.canUpgradeTls], [secure, !secure], JSON.stringify(where));
      void server.write('x\n');
      assert.equal(await client.readLine(), 'x');
      await endAll(server, client);
      await listener.close();
    }
  });

  test('tls:// without certificates is an error that says what to give, and nothing is bound', async () => {
    const noLeaks = watchLeaks();
    await assert.rejects(listen('tls://127.0.0.1:0'), { code: 'ERR_PORTSIDE_CERTIFICATE', message: /give tls: \{/u });
    const wrong = { cert: certificates().server.cert, key: certificates().other.key };
    await assert.rejects(listen('127.0.0.1:0', { tls: wrong }), { code: 'ERR_PORTSIDE_CERTIFICATE' });
    await assert.rejects(listen('127.0.0.1:0', { tls: { cert: 'nowhere.pem', key: 'nowhere.key' } }), {
      code: 'ERR_PORTSIDE_CERTIFICATE',
      message: /nowhere\.pem/u,
    });
    await noLeaks();
  });

  test('tls:// in connect begins TLS by itself, with the name that was connected to', async (t) => {
    const { server } = files(t);
    const listener = await listen('tls://localhost:0', { tls: server, families: ['ipv4'] });
    const port = portOf(listener);
    const accepting = (async () => {
      for await (const conn of listener) void conn.close();
    })();
    await assert.rejects(connect(`tls://localhost:${port}`, { families: ['ipv4'] }), { code: 'ERR_PORTSIDE_TLS' });
    const client = await connect(`tls://localhost:${port}`, { families: ['ipv4'], tls: { ca: certificates().ca } });
    assert.equal(client.tls?.servername, 'localhost');
    assert.equal(await client.read(), null);
    await client.close();
    await listener.close();
    await accepting;
  });

  test('TLS over a Unix socket needs a name to hold the certificate against', async (t) => {
    const { folder } = files(t);
    const path = join(folder, 'x.sock');
    const listener = await listen({ path, tls: serverTls() });
    const accepting = (async () => {
      for await (const conn of listener) void conn.close();
    })();
    await assert.rejects(connect({ path }, { tls: { ca: certificates().ca } }), { code: 'ERR_PORTSIDE_OPTIONS' });
    const client = await connect({ path }, { tls: clientTls() });
    assert.equal(client.tls?.authorized, true);
    await client.close();
    await listener.close();
    await accepting;
  });
});

describe('openssl as the client', () => {
  test('takes megabytes to their end, and finds the end clean', async () => {
    const listener = await listenOn(node, { tls: serverTls() });
    const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${portOf(listener)}`, '-quiet', '-ign_eof'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    let length = 0;
    child.stdout.on('data', (bytes: Buffer) => (length += bytes.length));
    const server: Connection = await listener.accept();
    void server.write(Buffer.alloc(8_000_000, 'z'));
    const closing = server.close();
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(length, 8_000_000);
    // OpenSSL calls an end without close_notify "unexpected eof while reading", and fails.
    assert.doesNotMatch(errors, /unexpected eof/u);
    assert.equal(code, 0);
    assert.equal((await closing).kind, 'closed');
    await listener.close();
  });
});

test('a pair in the clear has no TLS to tell of', async () => {
  const { server, client } = await pairOn(node);
  assert.deepEqual([server.tls, client.tls, server.canUpgradeTls, client.canUpgradeTls], [null, null, false, true]);
  await endAll(server, client);
});
