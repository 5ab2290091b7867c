import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { createServer } from '../../src/server/server.ts';
import type { ServerRunOptions } from '../../src/server/signals.ts';
import { Scope } from '../../src/sync/scope.ts';
import { onEachNet } from '../support/nets.ts';
import { startNode } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { dial, until } from './support.ts';

const host = '127.0.0.1';
const nothing = { open(): void {} };

onEachNet('run', (net) => {
  const { transport } = net;

  /** A server that runs, and what its run comes to. */
  function running(given?: Record<string, unknown>) {
    const log: string[] = [];
    const scope = new Scope();
    const { server, done } = scope.run(() => {
      const made = createServer((conn) => conn.closed.then(() => {}), {
        port: 0,
        host,
        transport,
        shutdown: 0,
        grace: 30,
        onStart: (_server, how) => void log.push(`start ${String(how?.['how'])}`),
        onStop: () => void log.push('stop'),
      });
      return { server: made, done: made.run({ signals: [], given }) };
    });
    return { server, done, log, scope };
  }

  for (const [path, end] of [
    ['stop()', ({ server }) => void server.stop()],
    ['drain()', ({ server }) => void server.drain({ lead: 1 })],
    ['its disposal', ({ server }) => void server[Symbol.asyncDispose]()],
    [
      'the shutdown port',
      ({ server }) => {
        const address = server.shutdownAddress;
        if (address !== null && 'port' in address)
          void connect({ host, port: address.port }, { transport }).then((client) => client.close());
      },
    ],
    ['the end of its scope', ({ scope }) => void scope.close()],
  ] as readonly (readonly [string, (it: ReturnType<typeof running>) => void])[]) {
    test(`starts it, and resolves with the ledger once it has stopped by ${path}`, async () => {
      const it = running({ how: 'by hand' });
      await until(() => it.server.state === 'running');
      const client = await dial(net, it.server);
      await until(() => it.server.status().active === 1);
      end(it);
      const ledger = await it.done;
      assert.deepEqual([it.server.state, it.log], ['stopped', ['start by hand', 'stop']]);
      // The connections of a scope end before its listeners.
      assert.equal(ledger.connections, path === 'the end of its scope' ? 0 : 1);
      client.abort();
      await client.closed;
    });
  }

  test('rejects as start does, and so does a run beside it', async () => {
    const taken = createServer(nothing, { port: 0, host, transport });
    await taken.start();
    const [address] = taken.addresses;
    assert.ok(address !== undefined && 'port' in address);
    const server = createServer(nothing, { port: address.port, host, transport });
    const runs = [server.run({ signals: [] }), server.run({ signals: [] })];
    for (const run of runs) await assert.rejects(run, { code: 'EADDRINUSE' });
    await taken.stop();
  });

  test('of one that runs already waits for the same end', async () => {
    const server = createServer(nothing, { port: 0, host, transport });
    await server.start();
    const runs = [server.run({ signals: [] }), server.run({ signals: [] })];
    const stopped = server.stop();
    const [one, two] = await Promise.all(runs);
    assert.equal(one, await stopped);
    assert.equal(two, one);
    assert.equal(await server.run({ signals: [] }), one);
  });

  test('takes only signals that can be caught, and leaves no listener behind', async () => {
    const before = process.listenerCount('SIGUSR2');
    const server = createServer(nothing, { port: 0, host, transport });
    for (const signals of [['SIGKILL'], ['SIGNONSENSE'], 'SIGINT', [1]] as unknown as ServerRunOptions['signals'][])
      await assert.rejects(server.run({ signals }), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.equal(server.state, 'idle');
    const done = server.run({ signals: ['SIGUSR2'] });
    assert.equal(process.listenerCount('SIGUSR2'), before + 1);
    await until(() => server.state === 'running');
    await server.stop();
    await done;
    assert.equal(process.listenerCount('SIGUSR2'), before);
  });
});

/** A program that runs a server and says what happens. Its one connection says that it is busy. */
function program(t: TestContext, more = ''): Program {
  return startNode(t, [
    '--input-type=module-typescript',
    '-e',
    `
    import { connect, createServer } from 'portside';
    const server = createServer(
      async (conn) => { conn.busy = true; while ((await conn.read()) !== null); },
      { port: 0, host: '127.0.0.1', grace: 600_000, onStop: () => console.log('onStop'), ${more} },
    );
    server.on('state', (state) => console.log(state));
    server.on('connection', () => console.log('connected'));
    const done = server.run({ onSignal: (signal, again) => console.log(signal, again) });
    const wait = setInterval(async () => {
      if (server.state !== 'running') return;
      clearInterval(wait);
      const client = await connect('127.0.0.1:' + server.addresses[0].port);
      void client.closed.then(() => console.log('client gone'));
      void client.read().catch(() => {});
      process.on('SIGUSR2', () => client.close());
    }, 1);
    const ledger = await done;
    console.log('ran', ledger.connections, ledger.forced, ledger.finished);
    `,
  ]);
}

describe('run and signals', () => {
  for (const first of ['SIGINT', 'SIGTERM'] as const) {
    test(`${first} drains, another signal ends it at once, and the process ends by itself`, async (t) => {
      const child = program(t);
      await child.until(/connected/u);
      child.signal(first);
      await child.until(/draining/u);
      child.signal(first === 'SIGINT' ? 'SIGTERM' : 'SIGINT');
      assert.deepEqual(await child.exit, { code: 0, signal: null });
      assert.match(child.out, /ran 1 1 0/u);
      assert.match(child.out, new RegExp(`${first} false\\ndraining`, 'u'));
      assert.match(child.out, /SIG\w+ true/u);
      assert.equal(child.out.match(/^stopped$/gmu)?.length, 1);
      assert.equal(child.err, '');
    });
  }

  test('one signal lets connections come to their end', async (t) => {
    const child = program(t);
    await child.until(/connected/u);
    child.signal('SIGTERM');
    await child.until(/draining/u);
    child.signal('SIGUSR2');
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.match(child.out, /ran 1 0 1/u);
    assert.match(child.out, /onStop\nstopped/u);
  });

  test('the same signal twice within half a second is one, as npm and a terminal send it', async (t) => {
    const child = program(t);
    await child.until(/connected/u);
    child.signal('SIGINT');
    await child.until(/draining/u);
    child.signal('SIGINT');
    child.signal('SIGUSR2');
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.doesNotMatch(child.out, /true/u);
    assert.match(child.out, /ran 1 0 1/u);
  });

  test('while onStart hangs, a signal and one more end it', async (t) => {
    const child = program(t, 'onStart: () => { console.log("hangs"); return new Promise(() => {}); }');
    await child.until(/hangs/u);
    child.signal('SIGINT');
    await child.until(/SIGINT false/u);
    child.signal('SIGTERM');
    assert.deepEqual((await child.until(/ran 0 0 0/u)).length, 1);
    assert.match(child.out, /onStop\nstopped\nran/u);
  });
});
