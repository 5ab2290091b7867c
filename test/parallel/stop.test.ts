import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemCode } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import type { ParallelLedger } from '../../src/parallel/ledger.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { select } from '../../src/sync/synchronize.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { refusal } from '../support/refusal.ts';
import {
  Watch,
  anyWay,
  ask,
  assertAddsUp,
  dial,
  endOf,
  eventually,
  leavesNoThread,
  line,
  onEachWay,
  portOf,
  settled,
  startOn,
  worker,
} from './support.ts';
import type { LaterBoots } from './workers/later-boots.ts';

leavesNoThread();

const commands = worker('commands');

/** The counts of a ledger, which add up. */
function countsOf(ledger: ParallelLedger): Record<string, number> {
  const { connections, finished, idle, forced, failed, detached } = ledger;
  assert.equal(connections, finished + idle + forced + failed + detached, JSON.stringify(ledger));
  const counts = { connections, finished, idle, forced, failed, detached };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** That it is over: nobody listens, and what it was can still be asked. */
async function assertOver(server: ParallelServer): Promise<void> {
  assert.equal(server.state, 'stopped');
  assert.equal(server.stopped, true);
  assert.equal(server.ready, false);
  const port = portOf(server);
  const nobody = connect({ host: '127.0.0.1', port }, { transport: nodeTransport, timeout: 5_000 });
  assert.equal(systemCode(await refusal(nobody)), 'ECONNREFUSED');
  const status = server.status();
  assertAddsUp(status);
  assert.equal(status.active, 0);
  assert.deepEqual(status.workers, []);
  assert.deepEqual(status.addresses, server.addresses);
}

onEachWay('stopping', (way) => {
  test('ends whom it has in order, and the ledger adds up over all workers', async () => {
    const server = await startOn(way, commands);
    const [idle, half, told] = [await dial(server), await dial(server), await dial(server)];
    assert.equal(await ask(idle, 'hello'), 'hello');
    assert.equal(await ask(told, 'draining'), 'waiting');
    assert.equal(await ask(half, 'hello'), 'hello');
    await half.write('hel');
    await eventually(() => server.status().active === 3);
    const ended = endOf(idle);
    const stop = server.stop({ grace: Infinity });
    assert.equal(server.state, 'draining');
    // Who is idle is closed, who is in the middle of something is waited for.
    assert.equal(await ended, 'end');
    assert.equal(await told.readLine(), 'draining');
    assert.equal(await ask(half, 'lo'), 'hello');
    assert.deepEqual(await Promise.all([endOf(told), endOf(half)]), ['end', 'end']);
    const ledger = await stop;
    assert.deepEqual(countsOf(ledger), { connections: 3, idle: 3 });
    assert.equal(ledger.entries.length, 3);
    if (way.handed) assert.deepEqual(new Set(ledger.entries.map((entry) => entry.worker)), new Set([0, 1]));
    await assertOver(server);
    // Again, and at the same time, it is the same.
    assert.equal(await server.stop(), ledger);
    assert.equal(await server.drain({ lead: 1_000 }), ledger);
    assert.equal(await select(server.dead), ledger);
    assert.equal(await server.waitStopped(), true);
  });

  test('while it is suspended ends it all the same', async () => {
    const server = await startOn(way, commands);
    const client = await dial(server);
    assert.equal(await ask(client, 'hello'), 'hello');
    server.suspend();
    assert.equal(server.state, 'suspended');
    const end = endOf(client);
    const ledger = await server.stop();
    assert.equal(await end, 'end');
    assert.deepEqual(countsOf(ledger), { connections: 1, idle: 1 });
    await assertOver(server);
  });
});

describe('a stop', () => {
  // In place-tcp this hangs every other time.
  test('after everything is dead already resolves at once', async () => {
    const server = await startOn(anyWay, commands, { parallelism: 1, onWorkerDeath: 'shrink', onError: () => {} });
    const client = await dial(server);
    void client.write('exit\n');
    const ledger = await select(server.dead);
    for (let i = 0; i < 3; i += 1) assert.equal(await server.stop(), ledger);
    await assertOver(server);
  });

  // place-tcp has no way to end a place that does not listen.
  test('ends a worker that hangs when the time is over, and tells its connections as failed', async () => {
    const server = await startOn(anyWay, commands, { onError: () => {} });
    const watch = new Watch(server);
    const client = await dial(server);
    const other = await dial(server);
    assert.equal(await ask(other, 'hello'), 'hello');
    assert.equal(await ask(client, 'hang'), 'hanging');
    const ends = [endOf(client), endOf(other)];
    const began = performance.now();
    const ledger = await server.stop({ grace: 100 });
    assert.ok(performance.now() - began < 3_000);
    assert.deepEqual(countsOf(ledger), { connections: 2, idle: 1, failed: 1 });
    const { error, next, lost } = watch.of('died')[0]!;
    assert.match(error.message, /did not come to its end in time/u);
    assert.deepEqual({ next, lost }, { next: null, lost: 1 });
    await Promise.all(ends);
    await assertOver(server);
  });

  test('while a worker waits to be started again starts none', async () => {
    const server = await startOn(anyWay, commands, { restart: { delay: 60_000 }, onError: () => {} });
    const watch = new Watch(server);
    const client = await dial(server);
    void client.write('exit\n');
    assert.equal((await watch.death()).next, 60_000);
    await server.stop();
    assert.deepEqual(watch.of('started'), []);
    await assertOver(server);
  });

  test('while a worker is being started again ends that one too', async () => {
    const workerData: LaterBoots = { boots: new Int32Array(new SharedArrayBuffer(4)), fail: 1, how: 'hang' };
    const server = await startOn(anyWay, worker('later-boots'), { parallelism: 1, workerData, onError: () => {} });
    const client = await dial(server);
    void client.write('exit\n');
    await eventually(() => Atomics.load(workerData.boots, 0) === 2);
    const began = performance.now();
    await server.stop({ grace: 60_000 });
    assert.ok(performance.now() - began < 3_000);
    await assertOver(server);
  });

  test('while it reloads ends the new workers, and the reload rejects', async () => {
    const workerData: LaterBoots = { boots: new Int32Array(new SharedArrayBuffer(4)), fail: 1, how: 'hang' };
    const server = await startOn(anyWay, worker('later-boots'), { parallelism: 1, workerData });
    const reload = refusal(server.reload());
    await eventually(() => Atomics.load(workerData.boots, 0) === 2);
    await server.stop();
    assert.equal((await reload).code, 'ERR_PORTSIDE_STATE');
    await assertOver(server);
    assert.equal((await refusal(server.reload())).code, 'ERR_PORTSIDE_STATE');
    assert.equal((await refusal(server.resize(2))).code, 'ERR_PORTSIDE_STATE');
  });

  test('can be hastened, and a later one can not make it longer', async () => {
    const server = await startOn(anyWay, commands, { parallelism: 1 });
    const client = await dial(server);
    assert.equal(await ask(client, 'hello'), 'hello');
    await client.write('half a li');
    const end = endOf(client);
    const slow = server.stop({ grace: Infinity });
    assert.equal(await server.waitStopped({ timeout: 50 }), false);
    const fast = server.stop({ grace: 50 });
    void server.stop({ grace: 60_000 });
    assert.equal(await slow, await fast);
    assert.deepEqual(countsOf(await slow), { connections: 1, forced: 1 });
    assert.equal(await end, 'reset');
    await assertOver(server);
  });

  test('can be called off into its end by a signal', async () => {
    const server = await startOn(anyWay, commands, { parallelism: 1 });
    const client = await dial(server);
    assert.equal(await ask(client, 'hello'), 'hello');
    await client.write('half a li');
    const caller = new AbortController();
    const drain = server.drain({ grace: Infinity, signal: caller.signal });
    assert.equal(await server.waitStopped({ timeout: 20 }), false);
    caller.abort();
    assert.deepEqual(countsOf(await drain), { connections: 1, forced: 1 });
  });
});

describe('a drain', () => {
  test('goes on accepting for its lead, and says that it is not ready', async () => {
    const server = await startOn(anyWay, commands, { lead: 60_000 });
    const before = await dial(server);
    assert.equal(await ask(before, 'hello'), 'hello');
    const drain = server.drain();
    assert.equal(server.ready, false);
    assert.equal(server.state, 'draining');
    const late = await dial(server);
    assert.equal(await ask(late, 'still?'), 'still?');
    const ends = [endOf(before), endOf(late)];
    void server.stop();
    assert.deepEqual(await Promise.all(ends), ['end', 'end']);
    assert.deepEqual(countsOf(await drain), { connections: 2, idle: 2 });
    await assertOver(server);
  });

  test('is told when it is known how long it may take, with a lead or without', async () => {
    for (const lead of [60_000, 0]) {
      const server = await startOn(anyWay, commands, { lead });
      const left: (number | undefined)[] = [];
      server.on('state', (state) => {
        if (state === 'draining') left.push(server.status().ending?.left);
      });
      void server.drain({ grace: 20_000 });
      assert.equal(left.length, 1);
      assert.ok(left[0]! > lead + 19_000 && left[0]! < lead + 20_001, String(left[0]));
      assert.equal(server.failure, null);
      await server.stop({ grace: 0 });
    }
  });

  test('spreads the ends of idle connections over its window', async () => {
    const server = await startOn(anyWay, commands);
    const clients = await Promise.all(Array.from({ length: 8 }, () => dial(server)));
    for (const client of clients) assert.equal(await ask(client, 'hello'), 'hello');
    const ends = clients.map((client) => endOf(client));
    const { entries } = await server.drain({ spread: 400, grace: 5_000 });
    assert.deepEqual(await Promise.all(ends), Array<string>(8).fill('end'));
    const times = entries.map(({ after }) => after).toSorted((a, b) => a - b);
    assert.equal(times.length, 8);
    // Four in each worker, one in each quarter of the window.
    assert.ok(times.at(-1)! >= 300, `the last went after ${times.at(-1)!} ms`);
    assert.ok(times.at(-1)! - times[0]! >= 150, times.join(' '));
  });

  test('takes whom it has let in, and refuses whom nobody takes', async () => {
    const server = await startOn(anyWay, worker('bare'), {
      parallelism: 1,
      queue: 1,
      workerData: { how: ['nobody'] },
    });
    const clients = await Promise.all(Array.from({ length: 4 }, () => dial(server)));
    const ends = clients.map((client) => endOf(client));
    await eventually(() => server.status().queued >= (anyWay.handed ? 2 : 0));
    const began = performance.now();
    const ledger = await server.stop({ grace: 60_000 });
    assert.ok(performance.now() - began < 5_000);
    assert.deepEqual(await Promise.all(ends), Array<string>(4).fill('reset'));
    const { accepted, refused } = server.status();
    if (anyWay.handed) assert.deepEqual(countsOf(ledger), { connections: accepted, failed: accepted });
    assert.equal(refused.stopping, ledger.connections);
    await assertOver(server);
  });
});

describe('the end of a worker that receives its connections itself', () => {
  test('is told to it and to each connection', async () => {
    const server = await startOn(anyWay, worker('bare'));
    const client = await dial(server);
    await line(client);
    assert.equal(await ask(client, 'draining'), 'waiting');
    const stop = server.stop({ grace: Infinity });
    assert.equal(await line(client), 'draining true');
    await client.closeWrite();
    assert.equal(await line(client), 'over');
    assert.equal(await endOf(client), 'end');
    assert.deepEqual(countsOf(await stop), { connections: 1, finished: 1 });
    await assertOver(server);
  });

  test('is forced at the deadline, which can be brought forward', async () => {
    const server = await startOn(anyWay, worker('bare'));
    const client = await dial(server);
    await line(client);
    await settled(server, 1);
    const end = endOf(client);
    const slow = server.stop({ grace: Infinity });
    assert.equal(await server.waitStopped({ timeout: 50 }), false);
    void server.stop({ grace: 50 });
    assert.deepEqual(countsOf(await slow), { connections: 1, forced: 1 });
    assert.equal(await end, 'reset');
    await assertOver(server);
  });
});
