import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { TLSSocket, connect as connectTls } from 'node:tls';
import { connect } from '../../src/net/connect.ts';
import { link } from '../../src/net/connection.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { ConnectionStream } from '../../src/net/node-stream.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { SocketOption } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { certificates } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { endAll, onEachNet, pairOn, readAll } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';

/** What is asked of a connection's socket from now on. */
function asked(connection: Connection): (SocketOption | boolean)[] {
  const { channel } = link(connection);
  const all: (SocketOption | boolean)[] = [];
  const set = channel.set.bind(channel);
  const ref = channel.ref.bind(channel);
  channel.set = (option) => {
    all.push(option);
    set(option);
  };
  channel.ref = (on) => {
    all.push(on);
    ref(on);
  };
  return all;
}

onEachNet('a Node stream, as a socket', (net) => {
  test('tells both addresses, and how much went through', async () => {
    const { server, client } = await pairOn(net);
    const stream = server.toNodeStream();
    assert.ok('port' in client.local && 'port' in client.remote);
    assert.equal(stream.remoteAddress, '127.0.0.1');
    assert.equal(stream.remotePort, client.local.port);
    assert.equal(stream.remoteFamily, 'IPv4');
    assert.equal(stream.localAddress, '127.0.0.1');
    assert.equal(stream.localPort, client.remote.port);
    assert.equal(stream.localFamily, 'IPv4');
    assert.deepEqual(stream.address(), { address: '127.0.0.1', family: 'IPv4', port: client.remote.port });
    assert.equal(stream.encrypted, false);
    assert.equal(stream.alpnProtocol, undefined);
    assert.equal(stream.connecting, false);
    await client.write('12345');
    await once(stream, 'readable');
    assert.equal(stream.bytesRead, 5);
    stream.cork();
    stream.write('123');
    assert.equal(stream.bytesWritten, 3);
    stream.uncork();
    assert.equal(Buffer.from((await client.readExactly(3)) ?? []).toString(), '123');
    assert.equal(stream.bytesWritten, 3);
    await endAll(server, client);
  });

  test('tells which of its sides are open', async () => {
    const { server, client } = await pairOn(net);
    const stream = server.toNodeStream();
    assert.deepEqual([stream.readyState, stream.pending], ['open', false]);
    stream.end();
    assert.equal(stream.readyState, 'readOnly');
    await client.closeWrite();
    stream.resume();
    await once(stream, 'close');
    assert.equal(stream.readyState, 'closed');
    await server.closed;
    assert.equal(stream.pending, true);
    await endAll(client);

    const other = await pairOn(net);
    const writer = other.server.toNodeStream();
    await other.client.closeWrite();
    writer.resume();
    await once(writer, 'end');
    assert.equal(writer.readyState, 'writeOnly');
    await endAll(other.server, other.client);
  });

  test('passes on what it is told about the socket', async () => {
    const { server, client } = await pairOn(net);
    const stream = server.toNodeStream();
    const heard = asked(server);
    const same = stream
      .setNoDelay()
      .setNoDelay(false)
      .setKeepAlive(true, 5_000)
      .setKeepAlive(true)
      .setKeepAlive()
      .unref()
      .ref();
    assert.equal(same, stream);
    assert.deepEqual(heard, [
      { kind: 'noDelay', on: true },
      { kind: 'noDelay', on: false },
      { kind: 'keepAlive', on: true, delay: 5_000 },
      { kind: 'keepAlive', on: true, delay: 60_000 },
      { kind: 'keepAlive', on: false, delay: 60_000 },
      false,
      true,
    ]);
    await endAll(server, client);
    // A socket that is gone is told nothing, and that is no error.
    stream.setNoDelay().setKeepAlive(true).unref().ref();
  });

  test('destroySoon sends all that was written, and then lets go what comes', async () => {
    const { server, client } = await pairOn(net);
    const stream = server.toNodeStream();
    const bytes = Buffer.alloc(3_000_000, 'x');
    stream.write(bytes);
    stream.destroySoon();
    assert.ok((await readAll(client)).equals(bytes));
    await client.write('are you there?');
    await client.closeWrite();
    assert.equal((await server.closed).kind, 'closed');
    assert.equal(stream.destroyed, true);
    assert.equal(stream.errored, null);
    stream.destroySoon();
    await client.closed;
  });

  test('resetAndDestroy resets the peer, and is no error', async () => {
    const { server, client } = await pairOn(net);
    const stream = server.toNodeStream();
    stream.on('error', (error) => assert.fail(error));
    const reading = assert.rejects(client.read(), { code: 'ECONNRESET' });
    assert.equal(stream.resetAndDestroy(), stream);
    await reading;
    assert.equal((await server.closed).kind, 'aborted');
    assert.equal(stream.errored, null);
  });

  test('a connection that is closed in order under it is not reset, whoever reads or writes', async () => {
    const rejections = unhandled();
    const { server, client } = await pairOn(net, { server: { writeLimit: 64_000_000 } });
    const stream = server.toNodeStream();
    stream.resume();
    const bytes = Buffer.alloc(8_000_000, 'x');
    stream.write(bytes);
    const failed = once(stream, 'error');
    const closed = server.close();
    const [error] = (await failed) as [Error & { code: string }];
    assert.equal(error.code, 'ERR_PORTSIDE_CLOSED');
    assert.ok((await readAll(client)).equals(bytes), 'all that was written arrives');
    await client.close();
    assert.equal((await closed).kind, 'closed');
    assert.deepEqual(await rejections(), []);
  });

  test('http2 of Node runs on it', async (t) => {
    const { server, client } = await pairOn(net);
    const http = createHttp2((request, response) => request.pipe(response));
    http.emit('connection', server.toNodeStream());
    const session = connectHttp2('http://test', { createConnection: () => client.toNodeStream() });
    t.after(() => endAll(server, client));
    const request = session.request({ ':method': 'POST' });
    request.end(Buffer.alloc(1_000_000, 'x'));
    let got = 0;
    for await (const chunk of request) got += (chunk as Buffer).length;
    assert.equal(got, 1_000_000);
    session.close();
    await once(session, 'close');
    assert.equal((await server.closed).kind, 'ended');
  });

  test('TLS of Node runs on it, on both sides', async (t) => {
    const { server, client } = await pairOn(net);
    const { server: pair, ca } = certificates();
    t.after(() => endAll(server, client));
    const secure = new TLSSocket(server.toNodeStream(), { isServer: true, ...pair });
    const peer = connectTls({ socket: client.toNodeStream(), ca, servername: 'localhost' });
    secure.pipe(secure);
    peer.end(Buffer.alloc(1_000_000, 'x'));
    let got = 0;
    for await (const chunk of peer) got += (chunk as Buffer).length;
    assert.equal(got, 1_000_000);
    await server.closed;
  });
});

describe('a Node stream, as a socket', () => {
  test('has no addresses on a Unix domain socket', async (t) => {
    const path = join(temporaryFolder(t), 'socket');
    const listener = await listen({ path });
    const client = await connect(`unix://${path}`);
    const server = await listener.accept();
    const { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily } = server.toNodeStream();
    const all = [remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily];
    assert.deepEqual(all, Array(6).fill(undefined));
    assert.deepEqual(client.toNodeStream().address(), {});
    await endAll(server, client);
    await listener.close();
  });

  test('tells whether it is under TLS, and what was agreed on there', async () => {
    const { server: pair, ca } = certificates();
    const tls = { ...pair, alpn: ['chat'] };
    const listener = await listen({ endpoint: 'tls://127.0.0.1:0', tls });
    for (const alpn of [['chat'], undefined]) {
      const [server, client] = await Promise.all([
        listener.accept(),
        connect(listener.address, { tls: { ca, servername: 'localhost', alpn } }),
      ]);
      await server.opened;
      const { encrypted, alpnProtocol } = server.toNodeStream();
      assert.deepEqual(
        { encrypted, alpnProtocol },
        { encrypted: true, alpnProtocol: alpn === undefined ? false : 'chat' },
      );
      await endAll(server, client);
    }
    await listener.close();
  });
});

/** Two ends whose time is held, and the times at which the stream of one was told of silence. */
async function still(t: TestContext): Promise<{
  clock: VirtualClock;
  stream: ConnectionStream;
  client: Connection;
  told: number[];
}> {
  const clock = new VirtualClock();
  const { transport } = memoryNetwork({ clock, seed: 1, bufferSize: 1_000 });
  const scope = new Scope({ clock, parent: null });
  const place = { host: '127.0.0.1', port: 4_000 };
  const listener = await scope.run(() => listen({ ...place, transport }));
  const [server, client] = await clock.run(
    scope.run(() => Promise.all([listener.accept(), connect(place, { transport, readAhead: 1 })])),
  );
  await listener.close();
  const stream = server.toNodeStream();
  const told: number[] = [];
  stream.on('timeout', () => told.push(clock.now()));
  t.after(async () => {
    server.abort();
    client.abort();
    await clock.run(Promise.all([server.closed, client.closed]));
  });
  return { clock, stream, client, told };
}

describe('the timeout of a Node stream', () => {
  test('tells of silence, once until something comes again', async (t) => {
    const { clock, stream, client, told } = await still(t);
    stream.resume();
    assert.equal(stream.timeout, undefined);
    assert.equal(stream.setTimeout(100), stream);
    assert.equal(stream.timeout, 100);
    const began = clock.now();
    await clock.advance(60);
    void client.write('x');
    await clock.advance(99);
    assert.deepEqual(told, []);
    await clock.advance(1);
    assert.deepEqual(told, [began + 160]);
    await clock.advance(1_000);
    assert.equal(told.length, 1);
    stream.write('y');
    await clock.advance(99);
    assert.equal(told.length, 1);
    await clock.advance(1);
    assert.equal(told.length, 2);
    assert.equal(stream.destroyed, false, 'that is all that happens');
  });

  test('is not silence while the peer takes some of the output', async (t) => {
    const { clock, stream, client, told } = await still(t);
    stream.setTimeout(100);
    stream.write(Buffer.alloc(10_000));
    for (let got = 0; got < 9_000; got += 1_000) {
      await clock.advance(70);
      await clock.run(client.readExactly(1_000));
    }
    await clock.settle();
    assert.deepEqual(told, []);
    await clock.advance(200);
    assert.equal(told.length, 1);
    stream.write(Buffer.alloc(10_000));
    await clock.advance(300);
    assert.ok(told.length >= 2, 'it takes nothing');
  });

  test('can be called off and changed, and ends with the stream', async (t) => {
    const { clock, stream, told } = await still(t);
    let heard = 0;
    const hear = (): void => {
      heard += 1;
    };
    stream.setTimeout(100, hear).setTimeout(0, hear);
    assert.equal(stream.timeout, undefined);
    await clock.advance(500);
    assert.deepEqual([told, heard], [[], 0]);
    stream.setTimeout(100, hear).setTimeout(Infinity);
    await clock.advance(500);
    assert.deepEqual([told, heard], [[], 0]);
    stream.setTimeout(100).setTimeout(30);
    await clock.advance(30);
    assert.deepEqual([told.length, heard], [1, 1]);
    stream.setTimeout(30);
    await clock.advance(30);
    assert.deepEqual([told.length, heard], [2, 1], 'a listener is called once');
    stream.setTimeout(50);
    stream.destroy();
    await clock.advance(500);
    stream.setTimeout(50);
    await clock.advance(500);
    assert.equal(told.length, 2);
  });

  test('refuses what is no time', async (t) => {
    const { stream } = await still(t);
    for (const ms of [-1, Number.NaN, '5' as never, undefined as never, null as never])
      assert.throws(() => stream.setTimeout(ms), { code: 'ERR_PORTSIDE_OPTIONS', message: /setTimeout: ms/u });
  });
});
