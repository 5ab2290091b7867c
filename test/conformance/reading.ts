import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytesOf, pattern } from './recorder.ts';
import { staged } from './stage.ts';
import type { Make } from './stage.ts';
import { capturingUncaught } from '../support/uncaught.ts';

/** Promises about what a sink hears, and when. */
export function reading(make: Make): void {
  describe('reading', () => {
    test(
      'nothing is heard before flow is first turned on, and all of it after',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        client.channel.send(bytesOf('early'));
        client.channel.shutdown();
        await stage.still();
        assert.deepEqual(server.log, []);
        server.channel.flow(true);
        await stage.until(() => server.log.includes('end'), 'the end');
        assert.deepEqual(server.log, ['data:early', 'end']);
      }),
    );

    test(
      'nothing is read before flow is first turned on: a channel released then has no unread bytes',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        client.channel.send(bytesOf('waiting in the kernel'));
        await stage.still();
        if (stage.transport.flags.descriptors) {
          const released = server.release();
          assert.deepEqual(released.unread, []);
          assert.equal(released.ended, false);
          const again = stage.record(stage.transport.adopt(released));
          again.channel.flow(true);
          await stage.received(again, 21);
          assert.deepEqual(again.log, ['data:waiting in the kernel']);
        } else {
          server.channel.flow(true);
          await stage.received(server, 21);
        }
      }),
    );

    test(
      'a dialled channel begins with flow off too',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.send(bytesOf('220 ready'));
        await stage.still();
        assert.deepEqual(client.log, []);
        client.channel.flow(true);
        await stage.received(client, 9);
        assert.deepEqual(client.log, ['data:220 ready']);
      }),
    );

    test(
      'a channel begins with a sink that ignores all',
      staged(make, async (stage) => {
        const acceptor = await stage.listen();
        const { result } = stage.transport.dial(stage.backend.dialTarget(acceptor.address));
        const server = await stage.accept(acceptor);
        const client = await stage.settled(result);
        assert.equal(typeof client.sink.data, 'function');
        client.flow(true);
        server.channel.send(bytesOf('nobody listens'));
        await stage.still();
        client.destroy('drop');
        server.channel.flow(true);
        server.channel.shutdown();
        await stage.closed(server);
      }),
    );

    test(
      'flow turned off inside of data stops the rest, the end and the close, until it is on again',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const bytes = pattern(300_000);
        let flowing = true;
        server.habits = {
          data() {
            assert.ok(flowing, 'data came with flow off');
            flowing = false;
            server.channel.flow(false);
          },
        };
        server.channel.shutdown();
        server.channel.flow(true);
        client.channel.flow(true);
        client.channel.send(bytes);
        client.channel.shutdown();
        let checks = 0;
        while (server.received < bytes.length) {
          const batches = server.batches;
          await stage.until(() => server.batches > batches || !flowing, 'data');
          if (checks < 3) {
            checks += 1;
            const heard = server.received;
            await stage.still();
            assert.equal(server.received, heard);
          }
          if (server.received === bytes.length) break;
          flowing = true;
          server.channel.flow(true);
          await stage.until(() => server.batches > batches, 'the next batch');
        }
        await stage.still();
        assert.equal(server.log.length, 1, 'neither end nor close with flow off');
        assert.deepEqual(server.bytes, Buffer.from(bytes));
        server.channel.flow(true);
        await stage.closed(server, client);
        assert.deepEqual(server.log.slice(1), ['end', 'close:ended']);
      }),
    );

    test(
      'an end that comes with flow off waits for flow, and the close behind it too',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        client.channel.flow(true);
        client.channel.send(bytesOf('x'));
        await stage.received(server, 1);
        server.channel.flow(false);
        server.channel.shutdown();
        client.channel.shutdown();
        await stage.closed(client);
        await stage.still();
        assert.deepEqual(server.log, ['data:x']);
        server.channel.flow(true);
        await stage.closed(server);
        assert.deepEqual(server.log, ['data:x', 'end', 'close:ended']);
      }),
    );

    test(
      'flow turned off inside of end does not hold the close of a connection that ended in order',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.habits = {
          end() {
            server.channel.flow(false);
            server.channel.shutdown();
          },
        };
        server.channel.flow(true);
        client.channel.flow(true);
        client.channel.shutdown();
        await stage.closed(server, client);
        assert.deepEqual(server.log, ['end', 'close:ended']);
      }),
    );

    test(
      'turning flow on and off again and again in one turn loses and doubles nothing',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const bytes = pattern(200_000);
        client.channel.send(bytes);
        for (const on of [true, true, false, true, false, false]) server.channel.flow(on);
        await stage.still();
        assert.deepEqual(server.log, []);
        for (const on of [true, false, true, true]) server.channel.flow(on);
        await stage.received(server, bytes.length);
        await stage.still();
        assert.deepEqual(server.bytes, Buffer.from(bytes));
      }),
    );

    test(
      'a sink that is replaced in the middle hears nothing more, and the new one the rest and the close',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const late: string[] = [];
        let rest = 0;
        server.habits = {
          data() {
            server.channel.sink = {
              data: (bytes) => {
                rest += bytes.length;
              },
              end: () => void late.push('end'),
              writable: () => void late.push('writable'),
              close: ({ kind }) => void late.push(`close:${kind}`),
            };
          },
        };
        server.channel.flow(true);
        client.channel.flow(true);
        client.channel.send(bytesOf('first'));
        await stage.received(server, 5);
        client.channel.send(bytesOf('second'));
        client.channel.shutdown();
        await stage.until(() => late.includes('end'), 'the end at the new sink');
        server.channel.shutdown();
        await stage.until(() => late.length === 2, 'the close at the new sink');
        assert.deepEqual(server.log, ['data:first']);
        assert.equal(rest, 6);
        assert.deepEqual(late, ['end', 'close:ended']);
      }),
    );

    test(
      'a sink that throws stops no other, hears on itself, and its errors go to the process',
      staged(make, async (stage) => {
        const bad = await stage.pair();
        const good = await stage.pair();
        await capturingUncaught(async (caught) => {
          bad.server.habits = {
            data() {
              throw new Error('in data');
            },
            end() {
              throw new Error('in end');
            },
            writable() {
              throw new Error('in writable');
            },
            close() {
              throw new Error('in close');
            },
          };
          for (const { server } of [bad, good]) server.channel.flow(true);
          for (const { client } of [bad, good]) client.channel.flow(true);
          for (const { client } of [bad, good]) client.channel.send(bytesOf('one'));
          await stage.received(bad.server, 3);
          await stage.received(good.server, 3);
          bad.server.channel.wantWritable();
          await stage.until(() => bad.server.log.includes('writable'), 'writable');
          for (const { client } of [bad, good]) client.channel.send(bytesOf('two'));
          await stage.received(bad.server, 6);
          await stage.received(good.server, 6);
          for (const { client } of [bad, good]) client.channel.shutdown();
          for (const { server } of [bad, good]) server.channel.shutdown();
          await stage.closed(bad.server, good.server, bad.client, good.client);
          await stage.until(() => caught.length >= 5, 'what was thrown');
          assert.deepEqual(
            caught.map((error) => (error instanceof Error ? error.message : error)),
            ['in data', 'in writable', 'in data', 'in end', 'in close'],
          );
        });
        assert.deepEqual(bad.server.log, ['data:one', 'writable', 'data:two', 'end', 'close:ended']);
        assert.deepEqual(good.server.log, ['data:onetwo', 'end', 'close:ended']);
      }),
    );

    test(
      'bytes that came before a reset are heard before it, with flow on from the start or only later',
      staged(make, async (stage) => {
        if (!stage.resets) return;
        for (const early of [true, false]) {
          const { client, server } = await stage.pair();
          if (early) server.channel.flow(true);
          client.channel.send(bytesOf('last words'));
          await stage.sent(client);
          client.channel.destroy('reset');
          await stage.still();
          server.channel.flow(true);
          await stage.closed(server, client);
          assert.deepEqual(server.log, ['data:last words', 'close:reset']);
          assert.deepEqual(client.log, ['close:aborted']);
        }
      }),
    );

    test(
      'a reset behind unread bytes waits with them while flow is off',
      staged(make, async (stage) => {
        if (!stage.resets) return;
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        client.channel.send(bytesOf('a'));
        await stage.received(server, 1);
        server.channel.flow(false);
        client.channel.send(bytesOf('bc'));
        await stage.sent(client);
        client.channel.destroy('reset');
        await stage.closed(client);
        await stage.still();
        assert.deepEqual(server.log, ['data:a']);
        server.channel.flow(true);
        await stage.closed(server);
        assert.deepEqual(server.log, ['data:abc', 'close:reset']);
      }),
    );
  });
}
