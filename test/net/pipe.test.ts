import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { link } from '../../src/net/connection.ts';
import type { ListenOptions } from '../../src/net/listen.ts';
import type { PipeResult } from '../../src/net/pipe.ts';
import { pipe } from '../../src/net/pipe.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { Net } from '../support/nets.ts';
import { endAll, onEachNet, pairOn, readAll } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';

interface Joined {
  /** The outer ends: what `left` writes, `right` reads. */
  readonly left: Connection;
  readonly right: Connection;
  /** The inner ends, which are piped. */
  readonly first: Connection;
  readonly second: Connection;
}

async function ends(net: Net, options: { server?: ListenOptions; client?: ConnectOptions } = {}): Promise<Joined> {
  const a = await pairOn(net, options);
  const b = await pairOn(net, options);
  return { left: a.client, first: a.server, second: b.client, right: b.server };
}

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());

/** Bytes that tell where they stand. */
function pattern(length: number, salt: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE((i * 2_654_435_761 + salt) >>> 0, i);
  return bytes;
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function writeAll(connection: Connection, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += 50_000) await connection.write(bytes.subarray(at, at + 50_000));
  await connection.closeWrite();
}

const MB5 = 5_000_000;

onEachNet('a pipe', (net) => {
  test('carries bytes both ways at once, in bulk, and tells how many', async () => {
    const rejections = unhandled();
    const { left, right, first, second } = await ends(net);
    const there = pattern(MB5, 1);
    const back = pattern(MB5, 2);
    const joined = pipe(first, second);
    const [gotThere, gotBack] = await Promise.all([
      readAll(right),
      readAll(left),
      writeAll(left, there),
      writeAll(right, back),
    ]);
    assert.equal(digest(gotThere), digest(there));
    assert.equal(digest(gotBack), digest(back));
    assert.deepEqual(await joined, {
      forth: MB5,
      back: MB5,
      first: { kind: 'ended' },
      second: { kind: 'ended' },
    } satisfies PipeResult);
    await Promise.all([left.closed, right.closed]);
    assert.deepEqual(await rejections(), []);
  });

  test('with a slow reader on either side it holds the writer up, and what is queued stays bounded', async () => {
    for (const slow of ['left', 'right'] as const) {
      const joined = await ends(net, { server: { highWaterMark: 16_384 }, client: { highWaterMark: 16_384 } });
      const { first, second } = joined;
      const result = pipe(first, second);
      const sent = pattern(MB5, 3);
      const [reader, writer] = slow === 'left' ? [joined.left, joined.right] : [joined.right, joined.left];
      const writing = writeAll(writer, sent);
      const chunks: Uint8Array[] = [];
      let most = 0;
      for (let turn = 0; turn < 60; turn += 1) {
        await new Promise(setImmediate);
        most = Math.max(most, first.queuedBytes, second.queuedBytes);
      }
      for (let turn = 0; ; turn += 1) {
        const bytes = await reader.read({ max: 65_536 });
        if (bytes === null) break;
        chunks.push(bytes);
        if (turn % 4 === 0) await new Promise(setImmediate);
        most = Math.max(most, first.queuedBytes, second.queuedBytes);
      }
      await writing;
      assert.equal(digest(Buffer.concat(chunks)), digest(sent));
      // The high-water mark, and the one chunk that crossed it.
      assert.ok(most <= 16_384 + 65_536, `${most} bytes were queued`);
      await reader.closeWrite();
      assert.equal(await writer.read(), null);
      const { forth, back } = await result;
      assert.deepEqual([forth, back], slow === 'left' ? [0, MB5] : [MB5, 0]);
      await Promise.all([reader.closed, writer.closed]);
    }
  });

  test('both sides full at once is no deadlock', async () => {
    const { left, right, first, second } = await ends(net, {
      server: { highWaterMark: 1_024, readAhead: 1_024 },
      client: { highWaterMark: 1_024, readAhead: 1_024 },
    });
    const joined = pipe(first, second);
    const sent = pattern(MB5, 4);
    const writing = [writeAll(left, sent), writeAll(right, sent)];
    // Nobody reads for a while, until everything between is full.
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
    const got = await Promise.all([readAll(left), readAll(right)]);
    await Promise.all(writing);
    for (const bytes of got) assert.equal(digest(bytes), digest(sent));
    assert.equal((await joined).forth, MB5);
  });

  test('passes a half-close on, either way, while the other direction goes on', async () => {
    for (const flip of [false, true]) {
      const joined = await ends(net);
      const [asking, answering] = flip ? [joined.right, joined.left] : [joined.left, joined.right];
      const result = pipe(joined.first, joined.second);
      await asking.write('question');
      await asking.closeWrite();
      assert.equal((await readAll(answering)).toString(), 'question');
      await answering.write('answer');
      assert.equal(text(await asking.readExactly(6)), 'answer');
      await answering.closeWrite();
      assert.equal(await asking.read(), null);
      const { first, second } = await result;
      assert.deepEqual([first.kind, second.kind], ['ended', 'ended']);
    }
  });

  test('bytes that were read before and not taken go first, in order', async () => {
    const { left, right, first, second } = await ends(net);
    await left.write('head\nbody, ');
    assert.equal(await first.readLine(), 'head');
    first.unread(Buffer.from('unread and '));
    await right.write('reply\nmore, ');
    assert.equal(await second.readLine(), 'reply');
    const joined = pipe(first, second);
    await left.write('tail');
    await left.closeWrite();
    await right.write('rest');
    await right.closeWrite();
    assert.equal((await readAll(right)).toString(), 'unread and body, tail');
    assert.equal((await readAll(left)).toString(), 'more, rest');
    const { forth, back } = await joined;
    assert.deepEqual([forth, back], [21, 10]);
  });

  test('more than the write limit that was read before goes through, and so does a peer’s end that was seen already', async () => {
    const small = { highWaterMark: 1_024, writeLimit: 2_048 };
    const { left, right, first, second } = await ends(net, { server: small, client: small });
    // More than any kernel takes at once, in many pieces.
    const sent = pattern(32_000_000, 5);
    await left.closeWrite();
    assert.equal(await first.read(), null);
    for (let at = sent.length - 1_000_000; at >= 0; at -= 1_000_000) first.unread(sent.subarray(at, at + 1_000_000));
    const joined = pipe(first, second);
    assert.equal(digest(await readAll(right)), digest(sent));
    await right.closeWrite();
    assert.equal(await left.read(), null);
    assert.deepEqual(await joined, { forth: 32_000_000, back: 0, first: { kind: 'ended' }, second: { kind: 'ended' } });
  });

  test('corks are taken out, what they held back goes first', async () => {
    const { left, right, first, second } = await ends(net);
    second.cork();
    second.cork();
    void second.write('held back, ');
    const joined = pipe(first, second);
    await left.write('then this');
    assert.equal(text(await right.readExactly(20)), 'held back, then this');
    await left.closeWrite();
    assert.equal(await right.read(), null);
    await right.closeWrite();
    await readAll(left);
    assert.equal((await joined).forth, 9);
  });

  test('a reset on one side resets the other, with the first as the cause', async () => {
    for (const flip of [false, true]) {
      const rejections = unhandled();
      const { left, right, first, second } = await ends(net);
      const [angry, other, near, far] = flip ? [right, left, second, first] : [left, right, first, second];
      const joined = pipe(first, second);
      await angry.write('before');
      assert.equal(text(await other.readExactly(6)), 'before');
      const reading = other.read();
      angry.abort();
      await assert.rejects(reading, { code: 'ECONNRESET' });
      const result = await joined;
      const [nearReason, farReason] = flip ? [result.second, result.first] : [result.first, result.second];
      assert.equal(nearReason.kind, 'reset');
      assert.ok(farReason.kind === 'aborted' && farReason.cause === nearReason);
      assert.equal(near.closeReason, nearReason);
      assert.equal(far.closeReason, farReason);
      assert.deepEqual(await rejections(), []);
    }
  });

  test('closing one end by hand closes the other in order, and aborting one aborts the other', async () => {
    const one = await ends(net);
    const joined = pipe(one.first, one.second);
    await one.left.write('last words');
    assert.equal(text(await one.right.readExactly(10)), 'last words');
    void one.first.close();
    assert.equal(await one.left.read(), null);
    await one.left.closeWrite();
    assert.equal(await one.right.read(), null);
    await one.right.closeWrite();
    const { first, second } = await joined;
    assert.equal(first.kind, 'closed');
    assert.match(second.kind, /^(closed|ended)$/u);
    await endAll(one.left, one.right);

    const two = await ends(net);
    const aborted = pipe(two.first, two.second);
    const reading = two.left.read();
    two.second.abort('enough');
    await assert.rejects(reading, { code: 'ECONNRESET' });
    const reasons = await aborted;
    assert.deepEqual(reasons.second, { kind: 'aborted', cause: 'enough' });
    assert.deepEqual(reasons.first, { kind: 'aborted', cause: reasons.second });
    await endAll(two.left, two.right);
  });

  test('connections that are over already end it at once, whatever they ended of', async () => {
    const rejections = unhandled();
    const both = await ends(net);
    await endAll(both.first, both.second);
    assert.deepEqual(await pipe(both.first, both.second), {
      forth: 0,
      back: 0,
      first: { kind: 'aborted', cause: undefined },
      second: { kind: 'aborted', cause: undefined },
    });
    await endAll(both.left, both.right);

    const one = await ends(net);
    await endAll(one.first);
    const { first, second } = await pipe(one.first, one.second);
    assert.equal(first.kind, 'aborted');
    assert.ok(second.kind === 'aborted' && second.cause === first);
    await endAll(one.left, one.right);

    const closed = await ends(net);
    await closed.second.close({ linger: 0 });
    const joined = pipe(closed.first, closed.second);
    void closed.left.write('to nobody');
    void closed.left.closeWrite();
    const result = await joined;
    assert.equal(result.second.kind, 'closed');
    assert.match(result.first.kind, /^(closed|ended)$/u);
    assert.equal(result.forth, 0);
    await endAll(closed.left, closed.right);
    assert.deepEqual(await rejections(), []);
  });

  test('a connection that was released is none any more: the other is closed', async () => {
    const { left, right, first, second } = await ends(net);
    const released = await first.release();
    const joined = pipe(first, second);
    assert.equal(await right.read(), null);
    await right.closeWrite();
    assert.equal((await joined).first.kind, 'released');
    net.transport.adopt(released).destroy('reset');
    await endAll(left, right);
  });

  test('an output that was ended by hand takes nothing more, and the other direction goes on to its end', async () => {
    const { left, right, first, second } = await ends(net);
    await second.closeWrite();
    const joined = pipe(first, second);
    await left.write('lost');
    await right.write('carried');
    assert.equal(text(await left.readExactly(7)), 'carried');
    await right.closeWrite();
    assert.equal(await left.read(), null);
    await left.closeWrite();
    const { forth, back } = await joined;
    assert.deepEqual([forth, back], [0, 7]);
    await endAll(right);
  });

  test('a reading side that was closed by hand counts as ended', async () => {
    const { left, right, first, second } = await ends(net);
    first.closeRead();
    const joined = pipe(first, second);
    assert.equal(await right.read(), null);
    await right.write('one way');
    await right.closeWrite();
    assert.equal((await readAll(left)).toString(), 'one way');
    await left.closeWrite();
    const { forth, back } = await joined;
    assert.deepEqual([forth, back], [0, 7]);
  });

  test('while a read waits on either it is ERR_PORTSIDE_READ_BUSY, and both are left as they were', async () => {
    const { left, right, first, second } = await ends(net);
    const reading = second.read();
    await assert.rejects(pipe(first, second), { code: 'ERR_PORTSIDE_READ_BUSY', op: 'pipe' });
    await assert.rejects(pipe(second, first), { code: 'ERR_PORTSIDE_READ_BUSY', op: 'pipe' });
    await right.write('for the read');
    assert.equal(text(await reading), 'for the read');
    await left.write('still mine');
    assert.equal(text(await first.readExactly(10)), 'still mine');
    await assert.rejects(pipe(first, first), { code: 'ERR_PORTSIDE_OPTIONS' });
    await endAll(left, right, first, second);
  });

  test('resets at whatever moment leave nothing unhandled and both sides over', async () => {
    const rejections = unhandled();
    for (let round = 0; round < 20; round += 1) {
      const { left, right, first, second } = await ends(net);
      const joined = pipe(first, second);
      void left.write(pattern(round * 40_000, round));
      void right.write(pattern(300_000, round));
      for (let turn = 0; turn < round % 7; turn += 1) await new Promise(setImmediate);
      (round % 2 === 0 ? left : right).abort();
      const result = await joined;
      assert.ok([result.first.kind, result.second.kind].includes('aborted'), JSON.stringify(result));
      await endAll(left, right);
    }
    assert.deepEqual(await rejections(), []);
  });
});

describe('a pipe over a network in memory', () => {
  test('what is queued for a slow taker arrives whole, longer than linger after both sides have ended', async () => {
    const clock = new VirtualClock();
    const network = memoryNetwork({ clock, seed: 5, bufferSize: 4_096 });
    const scope = new Scope({ parent: null, clock });
    const net: Net = { name: 'memory', transport: network.transport };
    await scope.run(async () => {
      const { left, right, first, second } = await clock.run(ends(net));
      assert.ok(link(first).settings.linger === 5_000);
      const joined = pipe(first, second);
      // `right` has said all it had to say, and takes 1,000 bytes per second of 60,000.
      network.faults({ slowReader: { rate: 1_000, side: 'server' } }, second.remote);
      const sent = pattern(60_000, 6);
      void right.closeWrite();
      void left.write(sent);
      void left.closeWrite();
      const [got, ended] = await clock.run(Promise.all([readAll(right), readAll(left)]));
      assert.equal(digest(got), digest(sent));
      assert.equal(ended.length, 0);
      assert.ok(clock.now() > 50_000, String(clock.now()));
      const result = await clock.run(joined);
      assert.deepEqual(result, { forth: 60_000, back: 0, first: { kind: 'ended' }, second: { kind: 'ended' } });
      await clock.run(Promise.all([left.closed, right.closed]));
    });
    assert.equal(network.open, 0);
    assert.equal(clock.armed, 0);
    await scope.close();
  });
});
