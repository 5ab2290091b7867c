import assert from 'node:assert/strict';
import { realpathSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { start, startNc, startPortside } from '../support/program.ts';
import { folderWith, startCommand, startTlsClient } from './command.ts';
import type { Commanded } from './command.ts';
import { isAlive, untilGone } from './processes.ts';

/** `portside exec` on a free port. */
function startExec(t: TestContext, ...words: readonly string[]): Promise<Commanded> {
  return startCommand(t, ['exec', '--port', '0', ...words]);
}

/** What a client gets that says `text`, until the end. */
async function said(t: TestContext, port: number, text = ''): Promise<string> {
  const client = startNc(t, port, '-N');
  client.end(text);
  await client.exit;
  return client.out;
}

/** A program that says its process id, and stays whatever comes. */
const STUBBORN = `trap '' TERM; echo $$; while :; do sleep 1; done`;

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

describe('the end of portside exec', () => {
  test('a signal waits for the programs that run, and tells them nothing', async (t) => {
    const { server, port } = await startExec(t, '--', 'cat');
    const client = startNc(t, port, '-N');
    client.write('one\n');
    await client.until(/one/u);
    server.signal('SIGTERM');
    await server.until(/SIGTERM, waiting for 1 connection; once more ends them/u, 'err');
    client.end('two\n');
    await client.exit;
    assert.equal(client.out, 'one\ntwo\n');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.match(server.err, /\nportside: stopped; 1 connection: 1 finished\n$/u);
  });

  for (const [how, told] of [
    ['end-input', 'over'],
    ['terminate', 'told'],
  ] as const) {
    test(`--on-drain ${how}`, async (t) => {
      const text = 'trap "echo told; exit" TERM; echo here; read line; echo over';
      const { server, port } = await startExec(t, '--on-drain', how, '--shell', text);
      const client = startNc(t, port, '-d');
      await client.until(/here/u);
      server.signal('SIGTERM');
      await client.exit;
      assert.equal(client.out, `here\n${told}\n`);
      assert.deepEqual(await server.exit, { code: 0, signal: null });
    });
  }

  test('the end of the grace, and a second signal, end the programs too', async (t) => {
    const [short, long] = await Promise.all([
      startExec(t, '--grace', '100ms', '--shell', 'echo $$; exec sleep 1000'),
      startExec(t, '--grace', 'none', '--shell', 'echo $$; exec sleep 1000'),
    ]);
    for (const { server, port } of [short, long]) {
      const client = startNc(t, port, '-d');
      const [pid] = await client.until(/\d+/u);
      server.signal('SIGINT');
      await server.until(/SIGINT, waiting for 1 connection/u, 'err');
      if (server === long.server) server.signal('SIGTERM');
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      assert.equal(isAlive(Number(pid)), false);
      assert.match(server.err, /stopped; 1 connection: 1 forced\n/u);
    }
  });

  test('--kill-after is what a program has that SIGTERM does not end', async (t) => {
    const { server, port } = await startExec(t, '--kill-after', '100ms', '--grace', '0', '--shell', STUBBORN);
    const client = startNc(t, port, '-d');
    const [pid] = await client.until(/\d+/u);
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(isAlive(Number(pid)), false);
    assert.match(
      server.err,
      /waiting for 1 program to end; once more kills what is left\n.*did not end within 100ms of SIGTERM, and was killed\n/u,
    );
  });

  test('while it waits for programs, one more signal kills them, and leaves no orphan', async (t) => {
    const { server, port } = await startExec(t, '--kill-after', 'none', '--grace', '0', '--shell', STUBBORN);
    const client = startNc(t, port, '-d');
    const [pid] = await client.until(/\d+/u);
    server.signal('SIGTERM');
    await server.until(/waiting for 1 program to end/u, 'err');
    // In the first half second it is the same signal, come by npm once more.
    const again = setInterval(() => server.signal('SIGINT'), 100);
    t.after(() => clearInterval(again));
    await untilGone(Number(pid));
    clearInterval(again);
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });
});
