import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import type { Connection } from '../../src/net/connection.ts';
import { connect } from '../../src/net/connect.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { WorkerError } from '../../src/parallel/worker-error.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import {
  Watch,
  anyWay,
  ask,
  assertAddsUp,
  dial,
  eventually,
  leavesNoThread,
  onEachWay,
  portOf,
  settled,
  startOn,
  worker,
} from './support.ts';
import type { Way } from './support.ts';

/** Reloads under load for the best way; CI has more time than a person. */
const RELOADS = Number(process.env['PORTSIDE_RELOADS'] ?? 2);
/** For each of the others. */
const FEW = 2;
const CLIENTS = 24;

/** A module whose answers tell whether a worker was started before the last `next`. */
interface Versions {
  readonly server: ParallelServer;
  /** Workers that start from now on are of the next generation. */
  readonly next: () => number;
}

async function versions(way: Way, options = {}): Promise<Versions> {
  const generation = new Int32Array(new SharedArrayBuffer(4));
  const server = await startOn(way, worker('versioned'), { workerData: { generation }, grace: 5_000, ...options });
  return { server, next: () => Atomics.add(generation, 0, 1) + 1 };
}

/** What came of connections that a load made, one after the other. */
interface Load {
  answered: number;
  readonly failed: string[];
  stop(): Promise<void>;
}

function load(server: ParallelServer): Load {
  let over = false;
  const result: Load = {
    answered: 0,
    failed: [],
    async stop() {
      over = true;
      await Promise.all(clients);
    },
  };
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!over) {
      try {
        const client = await connect({ host: '127.0.0.1', port: portOf(server) }, { transport: nodeTransport });
        await client.write('hello\n');
        const answer = await client.readLine({ timeout: 10_000 });
        if (answer?.endsWith('hello') === true) result.answered += 1;
        else result.failed.push(String(answer));
        await client.close();
      } catch (error) {
        result.failed.push(isPortsideError(error) ? error.code : String(error));
      }
    }
  });
  return result;
}

/** Asks until it is the new code that answers: where workers accept by themselves, those from before stop when they hear of it. */
async function eventuallyNew(server: ParallelServer, generation: number): Promise<void> {
  for (let answer = ''; answer !== `${generation} new`;) {
    const client = await dial(server);
    answer = await ask(client, 'new');
    await client.close();
    if (server.way === 'handed') assert.equal(answer, `${generation} new`);
  }
}

describe('reload', () => {
  leavesNoThread();

  onEachWay(
    'under load, time and again',
    (way) => {
      const times = way.name === anyWay.name ? RELOADS : FEW;
      test('no connection is refused or reset, short ones and long ones', { timeout: 120_000 }, async (t) => {
        const { server, next } = await versions(way);
        const watch = new Watch(server);
        const traffic = load(server);
        await eventually(() => traffic.answered > 100);
        let generation = 0;
        const long: [Connection, number][] = [];
        for (let i = 0; i < times; i += 1) {
          const client = await dial(server);
          assert.equal(await ask(client, 'here'), `${generation} here`);
          long.push([client, generation]);
          // It is in the middle of something, and not idle.
          await client.write('half of ');
          generation = next();
          const { seamless, why, done } = await server.reload();
          assert.deepEqual([seamless, why], [true, null]);
          // From now on everybody meets the new code, and those from before what they began with.
          await eventuallyNew(server, generation);
          for (const [one, born] of long.splice(0)) {
            assert.equal(await ask(one, 'a line'), `${born} half of a line`);
            await one.close();
          }
          await done;
        }
        await traffic.stop();
        assert.deepEqual(traffic.failed, []);
        assert.deepEqual(watch.of('died'), []);
        const { accepted, workers, restarts } = await settled(server, 0);
        assert.deepEqual([workers.length, restarts], [2, 0]);
        t.diagnostic(`${times} reloads, ${traffic.answered} answers of ${accepted} connections`);
      });
    },
    // Where workers bind by themselves it can't be promised.
    (way) => way.handed || way.options.transport === 'native',
  );

  onEachWay(
    'where workers bind by themselves',
    (way) => {
      test('says that it can’t promise what it can’t', async () => {
        const { server, next } = await versions(way);
        const generation = next();
        const { seamless, why, done } = await server.reload();
        assert.equal(seamless, false);
        assert.match(why!, /queue/u);
        await done;
        assert.equal(await ask(await dial(server), 'hello'), `${generation} hello`);
      });
    },
    (way) => way.kernel && way.options.transport === 'node',
  );

  test('of a module that fails leaves those that there are serving', async () => {
    const generation = new Int32Array(new SharedArrayBuffer(8));
    const server = await startOn(anyWay, worker('fickle'), { workerData: { generation } });
    const client = await dial(server);
    assert.equal(await ask(client, 'before'), 'before');
    Atomics.store(generation, 0, 1);
    await assert.rejects(server.reload(), (error) => {
      assert.ok(error instanceof WorkerError);
      assert.match(String((error.cause as Error).message), /not this time/u);
      return true;
    });
    assert.equal(await ask(client, 'the old one'), 'the old one');
    assert.equal(await ask(await dial(server), 'still'), 'still');
    assert.equal(server.state, 'running');
    assert.equal(server.status().workers.length, 2);
    Atomics.store(generation, 0, 0);
    await (
      await server.reload()
    ).done;
    assert.equal(await ask(await dial(server), 'after'), 'after');
  });

  test('asked for twice at once is one; after a stop it is refused', async () => {
    const { server, next } = await versions(anyWay);
    next();
    const [one, two] = [server.reload(), server.reload()];
    assert.equal(one, two);
    await (
      await one
    ).done;
    assert.equal(server.status().workers.length, 2);
    await server.stop();
    await assert.rejects(server.reload(), { code: 'ERR_PORTSIDE_STATE' });
  });

  test('a stop in the middle of it ends the new ones too', async () => {
    const { server, next } = await versions(anyWay);
    next();
    const reloading = server.reload().then(
      ({ done }) => done,
      (error: unknown) => assert.ok(isPortsideError(error), String(error)),
    );
    const client = await dial(server);
    assert.equal(await ask(client, 'hello'), '0 hello');
    const ledger = await server.stop({ grace: 1_000 });
    assert.equal(ledger.connections, 1);
    await reloading;
    assert.equal(server.status().workers.length, 0);
  });
});

describe('resize', () => {
  leavesNoThread();

  onEachWay('while it serves', (way) => {
    test('more workers are started, and those with the highest indexes are drained', async () => {
      const { server } = await versions(way);
      const traffic = way.kernel && way.options.transport === 'node' ? null : load(server);
      await server.resize(4);
      assert.deepEqual(
        server.status().workers.map(({ index, state }) => [index, state]),
        [
          [0, 'serving'],
          [1, 'serving'],
          [2, 'serving'],
          [3, 'serving'],
        ],
      );
      await server.resize(1);
      assert.deepEqual(
        server.status().workers.map(({ index }) => index),
        [0],
      );
      await traffic?.stop();
      // A queue of the kernel's goes with its worker, and who waits in it.
      if (!way.kernel) assert.deepEqual(traffic?.failed, []);
      assert.equal(await ask(await dial(server), 'hello'), '0 hello');
      assertAddsUp(await settled(server, 1));
      await assert.rejects(server.resize(0), { code: 'ERR_PORTSIDE_OPTIONS' });
    });
  });
});

describe('messages between the workers of a listener', () => {
  leavesNoThread();

  test('reach every other worker and the parent, and workers that come by a reload or a restart', async () => {
    const { server } = await versions(anyWay, { parallelism: 3, dispatch: 'round-robin' });
    const told: string[] = [];
    const room = server.channel<string>('room');
    room.receive((text, from) => told.push(`${from.parent === undefined}: ${text}`));
    const clients = [await dial(server), await dial(server), await dial(server)];
    await eventually(() => room.members.length === 3);
    await ask(clients[0]!, 'tell good morning');
    await eventually(() => told.length === 1);
    assert.deepEqual(told, ['true: good morning']);
    const heard = async (client: Connection, until: RegExp): Promise<string> => {
      for (;;) {
        const text = await ask(client, 'heard');
        if (until.test(text)) return text;
      }
    };
    assert.equal(await heard(clients[1]!, /./u), 'worker: good morning');
    assert.equal(await heard(clients[2]!, /./u), 'worker: good morning');
    assert.equal(await ask(clients[0]!, 'heard'), '', 'never to oneself');
    await (
      await server.reload()
    ).done;
    room.broadcast('from the parent');
    const fresh = [await dial(server), await dial(server), await dial(server)];
    for (const client of fresh) assert.equal(await heard(client, /./u), 'parent: from the parent');
  });
});
