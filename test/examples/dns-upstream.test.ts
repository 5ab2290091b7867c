import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Message } from '../../examples/dns/message.ts';
import type { Datagram, UdpSocket } from '../../src/net/udp.ts';
import { freePort } from '../support/dns.ts';
import type { Program } from '../support/program.ts';
import { address, build, opt, text, words } from './dns-building.ts';
import type { Built } from './dns-building.ts';
import { next, socketFor, startResolver } from './dns-running.ts';
import '../../scripts/on-source.ts';

// Only when the hook above is in place do they get the same copy of portside as this file.
const { readMessage } = await import('../../examples/dns/message.ts');

const QUERY = 0x0100;
const RESPONSE = 0x8180;
const TRUNCATED = 0x8380;
const NAME = 'host.example';

interface Setting {
  readonly resolver: Program;
  readonly to: { readonly host: string; readonly port: number };
  /** The servers that it asks, in their order. */
  readonly servers: readonly [UdpSocket, ...UdpSocket[]];
  readonly client: UdpSocket;
}

/** The resolver between a client and servers that do what the test says. */
async function setting(t: TestContext, count = 1, port?: number): Promise<Setting> {
  const [first, ...others] = await Promise.all(Array.from({ length: count }, () => socketFor(t, port)));
  assert.ok(first !== undefined);
  const servers = [first, ...others] as const;
  const { resolver, port: own } = await startResolver(t, ...servers.map(({ local }) => local.port));
  return { resolver, to: { host: '127.0.0.1', port: own }, servers, client: await socketFor(t) };
}

function read({ data }: { readonly data: Uint8Array }): Message {
  const message = readMessage(data);
  assert.ok(message !== null, Buffer.from(data).toString('hex'));
  return message;
}

/** An answer to a query that came, with one address unless it is said otherwise. */
function answerTo(query: Datagram, built: Built = {}): Uint8Array {
  const { header, question } = read(query);
  const { name, type } = question;
  return build({ id: header.id, flags: RESPONSE, name, type, answers: [address(7, 0)], ...built });
}

const codeOf = (message: Message): number => message.header.flags & 15;
const lastByte = (message: Message): number | undefined => {
  const [record] = message.records;
  return record === undefined ? undefined : message.bytes[record.end - 1];
};

describe('examples/dns-resolver.ts before a server', { concurrency: 2 }, () => {
  test('asks again when it hears nothing, each time from another port by another number', async (t) => {
    const { to, client, servers } = await setting(t);
    const [server] = servers;
    await client.send(build({ id: 1, flags: QUERY, name: NAME }), to);
    const tries: Datagram[] = [];
    for (let i = 0; i < 3; i += 1) tries.push(await next(server));
    const ids = new Set(tries.map((query) => read(query).header.id));
    const ports = new Set(tries.map(({ remote }) => remote.port));
    // Two of three random numbers are the same in one run of 20,000.
    assert.ok(ids.size + ports.size >= 5, `${ids.size} numbers, ${ports.size} ports`);
    const [, , third] = tries as [Datagram, Datagram, Datagram];
    await server.send(answerTo(third), third.remote);
    const answer = read(await next(client));
    assert.deepEqual([answer.header.id, codeOf(answer), lastByte(answer)], [1, 0, 7]);
  });

  test('goes on to the next server when one is silent, and fails when all are', async (t) => {
    const { to, client, servers } = await setting(t, 2);
    const [silent, other] = servers as [UdpSocket, UdpSocket];
    await client.send(build({ id: 1, flags: QUERY, name: NAME }), to);
    await client.send(build({ id: 2, flags: QUERY, name: 'other.example' }), to);
    const begun = performance.now();
    for (;;) {
      const query = await next(other);
      if (read(query).question.name !== NAME) continue;
      await other.send(answerTo(query), query.remote);
      break;
    }
    const waited = performance.now() - begun;
    assert.ok(waited > 3_000 && waited < 8_000, String(waited));
    assert.equal(codeOf(read(await next(client))), 0);
    const failed = read(await next(client));
    assert.deepEqual([failed.header.id, codeOf(failed)], [2, 2]);
    assert.ok(silent.pending > 0);
  });

  test('goes on to the next server when one fails or refuses', async (t) => {
    const { to, client, servers } = await setting(t, 3);
    const [failing, refusing, good] = servers as [UdpSocket, UdpSocket, UdpSocket];
    await client.send(build({ id: 1, flags: QUERY, name: NAME }), to);
    for (const [server, code] of [
      [failing, 2],
      [refusing, 5],
    ] as const) {
      const query = await next(server);
      await server.send(answerTo(query, { flags: RESPONSE | code, answers: [] }), query.remote);
    }
    const query = await next(good);
    await good.send(answerTo(query), query.remote);
    assert.equal(lastByte(read(await next(client))), 7);
  });

  test('believes only whom it asked, what it asked, by the number of the question', async (t) => {
    const { to, client, servers } = await setting(t);
    const [server] = servers;
    const stranger = await socketFor(t);
    await client.send(build({ id: 1, flags: QUERY, name: NAME }), to);
    const query = await next(server);
    const { id } = read(query).header;
    const forged = { answers: [address(66, 300)] };
    await stranger.send(answerTo(query, forged), query.remote);
    await server.send(answerTo(query, { ...forged, id: id ^ 1 }), query.remote);
    await server.send(answerTo(query, { ...forged, name: 'other.example' }), query.remote);
    await server.send(answerTo(query, { ...forged, type: 28 }), query.remote);
    await server.send(answerTo(query, { ...forged, flags: QUERY }), query.remote);
    await server.send(answerTo(query, forged).subarray(0, -1), query.remote);
    await server.send(answerTo(query), query.remote);
    assert.equal(lastByte(read(await next(client))), 7);
  });

  test('asks one that does not know EDNS in the old way', async (t) => {
    const { to, client, servers } = await setting(t);
    const [server] = servers;
    for (const clueless of [
      (query: Datagram) => words(read(query).header.id, RESPONSE | 1, 0, 0, 0, 0),
      (query: Datagram) => answerTo(query, { flags: RESPONSE | 4, answers: [] }),
    ]) {
      await client.send(build({ id: 1, flags: QUERY, name: NAME, additionals: [opt(4096)] }), to);
      const query = await next(server);
      assert.equal(read(query).edns?.size, 1232);
      await server.send(clueless(query), query.remote);
      const plain = await next(server);
      assert.equal(read(plain).edns, null);
      await server.send(answerTo(plain), plain.remote);
      const answer = read(await next(client));
      assert.deepEqual([codeOf(answer), lastByte(answer), answer.edns?.size], [0, 7, 1232]);
    }
  });

  test('asks once for all who ask the same while it is under way, and tells all of them', async (t) => {
    const { to, client, servers } = await setting(t);
    const [server] = servers;
    const others = await Promise.all(Array.from({ length: 19 }, () => socketFor(t)));
    for (const [id, asker] of [client, ...others].entries())
      await asker.send(build({ id, flags: QUERY, name: NAME }), to);
    // What is asked last is seen last.
    await client.send(build({ id: 99, flags: QUERY, name: 'last.example' }), to);
    const [query, last] = [await next(server), await next(server)];
    assert.deepEqual([read(query).question.name, read(last).question.name], [NAME, 'last.example']);
    await server.send(answerTo(query), query.remote);
    for (const [id, asker] of [client, ...others].entries()) {
      const answer = read(await next(asker));
      assert.deepEqual([answer.header.id, lastByte(answer)], [id, 7]);
    }
    assert.equal(server.pending, 0);
  });

  test('serves so many who wait for the same and no more', async (t) => {
    const { to, client, servers } = await setting(t);
    const [server] = servers;
    for (let id = 0; id < 250; id += 1) await client.send(build({ id, flags: QUERY, name: NAME }), to);
    for (let i = 0; i < 50; i += 1) assert.equal(codeOf(read(await next(client))), 2);
    const query = await next(server);
    await server.send(answerTo(query), query.remote);
    for (let i = 0; i < 200; i += 1) assert.equal(lastByte(read(await next(client))), 7);
    assert.equal(server.pending, 0);
    await client.send(build({ id: 1, flags: QUERY, name: NAME }), to);
    const again = await next(server);
    await server.send(answerTo(again), again.remote);
    assert.equal(lastByte(read(await next(client))), 7, 'and then there is room again');
  });

  test('comes by TCP for what was truncated, and keeps that', async (t) => {
    const { to, client, servers } = await setting(t, 1, await freePort());
    const [server] = servers;
    const connected = once(await tcpServer(t, server.local.port), 'connection');
    await client.send(build({ id: 1, flags: QUERY, name: NAME, type: 16 }), to);
    const query = await next(server);
    await server.send(answerTo(query, { flags: TRUNCATED, answers: [] }), query.remote);
    const [socket] = (await connected) as [Socket];
    const closed = once(socket, 'close');
    const bytes = await frame(socket);
    const answer = answerTo({ ...query, data: bytes }, { type: 16, answers: [text(200, 300), text(200, 300)] });
    // As the network may cut it.
    for (const piece of [
      words(answer.length).subarray(0, 1),
      words(answer.length).subarray(1),
      answer.subarray(0, 9),
    ]) {
      socket.write(piece);
      await new Promise(setImmediate);
    }
    socket.write(answer.subarray(9));
    assert.equal(read(await next(client)).records.length, 2);
    await closed;
    await client.send(build({ id: 2, flags: QUERY, name: NAME, type: 16 }), to);
    assert.equal(read(await next(client)).header.id, 2);
    assert.equal(server.pending, 0);
  });

  test('fails when a server truncates and can not be had by TCP, and when it hangs up', async (t) => {
    const { to, client, servers } = await setting(t, 1, await freePort());
    const [server] = servers;
    const ask = async (): Promise<void> => {
      await client.send(build({ id: 1, flags: QUERY, name: NAME }), to);
      const query = await next(server);
      await server.send(answerTo(query, { flags: TRUNCATED, answers: [] }), query.remote);
    };
    await ask();
    assert.equal(codeOf(read(await next(client))), 2, 'nobody listens');
    const tcp = await tcpServer(t, server.local.port);
    for (const bytes of [new Uint8Array(), words(0), words(100, 1), words(2, 1)]) {
      tcp.once('connection', (socket) => socket.end(bytes));
      await ask();
      assert.equal(codeOf(read(await next(client))), 2, Buffer.from(bytes).toString('hex'));
    }
  });

  test('asks for nobody who has gone', async (t) => {
    const { resolver, to, servers, client } = await setting(t);
    const [server] = servers;
    const socket = connect(to.port, '127.0.0.1');
    const query = build({ id: 1, flags: QUERY, name: NAME });
    socket.write(Buffer.concat([words(query.length), query]));
    const asked = await next(server);
    const closed = once(socket, 'close');
    socket.resetAndDestroy();
    await closed;
    // It would be asked again in half a second, and again in a second.
    await client.send(build({ id: 2, flags: QUERY, name: 'other.example' }), to);
    const names: string[] = [];
    for (let i = 0; i < 3; i += 1) names.push(read(await next(server)).question.name);
    assert.deepEqual(names, ['other.example', 'other.example', 'other.example']);
    await server.send(answerTo(asked), asked.remote);
    assert.equal(resolver.err, '');
  });
});

async function tcpServer(t: TestContext, port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const sockets: Socket[] = [];
  server.on('connection', (socket) => {
    // What the resolver does with the connection is for it to say.
    socket.on('error', () => {});
    sockets.push(socket);
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return server;
}

async function frame(socket: Socket): Promise<Uint8Array> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < 2 || bytes.length < 2 + bytes.readUInt16BE(0)) {
    const [more] = (await once(socket, 'data')) as [Buffer];
    bytes = Buffer.concat([bytes, more]);
  }
  return bytes.subarray(2);
}
