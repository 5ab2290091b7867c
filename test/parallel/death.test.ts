import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PortsideError } from '../../src/base/errors.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ParallelOptions } from '../../src/parallel/options.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { WorkerError } from '../../src/parallel/worker-error.ts';
import { select } from '../../src/sync/synchronize.ts';
import {
  Watch,
  ampleBootTime,
  anyWay,
  ask,
  assertAddsUp,
  dial,
  endOf,
  eventually,
  leavesNoThread,
  onEachWay,
  settled,
  startOn,
  worker,
  ways,
} from './support.ts';
import type { Way } from './support.ts';
import type { LaterBoots } from './workers/later-boots.ts';

leavesNoThread();

const commands = worker('commands');

/** What was told to `onError`. */
interface Told {
  readonly errors: { readonly error: unknown; readonly worker: number | null }[];
  readonly onError: NonNullable<ParallelOptions['onError']>;
}

function told(): Told {
  const errors: Told['errors'] = [];
  return { errors, onError: (error, index) => errors.push({ error, worker: index }) };
}

/** A connection to each worker, by its index. */
async function oneEach(server: ParallelServer): Promise<Connection[]> {
  const clients: Connection[] = [];
  const { workers } = server.status();
  while (clients.filter((client) => client !== undefined).length < workers.length) {
    const client = await dial(server);
    const threadId = Number(await ask(client, 'thread'));
    const { index } = workers.find((one) => one.threadId === threadId)!;
    if (clients[index] === undefined) clients[index] = client;
    else client.abort();
  }
  await eventually(() => server.status().active === workers.length);
  return clients;
}

onEachWay('when a worker dies', (way) => {
  test('its connections are over and counted, all others go on, and another takes its place', async () => {
    const { errors, onError } = told();
    const server = await startOn(way, commands, { onError });
    const watch = new Watch(server);
    const [mine, doomed] = await oneEach(server);
    const before = server.status();
    void doomed!.write('throw\n');
    await endOf(doomed!);
    const { worker: index, error, lost, ids, next } = await watch.death();
    assert.deepEqual({ index, lost, ids, next }, { index: 1, lost: 1, ids: [], next: 10 });
    assert.ok(error instanceof WorkerError);
    assert.match(error.message, /^worker 1 failed: asked to throw$/u);
    assert.ok(error.cause instanceof Error);
    assert.equal(error.cause.name, 'RangeError');
    assert.deepEqual(errors, [{ error, worker: 1 }]);
    assert.equal(await ask(mine!, 'still here?'), 'still here?');
    const newcomer = await dial(server);
    assert.equal(await ask(newcomer, 'anybody?'), 'anybody?');
    await watch.restarted();
    const status = await settled(server, 2);
    assert.equal(status.accepted, before.accepted + 1);
    assert.equal(status.reasons['worker-died'], 1);
    assert.equal(status.restarts, 1);
    assert.deepEqual(
      status.workers.map(({ index: at, state, restarts }) => ({ at, state, restarts })),
      [
        { at: 0, state: 'serving', restarts: 0 },
        { at: 1, state: 'serving', restarts: 1 },
      ],
    );
    assert.notEqual(status.workers[1]!.threadId, before.workers[1]!.threadId);
    const ledger = await server.stop({ grace: 0 });
    assert.equal(ledger.connections, 2);
    assertAddsUp(server.status());
  });

  test('the permits that it had come back', async () => {
    const server = await startOn(way, commands, { parallelism: 1, maxConnections: 2, onError: () => {} });
    const watch = new Watch(server);
    const first = await dial(server);
    const second = await dial(server);
    assert.equal(await ask(first, 'a'), 'a');
    assert.equal(await ask(second, 'b'), 'b');
    // Where workers bind for themselves, who waits for a worker that dies is reset with it.
    const early = way.handed ? await dial(server) : null;
    const answer = early === null ? null : ask(early, 'c');
    void first.write('exit\n');
    await Promise.all([endOf(first), endOf(second)]);
    await watch.restarted();
    assert.equal(await (answer ?? ask(await dial(server), 'c')), 'c');
    assert.equal(await ask(await dial(server), 'd'), 'd');
    const status = await settled(server, 2);
    assert.deepEqual(status.reasons, { 'worker-died': 2 });
  });

  test('with shrink the rest goes on, until the last is gone too', async () => {
    const server = await startOn(way, commands, { onWorkerDeath: 'shrink', onError: () => {} });
    const watch = new Watch(server);
    const run = assert.rejects(server.run({ signals: [] }), /^WorkerError: worker 1 ended with code 3$/u);
    const [first, second] = await oneEach(server);
    void first!.write('exit\n');
    assert.equal((await watch.death()).next, null);
    // Whatever the kernel would have given to the one that is gone.
    for (let i = 0; i < 20; i += 1) {
      const client = await dial(server);
      assert.equal(await ask(client, `${i}`), `${i}`);
      client.abort();
    }
    await settled(server, 1);
    assert.equal(server.status().workers.length, 1);
    assert.equal(server.state, 'running');
    void second!.write('exit\n');
    await run;
    const { reasons } = server.status();
    assert.equal(reasons['worker-died'], 2);
    assertAddsUp(server.status());
  });
});

describe('a worker that', () => {
  test('exits or has no memory left dies, and the next is as good as the first', async () => {
    const { errors, onError } = told();
    const server = await startOn(anyWay, commands, {
      parallelism: 1,
      resourceLimits: { maxOldGenerationSizeMb: 48 },
      onError,
    });
    const watch = new Watch(server);
    const dies: [string, RegExp][] = [
      ['exit', /^worker 0 ended with code 3$/u],
      ['memory', /^worker 0 failed: .*memory/u],
    ];
    for (const [i, [command, message]] of dies.entries()) {
      const client = await dial(server);
      void client.write(`${command}\n`);
      await endOf(client);
      const { error } = await watch.death(i + 1);
      assert.match(error.message, message);
      await watch.restarted(i + 1);
    }
    assert.equal((errors[1]!.error as { cause: NodeJS.ErrnoException }).cause.code, 'ERR_WORKER_OUT_OF_MEMORY');
    // One after another: the waits get longer.
    assert.deepEqual(
      watch.of('died').map(({ next }) => next),
      [10, 20],
    );
    assert.equal(await ask(await dial(server), 'hello'), 'hello');
    const status = await settled(server, 1);
    assert.deepEqual(status.reasons, { 'worker-died': 2 });
  });

  test('fails to start again is tried again', async () => {
    const workerData: LaterBoots = { boots: new Int32Array(new SharedArrayBuffer(4)), fail: 2, how: 'throw' };
    const server = await startOn(anyWay, worker('later-boots'), { parallelism: 1, workerData, onError: () => {} });
    const watch = new Watch(server);
    const client = await dial(server);
    void client.write('exit\n');
    await watch.restarted();
    assert.deepEqual(
      watch.of('died').map(({ next, error }) => ({ next, why: (error.cause as Error | undefined)?.message })),
      [
        { next: 10, why: undefined },
        { next: 20, why: 'not this time' },
        { next: 40, why: 'not this time' },
      ],
    );
    const { restarts, workers } = server.status();
    assert.deepEqual({ restarts, of: workers[0]!.restarts }, { restarts: 1, of: 1 });
    assert.equal(await ask(await dial(server), 'hello'), 'hello');
  });

  test('hangs while it is started again is ended at bootTimeout, and tried again', async () => {
    const workerData: LaterBoots = { boots: new Int32Array(new SharedArrayBuffer(4)), fail: 1, how: 'hang' };
    const options = { parallelism: 1, workerData, bootTimeout: await ampleBootTime(1), onError: () => {} };
    const server = await startOn(anyWay, worker('later-boots'), options);
    const watch = new Watch(server);
    const client = await dial(server);
    void client.write('exit\n');
    const { error } = await watch.death(2);
    assert.match(error.message, /could not be started again/u);
    const { cause } = error;
    assert.ok(cause instanceof PortsideError);
    assert.equal(cause.code, 'ERR_PORTSIDE_TIMEOUT');
    assert.match(cause.message, /worker 0 did not get ready within/u);
    await watch.restarted();
  });

  test('gave a connection away is told apart: that was counted then', async () => {
    const server = await startOn(anyWay, commands, { parallelism: 1, onError: () => {} });
    const watch = new Watch(server);
    const away = await dial(server);
    assert.equal(await ask(away, 'detach'), 'detached');
    const client = await dial(server);
    void client.write('exit\n');
    // It ends with its worker.
    await Promise.all([endOf(away), endOf(client)]);
    assert.equal((await watch.death()).lost, 1);
    const { accepted, closed, detached } = await settled(server, 0);
    assert.deepEqual({ accepted, closed, detached }, { accepted: 2, closed: 1, detached: 1 });
  });
});

describe('when too many workers die', () => {
  test('the listener stops: run() rejects with the error, and dead is ready', async () => {
    const { onError } = told();
    const server = await startOn(anyWay, commands, { restart: { delay: 1, limit: 1 }, onError });
    const watch = new Watch(server);
    const run = assert.rejects(
      server.run({ signals: [] }),
      (error) => error instanceof WorkerError && error.worker === 1,
    );
    const [first, second] = await oneEach(server);
    void first!.write('exit\n');
    assert.equal((await watch.death()).next, 1);
    await watch.restarted();
    void second!.write('exit\n');
    assert.equal((await watch.death(2)).next, null);
    const ledger = await select(server.dead);
    await run;
    assert.ok(server.failure instanceof WorkerError);
    assert.equal(server.state, 'stopped');
    assert.equal(ledger, await server.stop());
    assert.equal(server.status().workers.length, 0);
    assertAddsUp(server.status());
  });

  test('with stop one is too many, and the others are drained', async () => {
    const server = await startOn(anyWay, commands, { onWorkerDeath: 'stop', onError: () => {} });
    const run = assert.rejects(server.run({ signals: [] }), /worker 0 failed: asked to throw/u);
    const [first, second] = await oneEach(server);
    assert.equal(await ask(second!, 'draining'), 'waiting');
    void first!.write('throw\n');
    // The port is closed, and who is being served hears of it.
    assert.equal(await second!.readLine(), 'draining');
    await endOf(second!);
    await run;
    const ledger = await server.stop();
    assert.deepEqual(
      { connections: ledger.connections, idle: ledger.idle, failed: ledger.failed },
      { connections: 1, idle: 1, failed: 0 },
    );
    assertAddsUp(server.status());
  });
});

for (const way of ways().filter(({ handed }) => handed)) describeNotTaken(way);

function describeNotTaken(way: Way): void {
  describe(`connections that a worker has not taken when it dies (${way.name})`, () => {
    test(way.takesBack ? 'go to another' : 'are closed, and told by their numbers', async () => {
      const { onError } = told();
      const server = await startOn(way, commands, {
        // The first that lives.
        dispatch: (_peer, [first]) => first!.index,
        watchdog: 300,
        restart: { delay: 60_000 },
        onError,
      });
      const watch = new Watch(server);
      const doomed = await dial(server);
      const { threadId } = server.status().workers[1]!;
      assert.notEqual(Number(await ask(doomed, 'thread')), threadId);
      assert.equal(await ask(doomed, 'hang'), 'hanging');
      const clients = await Promise.all(Array.from({ length: 5 }, () => dial(server)));
      const answers = clients.map((client) => ask(client, 'thread').catch(() => 'over'));
      await eventually(() => server.status().workers[0]!.waiting === 5);
      assert.equal(server.status().queued, 5);
      const { lost, ids, error } = await watch.death();
      assert.match(error.message, /^worker 0 did not turn its event loop for 300 ms, and was ended$/u);
      const all = await Promise.all(answers);
      if (way.takesBack) {
        assert.deepEqual({ lost, ids }, { lost: 1, ids: [] });
        assert.deepEqual(all, Array<string>(5).fill(String(threadId)));
        await settled(server, 5);
      } else {
        assert.deepEqual({ lost, ids }, { lost: 6, ids: [2, 3, 4, 5, 6] });
        assert.deepEqual(all, Array<string>(5).fill('over'));
        await settled(server, 0);
      }
      assert.equal(server.status().reasons['worker-died'], lost);
      const ledger = await server.stop({ grace: 0 });
      assert.deepEqual(ledger.lost, ids);
    });
  });
}
