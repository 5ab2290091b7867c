import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tcpAddress } from '../../src/transport/address.ts';
import type { Channel } from '../../src/transport/contract.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { readAll } from './native-support.ts';
import { pair, passages, promise } from './passage-support.ts';

const nowhere = tcpAddress('127.0.0.1', 0);
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const text = (letter: Uint8Array | null | undefined): string | null =>
  letter === null || letter === undefined ? null : Buffer.from(letter).toString();

/** Through a passage and out of it again. */
function through(
  channel: Channel,
  id: number,
  parcel?: { letter: Uint8Array; unread: readonly Uint8Array[] },
): Channel {
  const passage = passages().passage(1);
  const acceptor = passages().arrivals(passage.ticket, nowhere, true);
  assert.equal(passage.give(channel, id, parcel), true);
  const taken = acceptor.take();
  assert.ok(taken !== null);
  acceptor.close();
  assert.deepEqual(passage.end(), []);
  return taken;
}

describe('what goes through a passage with a channel', () => {
  promise('is found by who takes it, with the number; what was read comes first, and then what comes', async () => {
    const { client, server } = await pair();
    assert.deepEqual([server.letter ?? null, server.given ?? 0], [null, 0]);
    client.send(bytes('later'));
    const taken = through(server, 4_294_967_299, {
      letter: bytes('dear friend'),
      unread: [bytes('read '), bytes('before, ')],
    });
    assert.equal(text(taken.letter), 'dear friend');
    assert.equal(taken.given, 4_294_967_299);
    client.shutdown();
    const all = readAll(taken);
    taken.shutdown();
    assert.equal((await all).text, 'read before, later');
    client.destroy('reset');
  });

  promise('goes on with it when it is given on, until there is another', async () => {
    const { client, server } = await pair();
    const first = through(server, 1, { letter: bytes('one'), unread: [bytes('a')] });
    const second = through(first, 2);
    assert.deepEqual([text(second.letter), second.given], ['one', 2]);
    const third = through(second, 3, { letter: bytes(''), unread: [] });
    assert.deepEqual([text(third.letter), third.given], ['', 3]);
    // What was read by somebody is his to give.
    third.letter = null;
    const fourth = through(third, 4);
    assert.equal(fourth.letter, null);
    client.shutdown();
    const all = readAll(fourth);
    fourth.shutdown();
    assert.equal((await all).text, 'a');
    client.destroy('reset');
  });

  promise('comes back with a channel that was never taken', async () => {
    const { client, server } = await pair();
    const passage = passages().passage(1);
    const acceptor = passages().arrivals(passage.ticket, nowhere, true);
    assert.equal(passage.give(server, 7, { letter: bytes('x'.repeat(70_000)), unread: [bytes('kept')] }), true);
    const [back] = passage.end();
    assert.equal(back?.id, 7);
    assert.equal(text(back.channel?.letter), 'x'.repeat(70_000));
    acceptor.close();
    client.shutdown();
    const all = readAll(back.channel!);
    back.channel!.shutdown();
    assert.equal((await all).text, 'kept');
    client.destroy('reset');
  });

  promise('stays with who can’t give it', async () => {
    const { client, server } = await pair();
    const passage = passages().passage(1);
    passage.end();
    assert.equal(passage.give(server, 1, { letter: bytes('x'), unread: [bytes('y')] }), false);
    assert.deepEqual([server.closed, server.letter ?? null], [false, null]);
    client.destroy('reset');
    server.destroy('reset');
  });

  test('is nothing that node:net takes along', { skip: nodeTransport.passages === undefined }, async () => {
    const acceptor = await nodeTransport.listen(
      { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false },
      { backlog: 4, reusePort: false, reuseAddress: undefined },
    );
    acceptor.want(true);
    const { address } = acceptor;
    const port = 'port' in address ? address.port : 0;
    const target = { kind: 'tcp', host: '127.0.0.1', port, localHost: undefined, localPort: undefined } as const;
    const client = await nodeTransport.dial(target).result;
    let server = acceptor.take();
    for (; server === null; server = acceptor.take()) await new Promise((resolve) => setImmediate(resolve));
    const passage = nodeTransport.passages!.passage(1);
    assert.throws(() => passage.give(server, 1, { letter: bytes('x'), unread: [] }), {
      code: 'ERR_PORTSIDE_UNSUPPORTED',
    });
    assert.equal(server.closed, false);
    passage.end();
    client.destroy('reset');
    server.destroy('reset');
    acceptor.close();
  });
});
