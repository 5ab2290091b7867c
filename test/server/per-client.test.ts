import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { LocalPermits } from '../../src/server/permits.ts';
import type { PermitStore } from '../../src/server/permits.ts';
import type { Server } from '../../src/server/server.ts';
import { systemClock } from '../../src/sync/clock.ts';
import { onEachNet } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, serveOn, until } from './support.ts';
import { Fate, Stage, refusalsOf } from './virtual.ts';

/** Says that the client is in, and holds on to it. */
const holding: Handler = { open: (conn) => void conn.write('in'), data() {} };

/** The PROXY header of a client. */
function of(host: string): ConnectOptions {
  const family = host.includes(':') ? 'ipv6' : 'ipv4';
  return { proxy: { source: { family, host, port: 1_234 } } };
}

onEachNet('the limit of one client', (net) => {
  test('is exact, and a place that it leaves is free again', async () => {
    const server = await serveOn(net, holding, { maxPerClient: 2, refuseWith: { send: 'out' } });
    const refused = refusalsOf(server);
    const fates: Fate[] = [];
    const come = async (localHost: string): Promise<string> => {
      const before = refused.length;
      const fate = new Fate(await dial(net, server, { localHost }));
      fates.push(fate);
      await until(() => fate.text !== '' || fate.end !== null);
      return refused[before]?.refusal.kind ?? fate.text;
    };
    assert.deepEqual([await come('127.0.0.1'), await come('127.0.0.1')], ['in', 'in']);
    assert.equal(await come('127.0.0.1'), 'client-full');
    assert.equal(await come('127.0.0.2'), 'in');
    assert.deepEqual(refused[0]?.refusal, { kind: 'client-full', client: '127.0.0.1', limit: 2 });
    fates[0]?.client.abort();
    await until(() => server.status().active === 2);
    assert.equal(await come('127.0.0.1'), 'in');
    assert.equal(await come('127.0.0.1'), 'client-full');
    const { refused: counts, reasons, active } = server.status();
    assert.deepEqual([counts['client-full'], reasons['refused'], active], [2, 2, 3]);
    for (const { client } of fates) client.abort();
    await server.stop({ grace: 0 });
  });

  test('goes by the client behind a proxy, which itself is exempt', async () => {
    const permits = new LocalPermits({ connections: 100, perClient: 2 }, systemClock);
    const server = await serveOn(net, holding, { permits, proxy: { from: ['loopback'] } });
    const refused = refusalsOf(server);
    const fates: Fate[] = [];
    const come = async (options: ConnectOptions): Promise<string> => {
      const before = refused.length;
      const fate = new Fate(await dial(net, server, options));
      fates.push(fate);
      await until(() => fate.text !== '' || fate.end !== null);
      return refused[before]?.refusal.kind ?? fate.text;
    };
    for (const verdict of ['in', 'in', 'client-full']) assert.equal(await come(of('203.0.113.1')), verdict);
    // One /64 is one client, as long as nothing else is said.
    for (const [host, verdict] of [
      ['2001:db8::1', 'in'],
      ['2001:db8::2', 'in'],
      ['2001:db8::3', 'client-full'],
      ['2001:db8:0:1::3', 'in'],
    ] as const)
      assert.equal(await come(of(host)), verdict);
    for (let i = 0; i < 5; i += 1) assert.equal(await come({ proxy: 'local' }), 'in');
    assert.deepEqual(
      refused.map(({ host, refusal }) => [host, refusal]),
      [
        ['203.0.113.1', { kind: 'client-full', client: '203.0.113.1', limit: 2 }],
        ['2001:db8::3', { kind: 'client-full', client: '2001:db8::/64', limit: 2 }],
      ],
    );
    assert.equal(permits.usedBy('127.0.0.1'), 0);
    assert.equal(permits.usedBy('203.0.113.1'), 2);
    for (const { client } of fates) client.abort();
    await server.stop({ grace: 0 });
    assert.deepEqual([permits.used, permits.clients], [0, 0]);
  });
});

describe('the limit of one client', () => {
  /** How many of those that come are let in. */
  async function letIn(stage: Stage, server: Server, hosts: readonly string[], clients: Connection[]): Promise<number> {
    const fates: Fate[] = [];
    for (const host of hosts) fates.push(new Fate(await stage.dial(server, host)));
    await stage.clock.settle();
    clients.push(...fates.map(({ client }) => client));
    return fates.filter(({ text }) => text === 'in').length;
  }

  test('takes as many bits of an address for one client as are told', async () => {
    const near = ['2001:db8::1', '2001:db8::2', '2001:db8:0:1::1', '2001:db8:1::1'];
    const cases: readonly (readonly [ServerOptions['clientPrefix'], number])[] = [
      [undefined, 3],
      [{ ipv6: 48 }, 2],
      [{ ipv6: 128 }, 4],
      [{ ipv6: 32 }, 1],
    ];
    for (const [clientPrefix, many] of cases) {
      const stage = new Stage();
      const listen = { host: '2001:db8:ffff::80', port: 4_000 };
      const server: Server = await stage.serve(holding, { listen, maxPerClient: 1, clientPrefix });
      const clients: Connection[] = [];
      assert.equal(await letIn(stage, server, near, clients), many);
      await stage.end(server, ...clients);
    }
    const stage = new Stage();
    const server = await stage.serve(holding, { maxPerClient: 1, clientPrefix: { ipv4: 24 } });
    const clients: Connection[] = [];
    assert.equal(await letIn(stage, server, ['192.0.2.1', '192.0.2.200', '192.0.3.1'], clients), 2);
    await stage.end(server, ...clients);
  });

  test('can be set, changed and taken back while running; those that are in are counted and stay', async () => {
    const stage = new Stage();
    const server = await stage.serve(holding);
    const clients: Connection[] = [];
    const three = ['192.0.2.1', '192.0.2.1', '192.0.2.1'];
    assert.equal(await letIn(stage, server, three, clients), 3);
    server.set({ maxPerClient: 5 });
    assert.equal(server.status().maxPerClient, 5);
    assert.equal(await letIn(stage, server, three, clients), 2);
    server.set({ maxPerClient: 1 });
    assert.equal(server.status().active, 5);
    for (const client of clients.slice(0, 4)) client.abort();
    await stage.clock.settle();
    assert.equal(server.status().active, 1);
    assert.equal(await letIn(stage, server, three, clients), 0);
    server.set({ maxPerClient: Infinity });
    assert.equal(await letIn(stage, server, three, clients), 3);
    await stage.end(server, ...clients);
  });
});

/** Permits that are elsewhere: whether a client may have one more is answered when the test says so. */
class FarPermits extends LocalPermits {
  readonly asked: { readonly client: string; answer(): void; fail(error: Error): void }[] = [];
}

function far(connections: number, perClient: number): { store: FarPermits; permits: PermitStore } {
  const store = new FarPermits({ connections, perClient }, systemClock);
  const permits = new Proxy<PermitStore>(store, {
    get(target, name) {
      if (name === 'takeFor')
        return (client: string) =>
          new Promise<boolean>((resolve, reject) => {
            store.asked.push({ client, answer: () => resolve(store.takeFor(client)), fail: reject });
          });
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
  return { store, permits };
}

onEachNet('permits that are elsewhere', (net) => {
  for (const [what, options] of [
    ['', {}],
    [' behind a proxy', { proxy: { from: ['loopback'] } }],
  ] as const satisfies readonly (readonly [string, ServerOptions])[]) {
    const header = 'proxy' in options ? of('203.0.113.5') : {};
    const host = 'proxy' in options ? '203.0.113.5' : '127.0.0.1';

    test(`let a client${what} in when they answer, and nothing is read before`, async () => {
      const { store, permits } = far(10, 1);
      const server = await serveOn(net, { data: (conn, bytes) => void conn.write(bytes) }, { ...options, permits });
      const refused = refusalsOf(server);
      const first = await dial(net, server, header);
      void first.write('hello');
      await until(() => store.asked.length === 1);
      assert.equal(store.asked[0]?.client, host);
      assert.deepEqual([server.status().active, server.status().opening], [1, 1]);
      store.asked[0]?.answer();
      assert.equal(Buffer.from((await first.read()) ?? []).toString(), 'hello');
      const second = await dial(net, server, header);
      await until(() => store.asked.length === 2);
      store.asked[1]?.answer();
      await assert.rejects(second.read(), { code: 'ECONNRESET' });
      await until(() => server.status().active === 1);
      assert.deepEqual(refused, [{ host, refusal: { kind: 'client-full', client: host, limit: 1 } }]);
      assert.deepEqual([store.used, store.usedBy(host)], [1, 1]);
      first.abort();
      await server.stop({ grace: 0 });
      assert.deepEqual([store.used, store.clients], [0, 0]);
    });

    test(`come back when a client${what} is gone by the time they answer`, async () => {
      const { store, permits } = far(10, 5);
      let opened = 0;
      const server = await serveOn(net, { open: () => void (opened += 1), data() {} }, { ...options, permits });
      const refused = refusalsOf(server);
      const clients = [
        await dial(net, server, header),
        await dial(net, server, header),
        await dial(net, server, header),
      ];
      await until(() => store.asked.length === 3);
      const stopped = server.stop({ grace: 0 });
      // One answer in the turn of the end, one when it is over.
      store.asked[0]?.answer();
      await until(() => server.status().active === 0);
      store.asked[1]?.answer();
      await stopped;
      store.asked[2]?.answer();
      await until(() => store.clients === 0);
      assert.equal(store.used, 0);
      assert.equal(opened, 0);
      assert.deepEqual(refused, []);
      for (const client of clients) client.abort();
    });

    test(`refuse nobody who is gone${what}`, async () => {
      const { store, permits } = far(10, 0);
      const server = await serveOn(net, holding, { ...options, permits });
      const refused = refusalsOf(server);
      const client = await dial(net, server, header);
      await until(() => store.asked.length === 1);
      const stopped = server.stop({ grace: 0 });
      await stopped;
      store.asked[0]?.answer();
      await new Promise(setImmediate);
      assert.deepEqual(refused, []);
      assert.equal(server.status().refused['client-full'], 0);
      client.abort();
    });

    test(`that fail are told, and the connection${what} is reset`, async () => {
      const rejections = unhandled();
      const { store, permits } = far(10, 5);
      const errors: unknown[] = [];
      const server = await serveOn(net, holding, { ...options, permits, onError: (error) => void errors.push(error) });
      const client = await dial(net, server, header);
      await until(() => store.asked.length === 1);
      const error = new Error('the parent is gone');
      store.asked[0]?.fail(error);
      await assert.rejects(client.read(), { code: 'ECONNRESET' });
      await until(() => server.status().active === 0);
      assert.deepEqual(errors, [error]);
      assert.equal(server.status().reasons['aborted'], 1);
      assert.deepEqual([store.used, store.clients], [0, 0]);
      assert.deepEqual(await rejections(), []);
      await server.stop();
    });
  }
});

describe('permits that are elsewhere', () => {
  for (const [what, options, header] of [
    ['', {}, {}],
    [' behind a proxy', { proxy: { from: ['192.0.2.0/24'] } }, of('203.0.113.5')],
  ] as const)
    test(`are waited for no longer than a handshake${what}`, async () => {
      const { store, permits } = far(10, 5);
      const stage = new Stage();
      const server = await stage.serve(holding, { ...options, permits, linger: 0 });
      const fate = new Fate(await stage.dial(server, '192.0.2.1', header));
      await stage.clock.settle();
      await stage.clock.advance(9_999);
      assert.equal(server.status().active, 1);
      assert.equal(fate.end, null);
      await stage.clock.advance(1);
      assert.notEqual(fate.end, null);
      assert.equal(server.status().active, 0);
      assert.equal(server.status().reasons['timeout-handshake'], 1);
      store.asked[0]?.answer();
      await stage.clock.settle();
      assert.deepEqual([store.used, store.clients], [0, 0]);
      await stage.end(server, fate.client);
      assert.equal(stage.clock.armed, 0);
    });
});
