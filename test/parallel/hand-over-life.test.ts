import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import type { ParallelOptions } from '../../src/parallel/options.ts';
import type { ParallelLedger } from '../../src/parallel/ledger.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import {
  Watch,
  ask,
  assertAddsUp,
  dial,
  endOf,
  eventually,
  leavesNoThread,
  line,
  onEachWay,
  settled,
  startOn,
  worker,
} from './support.ts';
import type { Way } from './support.ts';
import type { CallbackData } from './workers/hops-callbacks.ts';

leavesNoThread();

/** Two workers; all clients come to the first, but for one, by which the second stands still until it is let go. */
class Standstill {
  readonly server: ParallelServer;
  readonly clients: readonly Connection[];
  readonly #gate: Int32Array;

  private constructor(server: ParallelServer, clients: readonly Connection[], gate: Int32Array) {
    this.server = server;
    this.clients = clients;
    this.#gate = gate;
  }

  static async of(way: Way, count: number, then: 'exit' | 'go', options: ParallelOptions): Promise<Standstill> {
    const gate = new SharedArrayBuffer(8);
    const workerData: CallbackData = { shape: 'frames', gate };
    let to = 1;
    const server = await startOn(way, worker('hops-callbacks'), {
      ...options,
      dispatch: () => to,
      workerData,
      onError: () => {},
    });
    const stopper = await dial(server);
    assert.equal(await ask(stopper, 'hi'), '1 hi');
    to = 0;
    const clients: Connection[] = [];
    for (let i = 0; i < count; i += 1) clients.push(await dial(server));
    for (const client of clients) assert.equal(await ask(client, 'hi'), '0 hi');
    await stopper.write(`spin ${then}\n`);
    const cells = new Int32Array(gate);
    await eventually(() => Atomics.load(cells, 0) === 1);
    return new Standstill(server, clients, cells);
  }

  release(): void {
    Atomics.store(this.#gate, 1, 1);
    Atomics.notify(this.#gate, 1);
  }
}

function assertLedger(ledger: ParallelLedger, connections: number): void {
  const { finished, idle, forced, failed, detached } = ledger;
  assert.equal(ledger.connections, connections, JSON.stringify(ledger));
  assert.equal(finished + idle + forced + failed + detached, connections, JSON.stringify(ledger));
}

onEachWay(
  'when the other worker',
  (way) => {
    test('dies before it took them, the next that lives has them, with all that came along', async () => {
      const still = await Standstill.of(way, 5, 'exit', {});
      const { server, clients } = still;
      const watch = new Watch(server);
      for (const client of clients) await client.write('go 1\nafter\n');
      await eventually(() => server.status().queued === 5);
      assert.equal(server.status().active, 6);
      still.release();
      for (const client of clients) {
        assert.equal(await line(client), 'opened at 0');
        assert.equal(await line(client), '0 after');
      }
      const { lost, ids } = await watch.death();
      assert.deepEqual({ lost, ids }, { lost: 1, ids: [] });
      const status = await settled(server, 5);
      assert.deepEqual(status.reasons, { 'worker-died': 1 });
      assert.equal(status.handedOver, 5);
      assert.equal(status.accepted, 6);
      await watch.restarted();
      assertLedger(await server.stop({ grace: 1_000 }), 5);
    });

    test('is behind, those that are too many wait where they are, and arrive later', async () => {
      const still = await Standstill.of(way, 12, 'go', { queue: 2 });
      const { server, clients } = still;
      for (const client of clients) await client.write('go 1\nafter\n');
      // Two on the way to it, and two that wait with the parent, and no more.
      await eventually(() => server.status().queued >= 4);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const { queued, active, workers } = server.status();
      assert.ok(queued <= 2 + 2 + 2, `${queued}`);
      assert.equal(active, 13);
      assert.equal(workers[0]!.connections + queued, 12);
      still.release();
      for (const client of clients) {
        assert.equal(await line(client), 'opened at 1');
        assert.equal(await line(client), '1 after');
      }
      assert.equal((await settled(server, 13)).handedOver, 12);
    });

    test('stays behind for ten seconds, those that wait are told, and are served where they are', async () => {
      const still = await Standstill.of(way, 8, 'go', { queue: 1 });
      const { server, clients } = still;
      const began = performance.now();
      for (const client of clients) await client.write('go 1\nafter\n');
      const answers = clients.map((client) => client.readLine({ timeout: 30_000 }));
      await eventually(() => server.status().queued >= 2);
      const late = await Promise.race(answers);
      assert.ok(performance.now() - began > 9_000);
      assert.ok(late === 'ERR_PORTSIDE_TIMEOUT' || late === '0 after', String(late));
      still.release();
      const all = await Promise.all(answers);
      const gone = all.filter((answer) => answer === 'opened at 1').length;
      assert.ok(gone >= 2 && gone <= 4, all.join());
      for (const client of clients) assert.match(await line(client), /^[01] after$|^ERR_PORTSIDE_TIMEOUT$/u);
      assert.equal((await settled(server, 9)).handedOver, gone);
    });

    test('dies while they wait, they stay where they are, and are told', async () => {
      const still = await Standstill.of(way, 12, 'exit', { queue: 1, onWorkerDeath: 'shrink' });
      const { server, clients } = still;
      for (const client of clients) await client.write('go 1\nfirst\nsecond\nhal');
      await eventually(() => server.status().queued >= 2);
      await new Promise((resolve) => setTimeout(resolve, 50));
      still.release();
      let stayed = 0;
      for (const client of clients) {
        const told = await line(client);
        if (told === 'opened at 0') {
          assert.deepEqual([await line(client), await line(client)], ['0 first', '0 second']);
        } else {
          stayed += 1;
          // What is refused is told by a promise, when the callbacks go on.
          const all = [told, await line(client), await line(client)];
          assert.deepEqual(all.toSorted(), ['0 first', '0 second', 'ERR_PORTSIDE_NO_WORKER']);
        }
        assert.equal(await ask(client, 'f'), '0 half');
      }
      const status = await settled(server, 12);
      assert.ok(stayed >= 12 - 4 && stayed < 12, `${stayed}`);
      assert.equal(status.handedOver, 12 - stayed);
      assertLedger(await server.stop({ grace: 1_000 }), 12);
      assertAddsUp(server.status());
    });

    test('never takes them, a stop ends them at its time, and counts each', async () => {
      const still = await Standstill.of(way, 6, 'go', { queue: 2 });
      const { server, clients } = still;
      for (const client of clients) await client.write('go 1\n');
      await eventually(() => server.status().queued >= 4);
      const ends = clients.map((client) => endOf(client));
      const ledger = await server.stop({ grace: 300 });
      await Promise.all(ends);
      assertLedger(ledger, 7);
      const status = server.status();
      assertAddsUp(status);
      assert.equal(status.active, 0);
      assert.equal(status.accepted, 7);
    });
  },
  (way) => way.takesBack,
);

onEachWay(
  'in a drain',
  (way) => {
    test('of the whole server nobody may go any more, and all are in the ledger once', async () => {
      const server = await startOn(way, worker('hops'), { dispatch: 'round-robin' });
      const clients = [await dial(server), await dial(server), await dial(server)];
      for (const client of clients) assert.equal(await ask(client, 'wait 1'), 'waiting');
      const done = server.stop({ grace: 10_000 });
      for (const client of clients) assert.equal(await line(client), 'ERR_PORTSIDE_NO_WORKER');
      for (const client of clients) assert.equal(await endOf(client), 'end');
      const ledger = await done;
      assertLedger(ledger, 3);
      assert.equal(ledger.failed + ledger.forced, 0);
      assertAddsUp(server.status());
    });

    test('of those who leave in a reload they may go to those who come', async () => {
      // Whoever leaves ends with its last connection, and not with its time.
      const server = await startOn(way, worker('hops'), { dispatch: 'round-robin', grace: 600_000 });
      const clients = [await dial(server), await dial(server), await dial(server)];
      for (const client of clients) assert.equal(await ask(client, 'wait 0'), 'waiting');
      const before = server.status().workers.map(({ threadId }) => threadId);
      const { done } = await server.reload();
      for (const client of clients) assert.equal(await ask(client, 'where'), '0');
      await done;
      const status = await settled(server, 3);
      assert.ok(status.workers.every(({ threadId }) => !before.includes(threadId)));
      assert.equal(status.workers[0]!.connections, 3);
      assert.equal(status.handedOver, 3);
      assertLedger(await server.stop({ grace: 1_000 }), 3);
      assert.deepEqual(Object.values(server.status().reasons), [3]);
    });

    test('of one that is one too many now, too', async () => {
      const server = await startOn(way, worker('hops'), { dispatch: () => 1 });
      const client = await dial(server);
      assert.equal(await ask(client, 'wait 0'), 'waiting');
      const resized = server.resize(1);
      assert.equal(await ask(client, 'where'), '0');
      await resized;
      assert.equal(await ask(client, 'go 1'), 'ERR_PORTSIDE_NO_WORKER');
      assert.equal((await settled(server, 1)).handedOver, 1);
    });
  },
  (way) => way.takesBack,
);
