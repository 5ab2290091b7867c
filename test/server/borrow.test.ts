import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { pipe } from '../../src/net/pipe.ts';
import { isHandler } from '../../src/server/define-handler.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { endAll, onEachNet, pairOn, readAll } from '../support/nets.ts';
import { dial, serveOn, turns, until } from './support.ts';

const MIB = 1_048_576;
const node = { name: 'node', transport: nodeTransport };
const native = 'addon' in loadNative() ? false : 'the native core is not built';

/** Bytes of which no piece is like another. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0, x = 1; i < length; i += 1) bytes[i] = x = (x * 48_271) % 2_147_483_647;
  return bytes;
}

onEachNet('a protocol that borrows', (net) => {
  test('sees all bytes, and may write them before it returns, however little the peer takes', async () => {
    const sent = pattern(3 * MIB + 17);
    const server = await serveOn(net, { borrow: true, data: (conn, bytes) => void conn.write(bytes) });
    const client = await dial(net, server);
    void client.write(sent).then(() => client.closeWrite());
    assert.ok((await readAll(client)).equals(sent));
    await client.close();
    await server.stop();
  });

  test('may write them under corks, and to connections of another transport', async () => {
    const sent = pattern(2 * MIB + 5);
    const { server: far, client: other } = await pairOn(node, { client: { writeLimit: 64 * MIB } });
    let seen = 0;
    const server = await serveOn(
      net,
      {
        borrow: true,
        open: (conn) => conn.cork(),
        data(conn, bytes) {
          seen += bytes.length;
          void other.write(bytes);
          void conn.writev([bytes.subarray(0, 1), bytes.subarray(1)]);
          if (seen === sent.length) void conn.uncork();
        },
      },
      { writeLimit: 64 * MIB },
    );
    const client = await dial(net, server);
    void client.write(sent).then(() => client.closeWrite());
    // Nobody has read of the other one yet, so that most of what was written to it is kept.
    await until(() => seen === sent.length);
    assert.ok((await readAll(client)).equals(sent));
    void other.closeWrite();
    assert.ok((await readAll(far)).equals(sent));
    await endAll(client, other, far);
    await server.stop();
  });

  test('so does a pipe, to an end of another transport whose peer takes its time', async () => {
    const sent = pattern(24 * MIB + 1);
    const { server: near, client } = await pairOn(net);
    const { server: far, client: other } = await pairOn(node);
    const piped = pipe(near, other);
    void client.write(sent).then(() => client.closeWrite());
    await until(() => other.queuedBytes > 0);
    await turns();
    assert.ok((await readAll(far)).equals(sent));
    void far.close();
    await client.close();
    assert.equal((await piped).forth, sent.length);
  });
});

describe('on the native transport', { skip: native }, () => {
  /** What a protocol is called with for one message after another, each sent when the one before was seen. */
  async function told(borrow: boolean, messages: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const net = { name: 'native', transport: nativeTransport() };
    const chunks: Uint8Array[] = [];
    let missing = 0;
    const server = await serveOn(net, {
      borrow,
      data(_conn, bytes) {
        missing -= bytes.length;
        chunks.push(bytes);
      },
    });
    // The client reads nothing that could come between.
    const clients: Connection[] = [await dial(net, server), await dial(net, server)];
    for (const [i, message] of messages.entries()) {
      missing += message.length;
      await clients[i % 2]?.write(message);
      await until(() => missing === 0);
    }
    await endAll(...clients);
    await server.stop();
    return chunks;
  }

  const messages = ['first', 'other', 'third'].map((text) => Buffer.from(text));
  const large = [pattern(65_536).fill(1, 0, 9), pattern(65_536).fill(2, 0, 9), pattern(65_536).fill(3, 0, 9)];

  test('bytes that are lent are views of one memory, which the next read overwrites', async () => {
    const chunks = await told(true, messages);
    assert.equal(new Set(chunks.map(({ buffer }) => buffer)).size, 1);
    assert.deepEqual(
      chunks.map((bytes) => Buffer.from(bytes).toString()),
      ['third', 'third', 'third'],
    );
  });

  for (const [size, sent] of [
    ['small', messages],
    ['large', large],
  ] as const) {
    test(`without it, ${size} reads are the user's own for ever`, async () => {
      const chunks = await told(false, sent);
      assert.ok(Buffer.concat(chunks).equals(Buffer.concat(sent)));
      const [lent] = await told(true, messages);
      assert.ok(chunks.every(({ buffer }) => buffer !== lent?.buffer));
    });
  }
});

test('borrow is true or false, or the object is no handler', () => {
  const data = (): void => {};
  assert.deepEqual(
    [true, false, undefined, 'yes', 1, null].map((borrow) => isHandler({ borrow, data })),
    [true, true, true, false, false, false],
  );
});
