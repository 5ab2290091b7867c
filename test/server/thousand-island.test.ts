/**
 * Six faults that servers have at first, after those that Thousand Island mended in August 2026: no bound for handshakes, an acceptor
 * that dies without descriptors, of one client's error, or of a handler that can't start, several ends, and port 0 on several addresses.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerState } from '../../src/server/events.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { certificates } from '../support/certificates.ts';
import { namesStandFor } from '../support/names.ts';
import { endAll, nets, onEachNet } from '../support/nets.ts';
import { inCheckout, start } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, dialToReset, serveOn, turns, until } from './support.ts';

const host = '127.0.0.1';

const echo = { data: (conn: Connection, bytes: Uint8Array): void => void conn.write(bytes) };

/** Goes once to the server and back. */
async function assertServes(client: Connection): Promise<void> {
  await client.write('hello\n');
  assert.equal(await client.readLine(), 'hello');
}

describe('1: a handshake', () => {
  const tls = certificates().server;

  for (const [what, options, ms] of [
    ['of TLS', { tls: { ...tls, handshakeTimeout: 300 } }, 300],
    ['of TLS, unless told otherwise,', { tls }, 10_000],
    ['of PROXY', { proxy: { from: ['any'], timeout: 200 } }, 200],
  ] as const) {
    test(`${what} that never comes ends its connection in time, and gives its place back`, async () => {
      const clock = new VirtualClock();
      const { transport } = memoryNetwork({ clock });
      const place = { host, port: 4_000 };
      await new Scope({ clock }).run(async () => {
        const server = await clock.run(serve(echo, { ...place, transport, maxConnections: 3, ...options }));
        const silent = [];
        for (let count = 0; count < 3; count += 1) silent.push(await clock.run(connect(place, { transport })));
        await clock.settle();
        assert.deepEqual([server.status().active, server.status().opening], [3, 3]);
        await clock.advance(ms - 1);
        assert.equal(server.status().active, 3);
        await clock.advance(1);
        assert.deepEqual([server.status().active, server.status().reasons], [0, { 'timeout-handshake': 3 }]);
        const next = await clock.run(connect(place, { transport }));
        await clock.settle();
        assert.equal(server.status().active, 1);
        await clock.run(endAll(next, ...silent));
        await clock.run(server.stop({ grace: 0 }));
      });
    });
  }
});

/** An echo server in a process that has five descriptors left. It says its status when asked, and frees the others when told. */
function starving(t: TestContext, transport: string): Program {
  const source = `
    import { closeSync, openSync } from 'node:fs';
    import { connect, serve } from 'portside';
    const server = await serve({ data: (conn, bytes) => void conn.write(bytes) }, { port: 0, host: '127.0.0.1', transport: ${JSON.stringify(transport)} });
    server.on('trouble', (error) => console.log('trouble', error.code));
    const { port } = server.addresses[0];
    // What is made on first use is made now: no descriptor would be left for it later.
    const first = await connect({ host: '127.0.0.1', port }, { transport: ${JSON.stringify(transport)} });
    await first.write('hello\\n');
    await first.readLine();
    await first.close();
    process.stdin.setEncoding('utf8').on('data', (text) => {
      if (text.includes('free')) for (const fd of held) closeSync(fd);
      if (text.includes('status')) { const { active, troubles } = server.status(); console.log('status', active, troubles, 'end'); }
      if (text.includes('stop')) void server.stop({ grace: 0 }).then(() => process.exit());
    });
    const held = [];
    try { for (;;) held.push(openSync('/dev/null')); } catch (error) { if (error.code !== 'EMFILE') throw error; }
    for (let count = 0; count < 5; count += 1) closeSync(held.pop());
    console.log('port', port);
  `;
  const node = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--import',
    inCheckout('scripts/on-source.ts'),
  ];
  const args = [...node, '--input-type=module-typescript', '-e', source];
  return start(t, 'sh', ['-c', 'ulimit -n 64; exec "$@"', 'sh', ...args]);
}

for (const { name, transport } of nets().filter((net) => net.transport.flags.descriptors)) {
  test(`2: without descriptors a server keeps serving, says so where it can, and recovers (${name})`, async (t) => {
    const child = starving(t, name);
    const port = Number((await child.until(/port (\d+)/u))[1]);
    const come = (): Promise<Connection> => connect({ host, port }, { transport, timeout: 10_000 });
    const inside: Connection[] = [];
    for (let count = 0; count < 5; count += 1) {
      const client = await come();
      await assertServes(client);
      inside.push(client);
    }
    const began = performance.now();
    // These find no descriptor. Where the kernel's queue is theirs they wait there; else the system library ends them.
    const outside = await Promise.all(Array.from({ length: 10 }, () => come().catch(() => null)));
    const answers = outside.map(async (client) => {
      if (client === null) return 'refused';
      try {
        await client.write('hello\n');
        return (await client.readLine()) ?? 'ended';
      } catch {
        return 'reset';
      }
    });
    if (transport.flags.kernelQueue) {
      await child.until(/(?:trouble EMFILE\n){4}/u);
      // It tries again less and less often: 50, 100 and 200 milliseconds.
      assert.ok(performance.now() - began >= 150, 'it backs off');
    } else for (const answer of await Promise.all(answers)) assert.notEqual(answer, 'hello');
    for (const client of inside) await assertServes(client);
    child.write('status\n');
    const [, active, troubles] = await child.until(/status (\d+) (\d+) end/u);
    assert.equal(active, '5');
    if (transport.flags.kernelQueue) assert.ok(Number(troubles) >= 4 && Number(troubles) < 20);
    child.write('free\n');
    if (transport.flags.kernelQueue) for (const answer of await Promise.all(answers)) assert.equal(answer, 'hello');
    const next = await come();
    await assertServes(next);
    for (const client of inside) await assertServes(client);
    child.write('stop\n');
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.equal(child.err, '');
    await endAll(next, ...inside, ...outside.filter((client) => client !== null));
  });
}

test('2: the same in time, where descriptors can be taken away: it says so, goes on by itself, and keeps who is in', async () => {
  const clock = new VirtualClock();
  const net = memoryNetwork({ clock });
  const place = { host, port: 4_000 };
  await new Scope({ clock }).run(async () => {
    const server = await serve(echo, { ...place, transport: net.transport });
    const codes: unknown[] = [];
    server.on('trouble', ({ code }) => codes.push(code));
    const inside = await clock.run(connect(place, { transport: net.transport }));
    server.suspend();
    const client = await clock.run(connect(place, { transport: net.transport }));
    net.exhaustDescriptors(true);
    server.resume();
    await clock.advance(1_000);
    assert.ok(codes.length > 1 && codes.length < 10 && codes.every((code) => code === 'EMFILE'));
    assert.equal(server.status().troubles, codes.length);
    await clock.run(assertServes(inside));
    net.exhaustDescriptors(false);
    await clock.run(assertServes(client));
    await clock.run(endAll(inside, client));
    await clock.run(server.stop());
  });
});

onEachNet('3: errors of single clients', (net) => {
  test('that are gone before they are accepted stop nobody else from being served', async () => {
    const rejections = unhandled();
    const server = await serveOn(net, echo);
    for (let round = 0; round < 5; round += 1) {
      server.suspend();
      const clients = await Promise.all(Array.from({ length: 40 }, () => dial(net, server)));
      const [honest, ...others] = clients;
      assert.ok(honest !== undefined);
      await endAll(...others);
      server.resume();
      await assertServes(honest);
      await endAll(honest);
    }
    await assertServes(await dial(net, server));
    await server.stop({ grace: 0 });
    const { accepted, closed, troubles, errors } = server.status();
    assert.deepEqual([accepted - closed, troubles, errors], [0, 0, 0]);
    assert.deepEqual(await rejections(), []);
  });
});

onEachNet('4: a handler that fails to start', (net) => {
  const MANY = 300;
  const fail = (): never => {
    throw new Error('no');
  };
  const each = async (conn: Connection): Promise<void> => {
    for await (const bytes of conn) await conn.write(bytes);
  };

  for (const [what, make] of [
    ['a function that throws at once', (fails) => (conn) => (fails() ? fail() : each(conn))],
    ['a function that rejects', (fails) => (conn) => (fails() ? Promise.reject(new Error('no')) : each(conn))],
    ['open that throws', (fails) => ({ ...echo, open: () => void (fails() && fail()) })],
    // oxlint-disable-next-line no-misused-promises -- which is a mistake that is made
    ['open that rejects', (fails) => ({ ...echo, open: async () => void (fails() && fail()) })],
  ] as readonly (readonly [string, (fails: () => boolean) => Handler])[]) {
    test(`by ${what}, hundreds of times, ends those connections only`, async () => {
      let fails = true;
      const seen: unknown[] = [];
      const server = await serveOn(
        net,
        make(() => fails),
        { maxConnections: 20, onError: (error) => void seen.push(error) },
      );
      for (let count = 0; count < MANY; count += 20)
        await Promise.all(Array.from({ length: 20 }, () => dialToReset(net, server)));
      await until(() => server.status().closed === MANY);
      assert.deepEqual([seen.length, server.status().reasons, server.status().active], [MANY, { aborted: MANY }, 0]);
      fails = false;
      const client = await dial(net, server);
      await assertServes(client);
      await endAll(client);
      await server.stop();
    });
  }
});

onEachNet('5: the end', (net) => {
  test('is told once, however often, from wherever and at whatever moment it is asked for', async () => {
    for (let moment = 0; moment < 8; moment += 1) {
      const server: Server = await serveOn(
        net,
        async (conn, { server: mine }) => {
          await conn.read();
          void mine.stop({ grace: 5 });
          if (moment % 2 === 0) await mine.stop();
        },
        { shutdown: 0, grace: 50, onStop: (mine) => void mine.stop() },
      );
      const states: ServerState[] = [];
      const closes: number[] = [];
      server.on('state', (state) => states.push(state));
      server.on('close', (_conn, _reason, id) => {
        closes.push(id);
        void server.stop();
      });
      const clients = await Promise.all(Array.from({ length: 6 }, () => dial(net, server)));
      await until(() => server.status().active === 6);
      const ends = [server.waitStopped(), server.waitStopped({ timeout: 20_000 })];
      for (const client of clients.slice(0, moment % 4)) client.abort();
      for (const client of clients.slice(moment % 4)) void client.write('stop');
      await turns(moment);
      const stops = [
        server.stop(),
        server.drain({ lead: 3 }),
        server.stop({ grace: 0 }),
        server[Symbol.asyncDispose](),
      ];
      await Promise.all(stops);
      assert.deepEqual(await Promise.all(ends), [true, true]);
      await endAll(...clients);
      await turns();
      assert.deepEqual(states, ['draining', 'stopped']);
      assert.deepEqual(
        closes.toSorted((a, b) => a - b),
        [1, 2, 3, 4, 5, 6],
      );
      assert.equal((await server.stop()).connections <= 6, true);
    }
  });
});

for (const { name, transport } of nets().filter((net) => net.transport.flags.descriptors)) {
  test(`6: port 0 is one number for all addresses of a host, and another for each endpoint (${name})`, async (t) => {
    namesStandFor(t, ['127.0.0.1', '127.0.0.2']);
    const server = await serve(echo, {
      listen: [
        { port: 0, host: 'two.test' },
        { port: 0, host },
      ],
      shutdown: 0,
      transport,
    });
    const places = server.addresses.map((address) => ('port' in address ? address : { host: '', port: 0 }));
    assert.deepEqual(
      places.map((place) => place.host),
      ['127.0.0.1', '127.0.0.2', '127.0.0.1'],
    );
    const [one, two, other] = places.map(({ port }) => port);
    assert.equal(one, two);
    const shutdown = server.shutdownAddress;
    assert.ok(shutdown !== null && 'port' in shutdown);
    assert.equal(new Set([one, other, shutdown.port, 0]).size, 4);
    for (const place of places) {
      const client = await connect({ host: place.host, port: place.port }, { transport });
      await assertServes(client);
      await endAll(client);
    }
    await server.stop();
    assert.deepEqual(
      server.addresses.map((address) => ('port' in address ? address.port : 0)),
      [one, two, other],
    );
  });
}
