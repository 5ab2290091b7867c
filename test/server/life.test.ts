import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PortsideError } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import type { Connection } from '../../src/net/connection.ts';
import { defineConfig } from '../../src/parallel/config.ts';
import type { Given, ServerOptions } from '../../src/server/options.ts';
import { Server, createServer } from '../../src/server/server.ts';
import type { ServerState } from '../../src/server/events.ts';
import { Scope } from '../../src/sync/scope.ts';
import { endAll, onEachNet, portOf } from '../support/nets.ts';
import { watchLeaks } from '../support/leaks.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, dialToReset, serveOn, turns, until } from './support.ts';

const host = '127.0.0.1';
const nothing = { open(): void {} };

/** The states that a server goes through, from now on. */
function statesOf(server: Server): ServerState[] {
  const states: ServerState[] = [];
  server.on('state', (state) => states.push(state));
  return states;
}

onEachNet('the life of a server', (net) => {
  const { transport } = net;

  test('making one opens nothing, and its port may be taken by another meanwhile', async () => {
    const noLeaks = watchLeaks();
    const listener = await listen({ port: 0, host, transport });
    const port = portOf(listener);
    const server = createServer(nothing, { port, host, transport, shutdown: 0 });
    await turns();
    assert.deepEqual([server.state, server.stopped, server.ready], ['idle', true, false]);
    assert.deepEqual([server.addresses, server.shutdownAddress, server.status().uptime], [[], null, 0]);
    await assert.rejects(server.start(), { code: 'EADDRINUSE' });
    await listener.close();
    await noLeaks();
  });

  test('it is stopped before its start and after its end, and not between', async () => {
    const server = createServer(nothing, { port: 0, host, transport });
    const states = statesOf(server);
    assert.equal(await server.waitStopped({ timeout: 0 }), true);
    assert.equal(await server.start(), server);
    assert.deepEqual([server.stopped, server.ready, server.state], [false, true, 'running']);
    assert.equal(await server.waitStopped({ timeout: 1 }), false);
    await server.stop();
    assert.deepEqual([server.stopped, server.ready, server.state], [true, false, 'stopped']);
    assert.deepEqual(states, ['starting', 'running', 'draining', 'stopped']);
    // Its address can still be told, and it can be waited for as often as one likes.
    assert.equal(server.addresses.length, 1);
    assert.equal(await server.waitStopped(), true);
    assert.equal(await server.waitStopped({ timeout: 0 }), true);
  });

  test('starting it twice, or after a stop, is an error that says so, and harms nothing', async () => {
    const server = createServer(nothing, { port: 0, host, transport });
    const starting = server.start();
    const twice = { name: 'PortsideError', code: 'ERR_PORTSIDE_STATE', message: /started before/u };
    await assert.rejects(server.start(), twice);
    await starting;
    await assert.rejects(server.start(), twice);
    await endAll(await dial(net, server));
    await server.stop();
    await assert.rejects(server.start(), { code: 'ERR_PORTSIDE_STATE', message: /stopped; make another one/u });
    assert.equal(server.state, 'stopped');
  });

  test('stopping one that was not started resolves, and it can be started afterwards', async () => {
    const server = createServer(nothing, { port: 0, host, transport });
    assert.equal((await server.stop()).connections, 0);
    await server[Symbol.asyncDispose]();
    await server.start();
    await server.stop();
  });

  test('onStart runs when it is bound and before anybody is accepted; onStop when all is closed; each with what was given', async () => {
    const log: string[] = [];
    const clients: Promise<Connection>[] = [];
    const server = createServer(() => void log.push('client'), {
      port: 0,
      host,
      transport,
      onStart: async (it, given) => {
        assert.deepEqual(given, { reason: 'morning' });
        assert.deepEqual([it.state, it.addresses.length, it.ready], ['starting', 1, false]);
        clients.push(dial(net, it));
        await turns();
        log.push('start');
      },
      onStop: async (it, given) => {
        assert.deepEqual(given, { reason: 'evening' });
        assert.equal(it.status().active, 0);
        await assert.rejects(dial(net, it), { code: 'ECONNREFUSED' });
        assert.equal(it.state, 'draining');
        log.push('stop');
      },
    });
    await server.start({ reason: 'morning' });
    await endAll(...(await Promise.all(clients)));
    await until(() => server.status().closed === 1);
    await server.stop({ given: { reason: 'evening' } });
    assert.deepEqual(log, ['start', 'client', 'stop']);
  });

  test('a subclass has the same hooks, and may call those of the options', async () => {
    const log: string[] = [];
    class Clockwork extends Server<{ name: string }> {
      constructor(options: ServerOptions<{ name: string }>) {
        super({ open: (conn) => conn.abort() }, options);
      }
      protected override async onStart(given: Given | undefined): Promise<void> {
        log.push(`${this.context.name} ${this.state} ${this.addresses.length} ${String(given?.['by'])}`);
        await super.onStart(given);
      }
      protected override async onStop(given: Given | undefined): Promise<void> {
        await super.onStop(given);
        log.push(`${this.context.name} ${this.status().closed} ${String(given?.['by'])}`);
      }
    }
    const hooks = { onStart: () => void log.push('option start'), onStop: () => void log.push('option stop') };
    const server = new Clockwork({ port: 0, host, transport, context: { name: 'tick' }, ...hooks });
    await server.start({ by: 'me' });
    await dialToReset(net, server as Server);
    await server.stop({ given: { by: 'you' } });
    assert.deepEqual(log, ['tick starting 1 me', 'option start', 'option stop', 'tick 1 you']);
  });

  test('onStart that throws leaves nothing open, start rejects with it, and onStop has run', async () => {
    const noLeaks = watchLeaks();
    const refused = new Error('no database');
    const log: string[] = [];
    const server = createServer(nothing, {
      port: 0,
      host,
      transport,
      shutdown: 0,
      onStart: () => {
        throw refused;
      },
      onStop: () => void log.push('stop'),
    });
    const states = statesOf(server);
    await assert.rejects(server.start(), (error) => error === refused);
    assert.deepEqual(log, ['stop']);
    assert.deepEqual(states, ['starting', 'stopped']);
    await assert.rejects(dial(net, server), { code: 'ECONNREFUSED' });
    // It has stopped, which is what stop is asked for.
    assert.equal((await server.stop()).connections, 0);
    assert.equal(await server.waitStopped(), true);
    await noLeaks();
  });

  test('onStop that throws, at once or later, is told to onError, and the server has stopped all the same', async () => {
    for (const onStop of [
      (): void => {
        throw new Error('spilt');
      },
      (): Promise<void> => Promise.reject(new Error('spilt')),
    ]) {
      const told: unknown[] = [];
      const server = createServer(nothing, {
        port: 0,
        host,
        transport,
        onStop,
        onError: (error, conn, it) => void told.push((error as Error).message, conn, it === server),
      });
      const running = server.run({ signals: [] });
      await until(() => server.state === 'running');
      await server.stop();
      await running;
      assert.deepEqual(told, ['spilt', undefined, true]);
      assert.deepEqual([server.state, server.status().errors], ['stopped', 1]);
    }
  });

  test('when the second of three endpoints can not be bound, nothing is left bound', async () => {
    const noLeaks = watchLeaks();
    const taken = await listen({ port: 0, host, transport });
    const ports: number[] = [];
    for (let count = 0; count < 2; count += 1) {
      const free = await listen({ port: 0, host, transport });
      ports.push(portOf(free));
      await free.close();
    }
    const [first = 0, third = 0] = ports;
    let hooks = 0;
    const server = createServer(nothing, {
      listen: [first, portOf(taken), third].map((port) => ({ port, host })),
      transport,
      onStart: () => void (hooks += 1),
      onStop: () => void (hooks += 1),
    });
    await assert.rejects(server.start(), { code: 'EADDRINUSE', message: new RegExp(`:${portOf(taken)}`, 'u') });
    assert.deepEqual([server.state, hooks], ['stopped', 0]);
    for (const port of [first, third]) await (await listen({ port, host, transport })).close();
    await taken.close();
    await noLeaks();
  });

  test('when the shutdown port can not be bound, nothing is left bound', async () => {
    const taken = await listen({ port: 0, host, transport });
    const server = createServer(nothing, { port: 0, host, transport, shutdown: portOf(taken) });
    await assert.rejects(server.start(), { code: 'EADDRINUSE' });
    await assert.rejects(dial(net, server), { code: 'ECONNREFUSED' });
    await taken.close();
  });

  test('several endpoints are served by one server, each within its own limits', async () => {
    const server = await serveOn(net, (conn) => conn.closed.then(() => {}), {
      listen: [
        { port: 0, host, maxConnections: 1 },
        { port: 0, host, highWaterMark: 7 },
      ],
      whenFull: 'refuse',
      maxConnections: 3,
    });
    assert.equal(server.addresses.length, 2);
    const [one, two, three] = [await dial(net, server), await dial(net, server, {}, 1), await dial(net, server, {}, 1)];
    await until(() => server.status().active === 3);
    for (const place of [0, 1]) {
      const client = await dial(net, server, {}, place).catch(() => null);
      if (client !== null) await assert.rejects(client.read(), { code: 'ECONNRESET' });
    }
    assert.deepEqual([server.status().refused.full, server.status().accepted], [2, 3]);
    await endAll(one, two, three);
    await server.stop({ grace: 0 });
  });

  test('a server is disposed of by stopping it', async () => {
    // What `await using` does at the end of its block.
    const server: AsyncDisposable & Server = await serveOn(net, nothing);
    await server[Symbol.asyncDispose]();
    assert.equal(server.state, 'stopped');
  });

  test('its end comes with that of its scope: connections end, onStop runs, run and stop resolve', async () => {
    const noLeaks = watchLeaks();
    const scope = new Scope();
    const log: string[] = [];
    const { server, running } = scope.run(() => {
      const made = createServer((conn) => conn.closed.then(() => {}), {
        port: 0,
        host,
        transport,
        shutdown: 0,
        onStop: () => void log.push('stop'),
      });
      return { server: made, running: made.run({ signals: [] }) };
    });
    await until(() => server.state === 'running');
    const client = await dial(net, server);
    await until(() => server.status().active === 1);
    await scope.close();
    await running;
    assert.equal(await server.waitStopped(), true);
    await server.stop();
    assert.deepEqual([log, server.status().active, server.state], [['stop'], 0, 'stopped']);
    await endAll(client);
    await noLeaks();
  });

  test('clients that come while its scope is being closed are refused, and nothing breaks', async () => {
    const rejections = unhandled();
    const scope = new Scope();
    const slow = Promise.withResolvers<void>();
    const server = await scope.run(() => serveOn(net, nothing, { shutdown: 0, maxConnections: 1 }));
    // The newest goes first, and takes its time.
    scope.own({ what: 'something slow', drop: () => slow.promise });
    const closing = scope.close();
    for (const count of [1, 2]) {
      const client = await dial(net, server);
      // It ends, in order or by a reset.
      await client.read().catch(() => null);
      await endAll(client);
      await until(() => server.status().refused.stopping === count);
    }
    const shutdown = server.shutdownAddress;
    assert.ok(shutdown !== null && 'port' in shutdown);
    const asking = await connect({ host, port: shutdown.port }, { transport }).catch(() => null);
    assert.deepEqual([server.status().accepted, server.status().active], [0, 0]);
    slow.resolve();
    await closing;
    assert.equal(await server.waitStopped(), true);
    if (asking !== null) await endAll(asking);
    assert.deepEqual(await rejections(), []);
  });

  test('suspended, clients wait and those that are in go on; resumed, they are served', async () => {
    const server = await serveOn(net, {
      open: (conn) => void conn.write('hello\n'),
      data: (conn, bytes) => void conn.write(bytes),
    });
    const states = statesOf(server);
    const before = await dial(net, server);
    assert.equal(await before.readLine(), 'hello');
    server.suspend();
    server.suspend();
    assert.deepEqual([server.state, server.ready, server.stopped], ['suspended', false, false]);
    const waiting = await dial(net, server);
    void before.write('still\n');
    assert.equal(await before.readLine(), 'still');
    await turns();
    assert.equal(server.status().accepted, 1);
    server.resume();
    server.resume();
    assert.equal(await waiting.readLine(), 'hello');
    assert.deepEqual(states, ['suspended', 'running']);
    await endAll(before, waiting);
    await server.stop();
    server.suspend();
    server.resume();
    assert.equal(server.state, 'stopped');
  });

  test('one that was suspended before its start binds, and accepts when it is resumed', async () => {
    const server = createServer({ open: (conn) => void conn.write('hello\n') }, { port: 0, host, transport });
    server.suspend();
    await server.start();
    assert.equal(server.state, 'suspended');
    const client = await dial(net, server);
    await turns();
    assert.equal(server.status().accepted, 0);
    server.resume();
    assert.equal(await client.readLine(), 'hello');
    await endAll(client);
    await server.stop();
  });

  test('a suspended server stops as another does', async () => {
    const server = await serveOn(net, nothing);
    server.suspend();
    await server.stop();
    assert.equal(server.state, 'stopped');
  });
});

describe('the options of a server', () => {
  test('are kept as they were given, and can be shared', () => {
    const shared = defineConfig({ maxConnections: 7, host });
    const server = createServer(nothing, { ...shared, port: 0 });
    assert.deepEqual(server.options, { maxConnections: 7, host, port: 0 });
    assert.throws(() => Object.assign(server.options, { port: 1 }), TypeError);
  });

  test('that are wrong are told all at once, when it is made', () => {
    const wrong = {
      port: 70_000,
      maxConnections: 0,
      grace: -1,
      verbose: true,
      onStart: 'x',
    } as unknown as ServerOptions;
    assert.throws(
      () => createServer(nothing, wrong),
      (error: PortsideError & { problems: { path: string }[] }) => {
        assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
        const paths = error.problems.map(({ path }) => path);
        for (const path of ['port', 'maxConnections', 'grace', 'onStart']) assert.ok(paths.includes(`options.${path}`));
        return true;
      },
    );
    assert.throws(() => createServer(nothing, {}), { code: 'ERR_PORTSIDE_OPTIONS', message: /listen is missing/u });
  });

  test('of waiting are held to their rules too', async () => {
    const server = createServer(nothing, { port: 0 });
    for (const timeout of [-1, Number.NaN, 'x' as unknown as number])
      await assert.rejects(server.waitStopped({ timeout }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });

  test('a handler that is none is told when the server is made', () => {
    for (const handler of [null, {}, { data: 1 }, 'x'] as unknown as (typeof nothing)[])
      assert.throws(() => createServer(handler, { port: 0 }), { code: 'ERR_PORTSIDE_HANDLER' });
  });
});
