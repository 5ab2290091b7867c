import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import type { Released } from '../../src/transport/contract.ts';
import { bytesOf, pattern } from './recorder.ts';
import { staged } from './stage.ts';
import type { Make } from './stage.ts';

/** Promises about giving a connection up and taking it over. */
export function handing(make: Make): void {
  describe('release and adopt', () => {
    test(
      'a connection goes on where it was, in both directions, and keeps its addresses',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const { local, remote } = server.channel;
        server.channel.flow(true);
        client.channel.flow(true);
        client.channel.send(bytesOf('before '));
        await stage.received(server, 7);
        const released = server.release();
        client.channel.send(bytesOf('between '));
        await stage.still();
        const next = stage.record(stage.transport.adopt(released));
        await stage.still();
        assert.deepEqual(next.log, [], 'flow is off at first');
        assert.deepEqual([next.channel.local, next.channel.remote], [local, remote]);
        client.channel.send(bytesOf('after'));
        client.channel.shutdown();
        next.channel.flow(true);
        await stage.until(() => next.log.includes('end'), 'the end');
        next.channel.send(bytesOf('reply'));
        next.channel.shutdown();
        await stage.closed(client, next);
        assert.deepEqual(server.log, ['data:before '], 'the old sink hears nothing more');
        assert.deepEqual(next.log, ['data:between after', 'end', 'close:ended']);
        assert.deepEqual(client.log, ['data:reply', 'end', 'close:ended']);
      }),
    );

    test(
      'no byte is lost or doubled, whenever it is released',
      staged(make, async (stage) => {
        const bytes = pattern(400_000);
        const { client, server } = await stage.pair();
        client.channel.send(bytes);
        client.channel.shutdown();
        let got = Buffer.alloc(0);
        let holder = server;
        for (let hop = 0; hop < 4; hop++) {
          const batch = holder.batches;
          holder.habits = { data: () => holder.channel.flow(false) };
          holder.channel.flow(true);
          await stage.until(() => holder.batches > batch, 'a batch');
          if (hop % 2 === 1) await stage.still();
          const released = holder.release();
          got = Buffer.concat([got, holder.bytes]);
          holder = stage.record(stage.transport.adopt(released));
        }
        holder.channel.flow(true);
        await stage.until(() => holder.log.includes('end'), 'the end');
        assert.ok(Buffer.concat([got, holder.bytes]).equals(bytes));
      }),
    );

    test(
      'released inside of data, the rest of the batch goes along',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        let released: Released | null = null;
        server.habits = {
          data() {
            released = server.channel.release();
          },
        };
        const bytes = pattern(200_000);
        client.channel.send(bytes);
        server.channel.flow(true);
        await stage.until(() => released !== null, 'data');
        const next = stage.record(stage.transport.adopt(released as unknown as Released));
        next.channel.flow(true);
        await stage.until(() => server.received + next.received === bytes.length, 'the rest');
        assert.equal(server.batches, 1);
        assert.ok(Buffer.concat([server.bytes, next.bytes]).equals(bytes));
      }),
    );

    test(
      'unread bytes that are put back come first, in order, and flow can be turned off between them',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        client.channel.send(bytesOf('four'));
        const released = server.release();
        const next = stage.record(
          stage.transport.adopt({
            ...released,
            unread: [bytesOf('one '), bytesOf('two '), ...released.unread, bytesOf('three ')],
          }),
        );
        next.habits = { data: () => next.channel.flow(false) };
        next.channel.flow(true);
        assert.deepEqual(next.log, [], 'not within the call');
        await stage.until(() => next.batches > 0, 'the first');
        await stage.still();
        const afterFirst = next.log[0];
        next.habits = {};
        next.channel.flow(true);
        await stage.received(next, 18);
        assert.equal(next.log[0], 'data:one two three four');
        // A backend may join what was put back, never what it read later.
        assert.ok(['data:one ', 'data:one two three '].includes(afterFirst ?? ''), afterFirst);
      }),
    );

    test(
      'an end that was heard before is heard again by the new sink, behind the unread bytes',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        client.channel.flow(true);
        client.channel.shutdown();
        await stage.until(() => server.log.includes('end'), 'the end');
        const released = server.release();
        assert.equal(released.ended, true);
        const next = stage.record(stage.transport.adopt({ ...released, unread: [bytesOf('put back')] }));
        next.channel.flow(true);
        await stage.until(() => next.log.includes('end'), 'the end again');
        next.channel.send(bytesOf('still open'));
        next.channel.shutdown();
        await stage.closed(next, client);
        assert.deepEqual(next.log, ['data:put back', 'end', 'close:ended']);
        assert.deepEqual(client.log, ['data:still open', 'end', 'close:ended']);
      }),
    );

    test(
      'there is no release while output is queued; there is one after writable',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const sent = await stage.clog(client);
        assert.equal(client.channel.release(), null);
        client.channel.wantWritable();
        server.channel.flow(true);
        await stage.until(() => client.log.includes('writable'), 'writable');
        const next = stage.record(stage.transport.adopt(client.release()));
        next.channel.send(bytesOf('x'));
        await stage.received(server, sent + 1);
      }),
    );

    test(
      'a channel that is destroyed or closed is not released, and a released one ignores all calls',
      staged(make, async (stage) => {
        const one = await stage.pair();
        one.server.channel.destroy('drop');
        assert.equal(one.server.channel.release(), null);
        await stage.closed(one.server);
        assert.equal(one.server.channel.release(), null);

        const two = await stage.pair();
        two.server.channel.flow(true);
        const released = two.server.release();
        const old = two.server.channel;
        assert.equal(old.release(), null);
        assert.equal(old.send(bytesOf('ghost')), 0);
        old.flow(true);
        old.shutdown();
        old.wantWritable();
        old.destroy('reset');
        two.client.channel.flow(true);
        await stage.still();
        assert.deepEqual(two.client.log, []);
        const next = stage.record(stage.transport.adopt(released));
        next.channel.send(bytesOf('alive'));
        await stage.received(two.client, 5);
        assert.deepEqual(two.server.log, []);
      }),
    );

    test(
      'a peer that resets while nobody holds the connection is told to who adopts it',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        server.channel.flow(true);
        client.channel.send(bytesOf('x'));
        await stage.received(server, 1);
        const released = server.release();
        client.channel.destroy('reset');
        await stage.closed(client);
        await stage.still();
        const next = stage.record(stage.transport.adopt(released));
        next.channel.flow(true);
        if (!stage.resets) next.channel.shutdown();
        await stage.closed(next);
        if (stage.resets) assert.deepEqual(next.log, ['close:reset']);
      }),
    );

    test(
      'what the backend can not adopt is refused with ERR_PORTSIDE_UNSUPPORTED',
      staged(make, async (stage) => {
        const { flags } = stage.transport;
        const strange: Released = flags.memory
          ? { kind: 'socket', socket: {}, unread: [], ended: false }
          : { kind: 'memory', end: {}, unread: [], ended: false };
        assert.throws(
          () => stage.transport.adopt(strange),
          (error) => isPortsideError(error) && error.code === 'ERR_PORTSIDE_UNSUPPORTED',
        );
      }),
    );
  });
}
