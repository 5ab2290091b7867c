import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { bytesOf, pattern } from './recorder.ts';
import { staged } from './stage.ts';
import type { Make } from './stage.ts';

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Promises about output. */
export function writing(make: Make): void {
  describe('writing', () => {
    test(
      'many small writes leave in the order of the calls, from one turn, from promises and from timers',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        let expected = '';
        let next = 0;
        const write = (): void => {
          const text = `${next++},`;
          expected += text;
          client.channel.send(bytesOf(text));
        };
        for (let i = 0; i < 500; i++) write();
        for (let i = 0; i < 100; i++) await Promise.resolve().then(write);
        for (let i = 0; i < 20; i++) {
          await new Promise<void>((resolve) => {
            setImmediate(() => {
              write();
              resolve();
            });
          });
        }
        await stage.received(server, expected.length);
        assert.equal(server.bytes.toString('latin1'), expected);
      }),
    );

    test(
      'eight mebibytes arrive whole, in both directions at once',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const up = pattern(8 * 1024 * 1024, 3);
        const down = pattern(8 * 1024 * 1024, 7);
        client.channel.flow(true);
        server.channel.flow(true);
        client.channel.send(up);
        server.channel.send(down);
        await stage.received(server, up.length);
        await stage.received(client, down.length);
        assert.equal(digest(server.bytes), digest(up));
        assert.equal(digest(client.bytes), digest(down));
      }),
    );

    test(
      'sendAll sends each chunk in order, empty ones and lists without any included',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        const big = pattern(700_000, 9);
        assert.equal(client.channel.sendAll([]), client.channel.queued);
        client.channel.sendAll([bytesOf('head '), new Uint8Array(0), bytesOf('body '), big]);
        const after = client.channel.sendAll([bytesOf(' tail'), bytesOf('!')]);
        assert.equal(after, client.channel.queued);
        await stage.received(server, 10 + big.length + 6);
        const expected = Buffer.concat([bytesOf('head body '), big, bytesOf(' tail!')]);
        assert.equal(digest(server.bytes), digest(expected));
      }),
    );

    test(
      'views into larger buffers, of every kind of bytes, send only themselves',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        const whole = bytesOf('0123456789');
        client.channel.send(whole.subarray(2, 5));
        client.channel.send(new Uint8Array(whole.buffer, whole.byteOffset + 7, 2));
        client.channel.send(Buffer.from('é'));
        await stage.received(server, 7);
        assert.equal(server.bytes.toString('latin1'), `23478${Buffer.from('é').toString('latin1')}`);
      }),
    );

    test(
      'sending nothing does nothing',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        assert.equal(client.channel.send(new Uint8Array(0)), 0);
        await stage.still();
        assert.deepEqual(server.log, []);
        client.channel.send(bytesOf('.'));
        await stage.received(server, 1);
      }),
    );

    test(
      'output is queued while the peer does not read, and writable is told once when all of it has gone',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        let sent = await stage.clog(client);
        const before = client.channel.queued;
        assert.ok(before > 0);
        assert.equal(client.channel.send(new Uint8Array(1000)), before + 1000);
        sent += 1000;
        client.channel.wantWritable();
        client.channel.wantWritable();
        await stage.still();
        assert.deepEqual(client.log, [], 'it is not writable while output is queued');
        let queuedThen = -1;
        client.habits = {
          writable() {
            queuedThen = client.channel.queued;
          },
        };
        server.channel.flow(true);
        await stage.until(() => client.log.length > 0, 'writable');
        assert.equal(queuedThen, 0);
        await stage.received(server, sent);
        await stage.still();
        assert.deepEqual(client.log, ['writable']);
        assert.equal(server.received, sent);
      }),
    );

    test(
      'writable comes once for each time it was asked for, also when nothing is queued',
      staged(make, async (stage) => {
        const { client } = await stage.pair();
        client.channel.wantWritable();
        client.channel.wantWritable();
        assert.deepEqual(client.log, []);
        await stage.until(() => client.log.length > 0, 'writable');
        await stage.still();
        assert.deepEqual(client.log, ['writable']);
        client.channel.wantWritable();
        await stage.until(() => client.log.length > 1, 'writable again');
        await stage.still();
        assert.deepEqual(client.log, ['writable', 'writable']);
      }),
    );

    test(
      'writable may be asked for inside of writable, and a pump driven by it sends all',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        const bytes = pattern(2_000_000, 5);
        let at = 0;
        const pump = (): void => {
          while (at < bytes.length) {
            const end = Math.min(at + 50_000, bytes.length);
            const queued = client.channel.send(bytes.subarray(at, end));
            at = end;
            if (queued > 0) break;
          }
          if (at < bytes.length) client.channel.wantWritable();
          else client.channel.shutdown();
        };
        client.habits = { writable: pump };
        pump();
        await stage.until(() => server.log.includes('end'), 'the end');
        assert.equal(digest(server.bytes), digest(bytes));
      }),
    );

    test(
      'writable that was asked for before shutdown is told after it',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        await stage.clog(client);
        client.channel.wantWritable();
        client.channel.shutdown();
        server.channel.flow(true);
        await stage.until(() => client.log.length > 0 && server.log.includes('end'), 'writable and the end');
        assert.deepEqual(client.log, ['writable']);
      }),
    );

    test(
      'what a sink sends back unchanged arrives unchanged, borrowed or not, with a peer that reads late',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const bytes = pattern(4 * 1024 * 1024, 11);
        server.habits = {
          data(chunk) {
            server.channel.send(chunk);
          },
          end() {
            server.channel.shutdown();
          },
        };
        server.channel.flow(true);
        client.channel.send(bytes);
        client.channel.shutdown();
        await stage.until(() => server.received === bytes.length, 'the whole input');
        client.channel.flow(true);
        await stage.closed(client, server);
        assert.equal(digest(client.bytes), digest(bytes));
        assert.equal(client.log.at(-1), 'close:ended');
      }),
    );
  });
}
