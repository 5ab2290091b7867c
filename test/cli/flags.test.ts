import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { start, startNc } from '../support/program.ts';
import { startTelling } from './command.ts';

/** A client that says nothing and reads nothing. */
function silent(t: TestContext, port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  return socket;
}

/** Resolves with the milliseconds until a server has ended the connection of a client that says nothing. */
async function refusedAfter(t: TestContext, port: number): Promise<number> {
  const before = performance.now();
  const client = startNc(t, port, '-d');
  await client.exit;
  assert.equal(client.out, '', 'it was not served');
  return performance.now() - before;
}

describe('who is let in', () => {
  for (const transport of ['node', 'native']) {
    test(`--transport ${transport} carries the bytes`, async (t) => {
      const { port, server } = await startTelling(t, '--transport', transport, '--verbose');
      await server.until(new RegExp(`^portside: transport ${transport}, as was asked for\n`, 'mu'));
      const client = startNc(t, port);
      client.write('status\n');
      const [, kernel] = await client.until(/"kernel":(\w+)/u);
      assert.equal(kernel, String(transport === 'native'));
    });
  }

  test('--backlog says how many wait while the server is full', async (t) => {
    const { port } = await startTelling(t, '--transport', 'node', '--max-connections', '1', '--backlog', '1');
    const first = startNc(t, port);
    await first.until(/#1/u);
    const waiting = silent(t, port);
    await new Promise((resolve) => waiting.once('connect', resolve));
    await refusedAfter(t, port);
    first.end();
  });

  test('--when-full refuse', async (t) => {
    const { port, server } = await startTelling(t, '--max-connections', '1', '--when-full', 'refuse', '--verbose');
    const first = startNc(t, port);
    await first.until(/#1/u);
    await refusedAfter(t, port);
    await server.until(/^\[portside\] refused 127\.0\.0\.1:\d+: full$/mu, 'err');
  });

  test('--when-full retries@every looks again, and refuses then', async (t) => {
    const { port } = await startTelling(t, '--max-connections', '1', '--when-full', '3@100ms');
    const first = startNc(t, port);
    await first.until(/#1/u);
    assert.ok((await refusedAfter(t, port)) >= 395);
  });

  test('--per-client', async (t) => {
    const { port, server } = await startTelling(t, '--per-client', '1', '--verbose');
    const first = startNc(t, port);
    await first.until(/#1/u);
    await refusedAfter(t, port);
    await server.until(/refused 127\.0\.0\.1:\d+: client-full$/mu, 'err');
  });

  test('--rate', async (t) => {
    const { port, server } = await startTelling(t, '--rate', '2/1h', '--verbose=chat');
    for (const number of [1, 2]) await startNc(t, port).until(new RegExp(`#${number} 127`, 'u'));
    await refusedAfter(t, port);
    await server.until(/^\[chat\] refused 127\.0\.0\.1:\d+: rate$/mu, 'err');
  });

  test('--allow and --deny', async (t) => {
    const [near, far, but] = await Promise.all([
      startTelling(t, '--allow', 'loopback'),
      startTelling(t, '--allow', '192.0.2.0/24,2001:db8::/32', '--verbose'),
      startTelling(t, '--allow', 'any', '--deny', '192.0.2.1', '--deny', '127.0.0.1', '--verbose'),
    ]);
    await startNc(t, near.port).until(/#1 127\.0\.0\.1/u);
    await refusedAfter(t, far.port);
    await far.server.until(/: not-allowed$/mu, 'err');
    await refusedAfter(t, but.port);
    await but.server.until(/: denied$/mu, 'err');
  });
});

describe('how long things may take', () => {
  const deadlines: readonly (readonly [string, string])[] = [
    ['--first-byte-timeout', 'first byte'],
    ['--idle-timeout', 'idle'],
    ['--read-timeout', 'read'],
    ['--life-timeout', 'life'],
  ];
  test(deadlines.map(([flag]) => flag).join(', '), async (t) => {
    await Promise.all(
      deadlines.map(async ([flag, name]) => {
        const { port, server } = await startTelling(t, flag, '120ms', '--verbose');
        const client = startNc(t, port, '-d');
        await client.exit;
        assert.match(client.out, /^#1 /u);
        await server.until(new RegExp(`#1 closed: ${name} deadline of 120 ms; `, 'u'), 'err');
      }),
    );
  });

  test('--write-timeout, for a client that takes nothing', async (t) => {
    const { port, server } = await startTelling(t, '--write-timeout', '120', '--verbose');
    silent(t, port).write('flood\n');
    await server.until(/#1 closed: write deadline of 120 ms; 6 bytes in/u, 'err');
  });

  test('--handshake-timeout, for a client that never begins TLS', async (t) => {
    const { port, server } = await startTelling(t, '--tls-self-signed', '--handshake-timeout', '120ms', '--verbose');
    await startNc(t, port, '-d').exit;
    await server.until(/#1 closed: [^\n]*120 ms/u, 'err');
  });
});

describe('behind a proxy', () => {
  const header = 'PROXY TCP4 192.0.2.7 198.51.100.1 4000 443\r\n';

  test('--proxy-from believes the header, and nobody comes without one', async (t) => {
    const { port, server } = await startTelling(t, '--proxy-from', 'loopback', '--deny', '192.0.2.8', '--verbose');
    const client = startNc(t, port);
    client.write(header);
    await client.until(/#1 192\.0\.2\.7/u);
    const denied = startNc(t, port);
    denied.write(header.replace('2.7', '2.8'));
    await denied.exit;
    await server.until(/refused 192\.0\.2\.8:4000: denied/u, 'err');
    const bare = startNc(t, port);
    bare.write('GET / HTTP/1.0\r\n\r\n');
    await bare.exit;
    assert.equal(bare.out, '');
  });

  test('--proxy optional takes others as they are', async (t) => {
    const { port } = await startTelling(t, '--proxy-from', '192.0.2.1', '--proxy', 'optional');
    await startNc(t, port).until(/#1 127\.0\.0\.1/u);
  });
});

describe('the end', () => {
  test('--drain-lead goes on accepting, and is not ready any more', async (t) => {
    const { port, server } = await startTelling(t, '--drain-lead', '30s');
    server.signal('SIGTERM');
    await server.until(/SIGTERM, accepting for 30s more; once more ends it at once\n/u, 'err');
    const client = startNc(t, port);
    client.write('status\n');
    await client.until(/"ready":false/u);
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.match(server.err, /\nportside: stopped; 1 connection: 1 forced\n$/u);
  });

  test('--drain-spread closes the idle one after another', async (t) => {
    const { port, server } = await startTelling(t, '--drain-spread', '300ms');
    const clients = [1, 2, 3].map(() => startNc(t, port, '-d'));
    for (const client of clients) await client.until(/#/u);
    const before = performance.now();
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    // The last third of the window is the third one's.
    assert.ok(performance.now() - before >= 195);
    assert.match(server.err, /stopped; 3 connections: 3 idle\n$/u);
  });

  test('--shutdown tells its address, and any connection there stops the server', async (t) => {
    const { port, server } = await startTelling(t, '--shutdown', ':0');
    const [, way = ''] = await server.until(/^portside: any connection to 127\.0\.0\.1:\d+ stops it: (nc -z .*)$/mu);
    const client = startNc(t, port, '-d');
    await client.until(/#1/u);
    await start(t, 'sh', ['-c', way]).exit;
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(server.err, 'portside: stopped; 1 connection: 1 idle\n');
  });
});
