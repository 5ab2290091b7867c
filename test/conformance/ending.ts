import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytesOf, pattern } from './recorder.ts';
import type { Recorder } from './recorder.ts';
import { staged } from './stage.ts';
import type { Make } from './stage.ts';

/** Promises about the end of a connection. */
export function ending(make: Make): void {
  describe('ending', () => {
    test(
      'each direction ends by itself: a reply comes after the request has ended, and both close with `ended`',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        client.channel.flow(true);
        server.channel.flow(true);
        client.channel.send(bytesOf('question'));
        client.channel.shutdown();
        await stage.until(() => server.log.includes('end'), 'the end of the question');
        assert.equal(server.channel.closed, false);
        server.channel.send(bytesOf('answer'));
        server.channel.shutdown();
        await stage.closed(client, server);
        assert.deepEqual(server.log, ['data:question', 'end', 'close:ended']);
        assert.deepEqual(client.log, ['data:answer', 'end', 'close:ended']);
      }),
    );

    test(
      'shutdown sends what is queued first',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const sent = await stage.clog(client);
        client.channel.shutdown();
        server.channel.flow(true);
        await stage.until(() => server.log.includes('end'), 'the end');
        assert.equal(server.received, sent);
      }),
    );

    test(
      'shutdown twice is one end, and nothing is sent after it',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        client.channel.send(bytesOf('all'));
        client.channel.shutdown();
        client.channel.shutdown();
        assert.equal(client.channel.send(bytesOf('too late')), 0);
        assert.equal(client.channel.sendAll([bytesOf('far'), bytesOf('too late')]), 0);
        await stage.until(() => server.log.includes('end'), 'the end');
        client.channel.shutdown();
        await stage.still();
        assert.deepEqual(server.log, ['data:all', 'end']);
        assert.deepEqual(client.log, []);
      }),
    );

    test(
      "destroy('flush') sends what is queued, hears nothing more, and closes with `closed`",
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        client.channel.flow(true);
        const bytes = pattern(3_000_000);
        client.channel.send(bytes);
        client.channel.destroy('flush');
        client.channel.destroy('flush');
        assert.deepEqual(client.log, []);
        assert.equal(client.channel.send(bytesOf('too late')), 0);
        server.channel.flow(true);
        await stage.until(() => server.log.includes('end'), 'the end');
        await stage.closed(client);
        assert.deepEqual(server.bytes, Buffer.from(bytes));
        server.channel.shutdown();
        await stage.closed(server);
        assert.deepEqual(server.log.slice(1), ['end', 'close:ended']);
        assert.deepEqual(client.log, ['close:closed']);
      }),
    );

    test(
      "destroy('flush') with nothing queued closes soon, also after shutdown and after the peer's end",
      staged(make, async (stage) => {
        for (const before of ['nothing', 'shutdown', 'end'] as const) {
          const { client, server } = await stage.pair();
          client.channel.flow(true);
          server.channel.flow(true);
          if (before === 'shutdown') {
            client.channel.shutdown();
            await stage.until(() => server.log.includes('end'), 'the end');
          }
          if (before === 'end') {
            server.channel.shutdown();
            await stage.until(() => client.log.includes('end'), 'the end');
          }
          client.channel.destroy('flush');
          await stage.closed(client);
          assert.deepEqual(client.log.at(-1), 'close:closed', before);
        }
      }),
    );

    test(
      "destroy('drop') closes now, and counts what was not sent",
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const sent = await stage.clog(client);
        const { queued } = client.channel;
        client.channel.destroy('drop');
        assert.equal(client.channel.closed, true);
        assert.equal(client.channel.queued, 0);
        await stage.closed(client);
        assert.deepEqual(client.closedWith, { kind: 'dropped', unsent: queued });
        server.channel.flow(true);
        // Under TLS the end of the output is bytes too, and brings a reset from who is gone.
        await stage.until(() => server.log.includes('end'), 'the end');
        server.channel.shutdown();
        await stage.closed(server);
        assert.ok(server.received < sent, 'what was dropped did not arrive');
        assert.ok(server.received >= sent - queued, 'what was with the kernel arrived');
      }),
    );

    test(
      "destroy('drop') with nothing queued has nothing unsent, and the peer hears an end",
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        client.channel.send(bytesOf('bye'));
        await stage.received(server, 3);
        await stage.sent(client);
        client.channel.destroy('drop');
        await stage.closed(client);
        assert.deepEqual(client.closedWith, { kind: 'dropped', unsent: 0 });
        await stage.until(() => server.log.includes('end'), 'the end');
        server.channel.shutdown();
        await stage.closed(server);
        assert.deepEqual(server.log, ['data:bye', 'end', 'close:ended']);
      }),
    );

    test(
      'dropping a connection with unread input closes both sides once',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        client.channel.send(bytesOf('never read'));
        await stage.still();
        server.channel.destroy('drop');
        client.channel.flow(true);
        client.channel.shutdown();
        await stage.closed(client, server);
        assert.deepEqual(server.log, ['close:dropped']);
        assert.equal(client.log.filter((event) => event.startsWith('close')).length, 1);
      }),
    );

    test(
      "destroy('reset') is `aborted` here, and a reset there",
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        client.channel.send(pattern(5_000_000));
        client.channel.destroy('reset');
        assert.equal(client.channel.closed, true);
        await stage.closed(client);
        assert.deepEqual(client.log, ['close:aborted']);
        if (!stage.resets) {
          await stage.until(() => server.log.includes('end'), 'the end');
          server.channel.shutdown();
        }
        await stage.closed(server);
        if (stage.resets) {
          assert.equal(server.log.at(-1), 'close:reset');
          assert.ok(!server.log.includes('end'), 'a reset is no end');
          assert.ok(server.closedWith?.kind === 'reset' && server.closedWith.error.code === 'ECONNRESET');
        }
      }),
    );

    test(
      'a reset that goes unnoticed with flow off is noticed when a write fails',
      staged(make, async (stage) => {
        if (!stage.resets) return;
        const { client, server } = await stage.pair();
        client.channel.destroy('reset');
        await stage.closed(client);
        await stage.still();
        await stage.until(() => {
          server.channel.send(bytesOf('anybody there?'));
          return server.closedWith !== null;
        }, 'the failure of a write');
        assert.deepEqual(server.log, ['close:reset']);
      }),
    );

    test(
      'a harder way overtakes a softer one that still flushes, and a softer one overtakes nothing',
      staged(make, async (stage) => {
        const ways = [
          { calls: ['flush', 'drop'], kind: 'dropped' },
          { calls: ['flush', 'reset'], kind: 'aborted' },
          { calls: ['flush', 'drop', 'flush'], kind: 'dropped' },
          { calls: ['drop', 'flush'], kind: 'dropped' },
          { calls: ['reset', 'drop', 'flush'], kind: 'aborted' },
        ] as const;
        for (const { calls, kind } of ways) {
          const { client } = await stage.pair();
          await stage.clog(client);
          const { queued } = client.channel;
          for (const how of calls) client.channel.destroy(how);
          await stage.closed(client);
          assert.deepEqual(client.log, [`close:${kind}`], calls.join(' then '));
          if (client.closedWith?.kind === 'dropped') assert.equal(client.closedWith.unsent, queued);
        }
      }),
    );

    test(
      'a flush that waits for its peer can be overtaken later too',
      staged(make, async (stage) => {
        for (const [how, kind] of [
          ['drop', 'dropped'],
          ['reset', 'aborted'],
        ] as const) {
          const { client } = await stage.pair();
          await stage.clog(client);
          client.channel.destroy('flush');
          await stage.still();
          assert.deepEqual(client.log, []);
          client.channel.destroy(how);
          await stage.closed(client);
          assert.deepEqual(client.log, [`close:${kind}`]);
        }
      }),
    );

    test(
      "destroy('reset') in the same turn as shutdown resets",
      staged(make, async (stage) => {
        for (const queue of [false, true]) {
          const { client, server } = await stage.pair();
          server.channel.flow(true);
          if (queue) client.channel.send(pattern(5_000_000));
          client.channel.shutdown();
          client.channel.destroy('reset');
          await stage.closed(client);
          assert.deepEqual(client.log, ['close:aborted']);
          server.channel.shutdown();
          await stage.closed(server);
        }
      }),
    );

    test(
      'destroyed inside of data, no more data comes and the close comes once',
      staged(make, async (stage) => {
        for (const how of ['flush', 'drop', 'reset'] as const) {
          const { client, server } = await stage.pair();
          client.channel.send(pattern(1_000_000));
          await stage.still();
          server.habits = { data: () => server.channel.destroy(how) };
          server.channel.flow(true);
          await stage.closed(server);
          await stage.still();
          assert.equal(server.batches, 1, how);
          assert.equal(server.log.length, 2, how);
        }
      }),
    );

    test(
      'destroyed inside of end, and inside of writable, it closes once',
      staged(make, async (stage) => {
        const one = await stage.pair();
        one.server.habits = { end: () => one.server.channel.destroy('drop') };
        one.server.channel.flow(true);
        one.client.channel.shutdown();
        const two = await stage.pair();
        two.server.habits = { writable: () => two.server.channel.destroy('flush') };
        two.server.channel.wantWritable();
        await stage.closed(one.server, two.server);
        assert.deepEqual(one.server.log, ['end', 'close:dropped']);
        assert.deepEqual(two.server.log, ['writable', 'close:closed']);
      }),
    );

    test(
      'calls on a closed channel do nothing and return 0, null or undefined',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        client.channel.flow(true);
        server.channel.flow(true);
        const { remote } = client.channel;
        client.channel.shutdown();
        server.channel.shutdown();
        await stage.closed(client, server);
        const { channel } = client;
        assert.equal(channel.closed, true);
        assert.equal(channel.send(bytesOf('x')), 0);
        assert.equal(channel.sendAll([bytesOf('x')]), 0);
        assert.equal(channel.queued, 0);
        assert.equal(channel.release(), null);
        assert.equal(channel.flow(false), undefined);
        assert.equal(channel.flow(true), undefined);
        assert.equal(channel.wantWritable(), undefined);
        assert.equal(channel.shutdown(), undefined);
        for (const how of ['flush', 'drop', 'reset'] as const) assert.equal(channel.destroy(how), undefined);
        assert.equal(channel.set({ kind: 'noDelay', on: true }), undefined);
        assert.equal(channel.ref(true), undefined);
        assert.deepEqual(channel.remote, remote);
        await stage.still();
        assert.deepEqual(client.log, ['end', 'close:ended']);
      }),
    );

    test(
      'closed is true when the close is told',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        let then = false;
        server.habits = {
          close() {
            then = server.channel.closed;
          },
        };
        assert.equal(server.channel.closed, false);
        server.channel.flow(true);
        server.channel.shutdown();
        client.channel.flow(true);
        client.channel.shutdown();
        await stage.closed(server, client);
        assert.equal(then, true);
      }),
    );

    test(
      'options can be set at any time, also those that the kind of socket lacks',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        for (const { channel } of [client, server]) {
          channel.set({ kind: 'noDelay', on: true });
          channel.set({ kind: 'noDelay', on: false });
          channel.set({ kind: 'keepAlive', on: true, delay: 60_000 });
          channel.set({ kind: 'keepAlive', on: false, delay: 0 });
          channel.ref(false);
          channel.ref(true);
          channel.ref(true);
        }
        server.channel.flow(true);
        client.channel.send(bytesOf('still alive'));
        await stage.received(server, 11);
      }),
    );

    test(
      'a peer that resets at any moment ends the channel once and throws nothing',
      staged(make, async (stage) => {
        const moments: ((server: Recorder) => Promise<void> | void)[] = [
          () => {},
          ({ channel }) => channel.flow(true),
          ({ channel }) => {
            channel.flow(true);
            channel.flow(false);
          },
          ({ channel }) => void channel.send(bytesOf('x')),
          async (server) => void (await stage.clog(server)),
          async (server) => {
            await stage.clog(server);
            server.channel.wantWritable();
          },
          async (server) => {
            await stage.clog(server);
            server.channel.destroy('flush');
          },
          async (server) => {
            await stage.clog(server);
            server.channel.shutdown();
          },
          ({ channel }) => channel.shutdown(),
          ({ channel }) => {
            channel.shutdown();
            channel.flow(true);
          },
          ({ channel }) => channel.destroy('flush'),
          ({ channel }) => channel.destroy('drop'),
          ({ channel }) => channel.destroy('reset'),
          ({ channel }) => channel.wantWritable(),
        ];
        for (const moment of moments) {
          for (const same of [true, false]) {
            const { client, server } = await stage.pair();
            await moment(server);
            if (!same) await stage.still();
            client.channel.destroy('reset');
            if (same) server.channel.send(bytesOf('into the reset'));
            await stage.closed(client);
            server.channel.flow(true);
            server.channel.shutdown();
            await stage.closed(server);
            assert.equal(server.log.filter((event) => event.startsWith('close:')).length, 1);
            assert.ok(server.log.at(-1)?.startsWith('close:'));
          }
        }
      }),
    );
  });
}
