import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lines } from '../../src/codec/lines.ts';
import { link } from '../../src/net/connection.ts';
import { none } from '../../src/sync/evt.ts';
import { endAll, onEachNet, pairOn, readAll } from '../support/nets.ts';

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());

onEachNet('reading', (net) => {
  test('read gives what came, and null at the end, as often as it is asked', async () => {
    const { server, client } = await pairOn(net);
    await client.write('hello');
    assert.equal(text(await server.read()), 'hello');
    await client.closeWrite();
    assert.equal(await server.read(), null);
    assert.equal(await server.read(), null);
    await endAll(server, client);
  });

  test('read with max leaves the rest to be read next', async () => {
    const { server, client } = await pairOn(net);
    await client.write('abcdef');
    assert.equal(text(await server.read({ max: 2 })), 'ab');
    assert.equal(text(await server.readExactly(4)), 'cdef');
    await endAll(server, client);
  });

  test('iteration gives everything in order, and ends at the end of the input', async () => {
    const { server, client } = await pairOn(net);
    const sent = Buffer.alloc(1_000_000, 'portside ');
    void client.write(sent);
    void client.closeWrite();
    assert.ok((await readAll(server)).equals(sent));
    await endAll(server, client);
  });

  test('break leaves the connection open and the rest unread', async () => {
    const { server, client } = await pairOn(net);
    await client.write('first');
    for await (const bytes of server) {
      assert.equal(text(bytes), 'first');
      break;
    }
    assert.equal(server.closeReason, null);
    await client.write('second');
    assert.equal(text(await server.read()), 'second');
    await endAll(server, client);
  });

  test('a second read while one waits is refused, and the first goes on', async () => {
    const { server, client } = await pairOn(net);
    const first = server.read();
    await assert.rejects(server.read(), { code: 'ERR_PORTSIDE_READ_BUSY' });
    await assert.rejects(server.readLine(), { code: 'ERR_PORTSIDE_READ_BUSY' });
    await client.write('x');
    assert.equal(text(await first), 'x');
    await endAll(server, client);
  });

  test('a read that is called off by a signal loses no bytes', async () => {
    const { server, client } = await pairOn(net);
    const controller = new AbortController();
    const reason = new Error('never mind');
    const reading = server.readExactly(10, { signal: controller.signal });
    await client.write('01234');
    // The read has to have seen them when it is called off.
    while (link(server).input.length < 5) await new Promise(setImmediate);
    controller.abort(reason);
    await assert.rejects(reading, reason);
    await assert.rejects(server.readExactly(10, { signal: controller.signal }), reason);
    await client.write('56789');
    assert.equal(text(await server.readExactly(10)), '0123456789');
    await endAll(server, client);
  });

  test('a read that runs out of time is ERR_PORTSIDE_TIMEOUT and loses no bytes', async () => {
    const { server, client } = await pairOn(net);
    await assert.rejects(server.read({ timeout: 5 }), { code: 'ERR_PORTSIDE_TIMEOUT', op: 'read' });
    await client.write('late');
    assert.equal(text(await server.read({ timeout: 5_000 })), 'late');
    await endAll(server, client);
  });

  test('readExactly gives null at a clean end, and ERR_PORTSIDE_UNEXPECTED_END in the middle, with what there is left to read', async () => {
    const { server, client } = await pairOn(net);
    await client.write('abc');
    await client.closeWrite();
    await assert.rejects(server.readExactly(4), { code: 'ERR_PORTSIDE_UNEXPECTED_END' });
    assert.equal(text(await server.readExactly(3)), 'abc');
    assert.equal(await server.readExactly(1), null);
    await endAll(server, client);
  });

  test('readUntil gives the bytes with the delimiter, wherever it is split', async () => {
    const { server, client } = await pairOn(net);
    for (const piece of ['one', '-', '-', '>two-', '->', 'rest']) {
      await client.write(piece);
      await client.flushed();
    }
    assert.equal(text(await server.readUntil('-->')), 'one-->');
    assert.equal(text(await server.readUntil(Buffer.from('-->'))), 'two-->');
    await client.closeWrite();
    await assert.rejects(server.readUntil('-->'), { code: 'ERR_PORTSIDE_UNEXPECTED_END' });
    assert.equal((await readAll(server)).toString(), 'rest');
    await endAll(server, client);
  });

  test('readUntil beyond its limit is ERR_PORTSIDE_LIMIT and consumes nothing', async () => {
    const { server, client } = await pairOn(net);
    await client.write('0123456789\n');
    await assert.rejects(server.readUntil('\n', { limit: 4 }), { code: 'ERR_PORTSIDE_LIMIT' });
    assert.equal(text(await server.readUntil('\n', { limit: 11 })), '0123456789\n');
    await endAll(server, client);
  });

  test('readLine gives lines without LF or CRLF, a last one without an ending, then null', async () => {
    const { server, client } = await pairOn(net);
    await client.write('one\r\ntwo\n\nüñï');
    await client.closeWrite();
    assert.equal(await server.readLine(), 'one');
    assert.equal(await server.readLine(), 'two');
    assert.equal(await server.readLine(), '');
    assert.equal(await server.readLine(), 'üñï');
    assert.equal(await server.readLine(), null);
    await endAll(server, client);
  });

  test('unread while a read waits is refused, and the read goes on', async () => {
    const { server, client } = await pairOn(net);
    const reading = server.readLine();
    assert.throws(() => server.unread(Buffer.from('x')), { code: 'ERR_PORTSIDE_READ_BUSY' });
    await client.write('line\n');
    assert.equal(await reading, 'line');
    await endAll(server, client);
  });

  test('unread puts bytes back in front', async () => {
    const { server, client } = await pairOn(net);
    await client.write('world');
    assert.equal(text(await server.readExactly(5)), 'world');
    server.unread(Buffer.from('world'));
    server.unread(Buffer.from('hello '));
    assert.equal(text(await server.readExactly(11)), 'hello world');
    await endAll(server, client);
  });

  test('frames gives the frames of a codec, and its errors', async () => {
    const { server, client } = await pairOn(net);
    await client.write('a\nb\r\nc');
    await client.closeWrite();
    const got: string[] = [];
    for await (const line of server.frames(lines())) got.push(line);
    assert.deepEqual(got, ['a', 'b', 'c']);
    await endAll(server, client);

    const other = await pairOn(net);
    await other.client.write('much too long for it\n');
    await assert.rejects(other.server.frames(lines({ maxLength: 4 })).next(), { code: 'ERR_PORTSIDE_FRAME_TOO_LONG' });
    await endAll(other.server, other.client);
  });

  test('no more than readAhead is read beyond what was asked for, and then the peer waits', async () => {
    const { server, client } = await pairOn(net, { server: { readAhead: 1024 }, client: { highWaterMark: 1024 } });
    await client.write('x');
    assert.equal(text(await server.read()), 'x');
    const flood = client.write(Buffer.alloc(32 * 1024 * 1024));
    let waited = true;
    void flood.then(() => {
      waited = false;
    });
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    assert.ok(waited, 'nobody read, so the writer has to wait');
    let got = 0;
    while (got < 32 * 1024 * 1024) got += (await server.read())?.length ?? assert.fail('ended');
    await flood;
    await endAll(server, client);
  });

  test('after the peer resets, reads give what had arrived and then ECONNRESET', async () => {
    const { server, client } = await pairOn(net);
    await client.write('last words');
    assert.equal(text(await server.readExactly(4)), 'last');
    client.abort();
    const rest: string[] = [];
    await assert.rejects(
      async () => {
        for await (const bytes of server) rest.push(text(bytes) ?? '');
      },
      { code: 'ECONNRESET' },
    );
    assert.ok(' words'.endsWith(rest.join('')));
    assert.equal((await server.closed).kind, 'reset');
    await assert.rejects(server.read(), { code: 'ECONNRESET' });
    await client.closed;
  });

  test('a read after close on this side is a ClosedError, and one that waits is woken by it', async () => {
    const { server, client } = await pairOn(net);
    const waiting = server.read();
    const closed = server.close({ linger: 0 });
    await assert.rejects(waiting, { code: 'ERR_PORTSIDE_CLOSED' });
    await assert.rejects(server.read(), { code: 'ERR_PORTSIDE_CLOSED', op: 'read' });
    await closed;
    await endAll(client);
  });

  test('readEvt takes only when asked, and its taking is what a read would have given', async () => {
    const { server, client } = await pairOn(net);
    const event = server.readEvt();
    assert.equal(event.take(), none);
    const woken = new Promise<void>((resolve) => {
      event.watch(resolve);
    });
    await client.write('event');
    await woken;
    assert.equal(text(event.take() as Uint8Array), 'event');
    assert.equal(event.take(), none);
    await client.closeWrite();
    assert.equal(await server.read(), null);
    assert.equal(event.take(), null);
    await endAll(server, client);
  });
});
