import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { formatAddress } from '../../src/transport/address.ts';
import { folderWith } from './command.ts';
import { answering, connected, echo, served, spawnConnect, startConnect, untilStill } from './connecting.ts';

function* pieces(total: number, piece: Buffer): Generator<Buffer> {
  for (let given = 0; given < total; given += piece.length) yield piece;
}

describe('portside connect: bytes', () => {
  test('what comes in goes to the server, its end too, and what the server says comes out', async (t) => {
    const { endpoint } = await served(t, echo);
    assert.deepEqual(await connected(t, 'hello\0\xff\n', endpoint), { code: 0, out: 'hello\0\xff\n', err: '' });
  });

  test('a Unix socket, by its path and as unix:', async (t) => {
    const path = folderWith(t)('x.sock');
    await served(t, echo, { path });
    for (const endpoint of [path, `unix:${path}`])
      assert.deepEqual(await connected(t, 'hello\n', endpoint), { code: 0, out: 'hello\n', err: '' });
  });

  test('--no-half-close keeps the end of the input from the server', async (t) => {
    let ended = false;
    const answered = Promise.withResolvers<void>();
    const { endpoint } = await served(t, async (conn) => {
      await conn.readLine();
      const next = conn.read({ timeout: 300 }).then(
        (bytes) => (ended = bytes === null),
        () => {},
      );
      await next;
      await conn.write('the end\n');
      answered.resolve();
    });
    assert.deepEqual(await connected(t, 'hello\n', endpoint, '--no-half-close'), {
      code: 0,
      out: 'the end\n',
      err: '',
    });
    assert.equal(ended, false);
    await answered.promise;
    await connected(t, 'hello\n', endpoint);
    assert.equal(ended, true);
  });

  test('--wait does not wait longer for a server that does not end; what it said till then is shown', async (t) => {
    const { endpoint } = await served(t, async (conn) => {
      await conn.write('wait');
      await conn.closed;
    });
    const began = performance.now();
    assert.deepEqual(await connected(t, '', endpoint, '--wait', '300ms', '--lines'), { code: 0, out: 'wait', err: '' });
    assert.ok(performance.now() - began >= 295);
  });

  test('--wait does not wait longer for an input that does not end when the server has', async (t) => {
    const { endpoint } = await served(t, async (conn) => {
      await conn.write('bye\n');
    });
    const client = startConnect(t, endpoint, '--wait', '200ms');
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.equal(client.out, 'bye\n');
  });

  test('a server that ends first is sent the rest of the input all the same', async (t) => {
    const heard = Promise.withResolvers<number>();
    const { endpoint } = await served(t, async (conn) => {
      await conn.closeWrite();
      let count = 0;
      for await (const bytes of conn) count += bytes.length;
      heard.resolve(count);
    });
    const client = startConnect(t, endpoint);
    const bytes = Buffer.alloc(1_000_000, 'x');
    client.write(bytes);
    client.end('!');
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.equal(await heard.promise, 1_000_001);
  });

  test('--crlf ends each line in CRLF', async (t) => {
    const { endpoint } = await served(t, echo);
    assert.equal((await connected(t, 'a\nb\r\nc', endpoint, '--crlf')).out, 'a\r\nb\r\nc');
  });

  test('each direction waits for whoever is slow, and neither for the other', async (t) => {
    const total = 200_000_000;
    const piece = Buffer.alloc(100_000, 'y');
    const mayRead = Promise.withResolvers<void>();
    let told = 0;
    let heard = 0;
    const { endpoint } = await served(t, async (conn) => {
      const telling = (async () => {
        for (; told < total; told += piece.length) await conn.write(piece);
      })();
      await mayRead.promise;
      for await (const bytes of conn) heard += bytes.length;
      await telling;
    });
    // Nobody reads its output until it is stuck, and its server does not read either.
    const child = spawnConnect(t, endpoint);
    const source = Readable.from(pieces(total, piece));
    source.pipe(child.stdin);
    const given = (): number => child.stdin.bytesWritten;
    await untilStill(() => [told, given()]);
    // What the buffers of the kernel hold, on loopback.
    for (const bytes of [told, given()]) assert.ok(bytes > 0 && bytes < 50_000_000, `${bytes} bytes`);
    mayRead.resolve();
    await once(child.stdin, 'finish');
    let shown = 0;
    for await (const bytes of child.stdout as AsyncIterable<Buffer>) shown += bytes.length;
    const [code] = child.exitCode === null ? ((await once(child, 'close')) as [number]) : [child.exitCode];
    assert.deepEqual({ code, told, shown, heard }, { code: 0, told: total, shown: total, heard: total });
  });
});

describe('portside connect: what is told', () => {
  test('nothing but what the server says, where this is no terminal; with --verbose where it went and how it ended', async (t) => {
    const { endpoint, port } = await served(t, answering('fine\n'));
    const { code, out, err } = await connected(t, 'hello\n', `localhost:${port}`, '-v');
    assert.deepEqual({ code, out }, { code: 0, out: 'fine\n' });
    assert.match(
      err,
      new RegExp(
        `^portside: connected to localhost at ${endpoint} from 127\\.0\\.0\\.1:\\d+\nportside: ended by both sides; 6 bytes sent, 5 received, in \\d+m?s\n$`,
        'u',
      ),
    );
  });

  test('--hex shows both directions with their own offsets', async (t) => {
    const { endpoint } = await served(t, answering('0123456789abcdef!\n'));
    const { out } = await connected(t, 'hi\n', endpoint, '--hex');
    const lines = [
      '-> 00000000  68 69 0a                                          |hi.|',
      '<- 00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|',
      '<- 00000010  21 0a                                             |!.|',
    ];
    assert.equal(out, `${lines.join('\n')}\n`);
  });

  test('--lines writes whole lines, and the last one as it is', async (t) => {
    const { endpoint } = await served(t, answering('o', 'ne\r\ntwo', '\nthree'));
    assert.equal((await connected(t, 'hi\n', endpoint, '--lines')).out, 'one\ntwo\nthree');
  });

  test('--quiet tells errors alone', async (t) => {
    const { endpoint } = await served(t, echo);
    assert.equal((await connected(t, 'hi\n', endpoint, '--quiet')).err, '');
    assert.match((await connected(t, '', '127.0.0.1:1', '-q')).err, /^portside: nobody listens on 127\.0\.0\.1:1/u);
  });
});

describe('portside connect: PROXY', () => {
  const tell = async (conn: Parameters<typeof echo>[0]): Promise<void> => {
    await conn.opened;
    const { proxy } = conn;
    const source = proxy === null || proxy.source === null ? 'nobody' : formatAddress(proxy.source);
    const destination = proxy === null || proxy.destination === null ? 'nowhere' : formatAddress(proxy.destination);
    await conn.write(`${proxy?.version ?? 0} ${source} ${destination}\n`);
    await echo(conn);
  };
  const options = { port: 0, host: '127.0.0.1', proxy: { from: ['loopback'] } };

  for (const version of ['v1', 'v2'] as const) {
    test(`--proxy ${version} tells whom --proxy-source and --proxy-destination name, or this connection's own addresses`, async (t) => {
      const { endpoint } = await served(t, tell, options);
      const of = version.slice(1);
      const named = ['--proxy-source', '192.0.2.1:50000', '--proxy-destination', '198.51.100.1:443'];
      const { out } = await connected(t, 'hi\n', endpoint, '--proxy', version, ...named);
      assert.equal(out, `${of} 192.0.2.1:50000 198.51.100.1:443\nhi\n`);
      const own = await connected(t, 'hi\n', endpoint, '--proxy', version, '-v');
      const [, from = ''] = / from (\S+)/u.exec(own.err) ?? [];
      assert.equal(own.out, `${of} ${from} ${endpoint}\nhi\n`);
      assert.match(own.err, new RegExp(`PROXY ${version} tells that ${from} connected to ${endpoint}\n`, 'u'));
    });
  }

  test('--proxy local tells no client, and neither does v1 of addresses that it can not carry, which is said', async (t) => {
    const { endpoint } = await served(t, tell, options);
    assert.equal((await connected(t, '', endpoint, '--proxy', 'local')).out, '2 nobody nowhere\n');
    const mixed = await connected(t, '', endpoint, '--proxy', 'v1', '--proxy-source', '[2001:db8::1]:5', '-v');
    assert.equal(mixed.out, '1 nobody nowhere\n');
    assert.match(mixed.err, /PROXY v1 tells no client, as it can't carry addresses of ipv6 and ipv4 together\n/u);
  });
});
