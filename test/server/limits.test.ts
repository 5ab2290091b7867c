import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import { LocalPermits } from '../../src/server/permits.ts';
import type { PermitLimits, PermitStore } from '../../src/server/permits.ts';
import type { Server } from '../../src/server/server.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import type { Clock } from '../../src/sync/clock.ts';
import { systemClock } from '../../src/sync/clock.ts';
import { onEachNet } from '../support/nets.ts';
import { watchLeaks } from '../support/leaks.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, serveOn, turns, until } from './support.ts';
import { Fate, Stage, refusalsOf } from './virtual.ts';

/** Permits that remember how many were out at most, and fail when one comes back that was not taken. */
class CountedPermits extends LocalPermits {
  most = 0;
  taken = 0;
  given = 0;

  override take(): boolean {
    const granted = super.take();
    if (granted) this.taken += 1;
    this.most = Math.max(this.most, this.used);
    return granted;
  }

  override give(): void {
    super.give();
    this.given += 1;
  }
}

/** The same, with its per-client answers a while later. */
function slowed(permits: CountedPermits, later: () => Promise<void> | null): PermitStore {
  return new Proxy(permits, {
    get(store, name) {
      if (name === 'takeFor') {
        return (client: string): boolean | Promise<boolean> => {
          const wait = later();
          return wait === null ? store.takeFor(client) : wait.then(() => store.takeFor(client));
        };
      }
      const value: unknown = Reflect.get(store, name, store);
      return typeof value === 'function' ? (value as () => unknown).bind(store) : value;
    },
  });
}

function counted(limits: PermitLimits, clock: Clock = systemClock): CountedPermits {
  return new CountedPermits(limits, clock);
}

onEachNet('the limit of connections', (net) => {
  test('is exact for several endpoints, while clients come, end and reset all at once', async () => {
    const noLeaks = watchLeaks();
    const rejections = unhandled();
    const permits = counted({ connections: 7 });
    let now = 0;
    let most = 0;
    const server = await serveOn(
      net,
      {
        open(conn) {
          now += 1;
          most = Math.max(most, now);
          void conn.write('in');
        },
        data(conn) {
          void conn.close();
        },
        close() {
          now -= 1;
        },
      },
      { listen: Array.from({ length: 3 }, () => ({ host: '127.0.0.1', port: 0 })), permits, linger: 1_000 },
    );
    const client = async (i: number): Promise<void> => {
      const conn = await dial(net, server, {}, i % 3).catch(() => null);
      if (conn === null) return;
      try {
        // Some leave before they are let in, some at once, some are ended by the handler, some end in order.
        if (i % 7 === 0) return;
        await conn.read();
        if (i % 5 === 0) return;
        if (i % 2 === 0) await conn.write('bye');
        else await conn.closeWrite();
        while ((await conn.read()) !== null);
      } catch {
        // One that was reset while it was queued.
      } finally {
        conn.abort();
        await conn.closed;
      }
    };
    for (let round = 0; round < 4; round += 1)
      await Promise.all(Array.from({ length: 60 }, (_, i) => client(round * 60 + i)));
    await until(() => server.status().active === 0);
    assert.ok(most <= 7, `${most} were served at once`);
    assert.equal(permits.most, 7);
    await server.stop();
    assert.equal(permits.used, 0);
    assert.equal(permits.taken, permits.given);
    const { accepted, closed } = server.status();
    assert.equal(accepted, closed);
    assert.deepEqual(await rejections(), []);
    await noLeaks();
  });

  test('of 1 serves one after another, in the order in which they came', async () => {
    const order: string[] = [];
    let now = 0;
    const server = await serveOn(
      net,
      async (conn) => {
        now += 1;
        assert.equal(now, 1);
        order.push((await conn.readLine()) ?? '');
        await turns(2);
        now -= 1;
      },
      { maxConnections: 1 },
    );
    const clients: Connection[] = [];
    for (let i = 0; i < 15; i += 1) {
      const client = await dial(net, server);
      void client.write(`${i}\n`);
      clients.push(client);
    }
    for (const client of clients) {
      assert.equal(await client.read(), null);
      await client.close();
    }
    assert.deepEqual(
      order,
      Array.from({ length: 15 }, (_, i) => `${i}`),
    );
    assert.equal(server.status().errors, 0);
    await server.stop();
  });

  test('can be lowered and raised while running; those that are in stay', async () => {
    const server = await serveOn(net, async (conn) => {
      await conn.write('in');
      await conn.read();
    });
    const clients = await Promise.all(Array.from({ length: 5 }, () => dial(net, server)));
    await until(() => server.status().active === 5);
    server.set({ maxConnections: 2 });
    assert.equal(server.status().maxConnections, 2);
    const waiting = [new Fate(await dial(net, server)), new Fate(await dial(net, server))];
    await turns();
    assert.equal(server.status().active, 5);
    const leave = async (): Promise<void> => {
      const { closed } = server.status();
      clients.pop()?.abort();
      // Its end is noticed by its handler's read.
      await until(() => server.status().closed > closed);
      await turns(5);
    };
    for (const left of [4, 3, 2]) {
      await leave();
      assert.equal(server.status().active, left);
      assert.equal(server.status().accepted, 5);
    }
    await leave();
    assert.equal(server.status().accepted, 6);
    assert.equal(server.status().active, 2);
    server.set({ maxConnections: 3 });
    await until(() => server.status().active === 3);
    for (const { client } of waiting) clients.push(client);
    await until(() => waiting.every(({ text }) => text === 'in'));
    for (const client of clients) client.abort();
    await server.stop();
    assert.equal(server.status().active, 0);
  });

  test('is not worn out by clients that are gone before their handler begins', async () => {
    const noLeaks = watchLeaks();
    const rejections = unhandled();
    const permits = counted({ connections: 2 });
    const server = await serveOn(
      net,
      async (conn) => {
        while ((await conn.read()) !== null);
      },
      { permits },
    );
    for (let i = 0; i < 40; i += 1) {
      const client = await dial(net, server).catch(() => null);
      if (i % 3 === 0) await turns(i % 5);
      client?.abort();
    }
    const last = new Fate(await dial(net, server));
    void last.client.closeWrite();
    await until(() => last.end !== null);
    assert.equal(last.end, 'eof');
    await server.stop();
    assert.equal(permits.most, 2);
    assert.equal(permits.used, 0);
    assert.equal(server.status().errors, 0);
    assert.deepEqual(await rejections(), []);
    await noLeaks();
  });
});

describe('the limit of connections', () => {
  test('is 10,000 by default: the next waits, and comes in when one leaves', { timeout: 60_000 }, async () => {
    const stage = new Stage();
    const server = await stage.serve({ data() {} }, { backlog: 20_000 });
    assert.equal(server.status().maxConnections, 10_000);
    const clients = await stage.now(() => Promise.all(Array.from({ length: 10_003 }, () => stage.connect(server))));
    await stage.clock.settle();
    const { active, accepted } = server.status();
    assert.deepEqual({ active, accepted }, { active: 10_000, accepted: 10_000 });
    void clients[5_000]?.closeWrite();
    await stage.clock.settle();
    assert.equal(server.status().accepted, 10_001);
    assert.equal(server.status().active, 10_000);
    await stage.end(server, ...clients);
  });

  test('has to be 1 or more', async () => {
    for (const maxConnections of [0, -1, 1.5, Number.NaN, '5'])
      await assert.rejects(
        new Stage().serve(() => {}, { maxConnections: maxConnections as number }),
        {
          code: 'ERR_PORTSIDE_OPTIONS',
        },
      );
  });

  /** One random life of a server: who comes, leaves, resets, is served and let go; limits that change; several endpoints. */
  async function schedule(seed: number): Promise<void> {
    const random = seededRandom(seed);
    const stage = new Stage({ seed, ...(random.int(2) === 0 ? {} : { faults: faultsOf(random) }) });
    const permits = counted({ connections: 1 + random.int(4), perClient: 1 + random.int(4) }, stage.clock);
    const own = [undefined, 1 + random.int(3), undefined];
    let served = 0;
    let limit = permits.limit;
    const live = new Set<Connection>();
    const broken: string[] = [];
    const handler: Handler = {
      open(conn) {
        live.add(conn);
        served += 1;
        if (live.size > limit) broken.push(`${live.size} of ${limit} were served`);
        const mood = random.int(6);
        if (mood === 0) conn.abort();
        else if (mood === 1) void conn.close();
        else void conn.write('in');
      },
      data(conn) {
        if (random.int(3) === 0) throw new Error('thrown by a handler');
        void conn.write('echo');
      },
      close: (conn) => void live.delete(conn),
    };
    const later = (): Promise<void> | null => {
      const ms = random.int(3);
      if (ms === 0) return null;
      return new Promise((resolve) => void stage.clock.after(ms - 1, resolve));
    };
    const server: Server = await stage.serve(handler, {
      permits: random.int(2) === 0 ? permits : slowed(permits, later),
      maxConnections: limit,
      whenFull: [{ first: 3, every: 2, retries: 2 }, 'wait', 'refuse'][random.int(3)] as 'wait',
      refuseWith: (['close', 'reset', { send: 'no' }] as const)[random.int(3)],
      onError: () => {},
      linger: 50,
      listen: own.map((maxConnections, i) => ({ host: '10.0.0.1', port: 4_001 + i, maxConnections })),
    });
    refusalsOf(server);
    const clients: Connection[] = [];
    const dials: Promise<unknown>[] = [];
    for (let step = 0; step < 40; step += 1) {
      const some = clients[random.int(Math.max(1, clients.length))];
      switch (random.int(9)) {
        case 0:
        case 1:
        case 2: {
          const from = `192.0.2.${1 + random.int(3)}`;
          const dialed = stage.connect(server, from, {}, random.int(3));
          dials.push(
            dialed.then(
              (client) => clients.push(client),
              () => null,
            ),
          );
          break;
        }
        case 3:
          some?.abort();
          break;
        case 4:
          void some?.write('x');
          break;
        case 5:
          void some?.close();
          break;
        case 6:
          for (const conn of [...live].slice(0, random.int(3))) conn.abort();
          break;
        case 7:
          if (random.int(4) === 0) {
            const raised = permits.limit + 1;
            limit = Math.max(limit, raised);
            server.set({ maxConnections: raised });
          } else await stage.clock.advance(random.int(4));
          break;
        default:
          await stage.clock.settle();
      }
      assert.ok(permits.used <= permits.limit, `seed ${seed}: ${permits.used} permits of ${permits.limit}`);
      assert.equal(permits.used, server.status().active, `seed ${seed}, step ${step}: a permit for each`);
    }
    for (const client of clients) client.abort();
    const stopped = server.stop({ grace: 20 });
    await stage.clock.run(Promise.all(dials));
    for (const client of clients) client.abort();
    await stage.clock.run(stopped);
    await stage.clock.advance(2_000);
    assert.deepEqual(broken, [], `seed ${seed}`);
    assert.equal(permits.used, 0, `seed ${seed}: permits that did not come back`);
    assert.equal(permits.taken, permits.given, `seed ${seed}`);
    assert.equal(permits.clients, 0, `seed ${seed}: clients that are counted still`);
    assert.equal(server.status().accepted, server.status().closed, `seed ${seed}`);
    assert.ok(served <= server.status().accepted);
    assert.equal(stage.network.open, 0, `seed ${seed}: ends that are open`);
    assert.equal(stage.clock.armed, 0, `seed ${seed}: a timer is left`);
  }

  function faultsOf(random: Random): { latency: { min: number; max: number }; reset: number } {
    return { latency: { min: 0, max: random.int(5) }, reset: random.int(3) === 0 ? 0.05 : 0 };
  }

  const first = Number(process.env['PORTSIDE_SEED'] ?? 1);
  const many = Number(process.env['PORTSIDE_SCHEDULES'] ?? 3_000);
  test(`is exact in ${many} random schedules from seed ${first}`, { timeout: 300_000 }, async () => {
    for (let seed = first; seed < first + many; seed += 1) await schedule(seed);
  });
});
