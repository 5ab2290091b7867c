import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { tcpAddress } from '../../src/transport/address.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { closing, dial, next, plainBind, readAll } from './native-support.ts';
import { Taker, converse, pair, passages, promise, read, turns } from './passage-support.ts';

describe('a connection given to another thread', () => {
  promise('goes on there, in order, and keeps its addresses', async () => {
    const taker = await Taker.start(8);
    const pairs = [await pair(), await pair(), await pair()];
    const ends = pairs.map(({ client, server }, id) => {
      const { local, remote } = server;
      assert.equal(taker.passage.give(server, id), true);
      assert.equal(server.closed, true);
      return { local, remote, end: converse(client, `number ${id}`) };
    });
    assert.deepEqual([taker.passage.waiting, taker.passage.taken], [3, 0]);
    for (const [id, { local, remote, end }] of ends.entries()) {
      assert.deepEqual(await taker.take(), { kind: 'taken', local, remote });
      assert.deepEqual([taker.passage.waiting, taker.passage.taken], [2 - id, id + 1]);
      assert.deepEqual(await end, { text: `number ${id}`, why: 'ended' });
      assert.deepEqual((await taker.news('heard')).log, [`data:number ${id}`, 'end', 'close:ended']);
    }
    taker.tell('take');
    await taker.news('nothing');
    assert.deepEqual(taker.passage.end(), []);
    assert.deepEqual([taker.passage.waiting, taker.passage.taken], [0, 3]);
    await taker.terminate();
  });

  promise('keeps its peer’s address in every family, also when that peer has gone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portside-'));
    const transport = nativeTransport();
    const taker = await Taker.start(8);
    const targets = [
      { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false },
      { kind: 'tcp', host: '::', port: 0, ipv6Only: false },
      { kind: 'tcp', host: '::1', port: 0, ipv6Only: false },
      { kind: 'unix', path: join(folder, 'x.sock') },
    ] as const;
    for (const target of targets) {
      const acceptor = await transport.listen(target, plainBind);
      const { address } = acceptor;
      const to = address.family === 'ipv6' && address.host === '::' ? tcpAddress('127.0.0.1', address.port) : address;
      for (const asked of [false, true]) {
        const taken = next(acceptor);
        const client = await dial(transport, to);
        const server = await taken;
        const { local } = client;
        if (asked) assert.deepEqual(server.remote, local);
        client.destroy('reset');
        assert.equal(taker.passage.give(server, 1), true);
        assert.deepEqual((await taker.take()).remote, local);
        await taker.news('heard');
      }
      acceptor.close();
    }
    // A peer with a name of its own: the dialled side is given.
    const acceptor = await transport.listen(targets[3], plainBind);
    const [client, server] = await Promise.all([dial(transport, acceptor.address), next(acceptor)]);
    taker.passage.give(client, 1);
    assert.deepEqual((await taker.take()).remote, acceptor.address);
    server.destroy('reset');
    await taker.news('heard');
    acceptor.close();
    taker.passage.end();
    await taker.terminate();
    rmSync(folder, { recursive: true });
  });

  promise('takes along what was read of it, before what comes later, and the end that was seen', async () => {
    const taker = await Taker.start(8);
    const { client, server } = await pair();
    server.flow(true);
    // Read by the core while flow is off: the channel keeps it.
    await turns();
    server.flow(false);
    const silent = closing(client);
    client.send(Buffer.from('early'));
    await turns();
    assert.equal(taker.passage.give(server, 1), true);
    await taker.take();
    client.send(Buffer.from(' late'));
    client.shutdown();
    assert.deepEqual((await taker.news('heard')).log, ['data:early', 'then: late', 'end', 'close:ended']);
    client.flow(true);
    assert.equal(await silent, 'ended');

    const second = await pair();
    second.client.send(Buffer.from('all'));
    const gone = converse(second.client, ' of it');
    await new Promise<void>((resolve) => {
      second.server.sink = {
        data() {},
        end() {
          assert.equal(taker.passage.give(second.server, 2), true);
          resolve();
        },
        writable() {},
        close: () => assert.fail('closed'),
      };
      second.server.flow(true);
    });
    await taker.take();
    assert.deepEqual((await taker.news('heard')).log, ['end', 'close:ended']);
    assert.deepEqual(await gone, { text: '', why: 'ended' });
    taker.passage.end();
    await taker.terminate();
  });

  promise('given inside of data, the rest of the batch goes along; put-back bytes come first', async () => {
    const taker = await Taker.start(8);
    const { client, server } = await pair();
    const released = server.release();
    assert.ok(released?.kind === 'fd');
    const adopted = nativeTransport().adopt({ ...released, unread: [Buffer.from('one '), Buffer.from('two ')] });
    const first = await read(adopted, () => true);
    const end = converse(client, 'four');
    assert.equal(first, 'one ');
    assert.equal(taker.passage.give(adopted, 1), true);
    await taker.take();
    assert.deepEqual((await taker.news('heard')).log, ['data:two ', 'then:four', 'end', 'close:ended']);
    assert.deepEqual(await end, { text: 'two four', why: 'ended' });

    const second = await pair();
    const heard = converse(second.client, 'x'.repeat(1000));
    const given = new Promise<void>((resolve) => {
      second.server.sink = {
        data(bytes) {
          assert.equal(bytes.length, 1000);
          assert.equal(taker.passage.give(second.server, 2), true);
          resolve();
        },
        end: () => assert.fail('the end is the other thread’s'),
        writable() {},
        close: () => assert.fail('closed'),
      };
    });
    // Both the bytes and the end are there when it is first read.
    await turns();
    second.server.flow(true);
    await given;
    await taker.take();
    assert.deepEqual((await taker.news('heard')).log, ['end', 'close:ended']);
    assert.deepEqual(await heard, { text: '', why: 'ended' });
    taker.passage.end();
    await taker.terminate();
  });

  promise('given by what was put off, takes along what was read in the same turn', async () => {
    const passage = passages().passage(1);
    const acceptor = passages().arrivals(passage.ticket, tcpAddress('127.0.0.1', 0), true);
    for (let round = 0; round < 10; round++) {
      const { client, server } = await pair();
      let early = '';
      const given = new Promise<void>((resolve) => {
        server.sink = {
          data: (bytes) => void (early += Buffer.from(bytes).toString()),
          end: () => assert.fail('ended'),
          writable() {
            assert.equal(passage.give(server, 1), true);
            resolve();
          },
          close: () => assert.fail('closed'),
        };
      });
      server.flow(true);
      await turns();
      const { port1, port2 } = new MessageChannel();
      port1.on('message', () => {
        server.wantWritable();
        port1.close();
      });
      // The message and the bytes are there in one and the same turn of the loop.
      client.send(Buffer.from('bytes'));
      port2.postMessage('now');
      await given;
      const channel = acceptor.take();
      assert.ok(channel !== null);
      const rest = readAll(channel);
      assert.equal((await converse(client, '')).why, 'ended');
      assert.equal(early + (await rest).text, 'bytes');
    }
    acceptor.close();
    passage.end();
  });

  promise('stays without output when its output was ended before', async () => {
    const taker = await Taker.start(8);
    const { client, server } = await pair();
    server.send(Buffer.from('bye'));
    server.shutdown();
    assert.equal(taker.passage.give(server, 1), true);
    const heard = converse(client, 'still here');
    await taker.take();
    assert.deepEqual((await taker.news('heard')).log, ['data:still here', 'end', 'close:ended']);
    // Its echo went nowhere.
    assert.deepEqual(await heard, { text: 'bye', why: 'ended' });
    taker.passage.end();
    await taker.terminate();
  });
});
