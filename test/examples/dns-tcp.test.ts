import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Datagram, UdpSocket } from '../../src/net/udp.ts';
import { address, build, opt, text, words } from './dns-building.ts';
import { next, socketFor, startResolver } from './dns-running.ts';
import '../../scripts/on-source.ts';

// Only when the hook above is in place does it get the same copy of portside as this file.
const { readMessage } = await import('../../examples/dns/message.ts');

const QUERY = 0x0100;
const RESPONSE = 0x8180;

async function setting(t: TestContext): Promise<{ server: UdpSocket; port: number; dial: () => Promise<Socket> }> {
  const server = await socketFor(t);
  const { port } = await startResolver(t, server.local.port);
  const dial = async (): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  };
  return { server, port, dial };
}

function framed(message: Uint8Array): Uint8Array {
  return Buffer.concat([words(message.length), message]);
}

function question(id: number): Uint8Array {
  return framed(build({ id, flags: QUERY, name: `${id}.example`, additionals: [opt(1232)] }));
}

async function answer(server: UdpSocket, query: Datagram): Promise<void> {
  const asked = readMessage(query.data);
  assert.ok(asked !== null);
  const { name } = asked.question;
  await server.send(build({ id: asked.header.id, flags: RESPONSE, name, answers: [address(7, 0)] }), query.remote);
}

/** The numbers of all answers that come until the end. */
async function answersTo(socket: Socket): Promise<number[]> {
  let bytes = Buffer.alloc(0);
  for await (const piece of socket) bytes = Buffer.concat([bytes, piece as Buffer]);
  const ids: number[] = [];
  for (let at = 0; at < bytes.length; at += 2 + bytes.readUInt16BE(at)) ids.push(bytes.readUInt16BE(at + 2));
  return ids;
}

describe('examples/dns-resolver.ts by TCP', { concurrency: 2 }, () => {
  test('takes so many questions at a time, answers all of them, and hangs up when no more will come', async (t) => {
    const { server, dial } = await setting(t);
    const client = await dial();
    const ids = Array.from({ length: 40 }, (_, id) => id);
    client.end(Buffer.concat(ids.map(question)));
    const waiting: Datagram[] = [];
    while (waiting.length < 16) waiting.push(await next(server));
    // Each is asked again before there would be anything new.
    waiting.push(await next(server));
    const names = new Set(waiting.map(({ data }) => readMessage(data)?.question.name));
    assert.equal(names.size, 16);
    const got = answersTo(client);
    for (const query of waiting) await answer(server, query);
    const answering = (async () => {
      for (;;) await answer(server, await next(server));
    })();
    answering.catch(() => {});
    assert.deepEqual(
      (await got).toSorted((a, b) => a - b),
      ids,
    );
  });

  test('takes questions byte by byte', async (t) => {
    const { server, dial } = await setting(t);
    const client = await dial();
    client.setNoDelay();
    const got = answersTo(client);
    for (const byte of question(5)) {
      client.write(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
    await answer(server, await next(server));
    client.end();
    assert.deepEqual(await got, [5]);
  });

  test('has place for so many clients, and again when one has gone', async (t) => {
    const { server, dial } = await setting(t);
    const clients = await Promise.all(Array.from({ length: 100 }, () => dial()));
    const late = await dial();
    assert.deepEqual(await answersTo(late), []);
    const [first, second] = clients as [Socket, Socket];
    first.end();
    assert.deepEqual(await answersTo(first), []);
    const again = await dial();
    for (const client of [second, again]) {
      client.end(question(3));
      await answer(server, await next(server));
      assert.deepEqual(await answersTo(client), [3]);
    }
  });

  test('forgets what those asked who are gone', async (t) => {
    const { server, port, dial } = await setting(t);
    // One question less than each may have under way: its end is seen only where more is read. The last is another one.
    const clients = await Promise.all(Array.from({ length: 15 }, () => dial()));
    for (const [i, client] of clients.entries())
      client.write(Buffer.concat([...Array.from({ length: 14 }, () => question(1)), question(100 + i)]));
    const seen = new Set<string | undefined>();
    while (seen.size < 16) seen.add(readMessage((await next(server)).data)?.question.name);
    const asker = await socketFor(t);
    /** The codes of a hundred answers. */
    const ask = async (): Promise<Set<number>> => {
      for (let i = 0; i < 100; i += 1) await asker.send(question(1).subarray(2), { host: '127.0.0.1', port });
      const codes = new Set<number>();
      for (let i = 0; i < 100; i += 1) codes.add((readMessage((await next(asker)).data)?.header.flags ?? -1) & 15);
      return codes;
    };
    assert.deepEqual(await ask(), new Set([2]));
    for (const client of clients) client.resetAndDestroy();
    const answering = (async () => {
      for (;;) await answer(server, await next(server));
    })();
    answering.catch(() => {});
    while ((await ask()).has(2));
  });

  test('puts out who says nothing, and who takes nothing', async (t) => {
    const { server, dial } = await setting(t);
    const greedy = await dial();
    greedy.pause();
    greedy.on('error', () => {});
    const query = framed(build({ id: 1, flags: QUERY, name: 'long.example', type: 16 }));
    greedy.write(Buffer.concat(Array.from({ length: 1_000_000 }, () => query)));
    const asked = await next(server);
    const { id } = readMessage(asked.data)?.header ?? { id: 0 };
    const long = [text(255, 300), text(255, 300)];
    await server.send(build({ id, flags: RESPONSE, name: 'long.example', type: 16, answers: long }), asked.remote);
    // Answers go on until the system takes no more of them, for about as long as the first one says nothing.
    for (let i = 0; i < 2; i += 1) {
      const silent = await dial();
      const begun = performance.now();
      assert.deepEqual(await answersTo(silent), []);
      assert.ok(performance.now() - begun > 4_000);
    }
    let bytes = 0;
    greedy.on('data', (piece: Uint8Array) => {
      bytes += piece.length;
    });
    greedy.resume();
    await Promise.race([once(greedy, 'end'), once(greedy, 'close')]);
    // What the system takes, and not the 500 MB that were asked for.
    assert.ok(bytes < 100_000_000, String(bytes));
  });
});
