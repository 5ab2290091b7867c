import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { dispatcher } from '../../src/parallel/dispatch.ts';
import type { DispatchPeer, WorkerLoad } from '../../src/parallel/dispatch.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Address } from '../../src/transport/address.ts';
import {
  anyWay,
  ask,
  dial,
  eventually,
  leavesNoThread,
  line,
  onEachWay,
  portOf,
  settled,
  startOn,
  worker,
} from './support.ts';

const local: Address = { family: 'ipv4', host: '127.0.0.1', port: 1 };

function from(host: string, port = 1): DispatchPeer {
  return { remote: { family: host.includes(':') ? 'ipv6' : 'ipv4', host, port }, local };
}

function load(index: number, connections = 0, utilization = 0, room = true): WorkerLoad {
  return { index, connections, utilization, room };
}

function fails(error: unknown): never {
  throw error;
}

describe('round-robin', () => {
  test('goes on from whom it chose last, and passes over those that are gone or have no room', () => {
    const turn = dispatcher('round-robin', fails);
    const all = [load(0), load(1), load(2)];
    const choose = (workers: readonly WorkerLoad[]): number | undefined =>
      turn.choose(from('192.0.2.1'), workers)?.index;
    assert.deepEqual([choose(all), choose(all), choose(all), choose(all)], [0, 1, 2, 0]);
    assert.equal(choose([load(0), load(2)]), 2, 'worker 1 is dead');
    assert.equal(choose([load(0, 0, 0, false), load(1), load(2)]), 1);
    assert.equal(choose([load(0, 0, 0, false)]), undefined, 'nobody has room');
    assert.equal(choose(all), 2, 'who waited cost nobody a turn');
    assert.equal(turn.choose(from('192.0.2.1'), []), null);
  });
});

describe('least-busy', () => {
  test('fewest connections, then the event loop in steps of 5 %, then the lowest index; and only who has room', () => {
    const choose = (...workers: WorkerLoad[]): number | undefined =>
      dispatcher('least-busy', fails).choose(from('192.0.2.1'), workers)?.index;
    assert.equal(choose(load(0, 3), load(1, 2), load(2, 5)), 1);
    assert.equal(choose(load(0, 2, 0.9), load(1, 2, 0.3), load(2, 2, 0.8)), 1);
    assert.equal(choose(load(0, 2, 0.34), load(1, 2, 0.31)), 0, 'both are in one step');
    assert.equal(choose(load(0, 1, 0.2, false), load(1, 7, 1)), 1);
    assert.equal(choose(load(0, 0, 0, false)), undefined);
  });
});

const host = fc.ipV4();

describe('hash', () => {
  test('is the same for one address whatever its port, and spreads over all', () => {
    const workers = [0, 1, 2, 3].map((index) => load(index));
    const sticky = dispatcher('hash', fails);
    const shares = [0, 0, 0, 0];
    for (let i = 0; i < 4_000; i += 1) {
      const peer = from(`10.${i >> 8}.${i & 255}.7`, i);
      const { index } = sticky.choose(peer, workers)!;
      assert.equal(sticky.choose(from((peer.remote as { host: string }).host, 65_535), workers)!.index, index);
      shares[index]! += 1;
    }
    for (const share of shares) assert.ok(share > 800 && share < 1_200, shares.join(' '));
  });

  test('when a worker goes only its clients move, and they come back with it', () => {
    const sticky = dispatcher('hash', fails);
    fc.assert(
      fc.property(host, fc.integer({ min: 2, max: 12 }), fc.nat(), (address, count, gone) => {
        const all = Array.from({ length: count }, (_, index) => load(index));
        const before = sticky.choose(from(address), all)!.index;
        const after = sticky.choose(
          from(address),
          all.filter(({ index }) => index !== gone % count),
        )!.index;
        if (before === gone % count) assert.notEqual(after, before);
        else assert.equal(after, before);
        assert.equal(sticky.choose(from(address), all)!.index, before);
      }),
    );
  });

  test('waits for its worker while that has no room', () => {
    const sticky = dispatcher('hash', fails);
    const free = [load(0), load(1)];
    const { index } = sticky.choose(from('192.0.2.9'), free)!;
    const full = free.map((one) => (one.index === index ? load(index, 0, 0, false) : one));
    assert.equal(sticky.choose(from('192.0.2.9'), full), null);
  });

  test('goes by a prefix where one is given', () => {
    const sticky = dispatcher({ hash: { ipv4: 24 } }, fails);
    const workers = Array.from({ length: 16 }, (_, index) => load(index));
    const chosen = new Set(
      Array.from({ length: 256 }, (_, i) => sticky.choose(from(`198.51.100.${i}`), workers)!.index),
    );
    assert.equal(chosen.size, 1);
    // By default a whole /64 is one client.
    const byHost = dispatcher('hash', fails);
    const v6 = new Set(
      Array.from({ length: 64 }, (_, i) => byHost.choose(from(`2001:db8::${i.toString(16)}`), workers)!.index),
    );
    assert.equal(v6.size, 1);
  });
});

describe('a function', () => {
  test('chooses; one that throws or names nobody is told, and the least busy serves', () => {
    const errors: unknown[] = [];
    const answers: unknown[] = [1, 7, 'two', undefined];
    const own = dispatcher(
      ({ remote }, workers) => {
        assert.equal(workers.length, 2);
        assert.equal('host' in remote && remote.host, '192.0.2.1');
        const answer = answers.shift();
        if (answer === undefined) throw new Error('no answer');
        return answer as number;
      },
      (error) => errors.push(error),
    );
    const workers = [load(0, 4), load(1, 3)];
    assert.equal(own.choose(from('192.0.2.1'), workers)!.index, 1);
    assert.deepEqual(errors, []);
    for (let i = 0; i < 3; i += 1) assert.equal(own.choose(from('192.0.2.1'), workers)!.index, 1);
    assert.deepEqual(
      errors.map((error) => (error as Error).message),
      [
        'dispatch chose 7, and there is no such worker now',
        'dispatch chose two, and there is no such worker now',
        'no answer',
      ],
    );
    const waits = dispatcher(() => 0, fails);
    assert.equal(waits.choose(from('192.0.2.1'), [load(0, 0, 0, false), load(1)]), null);
  });
});

describe('dispatching real connections', () => {
  leavesNoThread();

  onEachWay(
    'over three workers',
    (way) => {
      test('round-robin: seven connections go to 0, 1, 2, 0, 1, 2, 0', async () => {
        const server = await startOn(way, worker('bare'), { parallelism: 3, dispatch: 'round-robin' });
        const seen: string[] = [];
        for (let i = 0; i < 7; i += 1) seen.push(await line(await dial(server)));
        assert.deepEqual(seen, ['0/3', '1/3', '2/3', '0/3', '1/3', '2/3', '0/3']);
      });

      test('round-robin passes over a worker that is gone', async () => {
        const server = await startOn(way, worker('bare'), {
          parallelism: 3,
          dispatch: 'round-robin',
          onWorkerDeath: 'shrink',
        });
        const clients: Connection[] = [];
        for (let i = 0; i < 3; i += 1) clients.push(await dial(server));
        for (const client of clients) await line(client);
        await clients[1]!.write('exit\n');
        await eventually(() => server.status().workers.length === 2);
        const seen: string[] = [];
        for (let i = 0; i < 4; i += 1) seen.push(await line(await dial(server)));
        assert.deepEqual(seen, ['0/3', '2/3', '0/3', '2/3']);
      });

      test('least-busy: to the one with the fewest connections', async () => {
        const server = await startOn(way, worker('bare'), { parallelism: 3, dispatch: 'least-busy' });
        const where = async (): Promise<[Connection, string]> => {
          const client = await dial(server);
          return [client, await line(client)];
        };
        const [a, b, c] = [await where(), await where(), await where()];
        assert.deepEqual([a[1], b[1], c[1]].toSorted(), ['0/3', '1/3', '2/3']);
        await b[0].close();
        await settled(server, 2);
        assert.equal((await where())[1], b[1], 'its place is free');
      });

      test('hash: one client always meets the same worker', async () => {
        const server = await startOn(way, worker('bare'), { parallelism: 3, dispatch: 'hash' });
        const first = await line(await dial(server));
        for (let i = 0; i < 5; i += 1) assert.equal(await line(await dial(server)), first);
        const others = new Set<string>();
        for (let i = 2; i < 34; i += 1) others.add(await line(await dial(server, { localHost: `127.0.0.${i}` })));
        assert.equal(others.size, 3);
      });

      test('a function sees the peer, where it came to, and who lives with what', async () => {
        const seen: { readonly from: string; readonly to: number; readonly loads: readonly number[] }[] = [];
        const server = await startOn(way, worker('bare'), {
          parallelism: 3,
          dispatch: (peer, workers) => {
            const { remote, local: to } = peer;
            if (!('host' in remote) || !('port' in to)) throw new Error('no TCP');
            seen.push({ from: remote.host, to: to.port, loads: workers.map(({ connections }) => connections) });
            return Number(remote.host.split('.')[3]) % 3;
          },
        });
        const hosts = ['127.0.0.5', '127.0.0.4', '127.0.0.5'];
        for (const localHost of hosts) {
          const [index] = (await line(await dial(server, { localHost }))).split('/');
          assert.equal(Number(index), Number(localHost.split('.')[3]) % 3);
        }
        assert.deepEqual(
          seen.map((one) => one.from),
          hosts,
        );
        assert.ok(seen.every(({ to }) => to === portOf(server)));
        assert.deepEqual(
          seen.map(({ loads }) => loads),
          [
            [0, 0, 0],
            [0, 0, 1],
            [0, 1, 1],
          ],
        );
      });
    },
    (way) => way.handed,
  );

  onEachWay(
    'by the kernel',
    (way) => {
      test('every worker listens by itself, and all get some', async () => {
        const server = await startOn(way, worker('bare'), { parallelism: 3 });
        assert.notEqual(server.way, 'handed');
        const seen = new Set<string>();
        for (let i = 0; i < 200 && seen.size < 3; i += 1) {
          const client = await dial(server);
          seen.add(await line(client));
          await client.close();
        }
        assert.equal(seen.size, 3);
      });
    },
    (way) => way.kernel,
  );

  test('when all queues are full nobody is accepted, and everybody is served when there is room', async () => {
    const server = await startOn(anyWay, worker('commands'), {
      parallelism: 2,
      dispatch: 'round-robin',
      queue: 1,
      watchdog: 60_000,
    });
    const blockers = [await dial(server), await dial(server)];
    for (const client of blockers) assert.equal(await ask(client, 'ready?'), 'ready?');
    // Each worker is busy for a while, and takes nobody.
    for (const client of blockers) await client.write('spin 400\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    const clients = await Promise.all(Array.from({ length: 20 }, () => dial(server)));
    const { queued, accepted } = server.status();
    assert.ok(queued <= 3 && accepted <= 2 + 3, `one on the way to each, and one in hand: ${queued} of ${accepted}`);
    assert.deepEqual(
      await Promise.all(clients.map((client, i) => ask(client, `${i}`))),
      [...clients.keys()].map(String),
    );
    assert.equal((await settled(server, 22)).queued, 0);
  });
});
