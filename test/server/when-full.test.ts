import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkValue } from '../../src/base/options.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { LocalPermits } from '../../src/server/permits.ts';
import type { Server } from '../../src/server/server.ts';
import { whenFullRule, whenFullTiming } from '../../src/server/when-full.ts';
import { Fate, Stage, refusalsOf } from './virtual.ts';

describe('when the server is full', () => {
  test('retries are eleven looks, the last after 5,100 ms, unless told otherwise', () => {
    assert.deepEqual(whenFullTiming({}), { first: 100, every: 500, looks: 11, total: 5_100 });
  });

  test('each part of the retries can be told, and the others keep their defaults', () => {
    assert.deepEqual(whenFullTiming({ retries: 2 }), { first: 100, every: 500, looks: 3, total: 1_100 });
    assert.deepEqual(whenFullTiming({ every: 10 }), { first: 100, every: 10, looks: 11, total: 200 });
    assert.deepEqual(whenFullTiming({ first: 0 }), { first: 0, every: 500, looks: 11, total: 5_000 });
    assert.deepEqual(whenFullTiming({ retries: 0, first: 7 }), { first: 7, every: 500, looks: 1, total: 7 });
  });

  test('waiting has no end, and refusing no looks', () => {
    assert.equal(whenFullTiming('wait').total, Infinity);
    assert.deepEqual(whenFullTiming('refuse'), { first: 0, every: 0, looks: 0, total: 0 });
  });

  test('the rule takes these and refuses what is none of them', () => {
    for (const right of ['wait', 'refuse', {}, { retries: 3, every: 0.5, first: 0 }])
      assert.deepEqual(checkValue('serve', 'whenFull', whenFullRule, right), right);
    for (const wrong of ['drop', 5, null, [], { retries: 1.5 }, { retries: -1 }, { every: Infinity }, { first: '1' }]) {
      assert.throws(() => checkValue('serve', 'whenFull', whenFullRule, wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    assert.throws(
      () => checkValue('serve', 'whenFull', whenFullRule, { retry: 3, every: -1 }),
      /whenFull\.retry is not an option.*whenFull\.every must be/,
    );
  });
});

/** Holds its connection until the client ends its side. */
const holding: Handler = {
  open: (conn) => void conn.write('in'),
  data() {},
};

describe('a client that comes while the server is full', () => {
  /** A server for one, which has one, and so many that wait, who came at the same time. */
  async function full(
    options: ServerOptions,
    waiting = 1,
  ): Promise<{
    stage: Stage;
    server: Server;
    holder: Connection;
    fates: Fate[];
    refused: ReturnType<typeof refusalsOf>;
  }> {
    const stage = new Stage();
    const server = await stage.serve(holding, { maxConnections: 1, ...options });
    const refused = refusalsOf(server);
    const holder = await stage.dial(server);
    await stage.clock.settle();
    assert.equal(server.status().active, 1);
    const fates: Fate[] = [];
    for (let i = 0; i < waiting; i += 1) fates.push(new Fate(await stage.dial(server, `192.0.2.${10 + i}`)));
    await stage.clock.settle();
    return { stage, server, holder, fates, refused };
  }

  async function end({ stage, server, holder, fates }: Awaited<ReturnType<typeof full>>): Promise<void> {
    await stage.end(server, holder, ...fates.map(({ client }) => client));
    assert.equal(server.status().active, 0);
    assert.equal(stage.clock.armed, 0, 'a timer is left');
  }

  test('waits without end, and is served once a place is free', async () => {
    for (const whenFull of ['wait', undefined] as const) {
      const scene = await full({ whenFull });
      const { stage, server, holder, fates, refused } = scene;
      await stage.clock.advance(48 * 60 * 60_000);
      assert.deepEqual({ text: fates[0]?.text, end: fates[0]?.end }, { text: '', end: null });
      assert.equal(server.status().accepted, 1);
      void holder.closeWrite();
      await stage.clock.settle();
      assert.equal(fates[0]?.text, 'in');
      assert.deepEqual(refused, []);
      await end(scene);
    }
  });

  test('is refused at once with `refuse`, and the next is served once a place is free', async () => {
    const scene = await full({ whenFull: 'refuse' }, 3);
    const { stage, server, holder, fates, refused } = scene;
    assert.deepEqual(
      fates.map(({ end: how }) => how),
      ['ECONNRESET', 'ECONNRESET', 'ECONNRESET'],
    );
    assert.deepEqual(
      refused.map(({ refusal }) => refusal),
      Array.from({ length: 3 }, () => ({ kind: 'full', limit: 1 })),
    );
    assert.equal(server.status().refused.full, 3);
    assert.equal(stage.clock.now(), 0);
    void holder.closeWrite();
    await stage.clock.settle();
    const next = new Fate(await stage.dial(server));
    await stage.clock.settle();
    assert.equal(next.text, 'in');
    assert.equal(server.status().refused.full, 3);
    await end({ ...scene, fates: [...fates, next] });
  });

  for (const [what, whenFull, ms] of [
    ['after eleven looks within 5,100 ms by default', {}, 5_100],
    ['after eleven looks within 5,100 ms when that is said', { retries: 10, every: 500, first: 100 }, 5_100],
    ['after its own looks and times', { retries: 2, every: 10, first: 5 }, 25],
    ['after the first look without retries', { retries: 0, first: 7 }, 7],
  ] as const) {
    test(`is refused ${what}, to the millisecond`, async () => {
      const scene = await full({ whenFull });
      const { stage, server, fates, refused } = scene;
      await stage.clock.advance(ms - 1);
      assert.equal(fates[0]?.end, null);
      assert.deepEqual(refused, []);
      await stage.clock.advance(1);
      assert.equal(fates[0]?.end, 'ECONNRESET');
      assert.deepEqual(refused, [{ host: '192.0.2.10', refusal: { kind: 'full', limit: 1 } }]);
      assert.equal(server.status().refused.full, 1);
      await end(scene);
    });
  }

  for (const moment of [0, 1, 99, 100, 101, 2_345, 5_099]) {
    test(`gets the place that becomes free after ${moment} ms, at that moment`, async () => {
      const scene = await full({ whenFull: {} });
      const { stage, holder, fates, refused } = scene;
      await stage.clock.advance(moment);
      void holder.closeWrite();
      await stage.clock.settle();
      assert.equal(fates[0]?.text, 'in');
      await stage.clock.advance(60_000);
      assert.equal(fates[0]?.end, null);
      assert.deepEqual(refused, []);
      await end(scene);
    });
  }

  test('gets a place at its last look that it was not told of in time', async () => {
    const stage = new Stage();
    /** Permits that tell late of what came back, as those of another process may. */
    class Late extends LocalPermits {
      override wait(wake: () => void): () => void {
        let off = (): void => {};
        const timer = stage.clock.after(100, () => (off = super.wait(wake)));
        return () => {
          timer.cancel();
          off();
        };
      }
    }
    const permits = new Late({ connections: 1 }, stage.clock);
    const server = await stage.serve(holding, { permits, whenFull: { retries: 0, first: 50 } });
    const refused = refusalsOf(server);
    const first = await stage.dial(server);
    await stage.clock.settle();
    const second = new Fate(await stage.dial(server));
    await stage.clock.advance(30);
    void first.closeWrite();
    await stage.clock.advance(19);
    assert.equal(second.text, '');
    await stage.clock.advance(1);
    assert.equal(second.text, 'in');
    assert.deepEqual(refused, []);
    await stage.end(server, first, second.client);
    assert.equal(permits.used, 0);
  });

  test('begins to wait when it is the first in the queue, so that each has its own time', async () => {
    const scene = await full({ whenFull: {} }, 3);
    const { stage, fates, refused } = scene;
    const ends = (): (string | null)[] => fates.map(({ end: how }) => how);
    await stage.clock.advance(5_100);
    assert.deepEqual(ends(), ['ECONNRESET', null, null]);
    await stage.clock.advance(5_099);
    assert.deepEqual(ends(), ['ECONNRESET', null, null]);
    await stage.clock.advance(1);
    assert.deepEqual(ends(), ['ECONNRESET', 'ECONNRESET', null]);
    await stage.clock.advance(5_099);
    assert.equal(refused.length, 2);
    await stage.clock.advance(1);
    assert.equal(refused.length, 3);
    // Nobody waits: the next has all of its time.
    await stage.clock.advance(4_000);
    const late = new Fate(await stage.dial(scene.server));
    await stage.clock.advance(5_099);
    assert.equal(late.end, null);
    await stage.clock.advance(1);
    assert.equal(late.end, 'ECONNRESET');
    await end({ ...scene, fates: [...fates, late] });
  });

  test('begins to wait when the one before it got a place', async () => {
    const scene = await full({ whenFull: {} }, 2);
    const { stage, holder, fates } = scene;
    await stage.clock.advance(3_000);
    void holder.closeWrite();
    await stage.clock.settle();
    assert.deepEqual([fates[0]?.text, fates[1]?.text], ['in', '']);
    await stage.clock.advance(5_099);
    assert.equal(fates[1]?.end, null);
    await stage.clock.advance(1);
    assert.equal(fates[1]?.end, 'ECONNRESET');
    await end(scene);
  });

  test('is not told of the time of one who was there before, and is gone', async () => {
    const scene = await full({ whenFull: {} }, 0);
    const { stage, server, holder, refused } = scene;
    const gone = await stage.dial(server);
    await stage.clock.advance(3_000);
    // Room for both, before the first is seen to be gone; it is let in, and leaves.
    gone.abort();
    void holder.closeWrite();
    await stage.clock.settle();
    const second = await stage.dial(server);
    await stage.clock.settle();
    const fate = new Fate(await stage.dial(server));
    await stage.clock.advance(5_099);
    assert.equal(fate.end, null);
    await stage.clock.advance(1);
    assert.equal(fate.end, 'ECONNRESET');
    assert.equal(refused.length, 1);
    await end({ ...scene, fates: [fate, new Fate(second)] });
  });

  describe('while `whenFull` is changed', () => {
    test('from waiting to a time, has waited so long already', async () => {
      const scene = await full({ whenFull: { first: 10_000, retries: 0 } });
      const { stage, server, fates } = scene;
      await stage.clock.advance(3_000);
      server.set({ whenFull: {} });
      await stage.clock.advance(2_099);
      assert.equal(fates[0]?.end, null);
      await stage.clock.advance(1);
      assert.equal(fates[0]?.end, 'ECONNRESET');
      await end(scene);
    });

    test('from `wait` to a time, has all of it', async () => {
      const scene = await full({});
      const { stage, server, fates } = scene;
      await stage.clock.advance(60_000);
      server.set({ whenFull: {} });
      await stage.clock.advance(5_099);
      assert.equal(fates[0]?.end, null);
      await stage.clock.advance(1);
      assert.equal(fates[0]?.end, 'ECONNRESET');
      await end(scene);
    });

    test('to `refuse`, is refused at once, as all who wait are', async () => {
      for (const whenFull of ['wait', {}] as const) {
        const scene = await full({ whenFull }, 100);
        const { stage, server, fates } = scene;
        server.set({ whenFull: 'refuse' });
        await stage.clock.settle();
        for (const { end: how } of fates) assert.equal(how, 'ECONNRESET');
        assert.equal(server.status().refused.full, 100);
        await end(scene);
      }
    });

    test('to `wait`, waits', async () => {
      const scene = await full({ whenFull: {} });
      const { stage, server, fates } = scene;
      await stage.clock.advance(5_099);
      server.set({ whenFull: 'wait' });
      await stage.clock.advance(1_000_000);
      assert.equal(fates[0]?.end, null);
      assert.equal(server.status().refused.full, 0);
      await end(scene);
    });

    test('or anything else is, keeps its time', async () => {
      const scene = await full({ whenFull: {} });
      const { stage, server, fates } = scene;
      for (let i = 0; i < 50; i += 1) {
        await stage.clock.advance(100);
        server.set({ grace: i, deadlines: { idle: 1_000_000 + i }, maxConnections: 1 });
      }
      await stage.clock.advance(99);
      assert.equal(fates[0]?.end, null);
      await stage.clock.advance(1);
      assert.equal(fates[0]?.end, 'ECONNRESET');
      await end(scene);
    });

    test('a limit that is raised lets those in who wait, as many as there is room', async () => {
      for (const whenFull of ['wait', {}] as const) {
        const scene = await full({ whenFull }, 5);
        const { stage, server, fates } = scene;
        await stage.clock.advance(1_000);
        server.set({ maxConnections: 4 });
        await stage.clock.settle();
        assert.deepEqual(
          fates.map(({ text }) => text),
          ['in', 'in', 'in', '', ''],
        );
        assert.equal(server.status().active, 4);
        await end(scene);
      }
    });
  });

  test('of an endpoint with its own limit is refused by that, and others go by the server', async () => {
    const stage = new Stage();
    const server = await stage.serve(holding, {
      maxConnections: 3,
      whenFull: 'refuse',
      listen: [
        { host: '10.0.0.1', port: 4_001, maxConnections: 1 },
        { host: '10.0.0.1', port: 4_002 },
      ],
    });
    const refused = refusalsOf(server);
    const clients: Connection[] = [];
    const come = async (place: number): Promise<void> => {
      clients.push(await stage.dial(server, '192.0.2.1', {}, place));
      await stage.clock.settle();
    };
    for (const place of [0, 0, 1, 1, 1, 0]) await come(place);
    assert.deepEqual(
      refused.map(({ refusal }) => refusal),
      [1, 3, 1].map((limit) => ({ kind: 'full', limit })),
    );
    assert.equal(server.status().active, 3);
    // A place of the server is none of the endpoint's that is full.
    void clients[2]?.closeWrite();
    await stage.clock.settle();
    await come(0);
    assert.equal(server.status().active, 2);
    await come(1);
    assert.equal(server.status().active, 3);
    await stage.end(server, ...clients);
  });

  test('waits for its own endpoint, and does not hold up another', async () => {
    const stage = new Stage();
    const server = await stage.serve(holding, {
      maxConnections: 3,
      listen: [
        { host: '10.0.0.1', port: 4_001, maxConnections: 1 },
        { host: '10.0.0.1', port: 4_002 },
      ],
    });
    const first = await stage.dial(server, '192.0.2.1', {}, 0);
    const waiting = new Fate(await stage.dial(server, '192.0.2.2', {}, 0));
    const other = new Fate(await stage.dial(server, '192.0.2.3', {}, 1));
    const another = new Fate(await stage.dial(server, '192.0.2.4', {}, 1));
    await stage.clock.settle();
    assert.deepEqual([waiting.text, other.text, another.text], ['', 'in', 'in']);
    void other.client.closeWrite();
    await stage.clock.settle();
    assert.equal(waiting.text, '');
    void first.closeWrite();
    await stage.clock.settle();
    assert.equal(waiting.text, 'in');
    await stage.end(server, first, waiting.client, other.client, another.client);
  });

  test('at an endpoint whose place went to another endpoint waits on, without being looked at all the time', async () => {
    const stage = new Stage();
    const server = await stage.serve(holding, {
      maxConnections: 1,
      whenFull: {},
      listen: [
        { host: '10.0.0.1', port: 4_001, maxConnections: 1 },
        { host: '10.0.0.1', port: 4_002 },
      ],
    });
    const first = await stage.dial(server, '192.0.2.1', {}, 0);
    await stage.clock.settle();
    const faster = new Fate(await stage.dial(server, '192.0.2.2', {}, 1));
    await stage.clock.settle();
    const slower = new Fate(await stage.dial(server, '192.0.2.3', {}, 0));
    await stage.clock.advance(1_000);
    void first.closeWrite();
    await stage.clock.settle();
    assert.deepEqual([faster.text, slower.text], ['in', '']);
    await stage.clock.advance(4_099);
    assert.equal(slower.end, null);
    await stage.clock.advance(1);
    assert.equal(slower.end, 'ECONNRESET');
    await stage.end(server, first, faster.client, slower.client);
  });

  test('is looked at by the lists and the rate before it is refused', async () => {
    const scene = await full({ whenFull: 'refuse', deny: ['192.0.2.10'], allow: ['192.0.2.0/24'] }, 2);
    const { stage, server, fates, refused } = scene;
    const stranger = new Fate(await stage.dial(server, '203.0.113.1'));
    await stage.clock.settle();
    assert.deepEqual(refused, [
      { host: '192.0.2.10', refusal: { kind: 'denied' } },
      { host: '192.0.2.11', refusal: { kind: 'full', limit: 1 } },
      { host: '203.0.113.1', refusal: { kind: 'not-allowed' } },
    ]);
    await end({ ...scene, fates: [...fates, stranger] });
  });

  test('is reset when the server stops', async () => {
    for (const whenFull of ['wait', {}] as const) {
      const scene = await full({ whenFull }, 2);
      const { stage, server, fates } = scene;
      const stopped = server.stop({ grace: 10_000 });
      await stage.clock.settle();
      assert.deepEqual(
        fates.map(({ end: how }) => how),
        ['ECONNRESET', 'ECONNRESET'],
      );
      await stage.clock.run(stopped);
      assert.equal(stage.clock.armed, 0);
      await end(scene);
    }
  });
});
