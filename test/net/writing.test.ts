import assert from 'node:assert/strict';
import { test } from 'node:test';
import { none } from '../../src/sync/evt.ts';
import { unhandled } from '../support/unhandled.ts';
import { endAll, onEachNet, pairOn, readAll } from '../support/nets.ts';

const MIB = 1_048_576;

onEachNet('writing', (net) => {
  test('while there is room, every write gives the same resolved promise', async () => {
    const { server, client } = await pairOn(net);
    const first = client.write('a');
    assert.equal(client.write('b'), first);
    await first;
    await endAll(server, client);
  });

  test('text leaves as UTF-8, and writes arrive in order', async () => {
    const { server, client } = await pairOn(net);
    void client.write('grüße ');
    void client.write(Buffer.from('und '));
    void client.writev(['küsse', Buffer.from('!'), '']);
    void client.closeWrite();
    assert.equal((await readAll(server)).toString(), 'grüße und küsse!');
    await endAll(server, client);
  });

  test('above the high-water mark a write waits until all is with the kernel', async () => {
    const { server, client } = await pairOn(net, { client: { highWaterMark: 1024, writeLimit: 64 * MIB } });
    const written = client.write(Buffer.alloc(32 * MIB, 1));
    let resolved = false;
    void written.then(() => {
      resolved = true;
    });
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    assert.equal(resolved, false);
    assert.ok(client.queuedBytes > 1024);
    assert.equal(client.writableEvt().take(), none);
    const reading = readAll(server);
    await written;
    assert.equal(client.queuedBytes, 0);
    assert.equal(client.writableEvt().take(), undefined);
    await client.closeWrite();
    assert.equal((await reading).length, 32 * MIB);
    await endAll(server, client);
  });

  test('flushed resolves when all is with the kernel, at once when nothing is queued', async () => {
    const { server, client } = await pairOn(net);
    await client.flushed();
    void client.write('x');
    await client.flushed();
    assert.equal(client.queuedBytes, 0);
    assert.equal(Buffer.from((await server.read()) ?? []).toString(), 'x');
    await endAll(server, client);
  });

  test('a writer that does not wait, to a peer that never reads, ends its connection with write-overflow, and nothing is unhandled', async () => {
    const rejections = unhandled();
    const { server, client } = await pairOn(net, { client: { writeLimit: 4 * MIB } });
    const chunk = Buffer.alloc(MIB);
    for (let i = 0; i < 64; i += 1) void client.write(chunk);
    const reason = await client.closed;
    assert.equal(reason.kind, 'write-overflow');
    assert.ok(reason.kind === 'write-overflow' && reason.queued > reason.limit && reason.limit === 4 * MIB);
    await assert.rejects(client.write('more'), { code: 'ERR_PORTSIDE_WRITE_OVERFLOW' });
    await endAll(server);
    assert.deepEqual(await rejections(), []);
  });

  test('a writer that waits never overflows, however large a single write is', async () => {
    const { server, client } = await pairOn(net, { client: { writeLimit: 1024, highWaterMark: 512 } });
    const written = client.write(Buffer.alloc(4 * MIB));
    const reading = readAll(server);
    await written;
    await client.closeWrite();
    assert.equal((await reading).length, 4 * MIB);
    await endAll(server, client);
  });

  test('corked writes leave when the last cork is out', async () => {
    const { server, client } = await pairOn(net);
    client.cork();
    client.cork();
    void client.write('one ');
    void client.writev(['two ', 'three ']);
    assert.equal(client.queuedBytes, 14);
    await client.uncork();
    assert.equal(client.queuedBytes, 14);
    void client.write('four');
    await client.uncork();
    await client.closeWrite();
    assert.equal((await readAll(server)).toString(), 'one two three four');
    await endAll(server, client);
  });

  test('closeWrite takes the corks out', async () => {
    const { server, client } = await pairOn(net);
    client.cork();
    void client.write('all of it');
    await client.closeWrite();
    assert.equal((await readAll(server)).toString(), 'all of it');
    await endAll(server, client);
  });

  test('what is neither bytes nor text is thrown back', async () => {
    const { server, client } = await pairOn(net);
    assert.throws(() => client.write(7 as never), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => client.writev([{} as never]), { code: 'ERR_PORTSIDE_OPTIONS' });
    await endAll(server, client);
  });

  test('a write after closeWrite is ERR_PORTSIDE_WRITE_AFTER_END, after close a ClosedError, and nobody has to look', async () => {
    const rejections = unhandled();
    const { server, client } = await pairOn(net);
    await client.closeWrite();
    await assert.rejects(client.write('x'), { code: 'ERR_PORTSIDE_WRITE_AFTER_END' });
    void client.write('unseen');
    void client.close();
    await assert.rejects(client.write('x'), { code: 'ERR_PORTSIDE_CLOSED' });
    void client.write('unseen');
    await endAll(server, client);
    void client.write('unseen');
    assert.deepEqual(await rejections(), []);
  });

  test('writes to a peer that resets end with the reason reset, at whatever moment, and nothing is thrown into the void', async () => {
    const rejections = unhandled();
    for (let round = 0; round < 20; round += 1) {
      const { server, client } = await pairOn(net);
      for (let i = 0; i < 5; i += 1) {
        void server.write(Buffer.alloc(round * 1000 + 1));
        if (i === round % 5) client.abort();
        if (i % 2 === 0) await new Promise(setImmediate);
      }
      await assert.rejects(
        async () => {
          for (;;) {
            await server.write('x');
            await new Promise(setImmediate);
          }
        },
        { code: /^(ECONNRESET|EPIPE)$/u },
      );
      assert.equal((await server.closed).kind, 'reset');
    }
    assert.deepEqual(await rejections(), []);
  });

  test('a protocol-free idle connection is over when its peer resets, once it is read or written', async () => {
    const { server, client } = await pairOn(net);
    const reading = server.read();
    client.abort();
    await assert.rejects(reading, { code: 'ECONNRESET' });
    assert.equal(server.closeReason?.kind, 'reset');
    assert.equal(server.signal.aborted, true);
  });
});
