import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { Arriving, SettingOut } from '../../src/parallel/setting-out.ts';
import type { ServerMeasures } from '../../src/server/measures.ts';
import { endAll } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import {
  Watch,
  anyWay,
  ask,
  dial,
  eventually,
  leavesNoThread,
  line,
  onEachWay,
  settled,
  startOn,
  worker,
} from './support.ts';

leavesNoThread();

const commands = worker('commands');

function measured(server: ParallelServer): ServerMeasures {
  return server.status().measures;
}

describe('the times at which connections set out', () => {
  test('come to those who take them, though the giver fails to give, and whoever takes is behind', () => {
    const capacityOf = fc.integer({ min: 1, max: 5 });
    const stepsOf = fc.array(fc.constantFrom('give', 'fail', 'take'), { maxLength: 200 });
    fc.assert(
      fc.property(capacityOf, stepsOf, (capacity, steps) => {
        const out = new SettingOut(capacity);
        const arriving = new Arriving(out.shared);
        const under: number[] = [];
        // It is no more under way when it was taken, and read only then.
        let taken: number | null = null;
        let at = performance.now() - 1e9;
        const read = (): void => {
          if (taken === null) return;
          assert.ok(Math.abs(performance.now() - arriving.took() - taken) < 500_000);
          taken = null;
        };
        for (const step of steps) {
          if (step === 'take') {
            read();
            taken = under.shift() ?? null;
            continue;
          }
          at += 1e6;
          out.note(at);
          if (step === 'fail' || under.length === capacity) continue;
          out.gave();
          under.push(at);
          for (const [i, one] of under.entries()) assert.equal(out.of(under.length - 1 - i), one);
        }
        read();
      }),
    );
  });
});

onEachWay('what is measured over workers', (way) => {
  test('is of all connections, those too of workers that are gone, and by whom it was taken', async () => {
    const server = await startOn(way, commands);
    const clients = await Promise.all(Array.from({ length: 8 }, () => dial(server)));
    for (const client of clients) assert.equal(await ask(client, 'hello'), 'hello');
    await endAll(...clients.splice(0, 4));
    await settled(server, 4);
    await eventually(() => measured(server).duration.count === 4);
    // Dies, and what it measured stays.
    const watch = new Watch(server);
    await clients[0]!.write('exit\n');
    const { lost } = await watch.death();
    await watch.restarted();
    await endAll(...clients);
    const { reasons, accepted } = await settled(server, 0);
    assert.ok(lost >= 1);
    assert.equal(reasons['worker-died'], lost);
    const { duration, bytesRead, bytesWritten, queue, dispatch, handOver } = measured(server);
    assert.equal(duration.count, accepted - lost);
    assert.equal(bytesRead.sum, 6 * (8 - lost));
    assert.equal(bytesWritten.sum, 6 * (8 - lost));
    assert.deepEqual([queue.count, dispatch.count], way.handed ? [8, 8] : [0, 0]);
    assert.ok(dispatch.sum >= 0 && dispatch.sum < 8 * 60_000, `${dispatch.sum}`);
    assert.equal(handOver.count, 0);
  });
});

describe('what is measured in a worker', () => {
  test('is the time of handshakes, and how late its event loop is once somebody has looked', async () => {
    const server = await startOn(anyWay, commands, { parallelism: 1, tls: serverTls() });
    const client = await dial(server, { tls: clientTls() });
    assert.equal(await ask(client, 'hello'), 'hello');
    const { handshake } = measured(server);
    assert.deepEqual([handshake.count, handshake.sum > 0], [1, true]);
    const late = (): number | undefined => server.status().workers[0]?.delay?.max;
    await eventually(() => late() !== undefined);
    // What stands still while the watching begins is not seen.
    while (late()! < 100) assert.equal(await ask(client, 'spin 120\nhello'), 'hello');
    await endAll(client);
  });
});

onEachWay(
  'clients that wait for a worker',
  (way) => {
    test('are measured by how long: until there is room, and until they are taken', async () => {
      const server = await startOn(way, commands, { parallelism: 1, queue: 1 });
      const first = await dial(server);
      assert.equal(await ask(first, 'doze 300'), 'dozing');
      // One of them is on its way, the next is held; and more may be, by whom the kernel's queue is asked.
      const others = await Promise.all([dial(server), dial(server)]);
      assert.equal(await line(first), 'awake');
      for (const other of others) assert.equal(await ask(other, 'hello'), 'hello');
      const { queue, dispatch } = measured(server);
      assert.deepEqual([queue.count, dispatch.count], [3, 3]);
      assert.ok(dispatch.sum >= 200, `${dispatch.sum} ms until they were taken`);
      assert.ok(queue.sum <= dispatch.sum, `${queue.sum} of ${dispatch.sum}`);
      await endAll(first, ...others);
    });
  },
  ({ handed }) => handed,
);

onEachWay(
  'connections that are handed over',
  (way) => {
    test('are measured by the time that they were on their way, and their whole life once', async () => {
      const server = await startOn(way, worker('hops'), { dispatch: () => 0 });
      const client = await dial(server);
      await client.write('go 1\n');
      assert.equal(await ask(client, 'where'), '1');
      await client.write('go 0\n');
      assert.equal(await ask(client, 'where'), '0');
      const { dispatch, handOver } = measured(server);
      assert.deepEqual([dispatch.count, handOver.count, server.status().handedOver], [1, 2, 2]);
      assert.ok(handOver.sum >= 0 && handOver.sum < 60_000, `${handOver.sum}`);
      await endAll(client);
      await settled(server, 0);
      await eventually(() => measured(server).duration.count === 1);
    });
  },
  ({ takesBack }) => takesBack,
);
