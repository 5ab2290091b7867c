import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemCode } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { link } from '../../src/net/connection.ts';
import type { DeadlineName, DeadlineOptions } from '../../src/net/deadlines.ts';
import { listen } from '../../src/net/listen.ts';
import type { ListenOptions } from '../../src/net/listen.ts';
import { after } from '../../src/sync/combinators.ts';
import { select } from '../../src/sync/synchronize.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { endAll } from '../support/nets.ts';

interface Pair {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly scope: Scope;
  readonly server: Connection;
  readonly client: Connection;
}

/** Two ends in a time of their own. */
async function pair(
  options: { server?: ListenOptions; client?: ConnectOptions; bufferSize?: number } = {},
): Promise<Pair> {
  const clock = new VirtualClock();
  const network = memoryNetwork({ clock, seed: 1, bufferSize: options.bufferSize ?? 1_000 });
  const scope = new Scope({ clock, parent: null });
  const place = { host: '127.0.0.1', port: 4_000 };
  const { transport } = network;
  const listener = await scope.run(() => listen({ ...place, transport, ...options.server }));
  const [server, client] = await clock.run(
    scope.run(() => Promise.all([listener.accept(), connect(place, { transport, ...options.client })])),
    { limit: 0 },
  );
  await listener.close();
  return { clock, network, scope, server, client };
}

function withDeadlines(deadlines: DeadlineOptions): Promise<Pair> {
  return pair({ server: { deadlines, linger: 500 } });
}

/** Nothing has ended it yet; a millisecond later the deadline has. */
async function endsIn(
  clock: VirtualClock,
  conn: Connection,
  ms: number,
  deadline: DeadlineName,
  limit: number,
): Promise<void> {
  await clock.advance(ms - 1);
  assert.equal(link(conn).closing, false, `${deadline} came early`);
  await clock.advance(1);
  assert.equal(link(conn).closing, true, `${deadline} did not come in time`);
  assert.deepEqual(link(conn).why, { kind: 'timeout', deadline, after: limit });
}

async function over({ clock, server, client }: Pair): Promise<void> {
  await clock.run(endAll(server, client));
  await clock.settle();
  assert.equal(clock.armed, 0, 'a timer is left');
}

describe('the deadline', () => {
  test('of the first byte counts from the accept, and no longer once there was a byte', async () => {
    const mute = await withDeadlines({ firstByte: 300 });
    const reading = mute.server.read();
    const failed = assert.rejects(reading, { code: 'ERR_PORTSIDE_TIMEOUT', op: 'read' });
    await endsIn(mute.clock, mute.server, 300, 'firstByte', 300);
    await failed;
    void mute.client.close();
    assert.deepEqual(await mute.clock.run(mute.server.closed), { kind: 'timeout', deadline: 'firstByte', after: 300 });
    await over(mute);

    const talking = await withDeadlines({ firstByte: 300 });
    void talking.server.read();
    await talking.clock.advance(299);
    void talking.client.write('x');
    await talking.clock.advance(1_000_000);
    assert.equal(talking.server.signal.aborted, false);
    await over(talking);
  });

  test('of the first byte does not count output, nor once the peer has ended', async () => {
    const own = await withDeadlines({ firstByte: 300 });
    void own.server.read().catch(() => null);
    await own.clock.advance(200);
    void own.server.write('hello');
    await endsIn(own.clock, own.server, 100, 'firstByte', 300);
    await over(own);

    const ended = await withDeadlines({ firstByte: 300 });
    void ended.client.closeWrite();
    assert.equal(await ended.clock.run(ended.server.read()), null);
    await ended.clock.advance(1_000);
    assert.equal(link(ended.server).closing, false);
    await over(ended);
  });

  test('of idleness begins anew with every byte, in either direction', async () => {
    const scene = await withDeadlines({ idle: 1_000 });
    const { clock, server, client } = scene;
    const got: string[] = [];
    void (async () => {
      for await (const bytes of server) got.push(Buffer.from(bytes).toString());
    })().catch(() => null);
    await clock.advance(999);
    void client.write('a');
    await clock.advance(999);
    void server.write('b');
    await clock.advance(999);
    void client.write('c');
    assert.equal(link(server).closing, false);
    await clock.settle();
    await endsIn(clock, server, 1_000, 'idle', 1_000);
    assert.deepEqual(got, ['a', 'c']);
    await over(scene);
  });

  test('of idleness holds for a reader and for a writer that is stuck, and not while the peer takes some', async () => {
    const stuck = await withDeadlines({ idle: 1_000, write: Infinity });
    const failed = assert.rejects(stuck.server.write(Buffer.alloc(100_000)), { code: 'ERR_PORTSIDE_TIMEOUT' });
    await endsIn(stuck.clock, stuck.server, 1_000, 'idle', 1_000);
    await stuck.clock.advance(10_000);
    await failed;
    await over(stuck);

    const slow = await pair({
      server: { deadlines: { idle: 1_000, write: Infinity } },
      client: { readAhead: 1 },
      bufferSize: 5_000,
    });
    const { clock, server, client } = slow;
    let written = Infinity;
    void server.write(Buffer.alloc(100_000)).then(() => (written = clock.now()));
    // It takes a little, every 900 ms.
    while (written === Infinity) {
      assert.equal(link(server).closing, false, `after ${clock.now()} ms`);
      await clock.advance(900);
      await clock.run(client.read());
      await clock.settle();
    }
    assert.ok(written > 10_000);
    // All was out with the last piece that was taken.
    await endsIn(clock, server, written + 1_000 - clock.now(), 'idle', 1_000);
    await over(slow);
  });

  test('of life counts from the accept, whatever happens', async () => {
    const scene = await withDeadlines({ life: 5_000, idle: 4_000 });
    const { clock, server, client } = scene;
    void (async () => {
      for await (const bytes of server) await server.write(bytes);
    })().catch(() => null);
    for (let i = 0; i < 49; i += 1) {
      await clock.advance(100);
      void client.write('x');
    }
    await clock.settle();
    await endsIn(clock, server, 100, 'life', 5_000);
    await over(scene);
  });

  test('of reading counts only while a read waits, and begins anew with each, and with every byte', async () => {
    const scene = await withDeadlines({ read: 1_000 });
    const { clock, server, client } = scene;
    // Nobody reads.
    await clock.advance(100_000);
    assert.equal(link(server).closing, false);
    const first = server.readExactly(3);
    await clock.advance(999);
    void client.write('a');
    await clock.advance(999);
    void client.write('b');
    await clock.advance(999);
    void client.write('c');
    assert.equal(Buffer.from((await clock.run(first)) ?? []).toString(), 'abc');
    // Nobody reads again.
    await clock.advance(100_000);
    assert.equal(link(server).closing, false);
    void client.write('d');
    await clock.run(server.read());
    const failed = assert.rejects(server.read(), { code: 'ERR_PORTSIDE_TIMEOUT' });
    await endsIn(clock, server, 1_000, 'read', 1_000);
    await failed;
    await over(scene);
  });

  test('of reading counts for who waits by an event, and for who iterates', async () => {
    const scene = await withDeadlines({ read: 1_000 });
    const { clock, scope, server } = scene;
    const chosen = await clock.run(scope.run(() => select(server.readEvt(), after(999))));
    assert.equal(chosen, undefined);
    await clock.advance(100_000);
    assert.equal(link(server).closing, false);
    const failed = assert.rejects(
      scope.run(() => select(server.readEvt())),
      { code: 'ERR_PORTSIDE_TIMEOUT' },
    );
    await endsIn(clock, server, 1_000, 'read', 1_000);
    await failed;
    await over(scene);

    const iterating = await withDeadlines({ read: 1_000 });
    const loop = (async () => {
      for await (const _ of iterating.server);
    })();
    const stopped = assert.rejects(loop, { code: 'ERR_PORTSIDE_TIMEOUT' });
    await endsIn(iterating.clock, iterating.server, 1_000, 'read', 1_000);
    await stopped;
    await over(iterating);
  });

  test('of writing counts only while output waits, and begins anew whenever the peer takes some', async () => {
    const scene = await withDeadlines({ write: 800 });
    const { clock, server, client } = scene;
    void server.write('small');
    await clock.advance(100_000);
    assert.equal(link(server).closing, false);
    const failed = assert.rejects(server.write(Buffer.alloc(100_000)), { code: 'ERR_PORTSIDE_TIMEOUT', op: 'write' });
    // Within one large piece: it is looked at every 100 ms.
    for (let i = 0; i < 30; i += 1) {
      await clock.advance(700);
      assert.equal(link(server).closing, false, `after ${i} pieces`);
      await clock.run(client.read());
      await clock.settle();
    }
    const { queuedBytes } = server;
    assert.ok(queuedBytes > 0 && queuedBytes < 100_000);
    // What was taken last was taken a moment before a look.
    await clock.advance(799);
    assert.equal(link(server).closing, false);
    await clock.advance(101);
    assert.deepEqual(link(server).why, { kind: 'timeout', deadline: 'write', after: 800 });
    await failed;
    assert.deepEqual(await clock.run(server.closed), { kind: 'timeout', deadline: 'write', after: 800 });
    await over(scene);
  });

  test('of writing is exact for a peer that takes nothing, however much more is written', async () => {
    for (const wait of ['write', 'flushed', 'event'] as const) {
      const scene = await withDeadlines({ write: 800 });
      const { clock, scope, server } = scene;
      const size = wait === 'flushed' ? 5_000 : 70_000;
      const writing = server.write(Buffer.alloc(size));
      const waiting =
        wait === 'write'
          ? writing
          : wait === 'flushed'
            ? server.flushed()
            : scope.run(() => select(server.writableEvt()));
      const outcome = Promise.resolve(waiting).then(
        () => 'awake',
        (error: unknown) => systemCode(error),
      );
      for (let i = 0; i < 7; i += 1) {
        await clock.advance(100);
        void server.write('more');
      }
      await endsIn(clock, server, 100, 'write', 800);
      // There is nothing to wait for any more; a write would say why.
      assert.equal(await outcome, wait === 'event' ? 'awake' : 'ERR_PORTSIDE_TIMEOUT');
      await assert.rejects(server.write('x'), { code: 'ERR_PORTSIDE_TIMEOUT' });
      await over(scene);
    }
  });

  test('of writing is 60 seconds by default, and nobody who waits for nothing is held to it', async () => {
    const scene = await pair();
    const { clock, server, client } = scene;
    void server.write(Buffer.alloc(60_000));
    await clock.advance(1_000_000);
    assert.equal(link(server).closing, false);
    const failed = assert.rejects(server.write(Buffer.alloc(60_000)), { code: 'ERR_PORTSIDE_TIMEOUT' });
    const otherFailed = assert.rejects(client.write(Buffer.alloc(100_000)), { code: 'ERR_PORTSIDE_TIMEOUT' });
    await endsIn(clock, server, 60_000, 'write', 60_000);
    await failed;
    await clock.settle();
    await otherFailed.catch(() => null);
    await over(scene);
  });

  test('of anything holds on the side that connected too', async () => {
    for (const [deadline, options] of [
      ['firstByte', { firstByte: 300 }],
      ['idle', { idle: 300 }],
      ['read', { read: 300 }],
      ['life', { life: 300 }],
      ['write', { write: 300 }],
    ] as const) {
      const scene = await pair({ client: { deadlines: options } });
      void scene.client.read().catch(() => null);
      if (deadline === 'write') void scene.client.write(Buffer.alloc(100_000));
      await endsIn(scene.clock, scene.client, 300, deadline, 300);
      await over(scene);
    }
  });

  test('that comes first is the reason, and the others are silent', async () => {
    const scene = await withDeadlines({ firstByte: 400, idle: 300, read: 500, life: 300 });
    void scene.server.read().catch(() => null);
    await endsIn(scene.clock, scene.server, 300, 'life', 300);
    await scene.clock.advance(10_000);
    assert.deepEqual(await scene.server.closed, { kind: 'timeout', deadline: 'life', after: 300 });
    await over(scene);
  });

  test('is none once the connection is released, and its timer is gone with it', async () => {
    const scene = await withDeadlines({ idle: 300, life: 1_000 });
    await scene.clock.run(scene.server.release());
    assert.deepEqual(await scene.server.closed, { kind: 'released' });
    await scene.clock.advance(10_000);
    assert.equal(scene.clock.armed, 0);
    scene.client.abort();
    await scene.clock.settle();
  });

  test('has to be a time of a millisecond or more', async () => {
    for (const idle of [0, -1, Number.NaN, '5'])
      await assert.rejects(listen({ port: 0, deadlines: { idle: idle as number } }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});

describe('a timeout of one read', () => {
  test('rejects that read in time, closes nothing, and loses no byte', async () => {
    const scene = await pair();
    const { clock, server, client } = scene;
    const outcome: unknown[] = [];
    void server.readExactly(4, { timeout: 250 }).catch((error: unknown) => outcome.push(error));
    void client.write('ab');
    await clock.advance(249);
    assert.deepEqual(outcome, []);
    await clock.advance(1);
    assert.equal(systemCode(outcome[0]), 'ERR_PORTSIDE_TIMEOUT');
    assert.equal(link(server).closing, false);
    void client.write('cd');
    assert.equal(Buffer.from((await clock.run(server.readExactly(4, { timeout: 250 }))) ?? []).toString(), 'abcd');
    assert.equal(clock.armed, 0, 'a read that was answered leaves no timer');
    await over(scene);
  });

  test('is not moved by bytes that are not enough', async () => {
    const scene = await pair();
    const failed = assert.rejects(scene.server.readExactly(100, { timeout: 250 }), { code: 'ERR_PORTSIDE_TIMEOUT' });
    for (let i = 0; i < 5; i += 1) {
      await scene.clock.advance(50);
      void scene.client.write('x');
    }
    await failed;
    assert.equal(scene.clock.now(), 250);
    await over(scene);
  });
});
