import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ParallelOptions } from '../../src/parallel/options.ts';
import { startParallel } from '../../src/parallel/start-parallel.ts';
import { Scope } from '../../src/sync/scope.ts';
import { inCheckout, startNode } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { refusal } from '../support/refusal.ts';
import {
  Watch,
  anyWay,
  ask,
  dial,
  dialPort,
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
import { newMuster } from './workers/rank.ts';
import type { BootPlan } from './workers/boot-plan.ts';

leavesNoThread();

const commands = worker('commands');
const place = { port: 0, host: '127.0.0.1', parallelism: 2, ...anyWay.options } satisfies ParallelOptions;

describe('the life of a parallel listener', () => {
  test('goes from state to state, and its hooks run once, with what was given', async () => {
    const seen: unknown[] = [];
    const server = await startParallel(
      commands,
      {
        ...place,
        onStart: (one, given) => {
          seen.push(['onStart', one.state, one.status().workers.length, given]);
          one.on('state', (state, before) => seen.push([state, before]));
        },
        onStop: (one, given) => {
          seen.push(['onStop', one.state, one.status().workers.length, given]);
        },
      },
      { why: 'test' },
    );
    assert.equal(server.way, anyWay.handed ? 'handed' : 'bound');
    assert.equal(server.status().transport, anyWay.options.transport);
    assert.equal(server.ready, true);
    assert.equal(await server.waitStopped({ timeout: 10 }), false);
    server.suspend();
    server.resume();
    await server.stop({ given: { because: 'over' } });
    await server.stop({ given: { because: 'again' } });
    assert.deepEqual(seen, [
      ['onStart', 'starting', 2, { why: 'test' }],
      ['running', 'starting'],
      ['suspended', 'running'],
      ['running', 'suspended'],
      ['draining', 'running'],
      ['onStop', 'draining', 0, { because: 'over' }],
      ['stopped', 'draining'],
    ]);
    const { uptime } = server.status();
    assert.equal(server.status().uptime, uptime, 'it does not go on after the end');
  });

  test('may end in onStart', async () => {
    const server = await startParallel(commands, { ...place, onStart: async (one) => void (await one.stop()) });
    assert.equal(server.state, 'stopped');
    assert.equal((await server.stop()).connections, 0);
  });

  test('ends when a worker dies in onStart and none may take its place: the start rejects with that', async () => {
    const muster = newMuster(1);
    const error = await refusal(
      startParallel(worker('boot-plan'), {
        ...place,
        parallelism: 1,
        onWorkerDeath: 'stop',
        workerData: { plan: ['late'], muster } satisfies BootPlan,
        onStart: async (one) => {
          await one.waitStopped();
        },
      }),
    );
    assert.equal(error.code, 'ERR_PORTSIDE_WORKER');
    assert.match(error.message, /has changed its mind/u);
  });

  test('is ended by Symbol.asyncDispose', async () => {
    const server = await startParallel(commands, place);
    await server[Symbol.asyncDispose]();
    assert.equal(server.state, 'stopped');
  });

  test('survives hooks that throw, which are told to onError', async () => {
    const errors: unknown[] = [];
    const server = await startParallel(commands, {
      ...place,
      parallelism: 1,
      onStop: () => {
        throw new Error('onStop');
      },
      onError: (error, from) => {
        errors.push([(error as Error).message, from]);
        throw new Error('onError');
      },
    });
    server.on('error', (error, from) => errors.push([(error as Error).message, from]));
    const client = await dial(server);
    void client.write('fail\n');
    await endOf(client);
    await eventually(() => errors.length === 2);
    await server.stop();
    assert.deepEqual(errors, [
      ['asked to fail', 0],
      ['onError', null],
      ['onStop', null],
      ['onError', null],
    ]);
    assert.equal(server.status().errors, 2);
  });
});

describe('a scope', () => {
  test('that is closed ends what was started in it', async () => {
    const scope = new Scope();
    const server = await scope.run(() => startParallel(commands, place));
    const client = await dial(server);
    assert.equal(await ask(client, 'hello'), 'hello');
    const end = endOf(client);
    const found = await scope.close();
    assert.match(JSON.stringify(found), /parallel listener on 1 addresses/u);
    assert.equal(server.state, 'stopped');
    assert.equal(await end, 'reset');
  });

  test('that is closed while it is starting calls the start off', async () => {
    const scope = new Scope();
    const workerData: BootPlan = { plan: ['hang', 'hang'], muster: newMuster(2) };
    const start = refusal(scope.run(() => startParallel(worker('boot-plan'), { ...place, workerData })));
    await eventually(() => Atomics.load(workerData.muster, 0) === 2);
    await scope.close();
    assert.equal((await start).code, 'ERR_PORTSIDE_ABORTED');
  });
});

onEachWay('while it is suspended', (way) => {
  test('clients wait, and workers that are started then serve them afterwards too', async () => {
    const server = await startOn(way, commands, { parallelism: 1, onError: () => {} });
    const watch = new Watch(server);
    const client = await dial(server);
    assert.equal(await ask(client, 'hello'), 'hello');
    server.suspend();
    assert.equal(await ask(client, 'still served'), 'still served');
    void client.write('exit\n');
    await eventually(() => watch.of('started').length === 1);
    assert.equal(server.state, 'suspended');
    const { accepted } = server.status();
    const answer = ask(await dial(server), 'waited');
    // Time enough to be accepted, if it were.
    await sleep(100);
    assert.equal(server.status().accepted, accepted);
    server.resume();
    assert.equal(await answer, 'waited');
    await settled(server, 1);
  });
});

/** The program of the fixtures, when it serves. */
async function running(t: TestContext, options: ParallelOptions = {}): Promise<{ program: Program; port: number }> {
  const file = inCheckout('test/parallel/workers/program.ts');
  const program = startNode(t, [file, JSON.stringify({ ...anyWay.options, ...options })]);
  const [, port] = await program.until(/port (\d+)\n/u);
  return { program, port: Number(port) };
}

describe('a program', () => {
  test('that runs one is drained by the first signal', async (t) => {
    const { program, port } = await running(t);
    const client = await dialPort(port);
    assert.equal(await ask(client, 'hello'), 'hello');
    await client.write('half a ');
    program.signal('SIGTERM');
    await program.until(/SIGTERM false\n/u);
    assert.equal(await ask(client, 'line'), 'half a line');
    assert.equal(await endOf(client), 'end');
    await program.until(
      /over \{"connections":1,"finished":0,"idle":1,"forced":0,"failed":0,"detached":0\} 1 0 true\n/u,
    );
    assert.deepEqual(await program.exit, { code: 0, signal: null });
    assert.equal(program.err, '');
  });

  test('that runs one is ended at once by the second', async (t) => {
    const { program, port } = await running(t, { grace: 600_000 });
    const client = await dialPort(port);
    assert.equal(await ask(client, 'hello'), 'hello');
    await client.write('half a ');
    program.signal('SIGINT');
    await program.until(/SIGINT false\n/u);
    program.signal('SIGTERM');
    assert.equal(await endOf(client), 'reset');
    await program.until(/SIGTERM true\n[^]*over .*"forced":1/u);
    assert.deepEqual(await program.exit, { code: 0, signal: null });
  });

  test('that was stopped by the system for longer than the watchdog waits goes on with its workers', async (t) => {
    const { program, port } = await running(t, { watchdog: 1_000 });
    const client = await dialPort(port);
    // Its event loop stands still, for not too long, as all others do while they are stopped.
    assert.equal(await ask(client, 'doze 1700'), 'dozing');
    await sleep(300);
    program.signal('SIGSTOP');
    await sleep(1_100);
    program.signal('SIGCONT');
    assert.equal(await line(client), 'awake');
    assert.equal(await ask(client, 'hello'), 'hello');
    program.signal('SIGTERM');
    await endOf(client);
    await program.exit;
    assert.doesNotMatch(program.out, /died/u);
  });
});

describe('its status', () => {
  test('tells of each worker who it is, and how it does', async () => {
    const server = await startOn(anyWay, commands);
    const client = await dial(server);
    const threadId = Number(await ask(client, 'thread'));
    const mine = () => server.status().workers.find((one) => one.threadId === threadId);
    await eventually(() => {
      const { bytesRead, heap, delay } = server.status().workers.find((one) => one.threadId === threadId)!;
      // Node 22 can't tell how much heap a worker uses.
      return bytesRead > 0 && delay !== null && (heap !== null || process.versions.node < '24');
    });
    const { utilization, heap, delay, ...rest } = mine()!;
    assert.ok(utilization >= 0 && utilization <= 1);
    assert.ok(delay !== null && delay.p50 >= 0 && delay.p99 >= delay.p50 && delay.max >= delay.p99);
    assert.ok(heap === null || heap > 1_000_000);
    assert.deepEqual(rest, {
      index: server.status().workers.findIndex((one) => one.threadId === threadId),
      threadId,
      state: 'serving',
      connections: 1,
      waiting: 0,
      accepted: 1,
      handedOver: 0,
      bytesRead: 7,
      bytesWritten: `${threadId}\n`.length,
      restarts: 0,
    });
    const [connection] = await server.connections();
    const { id, worker: index, remote, doing, bytesRead, queued } = connection!;
    assert.deepEqual({ id, doing, bytesRead, queued }, { id: 1, doing: 'idle', bytesRead: 7, queued: 0 });
    assert.ok(index === 0 || index === 1);
    assert.deepEqual(remote, client.local);
    assert.equal(portOf(server), (client.remote as { port: number }).port);
  });
});
