import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import type { Channel } from '../../src/transport/contract.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { watchLeaks } from '../support/leaks.ts';
import {
  closing,
  dial,
  digest,
  inChild,
  leastTurns,
  loopback,
  next,
  plainBind,
  prelude,
  readAll,
} from './native-support.ts';

const native = 'addon' in loadNative();

/** A test of what only the native core promises. */
function promise(name: string, body: () => Promise<void>): void {
  test(name, { skip: native ? false : 'the native core is not built' }, async () => {
    const noLeaks = watchLeaks();
    await body();
    await noLeaks();
  });
}

async function pair(): Promise<{ readonly client: Channel; readonly server: Channel; readonly close: () => void }> {
  const transport = nativeTransport();
  const acceptor = await transport.listen(loopback, plainBind);
  const [client, server] = await Promise.all([dial(transport, acceptor.address), next(acceptor)]);
  acceptor.close();
  return {
    client,
    server,
    close() {
      client.destroy('reset');
      server.destroy('reset');
    },
  };
}

/** Transfers the memory under a view to an ArrayBuffer of the taker's, which leaves the view empty. */
function steal({ buffer }: Uint8Array): ArrayBuffer {
  return (buffer as ArrayBuffer & { transfer(): ArrayBuffer }).transfer();
}

describe('the native core', () => {
  promise('a late write on a connection that has gone does not reach the one in its place', async () => {
    const first = await pair();
    const gone = Promise.all([closing(first.client), closing(first.server)]);
    first.close();
    await gone;
    const second = await pair();
    for (const channel of [first.client, first.server]) {
      assert.equal(channel.send(Buffer.from('stray')), 0);
      channel.shutdown();
      channel.flow(true);
      channel.destroy('drop');
      assert.equal(channel.release(), null);
    }
    const read = readAll(second.server);
    second.client.send(Buffer.from('mine'));
    const end = readAll(second.client);
    second.client.shutdown();
    assert.deepEqual(await read, { text: 'mine', why: 'ended' });
    assert.deepEqual(await end, { text: '', why: 'ended' });
  });

  promise('writes of any size on several connections, mixed in any way, each arrive in order', async () => {
    const sizes = fc.oneof(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 16_380, max: 16_390 }),
      fc.integer({ min: 1, max: 400_000 }),
    );
    const write = fc.record({
      to: fc.integer({ min: 0, max: 2 }),
      size: sizes,
      times: fc.oneof(
        { weight: 5, arbitrary: fc.constant(1) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 300 }) },
      ),
      turn: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { minLength: 10, maxLength: 60, size: 'max' }),
        fc.boolean(),
        async (writes, late) => {
          const pairs = [await pair(), await pair(), await pair()];
          const sent = pairs.map(() => createHash('sha1'));
          const reads = pairs.map(({ server }) => digest(server, !late));
          let pattern = 0;
          for (const { to, size, times, turn } of writes) {
            for (let i = 0; i < times && size * times < 4_000_000; i++) {
              const bytes = new Uint8Array(size).fill(pattern++);
              sent[to]?.update(bytes);
              pairs[to]?.client.send(bytes);
            }
            if (turn) await new Promise((resolve) => setImmediate(resolve));
          }
          for (const { client, server } of pairs) {
            client.destroy('flush');
            server.flow(true);
          }
          assert.deepEqual(
            await Promise.all(reads),
            sent.map((hash) => hash.digest('hex')),
          );
        },
      ),
      { numRuns: 15 },
    );
  });

  promise('release() inside of data gives the rest of the batch with the connection', async () => {
    const { client, server, close } = await pair();
    client.send(Buffer.from('one'));
    client.shutdown();
    const released = await new Promise<ReturnType<Channel['release']>>((resolve) => {
      server.sink = {
        data: () => resolve(server.release()),
        end() {},
        writable() {},
        close: () => assert.fail('closed'),
      };
      setImmediate(() => server.flow(true));
    });
    assert.ok(released?.kind === 'fd');
    const adopted = nativeTransport().adopt(released);
    const read = readAll(adopted);
    const end = readAll(client);
    assert.deepEqual(await read, { text: '', why: 'ended' });
    assert.deepEqual(await end, { text: '', why: 'ended' });
    close();
  });

  promise('a sink that transfers the borrowed memory away harms nobody, not in the same batch either', async () => {
    const thieves = await Promise.all([pair(), pair(), pair(), pair()]);
    const heard = thieves.map(({ server }, i) => {
      return new Promise<string>((resolve) => {
        server.sink = {
          data(bytes) {
            const text = Buffer.from(bytes).toString();
            server.send(bytes);
            if (i % 2 === 0) steal(bytes);
            resolve(text);
          },
          end() {},
          writable() {},
          close() {},
        };
        server.flow(true);
      });
    });
    const echoes = thieves.map(({ client }) => {
      return new Promise<string>((resolve) => {
        client.sink = { data: (bytes) => resolve(Buffer.from(bytes).toString()), end() {}, writable() {}, close() {} };
        client.flow(true);
      });
    });
    for (const [i, { client }] of thieves.entries()) client.send(Buffer.from(`words of ${i}`));
    assert.deepEqual(
      await Promise.all(heard),
      thieves.map((_, i) => `words of ${i}`),
    );
    assert.deepEqual(
      await Promise.all(echoes),
      thieves.map((_, i) => `words of ${i}`),
    );
    for (const thief of thieves) thief.close();
  });

  promise('borrowed memory can be transferred away again and again', async () => {
    const { client, server, close } = await pair();
    let text = '';
    const stolen: ArrayBuffer[] = [];
    server.flow(true);
    for (const word of ['one ', 'two ', 'three']) {
      await new Promise<void>((resolve) => {
        server.sink = {
          data(bytes) {
            text += Buffer.from(bytes).toString();
            server.send(bytes);
            const { buffer } = bytes;
            // To another thread it can't go.
            assert.throws(() => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }), {
              name: 'DataCloneError',
            });
            stolen.push(steal(bytes));
            assert.equal(bytes.length, 0);
            resolve();
          },
          end() {},
          writable() {},
          close() {},
        };
        client.send(Buffer.from(word));
      });
    }
    assert.equal(text, 'one two three');
    assert.equal(stolen.length, 3);
    close();
  });

  promise('output whose memory the sender transfers or resizes while it waits harms nothing but itself', async () => {
    const { client, server, close } = await pair();
    const resizable = (): Uint8Array<ArrayBuffer> => {
      const max = { maxByteLength: 200_000 };
      return new Uint8Array(new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(100_000, max));
    };
    const resize = ({ buffer }: Uint8Array, size: number): void =>
      (buffer as ArrayBuffer & { resize(size: number): void }).resize(size);
    const pieces = [
      new Uint8Array(20_000_000),
      new Uint8Array(1_000),
      new Uint8Array(30_000),
      resizable(),
      resizable(),
    ];
    for (const [i, piece] of pieces.entries()) server.send(piece.fill(i + 1));
    server.send(Buffer.from('the last'));
    const [, small, large, shrunk, grown] = pieces as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    for (const piece of [small, large]) steal(piece);
    resize(shrunk, 10);
    resize(grown, 200_000);
    const read = digest(client, true);
    server.flow(true);
    const ended = closing(server);
    server.shutdown();
    const hash = createHash('sha1').update(pieces[0]!).update(grown.subarray(0, 100_000)).update('the last');
    assert.equal(await read, hash.digest('hex'));
    assert.equal(await ended, 'ended');
    close();
  });

  promise('any numbers from JavaScript are refused or ignored, and other connections live on', async () => {
    const { code, signal, out, err } = await inChild(`${prelude}
      const { addon } = loadNative();
      const acceptor = await transport.listen(loopback, plainBind);
      const taken = new Promise((resolve) => {
        acceptor.watcher = { ready() { acceptor.want(false); resolve(acceptor.take()); }, trouble() {} };
        acceptor.want(true);
      });
      const [client, server] = await Promise.all([dialTo(acceptor.address), taken]);
      const { nativeLoop } = await import(${JSON.stringify(new URL('../../src/transport/native/loop.ts', import.meta.url).href)});
      const { ops, ctl } = nativeLoop();
      let state = 12345;
      const random = () => (state = (Math.imul(state, 1103515245) + 12345) | 0);
      const odd = () => [random(), random() & 127, -1, 0, 2 ** 31 - 1, -(2 ** 31), NaN, 1.5, undefined, null, 'x', {}, [], new Uint8Array(3), new Float64Array(2)][(random() >>> 8) % 15];
      // Slots that are in use have small numbers and generation 0: the fuzz stays clear of those two on purpose, elsewhere everything goes.
      const clear = (slot, gen) => !(Number(slot) >= 0 && Number(slot) < 4 && (Number(gen) | 0) === 0);
      for (let i = 0; i < 20000; i++) {
        for (const name of ['accept', 'pending', 'want', 'write', 'recv', 'read', 'set', 'address', 'release', 'close']) {
          const slot = odd(), gen = odd();
          if (clear(slot, gen)) addon[name](slot, gen, odd(), odd());
        }
        addon.host(odd(), odd(), odd(), odd(), odd(), odd());
        addon.write(-1, 0, new Uint8Array(9), 10);
      }
      for (const bad of [odd(), 'x'.repeat(500), '\\0', '', '1.2.3.4.5', 'fe80::1%', 'fe80::1%99999999999', undefined]) {
        addon.listen(0, bad, 70000, 7, 1); addon.listen(1, bad + '/no/such/dir', 0, 0, 1); addon.dial(0, bad, -1, bad, -5); addon.adopt(100000, 0);
      }
      for (let round = 0; round < 300; round++) {
        for (let i = 0; i < ops.length; i++) ops[i] = i % 6 === 1 ? 1 + (random() & 0xffffff) : i % 6 === 2 ? random() & 15 : random() & 7 ? random() : random() & 127;
        ctl[0] = [4096, 1, 5000, -1, 2 ** 31 - 1, -(2 ** 31)][round % 6];
        addon.flush();
      }
      // The right channel with pieces of memory that are not there.
      for (const [at, length] of [[-1, 10], [262143, 2], [2 ** 31 - 1, 2 ** 31 - 1], [0, -5], [0, 0]]) {
        for (const what of [1, 2]) { ops.set([0, 0, what, at, length, 77, 1, 0, what, at, length, -1, 2, 0, what, at, length, 2 ** 30]); ctl[0] = 3; addon.flush(); }
      }
      server.sink = { ...deaf, data(bytes) { server.send(bytes); } };
      server.flow(true);
      client.sink = { ...deaf, data(bytes) { console.log(String.fromCharCode(...bytes)); client.destroy('drop'); server.destroy('drop'); acceptor.close(); } };
      client.flow(true);
      client.send(new Uint8Array([111, 107]));
    `);
    assert.deepEqual({ code, signal, out }, { code: 0, signal: null, out: 'ok\n' }, err);
  });

  promise(
    'what was sent just before the process exits arrives, also from a connection that does not keep it alive',
    async () => {
      for (const last of ['process.exit(0)', 'channel.ref(false)']) {
        const transport = nativeTransport();
        const acceptor = await transport.listen(loopback, plainBind);
        const taken = next(acceptor);
        const ended = inChild(`${prelude}
        const channel = await dialTo(${JSON.stringify(acceptor.address)});
        channel.send(Buffer.from('last words'));
        ${last};`);
        const read = readAll(await taken);
        acceptor.close();
        const { code, err } = await ended;
        assert.equal(code, 0, err);
        assert.equal((await read).text, 'last words');
      }
    },
  );

  promise(
    'a process whose listeners and connections are let go ends by itself, and says the ends it owes first',
    async () => {
      const { code, out, err } = await inChild(`${prelude}
      const acceptor = await transport.listen(loopback, plainBind);
      const channel = await dialTo(acceptor.address);
      acceptor.ref(false);
      channel.ref(false);
      channel.sink = { ...deaf, close: ({ kind }) => console.log(kind) };
      channel.destroy('drop');`);
      assert.deepEqual({ code, out }, { code: 0, out: 'dropped\n' }, err);
    },
  );

  promise('a peer that hangs up on a paused connection does not make the loop spin', async () => {
    const { client, server, close } = await pair();
    server.flow(true);
    server.flow(false);
    client.send(Buffer.from('unread'));
    const gone = closing(client);
    client.destroy('reset');
    await gone;
    const turns = await leastTurns();
    assert.ok(turns <= 20, `${turns} turns of the loop in 50 ms`);
    const read = readAll(server);
    assert.deepEqual(await read, { text: 'unread', why: 'reset' });
    close();
  });

  promise('each worker thread has its own core, which goes with it in any state', async () => {
    const code = `
      const { parentPort } = require('node:worker_threads');
      import(${JSON.stringify(new URL('../../src/transport/native/transport.ts', import.meta.url).href)}).then(async ({ nativeTransport }) => {
        const transport = nativeTransport();
        const acceptor = await transport.listen(${JSON.stringify(loopback)}, { backlog: 64, reusePort: false, reuseAddress: undefined });
        acceptor.watcher = { ready() {
          const channel = acceptor.take();
          if (channel === null) return;
          channel.sink = { data(bytes) { channel.send(bytes); }, end() {}, writable() {}, close() {} };
          channel.flow(true);
        }, trouble() {} };
        acceptor.want(true);
        parentPort.on('message', () => process.exit(0));
        parentPort.postMessage(acceptor.address);
      });`;
    const workers = [0, 1, 2].map(() => new Worker(code, { eval: true }));
    await Promise.all(
      workers.map(async (worker, index) => {
        const [address] = await once(worker, 'message');
        const clients = await Promise.all([0, 1, 2, 3].map(() => dial(nativeTransport(), address)));
        const stop = (): void => {
          if (index === 0) void worker.terminate();
          else worker.postMessage('exit', []);
        };
        const ends = clients.map(
          (channel) =>
            new Promise<string>((resolve) => {
              let echoed = 0;
              channel.sink = {
                data(bytes) {
                  echoed += bytes.length;
                  // In the middle of the traffic: by force, or by its own exit.
                  if (echoed > 20_000 && channel === clients[0]) stop();
                  channel.send(bytes);
                },
                end() {
                  channel.destroy('drop');
                },
                writable() {},
                close: ({ kind }) => resolve(kind),
              };
              channel.flow(true);
              channel.send(new Uint8Array(100));
            }),
        );
        const exited = once(worker, 'exit');
        for (const kind of await Promise.all(ends)) assert.match(kind, /^(?:dropped|reset)$/u);
        await exited;
      }),
    );
  });

  promise('what it cannot take over is refused', async () => {
    const transport = nativeTransport();
    assert.throws(() => transport.adopt({ kind: 'socket', socket: {}, unread: [], ended: false }), {
      code: 'ERR_PORTSIDE_UNSUPPORTED',
    });
    assert.throws(() => transport.adopt({ kind: 'fd', fd: 1_000_000, unix: false, unread: [], ended: false }), {
      code: 'EBADF',
    });
    const file = openSync('/dev/null', 'r');
    assert.throws(() => transport.adopt({ kind: 'fd', fd: file, unix: false, unread: [], ended: false }), {
      code: 'ENOTSOCK',
    });
    closeSync(file);
    // Who gives a descriptor away twice has given away somebody else's the second time.
    const { client, server, close } = await pair();
    const released = server.release();
    assert.ok(released?.kind === 'fd');
    const adopted = transport.adopt(released);
    assert.throws(() => transport.adopt(released), { code: 'EBUSY' });
    await assert.rejects(transport.listen({ kind: 'fd', fd: released.fd }, plainBind), { code: 'EBUSY' });
    const read = readAll(adopted);
    client.send(Buffer.from('still here'));
    const end = readAll(client);
    client.shutdown();
    assert.deepEqual([await read, (await end).why], [{ text: 'still here', why: 'ended' }, 'ended']);
    close();
  });
});
