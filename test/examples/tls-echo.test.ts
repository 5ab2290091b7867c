import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { certificates, files } from '../support/certificates.ts';
import type { CertificateFiles } from '../support/certificates.ts';
import { endAll } from '../support/nets.ts';
import { start, startNc } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { startWith } from './serving.ts';

interface Serving {
  readonly server: Program;
  /** Begins with TLS. */
  readonly secure: number;
  /** Begins in the clear. */
  readonly clear: number;
  readonly paths: CertificateFiles;
}

async function serving(t: TestContext, ...more: readonly string[]): Promise<Serving> {
  const paths = files(t);
  const places = ['-e', 'tls://127.0.0.1:0', '-e', 'tcp://127.0.0.1:0'];
  const own = ['--tls-cert', paths.server.cert, '--tls-key', paths.server.key];
  const args = ['serve', 'examples/tls-echo.ts', ...places, ...own, '--tls-ca', paths.ca, ...more];
  const { server, ports } = await startWith(t, args, 2);
  const [secure, clear] = ports;
  assert.ok(secure !== undefined && clear !== undefined);
  return { server, secure, clear, paths };
}

/** The real client, which checks the server's certificate. */
function openssl(t: TestContext, port: number, { ca }: CertificateFiles, ...more: readonly string[]): Program {
  const trust = ['-CAfile', ca, '-verify_return_error', '-verify_hostname', 'localhost', '-servername', 'localhost'];
  return start(t, 'openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-quiet', '-no_ign_eof', ...trust, ...more]);
}

/** Says something and hears it again, after a first line, and leaves. */
async function talk(client: Program): Promise<string> {
  const [, first = ''] = await client.until(/^(.*)\r\n/u);
  client.write('one\n');
  await client.until(/\none\n$/u);
  client.write('two\n');
  await client.until(/\none\ntwo\n$/u);
  client.end();
  assert.deepEqual(await client.exit, { code: 0, signal: null }, client.err);
  return first;
}

/** A version of TLS as openssl is told it, and how a first line begins then. */
const versions = [
  ['-tls1_2', /^TLSv1\.2 ECDHE-[\w-]+, /u],
  ['-tls1_3', /^TLSv1\.3 TLS_\w+, /u],
] as const;

const starttls = ['-starttls', 'sieve'];

describe('examples/tls-echo.ts', () => {
  test('tells openssl s_client what was agreed on, from the start or by STARTTLS, and repeats what it says', async (t) => {
    const { server, secure, clear, paths } = await serving(t);
    for (const [flag, agreed] of versions) {
      for (const client of [openssl(t, secure, paths, flag), openssl(t, clear, paths, flag, ...starttls)]) {
        const line = await talk(client);
        assert.match(line, agreed);
        assert.match(line, /, no client certificate$/u);
      }
    }
    assert.equal(server.err, '');
  });

  test('knows its client by its certificate', async (t) => {
    const { server, secure, clear, paths } = await serving(t, '--tls-client-cert', 'request');
    for (const [flag, agreed] of versions) {
      const alice = [flag, '-cert', paths.client.cert, '-key', paths.client.key];
      for (const client of [openssl(t, secure, paths, ...alice), openssl(t, clear, paths, ...alice, ...starttls)]) {
        const line = await talk(client);
        assert.match(line, agreed);
        assert.match(line, /, client certificate of CN=alice$/u);
      }
      const mallory = [flag, '-cert', paths.strangerClient.cert, '-key', paths.strangerClient.key];
      const line = await talk(openssl(t, secure, paths, ...mallory));
      assert.match(line, /, a client certificate that is not good: UNABLE_TO_\w+$/u);
      assert.match(await talk(openssl(t, secure, paths, flag)), /, no client certificate$/u);
    }
    assert.equal(server.err, '');
  });

  test('serves nobody without a good certificate where one is required', async (t) => {
    const { secure, clear, paths } = await serving(t, '--tls-client-cert', 'require');
    const { client, strangerClient } = paths;
    for (const [flag] of versions) {
      for (const shown of [[], ['-cert', strangerClient.cert, '-key', strangerClient.key], starttls]) {
        const refused = openssl(t, shown === starttls ? clear : secure, paths, flag, ...shown);
        assert.notEqual((await refused.exit).code, 0);
        assert.equal(refused.out, '');
      }
      const shown = ['-cert', client.cert, '-key', client.key];
      assert.match(await talk(openssl(t, secure, paths, flag, ...shown)), /CN=alice$/u);
    }
  });

  test('begins TLS by STARTTLS with our own client', async (t) => {
    const { clear } = await serving(t);
    const client = await connect(`tcp://127.0.0.1:${clear}`);
    t.after(() => endAll(client));
    assert.equal(await client.readLine(), 'OK Say STARTTLS');
    await client.write('starttls\r\n');
    assert.equal(await client.readLine(), 'OK Begin');
    const tls = await client.upgradeTls({ tls: { ca: certificates().ca, servername: 'localhost' } });
    assert.equal(tls.authorized, true);
    assert.equal(await client.readLine(), `${tls.protocol} ${tls.cipher}, no client certificate`);
    await client.write('under TLS');
    assert.equal(Buffer.from((await client.readExactly(9)) ?? []).toString(), 'under TLS');
    await client.close();
  });

  test('says nothing back in the clear, and takes nothing that came with STARTTLS', async (t) => {
    const { clear } = await serving(t);
    const plain = startNc(t, clear, '-N');
    plain.end('hello\r\n');
    await plain.exit;
    assert.equal(plain.out, 'OK Say STARTTLS\r\nBYE Only STARTTLS is understood\r\n');
    const injecting = startNc(t, clear, '-N');
    injecting.write('STARTTLS\r\ninjected\r\n');
    await injecting.exit;
    assert.doesNotMatch(injecting.out, /injected|Begin\r\n.+/u);
  });

  test('says so where there is no certificate', async (t) => {
    const { server, port } = await startWith(t, ['serve', 'examples/tls-echo.ts', '--port', '0']);
    const client = startNc(t, port, '-N');
    client.end('STARTTLS\r\n');
    await client.exit;
    assert.equal(client.out, 'BYE There is no certificate, so there is no TLS\r\n');
    assert.equal(server.err, '');
  });
});
