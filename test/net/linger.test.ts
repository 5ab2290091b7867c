import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { CloseReason } from '../../src/net/close-reason.ts';
import { endAll, onEachNet, pairOn } from '../support/nets.ts';

interface Scene {
  readonly clock: VirtualClock;
  readonly server: Connection;
  readonly client: Connection;
  /** Why the server's end is over, once it is. */
  reason: CloseReason | null;
}

async function scene(linger?: number): Promise<Scene> {
  const clock = new VirtualClock();
  const { transport } = memoryNetwork({ clock, seed: 1, bufferSize: 1_000 });
  const scope = new Scope({ clock, parent: null });
  const place = { host: '127.0.0.1', port: 4_000 };
  const listener = await scope.run(() => listen({ ...place, transport, linger }));
  const [server, client] = await clock.run(
    scope.run(() => Promise.all([listener.accept(), connect(place, { transport, readAhead: 1 })])),
  );
  await listener.close();
  const made: Scene = { clock, server, client, reason: null };
  void server.closed.then((reason) => (made.reason = reason));
  return made;
}

async function over({ clock, server, client }: Scene): Promise<void> {
  await clock.run(endAll(server, client));
  await clock.settle();
  assert.equal(clock.armed, 0, 'a timer is left');
}

describe('the linger time', () => {
  for (const [what, linger, ms] of [
    ['is 5 seconds by default', undefined, 5_000],
    ['is what it was set to', 300, 300],
  ] as const)
    test(`${what}, for a peer that does not end its side`, async () => {
      const s = await scene(linger);
      void s.server.close();
      await s.clock.advance(ms - 1);
      assert.equal(s.reason, null);
      await s.clock.advance(1);
      assert.deepEqual(s.reason, { kind: 'closed' });
      await over(s);
    });

  test('is not waited for when the peer ends its side, and leaves no timer', async () => {
    const s = await scene(300);
    void s.server.close();
    await s.clock.advance(100);
    void s.client.close();
    await s.clock.settle();
    assert.deepEqual(s.reason, { kind: 'closed' });
    assert.equal(s.clock.armed, 0);
    await over(s);
  });

  test('drops what a peer that takes nothing has not taken', async () => {
    const s = await scene(300);
    void s.server.write(Buffer.alloc(10_000));
    void s.server.close();
    await s.clock.advance(299);
    assert.equal(s.reason, null);
    await s.clock.advance(1);
    assert.deepEqual(s.reason, { kind: 'dropped', unsent: 9_000 });
    await over(s);
  });

  test('begins anew while the peer takes some of the output, so that it gets all of it', async () => {
    const s = await scene(300);
    void s.server.write(Buffer.alloc(10_000));
    void s.server.close();
    let taken = 0;
    while (taken < 10_000) {
      taken += (await s.clock.run(s.client.read()))?.length ?? 0;
      await s.clock.settle();
      // The last of it is with the kernel before it is read.
      if (taken < 9_000) {
        await s.clock.advance(290);
        assert.equal(s.reason, null, `after ${taken} bytes`);
      }
    }
    assert.ok(s.clock.now() > 2_000);
    assert.equal(await s.clock.run(s.client.read()), null);
    void s.client.close();
    await s.clock.settle();
    assert.deepEqual(s.reason, { kind: 'closed' });
    await over(s);
  });

  test('begins anew twelve times at most', async () => {
    const s = await scene(300);
    void s.server.write(Buffer.alloc(100_000));
    void s.server.close();
    for (let time = 0; time < 3_599; time += 1) {
      await s.clock.advance(1);
      if (time % 100 === 0) await s.clock.run(s.client.read());
      assert.equal(s.reason, null, `after ${time} ms`);
    }
    await s.clock.advance(1);
    assert.equal(s.reason?.kind, 'dropped');
    await over(s);
  });

  test('of 0 drops at once', async () => {
    const s = await scene(0);
    void s.server.write(Buffer.alloc(10_000));
    void s.server.close();
    await s.clock.settle();
    assert.deepEqual(s.reason, { kind: 'dropped', unsent: 9_000 });
    await over(s);
  });

  test('ends a connection that missed a deadline too, which keeps its reason', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock, seed: 1 });
    const scope = new Scope({ clock, parent: null });
    const place = { host: '127.0.0.1', port: 4_000 };
    const listener = await scope.run(() => listen({ ...place, transport, linger: 300, deadlines: { life: 1_000 } }));
    const [server, client] = await clock.run(
      scope.run(() => Promise.all([listener.accept(), connect(place, { transport })])),
    );
    await listener.close();
    let reason: CloseReason | null = null;
    void server.closed.then((why) => (reason = why));
    await clock.advance(1_299);
    assert.equal(reason, null);
    await clock.advance(1);
    assert.deepEqual(reason, { kind: 'timeout', deadline: 'life', after: 1_000 });
    await clock.run(endAll(client));
    await clock.settle();
    assert.equal(clock.armed, 0);
  });
});

onEachNet('the linger time', (net) => {
  test('begins anew within one large write, of which the kernel takes a piece now and then', async () => {
    const { server, client } = await pairOn(net, { server: { linger: 250 } });
    void server.write(Buffer.alloc(40_000_000));
    let reason: CloseReason | null = null;
    const closed = server.close().then((why) => (reason = why));
    let taken = 0;
    const began = performance.now();
    while (performance.now() - began < 1_000) {
      for (let i = 0; i < 16; i += 1) taken += (await client.read())?.length ?? 0;
      assert.equal(reason, null, `after ${taken} bytes`);
      await new Promise((resolve) => {
        setTimeout(resolve, 60);
      });
    }
    assert.ok(taken < 30_000_000, 'too fast for the test');
    await closed;
    assert.equal((reason as CloseReason | null)?.kind, 'dropped');
    await endAll(client);
  });
});
