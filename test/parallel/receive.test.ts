import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { receiveConnections } from '../../src/parallel/receive-connections.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { certificates } from '../support/certificates.ts';
import { refusal } from '../support/refusal.ts';
import {
  Watch,
  anyWay,
  ask,
  assertAddsUp,
  atEnd,
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
import type { BareData } from './workers/bare.ts';
import type { Turns } from './workers/one-and-close.ts';

leavesNoThread();

const bare = worker('bare');

function dealt(...how: BareData['how']): { workerData: BareData & { stopped: Int32Array } } {
  return { workerData: { how, stopped: new Int32Array(new SharedArrayBuffer(4)) } };
}

onEachWay('what a worker receives', (way) => {
  test('says who it is, where it listens, and what it was given', async () => {
    const given = new Map([['a', new Date(0)]]);
    const options = { workerData: { how: ['iterate'], given } satisfies BareData & { given: unknown } };
    const server = await startOn(way, bare, { ...options, host: 'localhost', families: ['ipv4'] });
    const client = await dial(server);
    assert.match(await line(client), /^[01]\/2$/u);
    const port = portOf(server);
    assert.notEqual(port, 0);
    const fields = JSON.parse(await ask(client, 'fields')) as Record<string, unknown>;
    assert.deepEqual(fields, {
      host: 'localhost',
      port,
      data: { how: ['iterate'], given: {} },
      stopping: false,
      isMainThread: false,
      address: { family: 'ipv4', host: '127.0.0.1', port },
    });
    // It is a worker's once.
    assert.equal(await ask(client, 'again'), 'ERR_PORTSIDE_STATE');
    assert.equal(await ask(client, 'hello'), 'hello');
    // The other direction is open after the end of this one.
    await client.closeWrite();
    assert.equal(await line(client), 'over');
    assert.equal(await client.readLine(), null);
    await settled(server, 0);
  });

  test('gives connections by accept, by iteration and by its Evt', async () => {
    const server = await startOn(way, bare, { parallelism: 3, ...dealt('accept', 'iterate', 'evt') });
    const served = new Set<string>();
    // The kernel spreads as it likes.
    while (served.size < 3) {
      const client = await dial(server);
      served.add(await line(client));
      assert.equal(await ask(client, 'hello'), 'hello');
      client.abort();
    }
    assert.deepEqual([...served].toSorted(), ['0/3', '1/3', '2/3']);
    assertAddsUp(await settled(server, 0));
    const ledger = await server.stop();
    assert.equal(ledger.connections, 0);
  });

  // In place-tcp a connection that a place has parked blocks the stop message behind it.
  test('does not keep its end from coming, when the module accepts nobody', async () => {
    const options = dealt('nobody');
    const server = await startOn(way, bare, options);
    const clients = [await dial(server), await dial(server), await dial(server)];
    const ends = clients.map((client) => endOf(client));
    if (way.handed) await eventually(() => server.status().accepted === 3);
    const began = performance.now();
    const ledger = await server.stop({ grace: 60_000 });
    assert.ok(performance.now() - began < 5_000, 'it waited for nobody');
    assert.equal(Atomics.load(options.workerData.stopped, 0), 2, 'both workers heard of it');
    assert.deepEqual(await Promise.all(ends), ['reset', 'reset', 'reset']);
    const status = server.status();
    assertAddsUp(status);
    assert.equal(ledger.connections, status.accepted);
    assert.equal(ledger.failed, status.accepted);
    if (way.handed) assert.deepEqual(status.reasons, { refused: 3 });
  });

  test('may be closed by the module: the worker keeps whom it has, and another takes its place', async () => {
    const server = await startOn(way, bare, { parallelism: 1, onError: () => {} });
    const watch = new Watch(server);
    const client = await dial(server);
    await line(client);
    assert.equal(await ask(client, 'close'), 'closed');
    const death = await watch.death();
    assert.match(death.error.message, /^worker 0 has closed its listener/u);
    assert.equal(death.lost, 0);
    await watch.restarted();
    const newcomer = await dial(server);
    assert.equal(await line(newcomer), '0/1');
    assert.equal(await ask(client, 'still there?'), 'still there?');
    const { workers } = server.status();
    assert.deepEqual(
      workers.map(({ state, connections }) => ({ state, connections })),
      [
        { state: 'leaving', connections: 1 },
        { state: 'serving', connections: 1 },
      ],
    );
    await client.close();
    await eventually(() => server.status().workers.length === 1);
    assert.equal(await ask(newcomer, 'and you?'), 'and you?');
    await settled(server, 1);
  });
});

onEachWay(
  'connections that were given to a worker whose module then closes its listener',
  (way) => {
    test('go to another where the transport can do that, and are counted where it can not', async () => {
      const turns = new Int32Array(new SharedArrayBuffer(8));
      const options = { workerData: { turns } satisfies Turns, parallelism: 1, onError: () => {} };
      const server = await startOn(way, worker('one-and-close'), options);
      const watch = new Watch(server);
      const first = await dial(server);
      await eventually(() => server.status().workers[0]!.connections === 1);
      // They are with the worker, and it does not take them.
      const clients = await Promise.all(Array.from({ length: 5 }, () => dial(server)));
      await eventually(() => server.status().accepted === 6);
      assert.equal(await ask(first, 'close'), 'deaf');
      // They are on their way.
      for (let i = 0; i < 5; i += 1) clients.push(await dial(server));
      await eventually(() => server.status().queued === 10);
      const answers = clients.map((client) => line(client).catch(() => 'reset'));
      Atomics.store(turns, 1, 1);
      Atomics.notify(turns, 1);
      const { lost, ids } = await watch.death();
      await watch.restarted();
      const all = new Set(await Promise.all(answers));
      if (way.takesBack) assert.deepEqual({ lost, ids, all }, { lost: 0, ids: [], all: new Set(['yours']) });
      else assert.deepEqual({ lost, ids, all }, { lost: 5, ids: [7, 8, 9, 10, 11], all: new Set(['reset']) });
      // The worker that closed goes on with the one that it has, and the counts are exact all the same.
      await settled(server, way.takesBack ? 11 : 1);
      for (const client of [first, ...clients]) client.abort();
      await eventually(() => server.status().workers.length === 1);
      const { reasons, refused } = await settled(server, 0);
      if (!way.takesBack) assert.deepEqual({ ...reasons, reset: 0 }, { refused: 5, 'worker-died': 5, reset: 0 });
      assert.equal(refused.stopping, reasons['refused'] ?? 0);
    });
  },
  ({ handed }) => handed,
);

describe('what else holds for connections that are received', () => {
  test('TLS and deadlines are those of the options', async () => {
    const { ca, server: pair } = certificates();
    const server = await startOn(anyWay, bare, { tls: pair, deadlines: { idle: 100 } });
    const client = await connect(
      { host: '127.0.0.1', port: portOf(server) },
      { transport: nodeTransport, tls: { ca, servername: 'localhost' } },
    );
    atEnd(() => client.close());
    assert.match(await line(client), /^[01]\/2$/u);
    assert.equal(await ask(client, 'secret'), 'secret');
    await endOf(client);
    const { reasons } = await settled(server, 0);
    assert.deepEqual(reasons, { 'timeout-idle': 1 });
  });

  test('the host is null where none was given', async () => {
    const server = await startOn(anyWay, bare, { listen: 'tcp://:0' });
    const client = await dial(server);
    await line(client);
    const { host, port } = JSON.parse(await ask(client, 'fields')) as { host: unknown; port: unknown };
    assert.deepEqual({ host, port }, { host: null, port: portOf(server) });
  });

  test('endpoints that differ in TLS, or have limits of their own, need a handler', async () => {
    const { server: pair } = certificates();
    for (const listen of [
      ['tcp://127.0.0.1:0', { endpoint: 'tls://127.0.0.1:0', tls: pair }],
      [{ port: 0, host: '127.0.0.1', maxConnections: 1 }],
    ]) {
      const { cause } = await refusal(startOn(anyWay, bare, { listen }));
      assert.ok(cause instanceof Error);
      assert.equal((cause as NodeJS.ErrnoException).code, 'ERR_PORTSIDE_UNSUPPORTED');
      assert.match(cause.message, /export a handler/u);
    }
  });

  test('outside of a worker there is nothing to receive', async () => {
    const error = await refusal(receiveConnections());
    assert.equal(error.code, 'ERR_PORTSIDE_STATE');
    assert.match(error.message, /not a worker/u);
  });
});

describe('what workers are started with', () => {
  test('workerData, env, argv, execArgv and resourceLimits pass through', async () => {
    const server = await startOn(anyWay, worker('commands'), {
      parallelism: 1,
      workerData: { greeting: 'hi' },
      env: { ...process.env, PORTSIDE_TEST: 'set' },
      argv: ['--one', 'two'],
      execArgv: ['--no-warnings'],
      resourceLimits: { maxOldGenerationSizeMb: 64 },
    });
    const client = await dial(server);
    const setting = JSON.parse(await ask(client, 'setting PORTSIDE_TEST')) as Record<string, unknown>;
    const { maxOldGenerationSizeMb } = setting['resourceLimits'] as { maxOldGenerationSizeMb: number };
    assert.deepEqual(
      { ...setting, resourceLimits: maxOldGenerationSizeMb },
      { data: { greeting: 'hi' }, env: 'set', argv: ['--one', 'two'], execArgv: ['--no-warnings'], resourceLimits: 64 },
    );
    assert.equal(process.env['PORTSIDE_TEST'], undefined);
  });

  test('what can not be cloned is an error that says which, and opens nothing', async () => {
    const error = await refusal(startOn(anyWay, bare, { workerData: { how: ['accept'], call: () => 1 } }));
    assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
    assert.match(error.message, /options\.workerData can't be cloned into a worker: \(\) => 1 could not be cloned/u);
  });
});
