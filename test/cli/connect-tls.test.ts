import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { certificates, files } from '../support/certificates.ts';
import { start } from '../support/program.ts';
import { serverTls } from '../support/tls.ts';
import { folderWith } from './command.ts';
import { connected, echo, served } from './connecting.ts';
import type { Served } from './connecting.ts';

/** Says who the client is by its certificate, and what it asked for; then echoes. */
async function tell(conn: Connection): Promise<void> {
  await conn.opened;
  const { alpn = null, servername = null, peerCertificate = null } = conn.tls ?? {};
  await conn.write(`${peerCertificate?.subject ?? 'nobody'} ${alpn ?? 'none'} ${servername ?? 'none'}\n`);
  await echo(conn);
}

function secured(t: TestContext, options: Parameters<typeof serverTls>[0] = {}): Promise<Served> {
  return served(t, tell, { port: 0, host: '127.0.0.1', tls: serverTls(options) });
}

describe('portside connect: TLS', () => {
  for (const how of ['--tls', 'tls://']) {
    test(`${how} with --ca verifies the server, and tells what was agreed on`, async (t) => {
      const { ca } = files(t);
      const { port } = await secured(t, { alpn: ['chat', 'echo'] });
      const where = how === '--tls' ? [`localhost:${port}`, how] : [`${how}localhost:${port}`];
      const { code, out, err } = await connected(t, 'hi\n', ...where, '--ca', ca, '--alpn', 'x,echo', '-v');
      assert.deepEqual({ code, out }, { code: 0, out: 'nobody echo localhost\nhi\n' });
      assert.match(err, new RegExp(`^portside: connected to localhost at 127\\.0\\.0\\.1:${port} from .*$`, 'mu'));
      assert.match(err, /^portside: TLSv1\.3, TLS_\w+, ALPN echo, asked for localhost$/mu);
      assert.match(
        err,
        /^portside: certificate of CN=server for DNS:localhost, .*, from CN=ca, until .* GMT; verified$/mu,
      );
    });
  }

  test('a server that openssl makes is verified too', async (t) => {
    const pems = files(t);
    const server = start(t, 'openssl', [
      's_server',
      '-accept',
      '127.0.0.1:0',
      '-rev',
      '-tls1_2',
      '-cert',
      pems.server.cert,
      '-key',
      pems.server.key,
    ]);
    const [, port = ''] = await server.until(/ACCEPT 127\.0\.0\.1:(\d+)/u);
    const { code, out, err } = await connected(
      t,
      'abc\n',
      `tls://localhost:${port}`,
      '--ca',
      pems.ca,
      '-v',
      '--wait',
      '5s',
    );
    assert.deepEqual({ code, out }, { code: 0, out: 'cba\n' }, err);
    assert.match(err, /TLSv1\.2, .*, no ALPN/u);
  });

  test('--cert and --key show who one is, and --servername asks for another name', async (t) => {
    const pems = files(t);
    const { endpoint } = await secured(t, { clientCertificate: 'require', ca: certificates().ca });
    const flags = ['--tls', '--ca', pems.ca, '--servername', 'a.example.org'];
    const shown = await connected(t, 'hi\n', endpoint, ...flags, '--cert', pems.client.cert, '--key', pems.client.key);
    assert.deepEqual(shown, { code: 0, out: 'CN=alice none a.example.org\nhi\n', err: '' });
    const hidden = await connected(t, 'hi\n', endpoint, ...flags);
    // With TLS 1.3 the client is done before the server has refused it.
    assert.ok(hidden.code === 3 || hidden.code === 2, hidden.err);
    assert.match(hidden.err, /it requires a client certificate, and none was shown;.* --cert and --key show one\n$/u);
  });

  test('on a Unix socket, with the name that it is to be for', async (t) => {
    const { ca } = files(t);
    const path = folderWith(t)('x.sock');
    await served(t, tell, { path, tls: serverTls() });
    const { code, out } = await connected(t, 'hi\n', path, '--tls', '--servername', 'localhost', '--ca', ca);
    assert.deepEqual({ code, out }, { code: 0, out: 'nobody none localhost\nhi\n' });
  });

  test('2 and what may help when the server is not who it should be', async (t) => {
    const pems = files(t);
    const { endpoint } = await secured(t);
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['--tls'], /from an authority that is not known.*; --ca <file> says whom to trust, and --insecure talks/u],
      [['--tls', '--ca', pems.strangerCa], /; --ca <file> says whom to trust/u],
      [
        ['--tls', '--ca', pems.ca, '--servername', 'b.example.org'],
        /for another name .*; --servername says which name it is to be for\n$/u,
      ],
    ];
    for (const [flags, said] of cases) {
      const { code, out, err } = await connected(t, 'hi\n', endpoint, ...flags);
      assert.deepEqual({ code, out }, { code: 2, out: '' }, err);
      assert.match(err, said);
    }
  });

  test('no protocol in common is told with what to change', async (t) => {
    const { ca } = files(t);
    const { endpoint } = await secured(t, { alpn: ['chat'] });
    const { code, err } = await connected(t, '', endpoint, '--tls', '--ca', ca, '--alpn', 'x');
    assert.equal(code, 2);
    assert.match(err, /\(ALPN\); offer others by --alpn\n$/u);
  });

  test('--insecure talks to anybody, and says so loudly, with --quiet too', async (t) => {
    const { ca } = files(t);
    const { endpoint } = await secured(t);
    const { code, out, err } = await connected(t, 'hi\n', endpoint, '--tls', '--insecure', '--quiet');
    assert.deepEqual({ code, out }, { code: 0, out: 'nobody none none\nhi\n' });
    assert.match(
      err,
      /^portside: WARNING: --insecure talks to a server that is NOT VERIFIED: .*Anybody may be at the other end/u,
    );
    const needless = await connected(t, '', endpoint, '--tls', '--insecure', '--ca', ca);
    assert.match(needless.err, /^portside: WARNING: .*This server is verified: leave it away\n$/u);
    const verbose = await connected(t, '', endpoint, '--tls', '--insecure', '-v');
    assert.match(verbose.err, /; NOT VERIFIED: its certificate/u);
  });

  test('TLS to a server in the clear, and the clear to a server of TLS, are told as what they are', async (t) => {
    const plain = await served(t, async (conn) => {
      await conn.write('220 hello\r\n');
      await echo(conn);
    });
    const wrong = await connected(t, '', plain.endpoint, '--tls');
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /what it sent is not TLS; it may speak in the clear: try it without TLS\n$/u);
    const silent = await served(t, async (conn) => {
      await conn.read();
      await conn.close();
    });
    const ended = await connected(t, '', silent.endpoint, '--tls');
    assert.equal(ended.code, 2);
    assert.match(ended.err, /during the TLS handshake; it may speak in the clear, or wait for a PROXY header/u);
    const { endpoint } = await secured(t);
    const clear = await connected(t, 'hello, this is no TLS at all\n', endpoint, '-v');
    assert.match(clear.err, /it may want TLS \(--tls\), want a PROXY header/u);
    // A fatal alert of TLS 1.2: protocol_version.
    const alert = await served(t, async (conn) => {
      await conn.read();
      await conn.write(Buffer.from('15030300020246', 'hex'));
    });
    const { err } = await connected(t, 'hello\n', alert.endpoint);
    assert.match(err, /what came is an alert of TLS: --tls begins with it\n$/u);
  });

  test('certificates that can not be used are told before anything is connected, by the names of their flags, with 1', async (t) => {
    const pems = files(t);
    let came = 0;
    const { endpoint } = await served(t, async () => {
      came += 1;
    });
    const flags = ['--tls', '--ca', '/does/not/exist.pem', '--cert', pems.server.cert, '--key', pems.client.key];
    const { code, out, err } = await connected(t, '', endpoint, ...flags);
    assert.deepEqual({ code, out }, { code: 1, out: '' });
    assert.match(
      err,
      /^error: --ca \(\/does\/not\/exist\.pem\) can't be read: it does not exist \(ENOENT\); --key .*\n/u,
    );
    assert.equal(came, 0);
  });
});
