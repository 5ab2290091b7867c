import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { OptionsError } from '../../src/base/options.ts';
import type { ServerChanges, ServerOptions } from '../../src/server/options.ts';
import type { Handler } from '../../src/server/handler.ts';
import { createServer } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { certificates } from '../support/certificates.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { countsOf, dial, dialToReset, serveOn, turns, until } from './support.ts';

/** Says hello, and waits for its client. */
const greet: Handler = {
  open: (conn) => void conn.write('hello\n'),
};

/** Everything that can be changed and seen from outside. */
function settings(server: Server): unknown {
  const { maxConnections, maxPerClient } = server.status();
  return { maxConnections, maxPerClient };
}

onEachNet('limits that are changed while the server runs', (net) => {
  test('a lower maxConnections lets those stay that are in, and nobody else come; a higher one lets those in that wait', async () => {
    const server = await serveOn(net, greet, { maxConnections: 3 });
    const clients = await Promise.all([dial(net, server), dial(net, server), dial(net, server)]);
    for (const client of clients) assert.equal(await client.readLine(), 'hello');
    server.set({ maxConnections: 1 });
    assert.equal(server.status().maxConnections, 1);
    const waiting = [await dial(net, server), await dial(net, server)];
    await endAll(...clients.slice(0, 2));
    await until(() => server.status().active === 1);
    await turns();
    assert.deepEqual(countsOf(server), { active: 1, accepted: 3, errors: 0 });
    server.set({ maxConnections: 3 });
    for (const client of waiting) assert.equal(await client.readLine(), 'hello');
    assert.equal(server.status().active, 3);
    await endAll(...clients, ...waiting);
    await server.stop();
  });

  test('a server that is full and lets clients wait can be told to refuse them', async () => {
    const server = await serveOn(net, greet, { maxConnections: 1 });
    const client = await dial(net, server);
    assert.equal(await client.readLine(), 'hello');
    const waiting = dialToReset(net, server);
    await turns();
    assert.equal(server.status().refused.full, 0);
    server.set({ whenFull: 'refuse' });
    await waiting;
    assert.equal(server.status().refused.full, 1);
    await endAll(client);
    await server.stop();
  });

  test('a maxPerClient that is new counts those who are in', async () => {
    const server = await serveOn(net, greet);
    const clients = await Promise.all([dial(net, server), dial(net, server)]);
    for (const client of clients) assert.equal(await client.readLine(), 'hello');
    server.set({ maxPerClient: 2 });
    await dialToReset(net, server);
    await until(() => server.status().refused['client-full'] === 1);
    await endAll(...clients.slice(1));
    await until(() => server.status().active === 1);
    const third = await dial(net, server);
    assert.equal(await third.readLine(), 'hello');
    server.set({ maxPerClient: Infinity });
    const fourth = await dial(net, server);
    assert.equal(await fourth.readLine(), 'hello');
    server.set({ maxPerClient: 1 });
    assert.equal(server.status().active, 3);
    await dialToReset(net, server);
    await endAll(...clients, third, fourth);
    await until(() => server.status().active === 0);
    // Everything was given back: there is room for one again, and for no more.
    const last = await dial(net, server);
    assert.equal(await last.readLine(), 'hello');
    await endAll(last);
    await server.stop();
  });

  test('a maxPerClient that is new counts those too whose handshakes are under way', async () => {
    const { ca, server: tls } = certificates();
    const server = await serveOn(net, greet, { tls });
    const clients = await Promise.all([dial(net, server), dial(net, server)]);
    await until(() => server.status().opening === 2);
    await turns();
    server.set({ maxPerClient: 1 });
    const [one, two] = clients;
    assert.ok(one !== undefined && two !== undefined);
    await one.upgradeTls({ tls: { ca, servername: 'localhost' } });
    assert.equal(await one.readLine(), 'hello');
    await two.upgradeTls({ tls: { ca, servername: 'localhost' } }).catch(() => {});
    await until(() => server.status().refused['client-full'] === 1);
    assert.equal(server.status().active, 1);
    await endAll(...clients);
    await server.stop();
  });

  test('lists, rates and the way of refusing are for those who come; those who are in stay', async () => {
    const server = await serveOn(net, greet);
    const client = await dial(net, server);
    assert.equal(await client.readLine(), 'hello');
    server.set({ deny: ['127.0.0.0/8'], refuseWith: { send: 'not you\n' } });
    const refused = await dial(net, server);
    assert.equal(await refused.readLine(), 'not you');
    server.set({ deny: [], allow: ['10.0.0.0/8'], refuseWith: 'reset' });
    await dialToReset(net, server);
    server.set({ allow: ['127.0.0.1'], rate: { connections: 1, per: 60_000 } });
    const again = await dial(net, server);
    assert.equal(await again.readLine(), 'hello');
    await dialToReset(net, server);
    server.set({ rate: null, allow: [] });
    const free = await dial(net, server);
    assert.equal(await free.readLine(), 'hello');
    const { denied, rate, 'not-allowed': notAllowed } = server.status().refused;
    assert.deepEqual([denied, notAllowed, rate], [1, 1, 1]);
    assert.equal(server.status().active, 3);
    await endAll(client, refused, again, free);
    await server.stop();
  });

  test('changes that are wrong change nothing at all, and are told all at once', async () => {
    const server = await serveOn(net, greet, { maxConnections: 5, maxPerClient: 4 });
    const before = settings(server);
    const wrong = {
      maxConnections: 0,
      maxPerClient: 2,
      deny: ['127.0.0.1', '300.1.1.1'],
      grace: -1,
      deadlines: { idle: 0, life: 'long' },
      whenFull: 'maybe',
      port: 80,
    } as unknown as ServerChanges;
    assert.throws(
      () => server.set(wrong),
      (error: OptionsError) => {
        assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
        const paths = error.problems.map(({ path }) => path).join(' ');
        for (const path of ['maxConnections', 'deny', 'grace', 'deadlines.idle', 'deadlines.life', 'whenFull', 'port'])
          assert.match(paths, new RegExp(`\\b${path}\\b`, 'u'));
        assert.doesNotMatch(paths, /maxPerClient/u);
        return true;
      },
    );
    assert.deepEqual(settings(server), before);
    for (const change of [
      { maxPerClient: 1, rate: { connections: 0 } },
      { maxPerClient: 1, clientPrefix: { ipv4: 33 } },
      { maxPerClient: 1, refuseWith: 'x' },
    ])
      assert.throws(() => server.set(change as unknown as ServerChanges), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.deepEqual(settings(server), before);
    const client = await dial(net, server);
    assert.equal(await client.readLine(), 'hello');
    await endAll(client);
    await server.stop();
  });
});

describe('deadlines that are changed while the server runs', () => {
  const place = { host: '127.0.0.1', port: 4_000 };

  /** A server in a time of its own, with a client that says nothing. */
  async function quiet(
    options: Partial<ServerOptions> = {},
    handler: Handler<never> = { data() {} },
    first?: ServerChanges,
  ) {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    return new Scope({ clock }).run(async () => {
      const server = createServer(handler, { ...place, transport, linger: 0, ...options });
      if (first !== undefined) server.set(first);
      await clock.run(server.start());
      const come = (): Promise<Connection> => clock.run(connect(place, { transport }));
      const client = await come();
      await clock.settle();
      assert.equal(server.status().active, 1);
      return { clock, server, client, come };
    });
  }

  /** Lets time pass, and holds that the connection ends at that very millisecond, for that reason. */
  async function endsAfter(
    ms: number,
    reason: string,
    { clock, server }: { clock: VirtualClock; server: Server },
  ): Promise<void> {
    await clock.advance(ms - 1);
    assert.equal(server.status().active, 1, 'it is there until then');
    await clock.advance(1);
    assert.deepEqual(server.status().reasons, { [reason]: 1 });
  }

  test('are taken by a connection that had none, at once', async () => {
    for (const [deadlines, reason] of [
      [{ idle: 500 }, 'timeout-idle'],
      [{ read: 500 }, 'timeout-read'],
    ] as const) {
      const it = await quiet();
      await it.clock.advance(10_000);
      it.server.set({ deadlines });
      await endsAfter(500, reason, it);
      await it.clock.run(it.server.stop());
    }
  });

  test('of the first byte and the whole life count from the accept on: who is older ends at once', async () => {
    const it = await quiet();
    await it.clock.advance(10_000);
    it.server.set({ deadlines: { life: 10_500 } });
    await endsAfter(500, 'timeout-life', it);
    const client = await it.come();
    await it.clock.advance(400);
    it.server.set({ deadlines: { life: 300 } });
    await it.clock.advance(0);
    assert.deepEqual(it.server.status().reasons, { 'timeout-life': 2 });
    await it.clock.run(Promise.all([it.server.stop(), endAll(client)]));

    const mute = await quiet();
    await mute.clock.advance(1_000);
    mute.server.set({ deadlines: { firstByte: 1_400 } });
    await endsAfter(400, 'timeout-firstByte', mute);
    await mute.clock.run(mute.server.stop());
  });

  test('replace those that a connection had, sooner or later; what is left out stays', async () => {
    const sooner = await quiet({ deadlines: { idle: 10_000, life: 60_000 } });
    await sooner.clock.advance(1_000);
    sooner.server.set({ deadlines: { idle: 3_000 } });
    await endsAfter(2_000, 'timeout-idle', sooner);
    await sooner.clock.run(sooner.server.stop());

    const later = await quiet({ deadlines: { idle: 10_000, life: 60_000 } });
    await later.clock.advance(1_000);
    later.server.set({ deadlines: { idle: Infinity } });
    await endsAfter(59_000, 'timeout-life', later);
    await later.clock.run(later.server.stop());
  });

  test('of writing are taken by those who write from then on', async () => {
    const it = await quiet({ highWaterMark: 10 }, async (conn) => {
      await conn.read();
      await conn.write(new Uint8Array(4_000_000));
    });
    it.server.set({ deadlines: { write: 700 } });
    await it.client.write('now');
    await it.clock.settle();
    await endsAfter(700, 'timeout-write', it);
    await it.clock.run(endAll(it.client));
    await it.clock.run(it.server.stop());
  });

  test('are for those who come later too, and when they were changed before the start', async () => {
    const it = await quiet(
      { deadlines: { life: 9_000 } },
      { data() {} },
      { deadlines: { idle: 500 }, maxConnections: 2 },
    );
    assert.equal(it.server.status().maxConnections, 2);
    await endsAfter(500, 'timeout-idle', it);
    it.server.set({ deadlines: { idle: 800 } });
    await it.come();
    await it.clock.advance(799);
    assert.equal(it.server.status().active, 1);
    await it.clock.advance(1);
    assert.deepEqual(it.server.status().reasons, { 'timeout-idle': 2 });
    await it.clock.run(it.server.stop());
  });

  test('of the end are those of the next stop', async () => {
    const it = await quiet({}, async (conn) => {
      conn.busy = true;
      await conn.closed;
    });
    it.server.set({ grace: 250 });
    const stopped = it.server.stop();
    await endsAfter(250, 'drained-forced', it);
    await it.clock.run(Promise.all([stopped, endAll(it.client)]));
  });
});
