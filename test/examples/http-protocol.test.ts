import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import type { IncomingMessage, RequestListener, Server as HttpServer, ServerOptions as HttpOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { handlerOf } from '../../examples/http.ts';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { createServer } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { certificates } from '../support/certificates.ts';
import { endAll, onEachNet, readAll } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';

const MIB = 1_048_576;
const GET = 'GET / HTTP/1.1\r\nHost: test\r\n\r\n';

/** Node 22 has no buffer, and its types don't know it. */
const NO_BUFFER = { keepAliveTimeoutBuffer: 0 };

interface Site {
  readonly http: HttpServer;
  readonly server: Server;
  readonly port: number;
  readonly errors: unknown[];
  /** A client's connection. */
  readonly visit: (options?: ConnectOptions) => Promise<Connection>;
}

/** An HTTP server on connections of Portside's, by the glue of the example. */
async function site(
  t: TestContext,
  net: Net,
  app: RequestListener,
  options: { http?: HttpOptions; server?: ServerOptions } = {},
): Promise<Site> {
  const http = createHttp(options.http ?? {}, app);
  const errors: unknown[] = [];
  const server = createServer(handlerOf(http), {
    port: 0,
    host: '127.0.0.1',
    transport: net.transport,
    onError: (error) => errors.push(error),
    ...options.server,
  });
  await server.start();
  const visitors: Connection[] = [];
  t.after(async () => {
    await server.stop({ grace: 0 });
    await endAll(...visitors);
    http.close();
    assert.deepEqual(errors, []);
  });
  const [address] = server.addresses;
  assert.ok(address !== undefined && 'port' in address);
  const { port } = address;
  const visit = async (more?: ConnectOptions): Promise<Connection> => {
    const visitor = await connect({ host: '127.0.0.1', port }, { transport: net.transport, ...more });
    visitors.push(visitor);
    return visitor;
  };
  return { http, server, port, errors, visit };
}

interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

async function head(conn: Connection): Promise<Omit<Answer, 'body'>> {
  const bytes = await conn.readUntil('\r\n\r\n');
  assert.ok(bytes !== null, 'the connection ended, and no response came');
  const [line = '', ...rest] = Buffer.from(bytes).toString('latin1').trimEnd().split('\r\n');
  const headers = new Map(
    rest.map((each) => [each.slice(0, each.indexOf(':')).toLowerCase(), each.slice(each.indexOf(':') + 2)]),
  );
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /u.exec(line)?.[1]), headers };
}

/** One response as a client of HTTP/1.1 reads it: by its length, in chunks, or up to the end. */
async function answer(conn: Connection): Promise<Answer> {
  const { status, headers } = await head(conn);
  const length = headers.get('content-length');
  if (length !== undefined)
    return { status, headers, body: Buffer.from((await conn.readExactly(Number(length))) ?? []) };
  if (headers.get('transfer-encoding') !== 'chunked') return { status, headers, body: await readAll(conn) };
  const chunks: Uint8Array[] = [];
  for (;;) {
    const size = Number.parseInt((await conn.readLine()) ?? '', 16);
    assert.ok(size >= 0, 'the body ended in the middle');
    if (size > 0) chunks.push((await conn.readExactly(size)) ?? Buffer.alloc(0));
    assert.equal(await conn.readLine(), '');
    if (size === 0) return { status, headers, body: Buffer.concat(chunks) };
  }
}

const text = ({ body }: Answer): string => body.toString();

const gone = async (server: Server): Promise<void> => {
  while (server.status().active > 0) await new Promise(setImmediate);
};

/** Whether the peer has ended the connection in order. */
const ended = async (conn: Connection): Promise<boolean> => (await conn.read()) === null;

onEachNet('node:http on connections of Portside', (net) => {
  test('serves request after request on one connection', async (t) => {
    const { server, visit } = await site(t, net, (request, response) => response.end(request.url));
    const visitor = await visit();
    for (const url of ['/one', '/two', '/three']) {
      await visitor.write(`GET ${url} HTTP/1.1\r\nHost: test\r\n\r\n`);
      const one = await answer(visitor);
      assert.equal(text(one), url);
      assert.equal(one.headers.get('connection'), 'keep-alive');
    }
    assert.equal(server.status().accepted, 1);
  });

  test('answers pipelined requests in their order, whichever is done first', async (t) => {
    const waiting: (() => void)[] = [];
    const { visit, server } = await site(t, net, (request, response) => {
      waiting.push(() => response.end(request.url));
      // The last one first.
      if (waiting.length === 3) for (const done of waiting.toReversed()) done();
    });
    const visitor = await visit();
    await visitor.write(['/1', '/2', '/3'].map((url) => `GET ${url} HTTP/1.1\r\nHost: test\r\n\r\n`).join(''));
    for (const url of ['/1', '/2', '/3']) assert.equal(text(await answer(visitor)), url);
    assert.equal(server.status({ connections: true }).connections?.[0]?.doing, 'idle');
  });

  test('takes hundreds of pipelined requests with bodies, in pieces as they fall', async (t) => {
    const { visit } = await site(t, net, (request, response) => request.pipe(response));
    const visitor = await visit();
    const bodies = Array.from({ length: 300 }, (_, i) => `${i}`.repeat(i % 97));
    const all = Buffer.from(
      bodies.map((body) => `POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n${body}`).join(''),
    );
    const writing = (async () => {
      for (let at = 0; at < all.length; at += 1_009) await visitor.write(all.subarray(at, at + 1_009));
    })();
    for (const body of bodies) assert.equal(text(await answer(visitor)), body);
    await writing;
  });

  test('carries chunked bodies up and down at the same time', async (t) => {
    const { visit } = await site(t, net, (request, response) => void pipeline(request, response).catch(() => {}));
    const visitor = await visit();
    const body = randomBytes(3 * MIB);
    const writing = (async () => {
      await visitor.write('POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n');
      for (let at = 0, size = 1; at < body.length; at += size, size = (size * 7) % 60_013) {
        const piece = body.subarray(at, at + size);
        await visitor.writev([`${piece.length.toString(16)}\r\n`, piece, '\r\n']);
      }
      await visitor.write('0\r\n\r\n');
    })();
    const one = await answer(visitor);
    await writing;
    assert.equal(one.headers.get('transfer-encoding'), 'chunked');
    assert.ok(one.body.equals(body));
  });

  test('lets a client go on that asked before it sent a body', async (t) => {
    const { visit } = await site(t, net, (request, response) => request.pipe(response));
    const visitor = await visit();
    await visitor.write('POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    assert.equal((await head(visitor)).status, 100);
    await visitor.write('hello');
    assert.equal(text(await answer(visitor)), 'hello');
  });

  test('answers HEAD without a body, and goes on', async (t) => {
    const { visit } = await site(t, net, (_request, response) => {
      response.setHeader('Content-Length', 5);
      response.end('hello');
    });
    const visitor = await visit();
    await visitor.write(`HEAD / HTTP/1.1\r\nHost: test\r\n\r\n${GET}`);
    assert.equal((await head(visitor)).headers.get('content-length'), '5');
    assert.equal(text(await answer(visitor)), 'hello');
  });

  test('ends the connection where the client, or its version of HTTP, wants that', async (t) => {
    const { visit, server } = await site(t, net, (_request, response) => response.end('hello'));
    for (const request of ['GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n', 'GET / HTTP/1.0\r\n\r\n']) {
      const visitor = await visit();
      await visitor.write(request);
      const one = await answer(visitor);
      assert.equal(text(one), 'hello');
      assert.equal(one.headers.get('connection'), 'close');
      assert.ok(await ended(visitor));
      await visitor.close();
      await gone(server);
    }
    assert.deepEqual(server.status().reasons, { closed: 2 });
  });

  test('hands a WebSocket over, which goes both ways from then on', async (t) => {
    const { http, visit } = await site(t, net, (_request, response) => response.end('no upgrade'));
    http.on('upgrade', ({ headers }: IncomingMessage, stream: Duplex, rest: Buffer) => {
      const accept = createHash('sha1')
        .update(`${headers['sec-websocket-key'] ?? ''}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64');
      stream.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      if (rest.length > 0) stream.unshift(rest);
      // A text of a client is masked (RFC 6455, section 5.3); an answer is not.
      stream.on('data', (frame: Buffer) => {
        const mask = frame.subarray(2, 6);
        const words = frame.subarray(6).map((byte, i) => byte ^ mask[i % 4]!);
        stream.write(Buffer.concat([Buffer.from([0x81, words.length]), words]));
      });
      stream.on('end', () => stream.end());
    });
    const visitor = await visit();
    const key = 'dGhlIHNhbXBsZSBub25jZQ==';
    const shake = `GET /chat HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`;
    const mask = Buffer.from([1, 2, 3, 4]);
    const frame = (words: string): Buffer =>
      Buffer.concat([
        Buffer.from([0x81, 0x80 | words.length]),
        mask,
        Buffer.from(words).map((byte, i) => byte ^ mask[i % 4]!),
      ]);
    // The first frame comes with the request.
    await visitor.writev([shake, frame('early')]);
    const { status, headers } = await head(visitor);
    assert.equal(status, 101);
    assert.equal(headers.get('sec-websocket-accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    assert.equal(Buffer.from((await visitor.readExactly(7)) ?? []).toString('latin1'), '\u0081\u0005early');
    for (const words of ['hello', 'world']) {
      await visitor.write(frame(words));
      assert.equal(Buffer.from((await visitor.readExactly(7)) ?? []).toString('latin1'), `\u0081\u0005${words}`);
    }
    await visitor.closeWrite();
    assert.ok(await ended(visitor));
  });

  test('tells both addresses, and the ones of a PROXY header', async (t) => {
    const app: RequestListener = ({ socket }, response) =>
      response.end([socket.remoteAddress, socket.remotePort, socket.remoteFamily, socket.localPort].join(' '));
    const plain = await site(t, net, app);
    const visitor = await plain.visit();
    await visitor.write(GET);
    assert.ok('port' in visitor.local);
    assert.equal(text(await answer(visitor)), `127.0.0.1 ${visitor.local.port} IPv4 ${plain.port}`);

    const proxied = await site(t, net, app, { server: { proxy: { from: ['127.0.0.1'] } } });
    const other = await proxied.visit();
    await other.write(`PROXY TCP6 2001:db8::1 2001:db8::2 4000 80\r\n${GET}`);
    assert.match(text(await answer(other)), /^2001:db8::1 4000 IPv6 \d+$/u);
  });

  test('tells a request of its client’s reset, in the middle of a body and of a response', async (t) => {
    const heard: string[] = [];
    const both = Promise.withResolvers<void>();
    const { visit, server } = await site(t, net, (request, response) => {
      const { url = '' } = request;
      request.on('error', (error: NodeJS.ErrnoException) => heard.push(`${url} ${error.code ?? ''}`));
      response.on('close', () => {
        heard.push(`${url} closed ${response.writableFinished}`);
        if (heard.length === 3) both.resolve();
      });
      request.resume();
      if (request.url === '/down') response.write('a beginning');
    });
    const up = await visit();
    await up.write('POST /up HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nsome of it');
    while (server.status({ connections: true }).connections?.[0]?.doing !== 'busy') await new Promise(setImmediate);
    up.abort();
    await gone(server);
    const down = await visit();
    await down.write('GET /down HTTP/1.1\r\nHost: test\r\n\r\n');
    await head(down);
    down.abort();
    await both.promise;
    await gone(server);
    assert.deepEqual(heard.toSorted(), ['/down closed false', '/up ECONNRESET', '/up closed false']);
    assert.deepEqual(server.status().reasons, { reset: 2 });
  });

  test('does not read ahead of a handler that does not read, nor write ahead of a client that does not', async (t) => {
    const handled = Promise.withResolvers<IncomingMessage>();
    const down = await site(t, net, (request, response) => {
      if (request.method === 'POST') {
        handled.resolve(request);
        request.on('end', () => response.end('all of it'));
        return;
      }
      response.setHeader('Content-Length', 64 * MIB);
      void pipeline(function* () {
        for (let i = 0; i < 64; i += 1) yield Buffer.alloc(MIB, i);
      }, response);
    });
    const visitor = await down.visit({ readAhead: 65_536 });
    await visitor.write(GET);
    await head(visitor);
    for (let turn = 0; turn < 300; turn += 1) await new Promise(setImmediate);
    const [one] = down.server.status({ connections: true }).connections ?? [];
    assert.ok(one !== undefined && one.queued < 4 * MIB, `${String(one?.queued)} bytes are queued`);
    assert.ok(one.bytesWritten < 40 * MIB, `${one.bytesWritten} bytes were written, and nobody reads`);
    for (let i = 0; i < 64; i += 1) {
      const bytes = await visitor.readExactly(MIB);
      assert.ok(bytes?.every((byte) => byte === i));
    }

    let written = false;
    const sending = (async () => {
      await visitor.write(`POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
      for (let i = 0; i < 64; i += 1) await visitor.write(Buffer.alloc(MIB, i));
      await visitor.flushed();
      written = true;
    })();
    const request = await handled.promise;
    for (let turn = 0; turn < 300; turn += 1) await new Promise(setImmediate);
    assert.equal(written, false, 'all of it was taken, and nobody reads');
    request.resume();
    await sending;
    assert.equal(text(await answer(visitor)), 'all of it');
  });

  test('answers what is no request in words, and ends the connection in order', async (t) => {
    const { visit, server } = await site(t, net, (_request, response) => response.end());
    for (const [said, status] of [
      ['what is this?\r\n\r\n', 400],
      [`GET / HTTP/1.1\r\nHost: test\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
      ['GET / HTTP/1.1\r\n\r\n', 400],
    ] as const) {
      const visitor = await visit();
      await visitor.write(said);
      assert.equal((await head(visitor)).status, status);
      await readAll(visitor);
      await visitor.close();
    }
    await gone(server);
    assert.deepEqual(server.status().reasons, { closed: 3 });
  });

  test('ends who sends a head too slowly with 408, and who says nothing more after a while', async (t) => {
    const { visit, server } = await site(t, net, (_request, response) => response.end('hello'), {
      http: {
        headersTimeout: 60,
        requestTimeout: 60,
        connectionsCheckingInterval: 10,
        keepAliveTimeout: 20,
        ...NO_BUFFER,
      },
    });
    server.set({ deadlines: { idle: 20_000 } });
    const slow = await visit();
    await slow.write('GET / HTTP/1.1\r\nHo');
    assert.equal((await head(slow)).status, 408);
    assert.ok(await ended(slow));
    const silent = await visit();
    await silent.write(GET);
    assert.equal(text(await answer(silent)), 'hello');
    assert.ok(await ended(silent));
    await Promise.all([slow.close(), silent.close()]);
    await gone(server);
    assert.deepEqual(server.status().reasons, { closed: 2 });
  });

  test('a drain ends who waits, and lets finish what is under way', async (t) => {
    const under = new Map<string, () => void>();
    const { visit, server, http } = await site(t, net, (request, response) => {
      if (request.url === '/idle') return response.end('done');
      if (request.url === '/begun') response.writeHead(200, { 'Content-Length': 4 }).write('do');
      under.set(request.url ?? '', () => response.end(request.url === '/begun' ? 'ne' : 'done'));
      return response;
    });
    const say = async (url: string): Promise<Connection> => {
      const visitor = await visit();
      await visitor.write(`GET ${url} HTTP/1.1\r\nHost: test\r\n\r\n`);
      return visitor;
    };
    const idle = await say('/idle');
    assert.equal(text(await answer(idle)), 'done');
    const fresh = await visit();
    const begun = await say('/begun');
    await begun.readUntil('do');
    begun.unread(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo'));
    const later = await say('/later');
    const partial = await visit();
    await partial.write('GET /partial HTTP/1.1\r\nHo');
    const busy = (): number =>
      server.status({ connections: true }).connections!.filter(({ doing }) => doing === 'busy').length;
    while (!under.has('/later') || busy() < 3 || server.status().active < 5) await new Promise(setImmediate);

    const drained = server.drain({ grace: 20_000 });
    assert.ok(await ended(idle));
    assert.ok(await ended(fresh));
    await partial.write('st: test\r\n\r\n');
    while (!under.has('/partial')) await once(http, 'request');
    for (const end of under.values()) end();
    for (const [visitor, close] of [
      [begun, undefined],
      [later, 'close'],
      [partial, 'close'],
    ] as const) {
      const one = await answer(visitor);
      assert.equal(text(one), 'done');
      assert.equal(one.headers.get('connection'), close);
      assert.ok(await ended(visitor));
    }
    await Promise.all([idle, fresh, begun, later, partial].map((visitor) => visitor.close()));
    const { connections, idle: ofIdle, finished, forced, failed } = await drained;
    assert.deepEqual(
      { connections, ofIdle, finished, forced, failed },
      { connections: 5, ofIdle: 3, finished: 2, forced: 0, failed: 0 },
    );
  });

  test('works the same under TLS', async (t) => {
    const { server, ca } = certificates();
    const { visit } = await site(
      t,
      net,
      (request, response) => response.end(String('encrypted' in request.socket && request.socket.encrypted)),
      { server: { port: undefined, host: undefined, listen: 'tls://127.0.0.1:0', tls: server } },
    );
    const visitor = await visit({ tls: { ca, servername: 'localhost' } });
    for (let i = 0; i < 2; i += 1) {
      await visitor.write(GET);
      assert.equal(text(await answer(visitor)), 'true');
    }
  });
});
