import assert from 'node:assert/strict';
import { realpathSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { start, startNc, startPortside } from '../support/program.ts';
import { folderWith, startCommand, startExec, startTlsClient } from './command.ts';
import { untilGone } from './processes.ts';

/** What a client gets that says `text`, until the end. */
async function said(t: TestContext, port: number, text = ''): Promise<string> {
  const client = startNc(t, port, '-N');
  client.end(text);
  await client.exit;
  return client.out;
}

describe('portside exec', () => {
  test('runs a program for each connection, and says where and how to connect', async (t) => {
    const { server, port } = await startExec(t, '--', 'date', '-u', '+%Y');
    assert.equal(
      server.out,
      `portside: running date -u +%Y on 127.0.0.1:${port}; connect with: nc 127.0.0.1 ${port}\n`,
    );
    for (let i = 0; i < 2; i += 1) assert.match(await said(t, port), /^20\d\d\n$/u);
    assert.equal(server.err, '');
  });

  test('hands on the end of the input, and what the program says after it', async (t) => {
    const { port } = await startExec(t, 'wc', '-c');
    assert.equal((await said(t, port, 'x'.repeat(200_000))).trim(), '200000');
    const cat = await startExec(t, '--', 'cat');
    assert.equal(await said(t, cat.port, 'hello\n'), 'hello\n');
  });

  test('tells the program who its client is, and nothing of an other', async (t) => {
    const { server, port } = await startCommand(t, ['exec', '-p', '0', '--env', 'GREETING=good = day', '--', 'env'], {
      TCPREMOTEHOST: 'somebody.else',
      GREETING: 'none',
    });
    const env = new Map(
      (await said(t, port)).split('\n').map((line) => line.split(/=(.*)/u).slice(0, 2) as [string, string]),
    );
    assert.equal(env.get('PROTO'), 'TCP');
    assert.equal(env.get('TCPREMOTEIP'), '127.0.0.1');
    assert.match(env.get('TCPREMOTEPORT') ?? '', /^\d+$/u);
    assert.equal(env.get('TCPLOCALPORT'), String(port));
    assert.equal(env.get('TCPCONNNUM'), '1');
    assert.equal(env.get('TCPREMOTEHOST'), undefined);
    assert.equal(env.get('GREETING'), 'good = day');
    assert.equal(server.err, '');
  });

  test('--shell takes a text, and --cwd says where', async (t) => {
    const folder = realpathSync(folderWith(t)('.'));
    const { server, port } = await startExec(
      t,
      '--shell',
      '--cwd',
      folder,
      '--',
      'pwd; read word; echo "$word $1"',
      'a b',
    );
    assert.match(server.out, /running 'pwd; read word; echo "\$word \$1"' on /u);
    assert.equal(await said(t, port, 'hi\n'), `${folder}\nhi a b\n`);
  });

  test('what follows the program is the program’s, with or without --', async (t) => {
    for (const words of [
      ['echo', '--port', '1', '--help'],
      ['--', 'echo', '--port', '1', '--help'],
    ]) {
      const { port } = await startExec(t, ...words);
      assert.equal(await said(t, port), '--port 1 --help\n');
    }
  });

  test('over TLS, and with what was agreed on in the environment', async (t) => {
    const at = folderWith(t);
    const { port } = await startExec(
      t,
      '--tls-self-signed',
      at('tls'),
      '--shell',
      '--',
      'echo $PROTO $SSL_PROTOCOL; cat',
    );
    const client = startTlsClient(t, port, '-CAfile', at('tls/portside.crt'));
    client.write('hello\n');
    await client.until(/^TCP TLSv1\.3\nhello\n$/u);
    client.end();
    assert.equal((await client.exit).code, 0);
  });

  test('behind a proxy the client is the one that its header tells', async (t) => {
    const { port } = await startExec(t, '--proxy-from', 'loopback', '--shell', 'echo $TCPREMOTEIP $TCPREMOTEPORT; cat');
    const header = 'PROXY TCP6 2001:db8::7 2001:db8::1 4000 443\r\n';
    assert.equal(await said(t, port, `${header}rest`), '2001:db8::7 4000\nrest');
  });

  test('on a Unix domain socket', async (t) => {
    const path = folderWith(t)('e.sock');
    await startCommand(t, ['exec', '-e', `unix://${path}`, '--shell', 'echo $PROTO $IPCLOCALPATH']);
    const client = start(t, 'nc', ['-N', '-U', path]);
    client.end();
    await client.exit;
    assert.equal(client.out, `IPC ${path}\n`);
  });

  test('holds to the limits and the deadlines of the server', async (t) => {
    const [full, idle] = await Promise.all([
      startExec(t, '--max-connections', '1', '--when-full', 'refuse', '--verbose', '--', 'cat'),
      startExec(t, '--idle-timeout', '100ms', '--verbose', '--shell', 'echo $$; exec cat'),
    ]);
    const first = startNc(t, full.port);
    first.write('here\n');
    await first.until(/here/u);
    await startNc(t, full.port, '-d').exit;
    await full.server.until(/refused 127\.0\.0\.1:\d+: full/u, 'err');
    const client = startNc(t, idle.port, '-d');
    const [pid] = await client.until(/\d+/u);
    await idle.server.until(/#1 closed: idle deadline of 100 ms/u, 'err');
    await untilGone(Number(pid));
  });

  test('runs 40 programs at a time unless it is told otherwise', async (t) => {
    const { port } = await startExec(t, '--when-full', 'refuse', '--shell', 'echo here; exec cat');
    const clients = Array.from({ length: 40 }, () => startNc(t, port));
    await Promise.all(clients.map((client) => client.until(/here/u)));
    const late = startNc(t, port, '-d');
    await late.exit;
    assert.equal(late.out, '');
  });

  test('says how a program ended that did not end well', async (t) => {
    const [failing, dying] = await Promise.all([
      startExec(t, '--shell', 'exit 3'),
      startExec(t, '--shell', 'kill -SEGV $$'),
    ]);
    await said(t, failing.port);
    await failing.server.until(/^portside: 'exit 3' \(\d+\) for 127\.0\.0\.1:\d+ ended with exit code 3\n/u, 'err');
    await said(t, dying.port);
    await dying.server.until(/^portside: 'kill -SEGV \$\$' \(\d+\) for 127\.0\.0\.1:\d+ died by SIGSEGV\n/u, 'err');
  });

  test('a program that is not there is told at once', async (t) => {
    const server = startPortside(t, ['exec', '-p', '0', '--', 'no-such-program']);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.equal(server.err, 'portside: there is no no-such-program in the folders of PATH\n');
  });
});
