import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { certificates, files } from '../support/certificates.ts';
import type { CertificateFiles } from '../support/certificates.ts';
import { start, startNc } from '../support/program.ts';
import { folderWith, startCommand, startTelling, startTlsClient } from './command.ts';

/** The SHA-256 of the certificate that a server shows now. */
async function shown(t: TestContext, port: number): Promise<string> {
  const client = start(t, 'openssl', ['s_client', '-connect', `127.0.0.1:${port}`]);
  const [pem] = await client.until(/-----BEGIN CERTIFICATE-----[^]*-----END CERTIFICATE-----/u);
  client.end();
  await client.exit;
  return new X509Certificate(pem).fingerprint256;
}

function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

/** Copies of a certificate and its key that a test may change. */
function changeable(pems: CertificateFiles): { cert: string; key: string; flags: readonly string[] } {
  const cert = `${pems.folder}/now.crt`;
  const key = `${pems.folder}/now.key`;
  copyFileSync(pems.server.cert, cert);
  copyFileSync(pems.server.key, key);
  return { cert, key, flags: ['--tls-cert', cert, '--tls-key', key] };
}

describe('TLS by certificate and key', () => {
  test('--tls-cert and --tls-key make a port of TLS alone, and tell how to connect', async (t) => {
    const pems = files(t);
    const { server, port } = await startTelling(t, '--tls-cert', pems.server.cert, '--tls-key', pems.server.key);
    const [, hint] = await server.until(/connect with: (.*)$/mu);
    assert.equal(hint, `openssl s_client -connect 127.0.0.1:${port}`);
    const client = startTlsClient(t, port, '-CAfile', pems.ca, '-verify_hostname', 'localhost');
    client.write('hello\n');
    await client.until(/^#1 127\.0\.0\.1\nhello!\n$/u);
    client.end();
    assert.equal((await client.exit).code, 0);
    const plain = startNc(t, port, '-N');
    plain.end('hello\n');
    await plain.exit;
    assert.doesNotMatch(plain.out, /hello/u);
    assert.doesNotMatch(server.err, /failed/u);
  });

  test('an endpoint that says tcp:// stays in the clear beside another, and each tells how to connect', async (t) => {
    const pems = files(t);
    const tell = folderWith(t)('tell.ts');
    const both = ['-e', 'tcp://127.0.0.1:0', '-e', 'tls://127.0.0.1:0'];
    const pair = ['--tls-cert', pems.server.cert, '--tls-key', pems.server.key];
    const { server, port } = await startCommand(t, ['serve', tell, ...both, ...pair]);
    const [, secure] = await server.until(
      /connect with: nc 127.*\n.*connect with: openssl s_client -connect \S+:(\d+)\n/u,
    );
    await startNc(t, port).until(/#1/u);
    await startTlsClient(t, Number(secure), '-CAfile', pems.ca).until(/#2/u);
  });

  test('--tls-ca and --tls-client-cert let in who has a certificate', async (t) => {
    const pems = files(t);
    const pair = ['--tls-cert', pems.server.cert, '--tls-key', pems.server.key];
    const { port } = await startTelling(t, ...pair, '--tls-ca', pems.ca, '--tls-client-cert', 'require');
    const known = ['-cert', pems.client.cert, '-key', pems.client.key];
    await startTlsClient(t, port, '-CAfile', pems.ca, ...known).until(/#1/u);
    const stranger = ['-cert', pems.strangerClient.cert, '-key', pems.strangerClient.key];
    for (const options of [[], stranger]) {
      const client = startTlsClient(t, port, '-CAfile', pems.ca, ...options);
      await client.exit;
      assert.equal(client.out, '');
    }
  });

  test('--tls-alpn and --tls-min say what is spoken', async (t) => {
    const { port } = await startTelling(t, '--tls-self-signed', '--tls-alpn', 'b,c', '--tls-min', '1.3');
    const open = (...options: readonly string[]): ReturnType<typeof start> =>
      start(t, 'openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...options]);
    const good = open('-alpn', 'a,c,b');
    await good.until(/^ALPN protocol: b$/mu);
    await good.until(/^New, TLSv1\.3,/mu);
    for (const options of [['-alpn', 'a'], ['-tls1_2']]) {
      const refused = open(...options);
      assert.notEqual((await refused.exit).code, 0, options.join(' '));
      assert.doesNotMatch(refused.out, /#\d/u);
    }
  });

  test('a certificate that can not be used ends the command with what is wrong', async (t) => {
    const pems = files(t);
    const words = [
      'serve',
      folderWith(t)('tell.ts'),
      '-p',
      '0',
      '--tls-cert',
      pems.expired.cert,
      '--tls-key',
      pems.other.key,
    ];
    const server = start(t, process.execPath, ['--disable-warning=ExperimentalWarning', 'src/cli/bin.ts', ...words]);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(
      server.err,
      /^portside: tls: cert \(\S+\) has expired: .*; key \(\S+\) does not fit the certificate [^\n]+\n$/u,
    );
  });
});

describe('certificates that change', () => {
  test('SIGHUP reads them anew, and keeps the old ones when the new are not right', async (t) => {
    const pems = files(t);
    const { cert, key, flags } = changeable(pems);
    const { server, port } = await startTelling(t, ...flags);
    const before = startTlsClient(t, port, '-CAfile', pems.ca);
    await before.until(/#1/u);
    assert.equal(await shown(t, port), fingerprint(certificates().server.cert));

    copyFileSync(pems.renewed.cert, cert);
    server.signal('SIGHUP');
    await server.until(/^portside: SIGHUP, and what was in use stays: tls: .*does not fit/mu, 'err');
    assert.equal(await shown(t, port), fingerprint(certificates().server.cert));

    copyFileSync(pems.renewed.key, key);
    server.signal('SIGHUP');
    await server.until(/^portside: SIGHUP, certificates were read anew$/mu, 'err');
    assert.equal(await shown(t, port), fingerprint(certificates().renewed.cert));
    before.write('still here\n');
    await before.until(/still here!/u);
  });

  test('without TLS, SIGHUP says so and ends nothing', async (t) => {
    const { server, port } = await startTelling(t);
    const client = startNc(t, port);
    await client.until(/#1/u);
    server.signal('SIGHUP');
    await server.until(/^portside: SIGHUP, and nothing to read anew: the server listens nowhere with TLS$/mu, 'err');
    client.write('still here\n');
    await client.until(/still here!/u);
  });

  test('--tls-watch takes them up by itself', async (t) => {
    const pems = files(t);
    const { cert, key, flags } = changeable(pems);
    const { server, port } = await startTelling(t, ...flags, '--tls-watch', '--verbose');
    copyFileSync(pems.renewed.cert, cert);
    copyFileSync(pems.renewed.key, key);
    await server.until(/^\[portside\] certificates were read anew$/mu, 'err');
    assert.equal(await shown(t, port), fingerprint(certificates().renewed.cert));
  });
});

describe('--tls-self-signed', () => {
  test('makes a certificate for this machine, kept by nobody, and says its fingerprint', async (t) => {
    const { server, port } = await startTelling(t, '--tls-self-signed');
    const [, told] = await server.until(
      /^portside: a self-signed certificate for localhost, 127\.0\.0\.1, ::1, good until [\d-]+, kept in memory; SHA-256 ([\dA-F:]{95})$/mu,
    );
    assert.equal(await shown(t, port), told);
    server.signal('SIGHUP');
    await server.until(/certificates were read anew/u, 'err');
    assert.notEqual(await shown(t, port), told, 'in memory SIGHUP makes another');
  });

  test('a folder keeps it, and how to connect names it', async (t) => {
    const at = folderWith(t);
    const folder = at('new certs');
    const serve = ['serve', at('tell.ts'), '-p', '0', '--tls-self-signed', folder];
    const first = await startCommand(t, serve);
    const [, told] = await first.server.until(/, kept in .*new certs\/; SHA-256 ([\dA-F:]{95})\n/u);
    const [, way = ''] = await first.server.until(/connect with: (openssl .*)$/mu);
    assert.ok(way.endsWith(`-CAfile '${folder}/portside.crt'`));
    const client = start(t, 'sh', ['-c', `exec ${way} -verify_return_error -verify_ip 127.0.0.1`]);
    await client.until(/Verify return code: 0 \(ok\)[^]*#1 127/u);
    assert.equal(statSync(`${folder}/portside.key`).mode & 0o777, 0o600);
    first.server.signal('SIGTERM');
    client.end();
    await first.server.exit;

    const second = await startCommand(t, serve);
    assert.equal((await second.server.until(/SHA-256 ([\dA-F:]{95})\n/u))[1], told);
    writeFileSync(`${folder}/portside.key`, 'damaged');
    second.server.signal('SIGHUP');
    const [, renewed] = await second.server.until(
      /SHA-256 ([\dA-F:]{95}); renewed, because portside\.key was damaged\n/u,
    );
    await second.server.until(/certificates were read anew/u, 'err');
    assert.notEqual(renewed, told);
    assert.equal(await shown(t, second.port), renewed);
    assert.equal(fingerprint(readFileSync(`${folder}/portside.crt`, 'utf8')), renewed);
  });

  test('is for the host that is listened on, and leaves a certificate alone that it did not make', async (t) => {
    const at = folderWith(t);
    const { server } = await startCommand(t, [
      'serve',
      at('tell.ts'),
      '-p',
      '0',
      '--host',
      '127.0.0.2',
      '--tls-self-signed',
    ]);
    await server.until(/ for localhost, 127\.0\.0\.1, ::1, 127\.0\.0\.2, /u);
    writeFileSync(at('portside.crt'), certificates().server.cert);
    const words = ['serve', at('tell.ts'), '-p', '0', '--tls-self-signed', at('')];
    const refused = start(t, process.execPath, ['--disable-warning=ExperimentalWarning', 'src/cli/bin.ts', ...words]);
    assert.deepEqual(await refused.exit, { code: 1, signal: null });
    assert.match(refused.err, /^portside: \S+ was not made by portside, so it is not touched; [^\n]+\n$/u);
    assert.equal(readFileSync(at('portside.crt'), 'utf8'), certificates().server.cert);
  });
});
