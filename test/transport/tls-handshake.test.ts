import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortsideError, isPortsideError } from '../../src/base/errors.ts';
import { secureClient, secureServer } from '../../src/transport/tls/handshake.ts';
import { certificates } from '../support/certificates.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Ear } from './memory-support.ts';
import {
  accepting,
  dial,
  endAll,
  failed,
  onEach,
  outcomeOf,
  plainPair,
  secured,
  serverContext,
  shake,
  text,
  turns,
  until,
} from './tls-support.ts';

const pems = certificates();

leavesNothing();

onEach('a handshake', (transport) => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${version}: both sides know what was agreed on, and bytes go both ways`, async () => {
      const context = await serverContext({ alpn: ['b', 'a'] });
      const outcome = await shake(transport, context, { maxVersion: version, minVersion: version, alpn: ['a', 'b'] });
      const [server, client] = [secured(outcome.server), secured(outcome.client)];
      for (const { tls } of [server, client]) {
        assert.equal(tls.protocol, version);
        assert.match(tls.cipher, /AES|CHACHA/u);
        // The server's order counts.
        assert.equal(tls.alpn, 'b');
        assert.equal(tls.servername, 'localhost');
        assert.equal(tls.resumed, false);
        assert.equal(tls.authorizationError, null);
      }
      assert.equal(client.tls.authorized, true);
      assert.equal(server.tls.authorized, false);
      assert.match(client.tls.peerCertificate?.subjectAltName ?? '', /a\.example\.org/u);
      assert.equal(server.tls.peerCertificate, null);
      const [one, two] = [new Ear(server), new Ear(client)];
      client.send(text('question'));
      await until(() => one.text === 'question', 'the question');
      server.send(text('answer'));
      await until(() => two.text === 'answer', 'the answer');
      await endAll(one, two);
    });
  }

  test('the certificate is chosen by the name: exact, by wildcard, whatever the case; else the default', async () => {
    const context = await serverContext({
      servers: { 'Other.example.org': pems.other, '*.wild.example.org': pems.wildcard },
    });
    const shown = async (servername: string | undefined): Promise<string> => {
      const { server, client } = await shake(
        transport,
        context,
        { servername, rejectUnauthorized: false },
        servername === undefined ? '127.0.0.1' : servername,
      );
      const names = secured(client).tls.peerCertificate?.subjectAltName ?? '';
      assert.equal(secured(server).tls.servername, servername ?? null);
      await endAll(server, client);
      return names;
    };
    assert.equal(await shown('other.example.org'), 'DNS:other.example.org');
    assert.equal(await shown('OTHER.example.ORG'), 'DNS:other.example.org');
    assert.equal(await shown('any.wild.example.org'), 'DNS:*.wild.example.org');
    for (const name of ['two.any.wild.example.org', 'wild.example.org', 'nobody.example.org', undefined])
      assert.match(await shown(name), /^DNS:localhost/u, String(name));
  });

  test('no protocol in common (ALPN) fails on both sides; a client that offers none comes in', async () => {
    const context = await serverContext({ alpn: ['a'] });
    const refused = await shake(transport, context, { alpn: ['b', 'c'] });
    assert.equal(failed(refused.server).code, 'ERR_PORTSIDE_TLS');
    assert.match(failed(refused.server).message, /none of the protocols that it offers \(ALPN\)/u);
    assert.equal(failed(refused.client).code, 'ERR_PORTSIDE_TLS');
    assert.match(
      failed(refused.client).message,
      /none of the protocols that were offered|speaks none of the protocols/u,
    );
    const { server, client } = await shake(transport, context);
    assert.equal(secured(server).tls.alpn, null);
    assert.equal(secured(client).tls.alpn, null);
    await endAll(server, client);
  });

  test('a client refuses a certificate for another name, or from an authority that it does not know', async () => {
    const context = await serverContext();
    const other = await shake(transport, context, {}, 'elsewhere.example.org');
    assert.equal(failed(other.client).code, 'ERR_PORTSIDE_TLS');
    assert.match(failed(other.client).message, /for another name \(.*elsewhere\.example\.org/u);
    const stranger = await shake(transport, context, { ca: pems.strangerCa });
    assert.equal(failed(stranger.client).code, 'ERR_PORTSIDE_TLS');
    assert.match(failed(stranger.client).message, /authority that is not/u);
    assert.ok((failed(stranger.client) as { cause?: unknown }).cause instanceof Error);
    await endAll(other.server, stranger.server);
    const careless = await shake(transport, context, { ca: pems.strangerCa, rejectUnauthorized: false });
    const { tls } = secured(careless.client);
    assert.equal(tls.authorized, false);
    assert.match(tls.authorizationError ?? '', /^[A-Z_]+$/u);
    await endAll(careless.server, careless.client);
  });

  test('an address is held against the certificate when it was connected to', async () => {
    const context = await serverContext();
    const right = await shake(transport, context, {}, '127.0.0.1');
    assert.equal(secured(right.client).tls.authorized, true);
    assert.equal(secured(right.client).tls.servername, null);
    const wrong = await shake(transport, context, {}, '127.0.0.2');
    assert.equal(failed(wrong.client).code, 'ERR_PORTSIDE_TLS');
    await endAll(right.server, right.client, wrong.server);
  });

  test('without any name to hold the certificate against, a client that verifies does not begin', async () => {
    const { client, server } = await plainPair(transport);
    const error = failed(await outcomeOf(secureClient(client, { ca: pems.ca }, undefined, [])));
    assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
    await endAll(new Ear(server));
    const context = await serverContext();
    const judged: string[] = [];
    const { client: other, server: theirs } = await plainPair(transport);
    const [ofServer, ofClient] = await Promise.all([
      outcomeOf(secureServer(theirs, context, [])),
      outcomeOf(
        secureClient(
          other,
          {
            ca: pems.ca,
            checkServerIdentity: (name, { subjectaltname }) => void judged.push(`${name}|${subjectaltname ?? ''}`),
          },
          undefined,
          [],
        ),
      ),
    ]);
    assert.equal(judged.length, 1);
    assert.match(judged[0] ?? '', /DNS:localhost/u);
    await endAll(secured(ofServer), secured(ofClient));
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${version}: client certificates, asked for or required: a good one, none, one from a stranger`, async () => {
      const only = { minVersion: version, maxVersion: version } as const;
      for (const wanted of ['request', 'require'] as const) {
        const context = await serverContext({ clientCertificate: wanted, ca: pems.ca });
        const good = await shake(transport, context, { ...only, ...pems.client });
        assert.equal(secured(good.server).tls.authorized, true);
        assert.equal(secured(good.server).tls.peerCertificate?.subject, 'CN=alice');
        await endAll(good.server, good.client);
        for (const [pair, code] of [
          [{}, /no certificate|UNABLE_TO_GET_ISSUER_CERT/u],
          [pems.strangerClient, /not known|UNABLE_TO_(?:GET_ISSUER_CERT_LOCALLY|VERIFY_LEAF_SIGNATURE)/u],
        ] as const) {
          const bad = await shake(transport, context, { ...only, ...pair });
          if (wanted === 'request') {
            assert.equal(secured(bad.server).tls.authorized, false);
            assert.match(secured(bad.server).tls.authorizationError ?? '', code);
            await endAll(bad.server, bad.client);
            continue;
          }
          assert.equal(failed(bad.server).code, 'ERR_PORTSIDE_TLS');
          assert.match(failed(bad.server).message, code);
          // With TLS 1.3 the client is done before the server has looked; it learns by reading.
          if (isPortsideError(bad.client)) continue;
          const ear = new Ear(bad.client);
          await until(() => ear.closed !== null || ear.end_, 'the refusal');
          assert.equal(ear.bytes, 0);
          await endAll(ear);
        }
      }
    });
  }

  test('no version in common fails on both sides, in words', async () => {
    const context = await serverContext({ minVersion: 'TLSv1.3' });
    const { server, client } = await shake(transport, context, { maxVersion: 'TLSv1.2' });
    assert.match(failed(server).message, /no version of TLS that is allowed here/u);
    assert.match(failed(client).message, /no version of TLS that is allowed here/u);
    for (const outcome of [server, client]) {
      assert.equal(failed(outcome).code, 'ERR_PORTSIDE_TLS');
      assert.equal(failed(outcome).op, 'tls');
      assert.ok(failed(outcome).remote !== undefined);
    }
  });

  test('what is not TLS is said to be none, and an HTTP request is called so', async () => {
    const context = await serverContext();
    for (const [bytes, message] of [
      ['hello, is anybody there?\r\n'.repeat(20), /what it sent is not TLS/u],
      ['GET / HTTP/1.1\r\nHost: example.org\r\n\r\n', /it sent an HTTP request without TLS/u],
      ['\0'.repeat(1000), /not TLS/u],
    ] as const) {
      const { client, server } = await plainPair(transport);
      const ear = new Ear(client);
      client.send(text(bytes));
      const error = failed(await outcomeOf(secureServer(server, context, [])));
      assert.equal(error.code, 'ERR_PORTSIDE_TLS');
      assert.match(error.message, message);
      assert.ok(error.cause instanceof Error);
      await until(() => ear.closed !== null || ear.end_, 'the end at the client');
      await endAll(ear);
    }
    const { client, server } = await plainPair(transport);
    server.send(text('220 ready\r\n'.repeat(10)));
    const error = failed(await outcomeOf(secureClient(client, { ca: pems.ca }, 'localhost', [])));
    assert.match(error.message, /what it sent is not TLS/u);
    await endAll(new Ear(server, false));
  });

  test('one that stalls is called off at once, with the error that is given or ERR_PORTSIDE_ABORTED', async () => {
    const context = await serverContext();
    const { client, server } = await plainPair(transport);
    const ear = new Ear(client);
    const handshake = secureServer(server, context, []);
    await turns();
    handshake.cancel('drop');
    handshake.cancel('drop');
    assert.equal(failed(await outcomeOf(handshake)).code, 'ERR_PORTSIDE_ABORTED');
    await until(() => ear.closed !== null || ear.end_, 'the end at the other side');
    const second = await plainPair(transport);
    const quiet = new Ear(second.server);
    const begun = secureClient(second.client, { ca: pems.ca }, 'localhost', []);
    await until(() => quiet.bytes > 0, 'the hello');
    const late = new PortsideError('ERR_PORTSIDE_TIMEOUT', 'too late');
    begun.cancel('drop', late);
    assert.equal(await outcomeOf(begun), late);
    await until(() => quiet.closed !== null || quiet.end_, 'the end at the server');
    await endAll(ear, quiet);
  });

  test('called off with a reset ends the connection by that, on whichever side and at each step', async () => {
    const context = await serverContext();
    for (const side of ['server', 'client'] as const) {
      for (const begun of [false, true]) {
        const pair = await plainPair(transport);
        const ear = new Ear(side === 'server' ? pair.client : pair.server);
        const handshake =
          side === 'server'
            ? secureServer(pair.server, context, [])
            : secureClient(pair.client, { ca: pems.ca }, 'localhost', []);
        if (begun) await turns();
        handshake.cancel('reset');
        assert.equal(failed(await outcomeOf(handshake)).code, 'ERR_PORTSIDE_ABORTED');
        await until(() => ear.closed !== null || ear.end_, 'the end at the other side');
        assert.equal(ear.closed?.kind, 'reset', `${side} ${String(begun)}`);
        await endAll(ear);
      }
    }
  });

  test('called off before it began, and after it is done', async () => {
    const { client, server } = await plainPair(transport);
    const handshake = secureServer(server, await serverContext(), []);
    handshake.cancel('drop');
    assert.equal(failed(await outcomeOf(handshake)).code, 'ERR_PORTSIDE_ABORTED');
    await endAll(new Ear(client));
    const pair = await plainPair(transport);
    const begun = secureServer(pair.server, await serverContext(), []);
    const other = await outcomeOf(secureClient(pair.client, { ca: pems.ca }, 'localhost', []));
    const done = secured(await outcomeOf(begun));
    begun.cancel('drop');
    const ear = new Ear(done);
    secured(other).send(text('alive'));
    await until(() => ear.text === 'alive', 'the bytes');
    await endAll(ear, other);
  });

  test('a peer that resets or ends during it is told as that', async () => {
    const context = await serverContext();
    for (const [how, code] of [
      ['reset', 'ECONNRESET'],
      ['drop', 'ERR_PORTSIDE_UNEXPECTED_END'],
    ] as const) {
      for (const bytes of ['', '\x16\x03\x01\x02\x00']) {
        const { client, server } = await plainPair(transport);
        const handshake = secureServer(server, context, []);
        if (bytes !== '') client.send(text(bytes));
        await turns();
        client.destroy(how);
        const error = failed(await outcomeOf(handshake));
        assert.equal(error.code, code, `${how} ${error.message}`);
        assert.match(error.message, /during the TLS handshake/u);
        const other = await plainPair(transport);
        const ear = new Ear(other.server);
        const begun = secureClient(other.client, { ca: pems.ca }, 'localhost', []);
        await until(() => ear.bytes > 0, 'the hello');
        other.server.destroy(how);
        assert.equal(failed(await outcomeOf(begun)).code, code);
      }
    }
  });

  test('bytes that were read before come first, in pieces or whole', async () => {
    const context = await serverContext();
    for (const size of [1, 100, 100_000]) {
      const { client, server } = await plainPair(transport);
      const begun = secureClient(client, { ca: pems.ca }, 'localhost', []);
      const ear = new Ear(server);
      await until(() => ear.bytes > 0, 'the hello');
      server.flow(false);
      const hello = Buffer.concat(ear.chunks);
      const early: Uint8Array[] = [];
      for (let at = 0; at < hello.length; at += size) early.push(hello.subarray(at, at + size));
      const one = secured(await outcomeOf(secureServer(server, context, early)));
      const two = secured(await outcomeOf(begun));
      const heard = new Ear(one);
      two.send(text('after all'));
      await until(() => heard.text === 'after all', 'the bytes');
      await endAll(heard, two);
    }
  });

  test('what was queued before goes out first, and then TLS begins', async () => {
    const context = await serverContext();
    const { client, server } = await plainPair(transport);
    const greeting = Buffer.alloc(20 * 1024 * 1024, 'g');
    server.send(greeting);
    const handshake = secureServer(server, context, []);
    let read = 0;
    const begun = new Promise<ReturnType<typeof secureClient>>((resolve) => {
      client.sink = {
        data(bytes) {
          read += bytes.length;
          if (read === greeting.length) resolve(secureClient(client, { ca: pems.ca }, 'localhost', []));
        },
        end() {},
        writable() {},
        close() {},
      };
      client.flow(true);
    });
    const [one, two] = await Promise.all([outcomeOf(handshake), outcomeOf(await begun)]);
    assert.equal(read, greeting.length);
    await endAll(secured(one), secured(two));
  });

  test('a channel that is closed, or whose output is ended, gives ERR_PORTSIDE_CLOSED', async () => {
    const context = await serverContext();
    const { client, server } = await plainPair(transport);
    server.destroy('drop');
    assert.equal(failed(await outcomeOf(secureServer(server, context, []))).code, 'ERR_PORTSIDE_CLOSED');
    await endAll(new Ear(client));
  });

  test('a session is resumed by a client that kept it', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const context = await serverContext({ maxVersion: version });
      const sessions: Uint8Array[] = [];
      const first = await shake(transport, context, { onSession: (session) => sessions.push(session) });
      const ears = [new Ear(secured(first.server)), new Ear(secured(first.client))] as const;
      await until(() => sessions.length > 0, 'a session');
      await endAll(...ears);
      const second = await shake(transport, context, { session: sessions.at(-1) });
      assert.equal(secured(second.client).tls.resumed, true, version);
      assert.equal(secured(second.server).tls.resumed, true, version);
      assert.equal(secured(second.client).tls.authorized, true);
      await endAll(second.server, second.client);
    }
  });

  test('two hundred at once all come out right', async () => {
    const context = await serverContext();
    const ears: Ear[] = [];
    const acceptor = await accepting(transport, (channel) => {
      void secureServer(channel, context, []).result.then((secure) => {
        const ear = new Ear(secure, false);
        ear.data = (bytes) => void secure.send(bytes);
        ear.end = () => secure.shutdown();
        ears.push(ear);
        secure.flow(true);
      });
    });
    const clients = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const channel = await dial(transport, acceptor.port);
        const secure = secured(await outcomeOf(secureClient(channel, { ca: pems.ca }, 'localhost', [])));
        const ear = new Ear(secure);
        secure.send(text(`client ${index}`));
        secure.shutdown();
        return ear;
      }),
    );
    acceptor.close();
    await until(() => [...clients, ...ears].every(({ closed }) => closed !== null), 'all to close');
    for (const [index, ear] of clients.entries()) {
      assert.equal(ear.text, `client ${index}`);
      assert.deepEqual(ear.closed, { kind: 'ended' });
    }
    assert.equal(ears.length, 200);
  });

  test('TLS runs over TLS', async () => {
    const context = await serverContext();
    const outer = await shake(transport, context);
    const [server, client] = await Promise.all([
      outcomeOf(secureServer(secured(outer.server), context, [])),
      outcomeOf(secureClient(secured(outer.client), { ca: pems.ca }, 'a.example.org', [])),
    ]);
    const [one, two] = [new Ear(secured(server)), new Ear(secured(client))];
    assert.equal(secured(server).tls.servername, 'a.example.org');
    assert.deepEqual(secured(server).remote, secured(outer.server).remote);
    const bytes = Buffer.alloc(1_000_000, 'x');
    two.channel.send(bytes);
    two.channel.shutdown();
    await until(() => one.end_, 'the end');
    assert.equal(one.bytes, bytes.length);
    one.channel.shutdown();
    await until(() => one.closed !== null && two.closed !== null, 'the close');
    assert.deepEqual([one.closed, two.closed], [{ kind: 'ended' }, { kind: 'ended' }]);
  });
});
