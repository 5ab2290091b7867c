import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { main } from '../../src/cli/main.ts';
import { folderWith } from './command.ts';
import { connected, echo, served, spawnConnect, startConnect } from './connecting.ts';

/** What is said of a server that says nothing. */
const HINT = 'it may want TLS (--tls), want a PROXY header first (--proxy v2), or not let this client in';

describe('portside connect: the end', () => {
  test('2 and a sentence when nobody listens, the file is missing, the name is unknown, or nobody answers in time', async (t) => {
    const silent = await served(t, async (conn) => {
      await conn.closed;
    });
    const missing = folderWith(t)('none.sock');
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['127.0.0.1:1'], /^portside: nobody listens on 127\.0\.0\.1:1; check the address, and that the server runs\n$/u],
      [[missing], /^portside: unix:\/\/.*none\.sock does not exist; check the path/u],
      [['nobody.invalid:1'], /^portside: .*nobody\.invalid/u],
      [
        [silent.endpoint, '--tls', '--timeout', '100ms'],
        /did not answer within 100 ms; .*--timeout gives it more time\n$/u,
      ],
    ];
    for (const [args, said] of cases) {
      const { code, out, err } = await connected(t, '', ...args);
      assert.deepEqual({ code, out }, { code: 2, out: '' }, err);
      assert.match(err, said);
    }
  });

  test('3 when it is reset, and whether the input was sent to its end', async (t) => {
    const { endpoint } = await served(t, async (conn) => {
      await conn.readLine();
      conn.abort();
    });
    const whole = await connected(t, 'hello\n', endpoint);
    assert.deepEqual(whole, { code: 3, out: '', err: `portside: ${endpoint} reset the connection; ${HINT}\n` });
    const cut = startConnect(t, endpoint);
    cut.write('hello\n');
    assert.equal((await cut.exit).code, 3);
    assert.equal(cut.err, `portside: ${endpoint} reset the connection; the input was not sent to its end; ${HINT}\n`);
  });

  test('3 when nothing moves for --idle', async (t) => {
    const { endpoint } = await served(t, echo);
    const client = startConnect(t, endpoint, '--idle', '200ms');
    client.write('hello\n');
    assert.equal((await client.exit).code, 3);
    assert.equal(client.out, 'hello\n');
    assert.match(client.err, /nothing came and nothing was sent after 200 ms/u);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} ends it in order, with 0`, async (t) => {
      const ended = Promise.withResolvers<string | undefined>();
      const { endpoint } = await served(t, async (conn) => {
        await echo(conn);
        await conn.close();
        ended.resolve(conn.closeReason?.kind);
      });
      const client = startConnect(t, endpoint, '-v');
      client.write('hello\n');
      await client.until(/hello/u);
      client.signal(signal);
      assert.deepEqual(await client.exit, { code: 0, signal: null });
      assert.match(client.err, /closed by a signal; 6 bytes sent, 6 received/u);
      assert.equal(await ended.promise, 'ended');
    });
  }

  test('a signal before there is a connection calls it off, with 2', async (t) => {
    const accepted = Promise.withResolvers<void>();
    const { endpoint } = await served(t, async (conn) => {
      accepted.resolve();
      for await (const bytes of conn) void bytes;
    });
    const client = startConnect(t, `tls://${endpoint}`, '--timeout', 'none');
    await accepted.promise;
    client.signal('SIGINT');
    assert.deepEqual(await client.exit, { code: 2, signal: null });
    assert.equal(client.err, 'portside: called off before there was a connection\n');
  });

  test('when whoever read its output goes, it goes too, with 0, and the server is not left waiting', async (t) => {
    const over = Promise.withResolvers<string | undefined>();
    const { endpoint } = await served(t, async (conn) => {
      await conn.write('y\n');
      await conn.read();
      try {
        for (;;) await conn.write('y\n'.repeat(1_000));
      } finally {
        over.resolve(conn.closeReason?.kind);
      }
    });
    const child = spawnConnect(t, endpoint);
    await once(child.stdout, 'data');
    child.stdout.destroy();
    child.stdin.write('more\n');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    assert.match((await over.promise) ?? '', /^(?:reset|ended|closed)$/u);
  });

  test('1 and a sentence for what is wrong on the command line', async () => {
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [[], /missing required argument 'endpoint'/u],
      [['x:y:z'], /^error: "x:y:z" can't be used as an endpoint/u],
      [['fd://3'], /names a socket to listen on/u],
      [['memory://x'], /memory is within one program/u],
      [['systemd://x'], /this connects/u],
      [[':5', '--hex', '--lines'], /cannot be used with option/u],
      [[':5', '--quiet', '--verbose'], /cannot be used with option/u],
      [[':5', '--ca', 'x', '--insecure'], /--ca, --insecure need TLS: give --tls, or an endpoint/u],
      [[':5', '--alpn', 'h2'], /--alpn needs TLS/u],
      [['tls://:5', '--ca', '/does/not/exist'], /--ca .*\/does\/not\/exist/u],
      [['tls://:5', '--cert', 'x'], /--key must be given with cert/u],
      [['/x.sock', '--tls'], /needs --servername/u],
      [[':5', '--proxy-source', '192.0.2.1:5'], /--proxy-source needs --proxy/u],
      [[':5', '--proxy', 'v2', '--proxy-source', 'name:5'], /It has to be a numeric address and a port/u],
      [[':5', '--proxy', 'local', '--proxy-source', '192.0.2.1:5'], /can't go with --proxy local/u],
      [[':5', '--proxy', 'v3'], /It can be v1, v2 or local/u],
      [[':5', '--timeout', '1sec'], /Did you mean 1s\?/u],
    ];
    for (const [args, said] of wrong) {
      let err = '';
      const code = await main(['connect', ...args], {
        out: () => assert.fail('it wrote'),
        err: (text) => (err += text),
      });
      assert.equal(code, 1, args.join(' '));
      assert.match(err, said);
      assert.match(err, /Try portside connect --help\.\n$/u);
    }
  });
});
