import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex, Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ReadableStream, WritableStream } from 'node:stream/web';
import { test } from 'node:test';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, onEachNet, pairOn, readAll } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';

const MIB = 1_048_576;

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
};

function collector(): { stream: Writable; got: () => Buffer } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(chunk);
      callback();
    },
  });
  return { stream, got: () => Buffer.concat(chunks) };
}

/** A source of `count` pieces of 64 KiB, each filled with its number, that counts what it has given. */
function source(count: number): { stream: Readable; given: () => number } {
  let given = 0;
  const stream = new Readable({
    read() {
      this.push(given < count ? Buffer.alloc(65_536, given++) : null);
    },
  });
  return { stream, given: () => given };
}

function pieces(count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.alloc(65_536, i)));
}

onEachNet('a Node stream', (net) => {
  test('carries both ways through pipeline, and ends each way by itself', async () => {
    const check = watchLeaks();
    const rejections = unhandled();
    const { server, client } = await pairOn(net);
    // The server answers with what it got, in capitals; its own end follows the client's.
    const shout = new Transform({
      transform: (chunk: Buffer, _encoding, callback) => callback(null, chunk.toString('latin1').toUpperCase()),
    });
    const wire = server.toNodeStream();
    const serving = pipeline(wire, shout, wire);
    const stream = client.toNodeStream();
    const { stream: sink, got } = collector();
    await Promise.all([
      pipeline(Readable.from([Buffer.alloc(3_000_000, 'question '), Buffer.from('!')]), stream, sink),
      serving,
    ]);
    assert.ok(got().equals(Buffer.concat([Buffer.alloc(3_000_000, 'QUESTION '), Buffer.from('!')])));
    assert.equal((await server.closed).kind, 'ended');
    assert.match((await client.closed).kind, /^(ended|closed)$/u);
    assert.deepEqual(await rejections(), []);
    await check();
  });

  test('is half-open: after end() it can still be read, after the peer’s end it can still be written', async () => {
    const { server, client } = await pairOn(net);
    const stream = client.toNodeStream();
    stream.end('question');
    assert.equal((await readAll(server)).toString(), 'question');
    await server.write('answer');
    await server.closeWrite();
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    assert.equal(Buffer.concat(chunks).toString(), 'answer');
    await Promise.all([server.closed, client.closed]);

    const other = await pairOn(net);
    const writing = other.client.toNodeStream();
    await other.server.closeWrite();
    writing.resume();
    await once(writing, 'end');
    writing.end('after your end');
    assert.equal((await readAll(other.server)).toString(), 'after your end');
    assert.equal((await other.client.closed).kind, 'ended');
    await other.server.closed;
  });

  test('holds a source up while the peer does not read, and goes on when it does', async () => {
    const { server, client } = await pairOn(net, { client: { highWaterMark: 65_536 } });
    const { stream, given } = source(512);
    const piping = pipeline(stream, client.toNodeStream().resume());
    await turns(300);
    const stuck = given();
    await turns(50);
    assert.equal(given(), stuck, 'the source stands still');
    assert.ok(stuck < 512, 'all of 32 MiB was taken, though nobody read');
    assert.ok(client.queuedBytes <= 65_536 * 2, `${client.queuedBytes} bytes are queued`);
    assert.ok((await readAll(server)).equals(pieces(512)));
    await server.closeWrite();
    await piping;
    await server.closed;
  });

  test('holds the peer up while nobody reads the stream', async () => {
    const { server, client } = await pairOn(net, { server: { readAhead: 65_536 }, client: { highWaterMark: 1_024 } });
    const stream = server.toNodeStream();
    const flood = client.write(Buffer.alloc(32 * MIB));
    let waits = true;
    void flood.then(() => {
      waits = false;
    });
    stream.read(0);
    await turns(200);
    assert.ok(waits, 'nobody reads, so the writer has to wait');
    let got = 0;
    stream.on('data', (chunk: Buffer) => {
      got += chunk.length;
    });
    await flood;
    await client.closeWrite();
    await once(stream, 'end');
    assert.equal(got, 32 * MIB);
    stream.end();
    await Promise.all([server.closed, endAll(client)]);
  });

  test('a write calls back when its bytes are with the kernel, so that the buffer may be used again', async () => {
    // The connection itself would take all of it without waiting.
    const { server, client } = await pairOn(net, { client: { highWaterMark: 64 * MIB } });
    const stream = client.toNodeStream();
    const buffer = Buffer.alloc(4 * MIB);
    const reading = readAll(server);
    for (let i = 1; i <= 3; i += 1) {
      buffer.fill(i);
      await new Promise<void>((resolve, reject) => {
        stream.write(buffer, (error) => (error == null ? resolve() : reject(error)));
      });
      assert.equal(client.queuedBytes, 0);
    }
    stream.end();
    const got = await reading;
    for (let i = 1; i <= 3; i += 1) assert.ok(got.subarray((i - 1) * 4 * MIB, i * 4 * MIB).every((byte) => byte === i));
    await endAll(server, client);
  });

  test('a peer’s reset is the stream’s error, for a reader and for a writer', async () => {
    const reader = await pairOn(net);
    const reading = reader.server.toNodeStream();
    reading.resume();
    reader.client.abort();
    const [error] = (await once(reading, 'error')) as [Error & { code: string }];
    assert.equal(error.code, 'ECONNRESET');
    assert.equal(reading.errored, error);
    assert.equal(reading.destroyed, true);

    const writer = await pairOn(net);
    const { stream } = source(1_000_000);
    const piping = pipeline(stream, writer.server.toNodeStream());
    await writer.client.readExactly(100_000);
    writer.client.abort();
    await assert.rejects(piping, { code: /^(ECONNRESET|EPIPE)$/u });
    assert.equal(stream.destroyed, true, 'the source is let go');
    assert.equal((await writer.server.closed).kind, 'reset');
  });

  test('an error that nobody listens for does not end the process, and is not an unhandled one', async () => {
    const rejections = unhandled();
    for (const way of ['reset', 'destroy', 'abort', 'overflow'] as const) {
      const { server, client } = await pairOn(net, { server: { writeLimit: 100_000, highWaterMark: 1_024 } });
      const stream = server.toNodeStream();
      // The others are told without a read that waits.
      if (way === 'reset') stream.resume();
      const closed = once(stream, 'close').catch(() => {});
      if (way === 'reset') client.abort();
      else if (way === 'destroy') stream.destroy(new Error('mine'));
      else if (way === 'abort') server.abort(new Error('mine'));
      else for (let i = 0; i < 1_000; i += 1) void server.write(Buffer.alloc(100_000));
      await server.closed;
      await closed;
      assert.ok(stream.errored instanceof Error, way);
      await endAll(client);
    }
    assert.deepEqual(await rejections(), []);
  });

  test('destroy with an error resets the peer; without, it closes in order', async () => {
    const hard = await pairOn(net);
    const mine = new Error('mine');
    const reading = assert.rejects(hard.client.read(), { code: 'ECONNRESET' });
    hard.server.toNodeStream().destroy(mine);
    assert.deepEqual(await hard.server.closed, { kind: 'aborted', cause: mine });
    await reading;

    const soft = await pairOn(net);
    const stream = soft.server.toNodeStream();
    await new Promise((resolve) => stream.write('bye', resolve));
    stream.destroy();
    assert.equal((await readAll(soft.client)).toString(), 'bye');
    await soft.client.closeWrite();
    assert.equal((await soft.server.closed).kind, 'closed');
    assert.equal(stream.errored, null);
    await soft.client.closed;
  });

  test('is destroyed when the connection is closed under it, so that a pipeline learns of it', async () => {
    const { server, client } = await pairOn(net);
    const stream = server.toNodeStream();
    const piping = pipeline(stream, collector().stream);
    const closed = server.close({ linger: 0 });
    await assert.rejects(piping, { code: 'ERR_PORTSIDE_CLOSED' });
    await closed;
    await endAll(client);
  });

  test('a failing source resets the peer, which so does not take a part for the whole', async () => {
    const { server, client } = await pairOn(net);
    const failing = Readable.from(
      (function* () {
        yield Buffer.from('part of it');
        throw new Error('disk on fire');
      })(),
    );
    const reading = readAll(client);
    await Promise.all([
      assert.rejects(pipeline(failing, server.toNodeStream()), /disk on fire/u),
      assert.rejects(reading, { code: 'ECONNRESET' }),
    ]);
    assert.equal((await server.closed).kind, 'aborted');
  });

  test('what was read before goes first, and a read that waits is a misuse that ends it in words', async () => {
    const { server, client } = await pairOn(net);
    await client.write('line\nrest');
    assert.equal(await server.readLine(), 'line');
    const stream = server.toNodeStream();
    assert.ok(stream instanceof Duplex);
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    assert.equal(chunk.toString(), 'rest');
    await endAll(server, client);

    const busy = await pairOn(net);
    const waiting = assert.rejects(busy.server.read(), { code: 'ERR_PORTSIDE_CLOSED' });
    const late = busy.server.toNodeStream();
    late.resume();
    const [error] = (await once(late, 'error')) as [Error & { code: string }];
    assert.equal(error.code, 'ERR_PORTSIDE_READ_BUSY');
    await waiting;
    await endAll(busy.client);
  });
});

onEachNet('Web Streams', (net) => {
  test('carry both ways through pipeTo, and end each way by itself', async () => {
    const check = watchLeaks();
    const rejections = unhandled();
    const { server, client } = await pairOn(net);
    const echo = server.toWebStreams();
    const echoing = echo.readable.pipeTo(echo.writable);
    const { readable, writable } = client.toWebStreams();
    const sent = pieces(64);
    const got: Uint8Array[] = [];
    await Promise.all([
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(sent);
          controller.close();
        },
      }).pipeTo(writable),
      readable.pipeTo(
        new WritableStream<Uint8Array>({
          write: (chunk) => {
            got.push(chunk);
          },
        }),
      ),
      echoing,
    ]);
    assert.ok(Buffer.concat(got).equals(sent));
    assert.equal((await server.closed).kind, 'ended');
    assert.equal((await client.closed).kind, 'ended');
    assert.deepEqual(await rejections(), []);
    await check();
  });

  test('text is written as UTF-8', async () => {
    const { server, client } = await pairOn(net);
    const writer = client.toWebStreams().writable.getWriter();
    await writer.write('grüße');
    await writer.close();
    assert.equal((await readAll(server)).toString(), 'grüße');
    await endAll(server, client);
  });

  test('hold a source up while the peer does not read', async () => {
    const { server, client } = await pairOn(net, { client: { highWaterMark: 65_536 } });
    let given = 0;
    const flood = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (given === 512) controller.close();
        else controller.enqueue(Buffer.alloc(65_536, given++));
      },
    });
    const piping = flood.pipeTo(client.toWebStreams().writable);
    await turns(300);
    const stuck = given;
    await turns(50);
    assert.equal(given, stuck, 'the source stands still');
    assert.ok(stuck < 512);
    assert.ok(client.queuedBytes <= 65_536 * 2, `${client.queuedBytes} bytes are queued`);
    assert.ok((await readAll(server)).equals(pieces(512)));
    await piping;
    await endAll(server, client);
  });

  test('nothing is read before somebody asks, and the peer waits', async () => {
    const { server, client } = await pairOn(net, { client: { highWaterMark: 1_024 } });
    const { readable } = server.toWebStreams();
    const flood = client.write(Buffer.alloc(32 * MIB));
    let waits = true;
    void flood.then(() => {
      waits = false;
    });
    await turns(100);
    assert.ok(waits);
    let got = 0;
    void flood.then(() => client.closeWrite());
    for await (const chunk of readable) got += chunk.length;
    assert.equal(got, 32 * MIB);
    await endAll(server, client);
  });

  test('cancel ends reading on this side alone, even while a read waits', async () => {
    const rejections = unhandled();
    const { server, client } = await pairOn(net);
    const { readable, writable } = server.toWebStreams();
    const reader = readable.getReader();
    const waiting = reader.read();
    await turns(5);
    await reader.cancel('enough');
    assert.deepEqual(await waiting, { value: undefined, done: true });
    await client.write('let go');
    const writer = writable.getWriter();
    await writer.write('still writing');
    await writer.close();
    assert.equal((await readAll(client)).toString(), 'still writing');
    await client.close();
    assert.equal((await server.closed).kind, 'closed');
    assert.deepEqual(await rejections(), []);
  });

  test('abort resets the peer with the reason as the cause, and reading ends with the coded error', async () => {
    const rejections = unhandled();
    const { server, client } = await pairOn(net);
    const { readable, writable } = server.toWebStreams();
    const reading = assert.rejects(client.read(), { code: 'ECONNRESET' });
    const mine = new Error('mine');
    await writable.abort(mine);
    await reading;
    assert.deepEqual(await server.closed, { kind: 'aborted', cause: mine });
    await assert.rejects(readable.getReader().read(), { code: 'ERR_PORTSIDE_CLOSED' });
    assert.deepEqual(await rejections(), []);
  });

  test('a failing source of pipeTo resets the peer', async () => {
    const { server, client } = await pairOn(net);
    const failing = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error('disk on fire'));
      },
    });
    const reading = assert.rejects(client.read(), { code: 'ECONNRESET' });
    await assert.rejects(failing.pipeTo(server.toWebStreams().writable), /disk on fire/u);
    await reading;
    await server.closed;
  });

  test('a peer’s reset is the error of both, and nobody has to look', async () => {
    const rejections = unhandled();
    const { server, client } = await pairOn(net);
    const { readable, writable } = server.toWebStreams();
    const reader = readable.getReader();
    const reading = reader.read();
    client.abort();
    await assert.rejects(reading, { code: 'ECONNRESET' });
    await assert.rejects(reader.closed, { code: 'ECONNRESET' });
    await assert.rejects(writable.getWriter().write('x'), { code: 'ECONNRESET' });

    const unseen = await pairOn(net);
    const { writable: flooded } = unseen.server.toWebStreams();
    void flooded
      .getWriter()
      .write(new Uint8Array(32 * MIB))
      .catch(() => {});
    await turns(3);
    unseen.client.abort();
    assert.equal((await unseen.server.closed).kind, 'reset');
    assert.deepEqual(await rejections(), []);
  });

  test('a write of what is neither bytes nor text fails the stream and resets the connection, as nobody could end it any more', async () => {
    const { server, client } = await pairOn(net);
    const reading = assert.rejects(client.read(), { code: 'ECONNRESET' });
    const writer = server.toWebStreams().writable.getWriter();
    await assert.rejects(writer.write(7 as never), { code: 'ERR_PORTSIDE_OPTIONS' });
    await reading;
    assert.equal((await server.closed).kind, 'aborted');
  });

  test('chunks belong to whoever read them: moving the memory of one to another thread is refused, or leaves the others whole', async () => {
    const { server, client } = await pairOn(net);
    const reader = server.toWebStreams().readable.getReader();
    const next = async (sent: string): Promise<Uint8Array> => {
      await client.write(sent);
      return (await reader.read()).value ?? assert.fail('it ended');
    };
    const first = await next('first');
    const second = await next('second');
    try {
      structuredClone(first, { transfer: [first.buffer as ArrayBuffer] });
    } catch (error) {
      assert.equal((error as Error).name, 'DataCloneError');
      assert.equal(text(first), 'first');
    }
    assert.equal(text(second), 'second');
    assert.equal(text(await next('third')), 'third');
    await endAll(server, client);
  });
});
