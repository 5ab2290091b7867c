import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Program } from '../support/program.ts';
import { start, startNc, startPortside, startServing } from '../support/program.ts';

/** A server of this process that the proxy stands in front of. */
async function upstream(t: TestContext, serve: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function startProxy(t: TestContext, to: number): Promise<{ server: Program; port: number }> {
  return startServing(t, 'examples/proxy.ts', { env: { UPSTREAM: `tcp://127.0.0.1:${to}` } });
}

function startSocat(t: TestContext, port: number): Program {
  return start(t, 'socat', ['-t10', '-', `TCP:127.0.0.1:${port}`]);
}

describe('examples/proxy.ts', () => {
  test('in front of echo, bytes go both ways, and an end that follows them at once', async (t) => {
    const echo = await startServing(t, 'examples/echo.ts');
    const { server, port } = await startProxy(t, echo.port);
    const sent = 'portside-echo-20-000'.repeat(1_000);
    const clients = [startNc(t, port, '-N'), startSocat(t, port)];
    for (const client of clients) client.end(sent);
    for (const client of clients) {
      assert.deepEqual(await client.exit, { code: 0, signal: null });
      assert.ok(client.out === sent, `${client.out.length} bytes came back`);
    }
    assert.equal(server.err, '');
  });

  test('megabytes go both ways at once', async (t) => {
    const echo = await startServing(t, 'examples/echo-protocol.ts');
    const { server, port } = await startProxy(t, echo.port);
    const client = start(t, 'sh', ['-c', `head -c 8000000 /dev/zero | socat -t10 - TCP:127.0.0.1:${port} | wc -c`]);
    await client.exit;
    assert.equal(Number(client.out), 8_000_000);
    assert.equal(server.err, '');
  });

  test('when the upstream ends first, the client can still talk to it', async (t) => {
    const heard = Promise.withResolvers<string>();
    const to = await upstream(t, (socket) => {
      let text = '';
      socket.setEncoding('utf8').on('data', (part: string) => (text += part));
      socket.on('end', () => heard.resolve(text));
      socket.end('that was all\n');
    });
    const { server, port } = await startProxy(t, to);
    const client = startSocat(t, port);
    await client.until(/that was all\n/u);
    client.end('not from me\n');
    assert.equal(await heard.promise, 'not from me\n');
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.equal(server.err, '');
  });

  test('when the upstream resets, so does the proxy; it serves on, and nobody is to blame', async (t) => {
    const to = await upstream(t, (socket) => {
      socket.once('data', (bytes) => {
        if (bytes.toString() === 'reset\n') socket.resetAndDestroy();
        else socket.end(bytes);
      });
    });
    const { server, port } = await startProxy(t, to);
    // nc and socat take a reset for an end.
    const bad = createConnection(port, '127.0.0.1');
    bad.write('reset\n');
    const [error] = (await once(bad, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNRESET');
    const good = startNc(t, port, '-N');
    good.end('hello\n');
    await good.exit;
    assert.equal(good.out, 'hello\n');
    assert.equal(server.err, '');
  });

  test('an upstream that is down ends the client, is told in one line, and is tried anew by the next', async (t) => {
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const address = gone.address();
    const to = typeof address === 'object' && address !== null ? address.port : 0;
    gone.close();
    const { server, port } = await startProxy(t, to);
    const refused = startNc(t, port);
    await refused.exit;
    assert.equal(refused.out, '');
    await server.until(/\n/u, 'err');
    assert.match(
      server.err,
      new RegExp(
        `^portside: the handler failed for 127\\.0\\.0\\.1:\\d+: nobody listens on 127\\.0\\.0\\.1:${to}; [^\\n]+\\n$`,
        'u',
      ),
    );
    const echo = startPortside(t, ['serve', 'examples/echo.ts', '-p', String(to)]);
    await echo.until(/connect with/u);
    const served = startNc(t, port, '-N');
    served.end('up again\n');
    await served.exit;
    assert.equal(served.out, 'up again\n');
  });
});
