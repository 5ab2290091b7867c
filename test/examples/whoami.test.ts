import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { files } from '../support/certificates.ts';
import { startHaproxy, withoutHaproxy } from '../support/haproxy.ts';
import type { Door } from '../support/haproxy.ts';
import { inCheckout, start, startNc } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { startWith } from './serving.ts';

const skip = withoutHaproxy();
/** A client's address that is not HAProxy's. */
const CLIENT = '127.0.0.77';

/** The configuration that the example's comment shows. */
const [shown = ''] =
  /^\/\/ {3}listen whoami\n(?:\/\/ {5}.*\n)+/mu.exec(readFileSync(inCheckout('examples/whoami.ts'), 'utf8')) ?? [];

/** HAProxy in front of a server, by that configuration. */
async function proxied(t: TestContext, port: number, word: string): Promise<Door> {
  const { doors } = await startHaproxy(t, {
    doors: { main: '127.0.0.1' },
    config: ({ main }) =>
      shown
        .replaceAll(/^\/\/ {3}/gmu, '')
        .replace('127.0.0.1:8100', main.bind)
        .replace('127.0.0.1:5100 send-proxy-v2', `127.0.0.1:${port} ${word}`),
  });
  return doors.main;
}

/** Says something after the empty line, hears it again, and leaves. What it was told before. */
async function talk(client: Program): Promise<string[]> {
  const [, told = ''] = await client.until(/^([^]*?)\r\n\r\n/u);
  client.write('hello\n');
  await client.until(/\r\n\r\nhello\n$/u);
  client.end();
  assert.deepEqual(await client.exit, { code: 0, signal: null }, client.err);
  return told.split('\r\n');
}

for (const [word, version] of [
  ['send-proxy', 1],
  ['send-proxy-v2', 2],
] as const) {
  describe(`examples/whoami.ts behind HAProxy with ${word}`, { skip }, () => {
    test('tells nc its own address, and that of the proxy', async (t) => {
      const { server, port } = await startWith(t, [
        'serve',
        'examples/whoami.ts',
        '--port',
        '0',
        '--proxy-from',
        'loopback',
      ]);
      const door = await proxied(t, port, word);
      const [you, came, ...more] = await talk(startNc(t, door.port, '-N', '-s', CLIENT));
      const [, host] = /^You are ([\d.]+):\d+\.$/u.exec(you ?? '') ?? [];
      assert.equal(host, CLIENT);
      assert.equal(came, `You came to the proxy at 127.0.0.1:${door.port}, which speaks PROXY version ${version}.`);
      assert.deepEqual(more, []);
      assert.equal(server.err, '');
    });

    test('tells the same under TLS, which goes through the proxy', async (t) => {
      const paths = files(t);
      const tls = ['--tls-cert', paths.server.cert, '--tls-key', paths.server.key];
      const args = ['serve', 'examples/whoami.ts', '--port', '0', '--proxy-from', 'loopback', ...tls];
      const { server, port } = await startWith(t, args);
      const door = await proxied(t, port, word);
      const client = start(t, 'openssl', [
        's_client',
        '-quiet',
        '-no_ign_eof',
        ...['-connect', `127.0.0.1:${door.port}`, '-bind', CLIENT],
        ...['-CAfile', paths.ca, '-verify_return_error', '-servername', 'localhost'],
      ]);
      const [you, came, secure, ...more] = await talk(client);
      assert.match(you ?? '', /^You are 127\.0\.0\.77:\d+\.$/u);
      assert.equal(came, `You came to the proxy at 127.0.0.1:${door.port}, which speaks PROXY version ${version}.`);
      assert.equal(secure, 'We speak TLSv1.3.');
      assert.deepEqual(more, []);
      assert.equal(server.err, '');
    });
  });
}

describe('examples/whoami.ts', () => {
  test('is not fooled by a header of a client that is no proxy', async (t) => {
    const args = ['serve', 'examples/whoami.ts', '--port', '0', '--proxy-from', '192.0.2.1', '--proxy', 'optional'];
    const { port } = await startWith(t, args);
    const client = startNc(t, port, '-N');
    client.end('PROXY TCP4 198.51.100.9 192.0.2.1 1000 80\r\n');
    await client.exit;
    assert.match(
      client.out,
      /^You are 127\.0\.0\.1:\d+\.\r\nThere is no proxy between us\.\r\n\r\nPROXY TCP4 198\.51\.100\.9 192\.0\.2\.1 1000 80\r\n$/u,
    );
  });

  test('serves nobody without a header where one is required', async (t) => {
    const { port } = await startWith(t, ['serve', 'examples/whoami.ts', '--port', '0', '--proxy-from', 'loopback']);
    const client = startNc(t, port, '-N');
    client.end('hello, I am nobody in particular\r\n');
    await client.exit;
    assert.equal(client.out, '');
  });
});
