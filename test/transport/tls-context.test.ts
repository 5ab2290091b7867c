import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { PortsideError } from '../../src/base/errors.ts';
import { OptionsError, checkValue } from '../../src/base/options.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { CertificateError } from '../../src/transport/tls/certificate-error.ts';
import { tlsClientRule } from '../../src/transport/tls/client.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import type { TlsServerOptions } from '../../src/transport/tls/context.ts';
import { certificates, files } from '../support/certificates.ts';
import { watchLeaks } from '../support/leaks.ts';
import { Ear } from './memory-support.ts';
import { endAll, secured, securePair, serverContext, shake, text, until } from './tls-support.ts';

const pems = certificates();

let checkLeaks: () => Promise<void>;
beforeEach(() => {
  checkLeaks = watchLeaks();
});
afterEach(() => checkLeaks());

/** The problems that options have. */
async function problemsOf(options: TlsServerOptions): Promise<string[]> {
  try {
    await TlsServerContext.create(options);
  } catch (error) {
    assert.ok(error instanceof CertificateError || error instanceof OptionsError, String(error));
    for (const line of pems.server.key.split('\n').slice(1, -2))
      assert.ok(!error.message.includes(line), 'key material');
    assert.equal(error.code, error instanceof CertificateError ? 'ERR_PORTSIDE_CERTIFICATE' : 'ERR_PORTSIDE_OPTIONS');
    return error.problems.map(({ path, message }) => `${path} ${message}`);
  }
  return [];
}

/** The fingerprint of the certificate that a client is shown. */
async function shown(context: TlsServerContext, servername: string): Promise<string> {
  const { server, client } = await shake(nodeTransport, context, { servername });
  const fingerprint = secured(client).tls.peerCertificate?.fingerprint256 ?? '';
  await endAll(server, client);
  return fingerprint;
}

const fingerprint = (cert: string): string => new X509Certificate(cert).fingerprint256;

describe('what a context is made of', () => {
  test('PEM as text, as bytes and in files, with chains and encrypted keys', async (t) => {
    const paths = files(t);
    assert.deepEqual(await problemsOf(pems.server), []);
    assert.deepEqual(
      await problemsOf({ cert: Buffer.from(pems.server.cert), key: new Uint8Array(Buffer.from(pems.server.key)) }),
      [],
    );
    assert.deepEqual(await problemsOf(paths.server), []);
    assert.deepEqual(await problemsOf({ ...pems.encrypted, passphrase: 'secret' }), []);
    const chained = await TlsServerContext.create(pems.chained);
    assert.equal(await shown(chained, 'localhost'), fingerprint(pems.chained.cert));
  });

  test('a certificate that is expired, not valid yet, or of another key is refused', async (t) => {
    const paths = files(t);
    assert.match(
      (await problemsOf(pems.expired)).join(),
      /^cert has expired: it was for localhost, .* until 2021-01-01/u,
    );
    assert.match((await problemsOf(pems.future)).join(), /^cert is not valid yet: .* from 2090-01-01/u);
    assert.match(
      (await problemsOf({ cert: paths.server.cert, key: paths.other.key })).join(),
      /^key \(.*other\.key\.pem\) does not fit the certificate .*server\.cert\.pem$/u,
    );
  });

  test('files and keys that can not be used are told with where they are, never with what is in them', async (t) => {
    const paths = files(t);
    assert.deepEqual(await problemsOf({ cert: paths.server.key, key: paths.server.cert }), [
      `cert (${paths.server.key}) holds a private key where a certificate has to be`,
      `key (${paths.server.cert}) holds a certificate where a private key has to be`,
    ]);
    assert.deepEqual(await problemsOf({ cert: join(paths.folder, 'none.pem'), key: paths.folder }), [
      `cert (${join(paths.folder, 'none.pem')}) can't be read: it does not exist (ENOENT)`,
      `key (${paths.folder}) can't be read: it is a directory (EISDIR)`,
    ]);
    assert.deepEqual(await problemsOf(pems.encrypted), ['key is encrypted, and no passphrase is given']);
    assert.deepEqual(await problemsOf({ ...pems.encrypted, passphrase: 'guess' }), [
      "key can't be decrypted with the passphrase that is given",
    ]);
    const broken = pems.server.key.replace(/\n\w{8}/u, '\nAAAAAAAA');
    assert.deepEqual(await problemsOf({ ...pems.server, key: broken }), ['key is broken']);
    // A key that lost its first line is taken for a path, and must not be shown as one.
    const bare = pems.server.key.split('\n').slice(1, -2).join('');
    assert.deepEqual(await problemsOf({ ...pems.server, key: bare }), [
      "key (a path that may be a key by mistake) can't be read: it does not exist (ENOENT)",
    ]);
    const torn = pems.server.cert.replace(/\n\w{20}/u, '\nAAAAAAAAAAAAAAAAAAAA');
    assert.deepEqual(await problemsOf({ ...pems.server, cert: pems.server.cert + torn }), [
      'cert holds a certificate that is broken (number 2 of 2)',
    ]);
  });

  test('all problems of all names are told at once', async () => {
    const problems = await problemsOf({
      ...pems.expired,
      ca: '-----BEGIN NOTHING-----',
      servers: {
        'other.example.org': { cert: pems.other.cert, key: pems.server.key },
        'b.example.org': pems.server,
        '*.example.org': pems.wildcard,
        'ok.wild.example.org': pems.wildcard,
        '*.wild.example.org': pems.wildcard,
      },
    });
    assert.deepEqual(
      problems.map((problem) => problem.split(' ')[0]),
      [
        'cert',
        'servers["other.example.org"].key',
        'servers["b.example.org"].cert',
        'servers["*.example.org"].cert',
        'ca',
      ],
    );
    assert.match(problems[3] ?? '', /does not cover \*\.example\.org: it is for \*\.wild\.example\.org/u);
  });

  test('options that are wrong are told as such, and keys are not shown', async () => {
    const wrong = (options: object): Promise<string[]> => problemsOf(options as TlsServerOptions);
    assert.match((await wrong({})).join(';'), /tls\.cert .*;tls\.key /u);
    assert.match((await wrong({ ...pems.server, key: 5 })).join(), /tls\.key must be PEM/u);
    assert.match((await wrong({ ...pems.server, clientCertificate: 'require' })).join(), /tls\.ca must be given/u);
    assert.match((await wrong({ ...pems.server, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' })).join(), /minVersion/u);
    assert.match((await wrong({ ...pems.server, servers: { '*.*.org': pems.other } })).join(), /neither a host name/u);
    assert.match(
      (await wrong({ ...pems.server, servers: { 'A.org': pems.other, 'a.org': pems.other } })).join(),
      /twice/u,
    );
    assert.match((await wrong({ ...pems.server, ciphers: 'NONE-SUCH' })).join(), /no cipher that OpenSSL knows/u);
    assert.match((await wrong({ ...pems.server, ticketKeys: new Uint8Array(47) })).join(), /48 bytes/u);
    assert.match((await wrong({ ...pems.server, alpn: [''] })).join(), /alpn\[0\]/u);
    assert.throws(
      () => checkValue('connect', 'tls', tlsClientRule, { cert: pems.client.cert }),
      /tls\.key must be given/u,
    );
  });

  test('its certificates are told, with the names that they are for', async () => {
    const context = await serverContext({ servers: { '*.wild.example.org': pems.wildcard } });
    assert.deepEqual(
      context.certificates.map(({ servername, names, issuer }) => ({ servername, names, issuer })),
      [
        { servername: null, names: ['localhost', '127.0.0.1', '0:0:0:0:0:0:0:1', 'a.example.org'], issuer: 'CN=ca' },
        { servername: '*.wild.example.org', names: ['*.wild.example.org'], issuer: 'CN=ca' },
      ],
    );
    const [first] = context.certificates;
    assert.equal(first?.subject, 'CN=server');
    assert.equal(first?.notBefore.toISOString(), '2025-01-01T00:00:00.000Z');
    assert.equal(first?.notAfter.toISOString(), '2089-12-31T00:00:00.000Z');
    assert.equal(first?.fingerprint256, fingerprint(pems.server.cert));
    assert.deepEqual([context.handshakeTimeout, context.maxHandshakes], [10_000, 256]);
  });

  test('one that expires while it runs goes on, and can not be loaded again', async () => {
    const clock = new VirtualClock({ wall: Date.UTC(2020, 11, 31, 23) });
    const context = await TlsServerContext.create(pems.expired, { clock });
    await clock.advance(2 * 3_600_000);
    const [shownNow] = context.certificates;
    assert.ok(shownNow !== undefined && shownNow.notAfter.getTime() < clock.wall());
    await assert.rejects(context.reload(), { code: 'ERR_PORTSIDE_CERTIFICATE' });
    assert.equal(context.certificates[0], shownNow);
  });
});

describe('reload', () => {
  test('takes other pairs for every name at once; what is established lives on', async (t) => {
    const paths = files(t);
    const context = await TlsServerContext.create({ ...paths.server, servers: { 'a.example.org': paths.server } });
    const { server, client } = await securePair(nodeTransport, context);
    for (const part of ['cert', 'key'] as const) writeFileSync(paths.server[part], pems.renewed[part]);
    await context.reload();
    for (const name of ['localhost', 'a.example.org'])
      assert.equal(await shown(context, name), fingerprint(pems.renewed.cert));
    client.channel.send(text('still here'));
    await until(() => server.text === 'still here', 'the bytes');
    await endAll(server, client);
    await context.reload({ ...pems.server, servers: { 'other.example.org': pems.other } });
    assert.equal(await shown(context, 'localhost'), fingerprint(pems.server.cert));
    assert.equal(await shown(context, 'other.example.org'), fingerprint(pems.other.cert));
    assert.equal(context.certificates.length, 2);
  });

  test('one bad pair leaves all of the old ones serving', async () => {
    const good = { ...pems.server, servers: { 'other.example.org': pems.other } };
    const context = await TlsServerContext.create(good);
    for (const bad of [pems.expired, pems.future, { cert: pems.renewed.cert, key: pems.server.key }]) {
      await assert.rejects(context.reload({ ...good, ...bad }), { code: 'ERR_PORTSIDE_CERTIFICATE' });
      await assert.rejects(context.reload({ ...pems.renewed, servers: { 'other.example.org': bad } }), {
        code: 'ERR_PORTSIDE_CERTIFICATE',
      });
      assert.equal(await shown(context, 'localhost'), fingerprint(pems.server.cert));
      assert.equal(await shown(context, 'other.example.org'), fingerprint(pems.other.cert));
    }
    await assert.rejects(context.reload({} as TlsServerOptions), { code: 'ERR_PORTSIDE_OPTIONS' });
  });

  test('keeps the ticket keys: sessions from before are resumed after', async () => {
    const context = await serverContext();
    const sessions: Uint8Array[] = [];
    const first = await shake(nodeTransport, context, { onSession: (session) => sessions.push(session) });
    const ears = [new Ear(secured(first.server)), new Ear(secured(first.client))] as const;
    await until(() => sessions.length > 0, 'a session');
    await endAll(...ears);
    await context.reload(pems.renewed);
    const second = await shake(nodeTransport, context, { session: sessions.at(-1) });
    assert.equal(secured(second.server).tls.resumed, true);
    await endAll(second.server, second.client);
  });

  test('is refused once the context is closed', async () => {
    const context = await serverContext();
    context.close();
    context.close();
    await assert.rejects(context.reload(), { code: 'ERR_PORTSIDE_CLOSED' });
  });
});

describe('watched files', () => {
  /** A context that watches, and what it told. */
  async function watching(
    t: TestContext,
    options: TlsServerOptions,
  ): Promise<{ context: TlsServerContext; told: (PortsideError | null)[] }> {
    const context = await TlsServerContext.create({ ...options, watch: true });
    t.after(() => context.close());
    const told: (PortsideError | null)[] = [];
    context.onReload = (error) => void told.push(error);
    return { context, told };
  }

  test('are taken up when they are replaced by rename, as certbot does', async (t) => {
    const paths = files(t);
    const { context, told } = await watching(t, paths.server);
    for (const part of ['cert', 'key'] as const) {
      writeFileSync(`${paths.server[part]}.new`, pems.renewed[part]);
      renameSync(`${paths.server[part]}.new`, paths.server[part]);
    }
    await until(() => told.length > 0, 'a reload');
    assert.deepEqual(told, [null]);
    assert.equal(await shown(context, 'localhost'), fingerprint(pems.renewed.cert));
    // And once more: the watch is on what is there now.
    for (const part of ['cert', 'key'] as const) {
      writeFileSync(`${paths.server[part]}.new`, pems.server[part]);
      renameSync(`${paths.server[part]}.new`, paths.server[part]);
    }
    await until(() => told.length > 1, 'another reload');
    assert.equal(await shown(context, 'localhost'), fingerprint(pems.server.cert));
  });

  test('are taken up behind a link that is exchanged, as Kubernetes does', async (t) => {
    const { folder } = files(t);
    const generation = (name: string, pair: { cert: string; key: string }): void => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'tls.crt'), pair.cert);
      writeFileSync(join(folder, name, 'tls.key'), pair.key);
    };
    generation('..1', pems.server);
    symlinkSync('..1', join(folder, '..data'));
    for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(folder, name));
    const { context, told } = await watching(t, { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') });
    generation('..2', pems.renewed);
    symlinkSync('..2', join(folder, '..next'));
    renameSync(join(folder, '..next'), join(folder, '..data'));
    rmSync(join(folder, '..1'), { recursive: true });
    await until(() => told.length > 0, 'a reload');
    assert.deepEqual(told, [null]);
    assert.equal(await shown(context, 'localhost'), fingerprint(pems.renewed.cert));
  });

  test('that are bad are told, and the old go on until good ones come', async (t) => {
    const paths = files(t);
    const { context, told } = await watching(t, paths.server);
    writeFileSync(paths.server.cert, pems.renewed.cert);
    await until(() => told.length > 0, 'the error');
    assert.equal(told[0]?.code, 'ERR_PORTSIDE_CERTIFICATE');
    assert.equal(await shown(context, 'localhost'), fingerprint(pems.server.cert));
    writeFileSync(paths.server.key, pems.renewed.key);
    await until(() => told.includes(null), 'a reload');
    assert.equal(await shown(context, 'localhost'), fingerprint(pems.renewed.cert));
  });

  test('beside which others change cause nothing, and after close nothing is heard', async (t) => {
    const paths = files(t);
    const { context, told } = await watching(t, paths.server);
    writeFileSync(join(paths.folder, 'unrelated'), 'x');
    writeFileSync(paths.client.cert, 'y');
    await new Promise((resolve) => {
      setTimeout(resolve, 400);
    });
    assert.deepEqual(told, []);
    context.close();
    writeFileSync(paths.server.cert, 'z');
    await new Promise((resolve) => {
      setTimeout(resolve, 400);
    });
    assert.deepEqual(told, []);
  });
});
