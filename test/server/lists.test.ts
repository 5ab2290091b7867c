import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { refusedChannel } from '../../src/server/channels.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { AdmissionOptions, ServerOptions } from '../../src/server/options.ts';
import type { Refusal } from '../../src/server/refusal.ts';
import type { Server } from '../../src/server/server.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import { onEachNet } from '../support/nets.ts';
import { dial, dialToReset, serveOn, until } from './support.ts';
import { Fate, Stage, refusalsOf } from './virtual.ts';

/** Says that the client is in, and holds on to it. */
const holding: Handler = { open: (conn) => void conn.write('in'), data() {} };

onEachNet('the lists', (net) => {
  test('let in who is allowed and not denied, before anything is read', async () => {
    const server = await serveOn(net, holding, { allow: ['127.0.0.0/8'], deny: ['127.0.0.2', '127.0.1.0/24'] });
    const refused = refusalsOf(server);
    const published: { server: Server; remote: unknown; refusal: Refusal }[] = [];
    const note = (message: unknown): void => {
      const told = message as (typeof published)[number];
      if (told.server === server) published.push(told);
    };
    refusedChannel.subscribe(note);
    const fates: Record<string, Fate> = {};
    const hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.1.9', '127.0.2.1'];
    for (const host of hosts) {
      const client = await dial(net, server, { localHost: host }).catch(() => null);
      if (client !== null) fates[host] = new Fate(client);
    }
    await until(() =>
      hosts.every((host) => fates[host] === undefined || fates[host].text + (fates[host].end ?? '') !== ''),
    );
    refusedChannel.unsubscribe(note);
    for (const host of ['127.0.0.1', '127.0.0.3', '127.0.2.1']) assert.equal(fates[host]?.text, 'in');
    // Refused while it was still connecting, or a moment later.
    for (const host of ['127.0.0.2', '127.0.1.9'])
      if (fates[host] !== undefined) assert.equal(fates[host].end, 'ECONNRESET');
    assert.deepEqual(refused, [
      { host: '127.0.0.2', refusal: { kind: 'denied' } },
      { host: '127.0.1.9', refusal: { kind: 'denied' } },
    ]);
    assert.deepEqual(
      published.map(({ refusal }) => refusal),
      [{ kind: 'denied' }, { kind: 'denied' }],
    );
    const { refused: counts, accepted, active, errors } = server.status();
    assert.deepEqual(
      { denied: counts.denied, accepted, active, errors },
      { denied: 2, accepted: 3, active: 3, errors: 0 },
    );
    for (const { client } of Object.values(fates)) client.abort();
    await server.stop({ grace: 0 });
  });
});

describe('the lists', () => {
  /** Who of them is let in, and why the others are not. */
  async function verdicts(
    options: ServerOptions,
    hosts: readonly string[],
    listen = '10.0.0.1',
  ): Promise<Record<string, string>> {
    const stage = new Stage();
    const server = await stage.serve(holding, { listen: { host: listen, port: 4_000 }, ...options });
    const refused = refusalsOf(server);
    const found: Record<string, string> = {};
    const clients: Connection[] = [];
    for (const host of hosts) {
      const before = refused.length;
      const fate = new Fate(await stage.dial(server, host));
      await stage.clock.settle();
      clients.push(fate.client);
      found[host] = refused[before]?.refusal.kind ?? fate.text;
    }
    await stage.end(server, ...clients);
    return found;
  }

  test('go by IPv4 addresses and CIDRs', async () => {
    assert.deepEqual(
      await verdicts({ allow: ['192.0.2.0/24', '198.51.100.7'], deny: ['192.0.2.128/25'] }, [
        '192.0.2.1',
        '192.0.2.127',
        '192.0.2.128',
        '192.0.2.255',
        '198.51.100.7',
        '198.51.100.8',
      ]),
      {
        '192.0.2.1': 'in',
        '192.0.2.127': 'in',
        '192.0.2.128': 'denied',
        '192.0.2.255': 'denied',
        '198.51.100.7': 'in',
        '198.51.100.8': 'not-allowed',
      },
    );
  });

  test('go by IPv6 addresses and CIDRs, whatever way they are written', async () => {
    const options = { allow: ['2001:db8::/32', '::ffff:192.0.2.0/120'], deny: ['2001:DB8:0:1:0::/64'] };
    assert.deepEqual(
      await verdicts(options, ['2001:db8::1', '2001:db8:0:1::5', '2001:db8:0:2::5', '2001:db9::1'], '2001:db8::80'),
      { '2001:db8::1': 'in', '2001:db8:0:1::5': 'denied', '2001:db8:0:2::5': 'in', '2001:db9::1': 'not-allowed' },
    );
    assert.deepEqual(await verdicts(options, ['192.0.2.7', '192.0.3.7']), {
      '192.0.2.7': 'in',
      '192.0.3.7': 'not-allowed',
    });
  });

  test('take no place from those who are let in', async () => {
    const many = Array.from({ length: 100 }, (_, i) => `192.0.2.${i}`);
    const found = await verdicts({ deny: ['192.0.2.0/24'], maxConnections: 1 }, [...many, '198.51.100.1']);
    assert.equal(found['198.51.100.1'], 'in');
    assert.equal(Object.values(found).filter((verdict) => verdict === 'denied').length, 100);
  });

  test('let everybody in when they are empty', async () => {
    assert.deepEqual(await verdicts({ allow: [], deny: [] }, ['192.0.2.1']), { '192.0.2.1': 'in' });
  });

  test('can be changed while running; those that are in stay', async () => {
    const stage = new Stage();
    const server = await stage.serve(holding);
    const refused = refusalsOf(server);
    const fates: Fate[] = [];
    const come = async (host: string): Promise<string> => {
      const before = refused.length;
      const fate = new Fate(await stage.dial(server, host));
      await stage.clock.settle();
      fates.push(fate);
      return refused[before]?.refusal.kind ?? fate.text;
    };
    const steps: readonly (readonly [AdmissionOptions, string])[] = [
      [{}, 'in'],
      [{ deny: ['192.0.2.1'] }, 'denied'],
      [{ deny: ['192.0.2.2'] }, 'in'],
      [{ allow: ['192.0.2.2'] }, 'not-allowed'],
      [{ deny: ['192.0.2.0/24'] }, 'denied'],
      [{ deny: [] }, 'not-allowed'],
      [{ allow: [] }, 'in'],
    ];
    for (const [changes, verdict] of steps) {
      server.set(changes);
      assert.equal(await come('192.0.2.1'), verdict, JSON.stringify(changes));
    }
    assert.throws(() => server.set({ deny: ['192.0.2.1', 'nonsense'], maxConnections: 1 }), {
      code: 'ERR_PORTSIDE_OPTIONS',
    });
    assert.equal(await come('192.0.2.1'), 'in', 'what is wrong changes nothing');
    assert.equal(server.status().active, 4);
    assert.equal(fates[0]?.end, null);
    await stage.end(server, ...fates.map(({ client }) => client));
  });
});

describe('the rate of connections', () => {
  const rate = { connections: 2, per: 1_000 };

  test('is kept for each client, in a time of its own', async () => {
    const stage = new Stage();
    const server = await stage.serve(holding, { rate });
    const refused = refusalsOf(server);
    const clients: Connection[] = [];
    const come = async (host: string): Promise<void> => {
      clients.push(await stage.dial(server, host));
      await stage.clock.settle();
    };
    await come('192.0.2.1');
    await come('192.0.2.1');
    assert.deepEqual(refused, []);
    await come('192.0.2.1');
    await come('192.0.2.2');
    assert.deepEqual(refused, [{ host: '192.0.2.1', refusal: { kind: 'rate', client: '192.0.2.1', retryAfter: 500 } }]);
    await stage.clock.advance(499);
    await come('192.0.2.1');
    assert.equal(refused.length, 2);
    await stage.clock.advance(1);
    await come('192.0.2.1');
    assert.equal(refused.length, 2);
    assert.equal(server.status().refused.rate, 2);
    assert.equal(server.status().active, 4);
    await stage.end(server, ...clients);
  });

  test('takes an IPv6 /64 for one client, or as many bits as are told', async () => {
    for (const [ipv6, verdict] of [
      [undefined, { kind: 'rate', client: '2001:db8::/64', retryAfter: 500 }],
      [128, undefined],
      [48, { kind: 'rate', client: '2001:db8::/48', retryAfter: 500 }],
    ] as const) {
      const stage = new Stage();
      const listen = { host: '2001:db8:ffff::80', port: 4_000 };
      const server = await stage.serve(holding, { listen, rate, clientPrefix: { ipv6 } });
      const refused = refusalsOf(server);
      const clients: Connection[] = [];
      for (const host of ['2001:db8::1', '2001:db8::2', '2001:db8::ffff:1'])
        clients.push(await stage.dial(server, host));
      await stage.clock.settle();
      assert.deepEqual(refused[0]?.refusal, verdict);
      await stage.end(server, ...clients);
    }
  });

  test('can be set, changed and taken back while running', async () => {
    const stage = new Stage();
    const server = await stage.serve(holding);
    const refused = refusalsOf(server);
    const clients: Connection[] = [];
    const come = async (times: number): Promise<number> => {
      const before = refused.length;
      for (let i = 0; i < times; i += 1) clients.push(await stage.dial(server));
      await stage.clock.settle();
      return refused.length - before;
    };
    assert.equal(await come(20), 0);
    server.set({ rate });
    assert.equal(await come(5), 3);
    server.set({ rate: { connections: 4, per: 1_000 } });
    // What was used of the old one is used of the new one too.
    assert.equal(await come(5), 3);
    server.set({ rate: null });
    assert.equal(await come(20), 0);
    await stage.end(server, ...clients);
  });
});

onEachNet('behind a proxy', (net) => {
  /** Sends a PROXY header for a client. */
  function of(host: string): ConnectOptions {
    const family = host.includes(':') ? 'ipv6' : 'ipv4';
    return { proxy: { source: { family, host, port: 1_234 } } };
  }

  test('the lists and the rate go by the client, and the proxy is exempt', async () => {
    const server = await serveOn(net, holding, {
      proxy: { from: ['loopback'] },
      deny: ['127.0.0.0/8', '203.0.113.9', '2001:db8:bad::/48'],
      rate: { connections: 2, per: 3_600_000 },
    });
    const refused = refusalsOf(server);
    const fates: Fate[] = [];
    const come = async (options: ConnectOptions): Promise<string> => {
      const before = refused.length;
      const fate = new Fate(await dial(net, server, options));
      fates.push(fate);
      await until(() => fate.text !== '' || fate.end !== null);
      return refused[before]?.refusal.kind ?? fate.text;
    };
    assert.equal(await come(of('203.0.113.9')), 'denied');
    assert.equal(await come(of('2001:db8:bad::1')), 'denied');
    for (const verdict of ['in', 'in', 'rate']) assert.equal(await come(of('203.0.113.1')), verdict);
    assert.equal(await come(of('203.0.113.2')), 'in');
    // What the proxy says of itself, in either version, is no client's.
    for (let i = 0; i < 4; i += 1) assert.equal(await come({ proxy: 'local' }), 'in');
    const unix = { family: 'unix', path: '/run/x' } as const;
    for (let i = 0; i < 4; i += 1) assert.equal(await come({ proxy: { version: 1, source: unix } }), 'in');
    assert.deepEqual(
      refused.map(({ host, refusal }) => [host, refusal.kind]),
      [
        ['203.0.113.9', 'denied'],
        ['2001:db8:bad::1', 'denied'],
        ['203.0.113.1', 'rate'],
      ],
    );
    const { refused: counts, reasons, accepted, active, opening } = server.status();
    assert.deepEqual([counts.denied, counts.rate, counts.proxy], [2, 1, 0]);
    assert.equal(reasons['refused'], 3);
    assert.deepEqual({ accepted, active, opening }, { accepted: 14, active: 11, opening: 0 });
    for (const { client } of fates) client.abort();
    await server.stop({ grace: 0 });
  });

  test('one who is listed as a proxy and sends no header is a client as any other', async () => {
    const server = await serveOn(
      net,
      { data: (conn) => void conn.write('in') },
      {
        proxy: { from: ['loopback'], mode: 'optional' },
        deny: ['127.0.0.2'],
      },
    );
    const refused = refusalsOf(server);
    const honest = await dial(net, server);
    void honest.write('hello');
    assert.equal(Buffer.from((await honest.read()) ?? []).toString(), 'in');
    const denied = await dial(net, server, { localHost: '127.0.0.2' });
    void denied.write('hello');
    await assert.rejects(denied.read(), { code: 'ECONNRESET' });
    assert.deepEqual(refused, [{ host: '127.0.0.2', refusal: { kind: 'denied' } }]);
    honest.abort();
    await server.stop({ grace: 0 });
  });

  test('one who is no proxy is refused as that', async () => {
    const server = await serveOn(net, holding, { proxy: { from: ['192.0.2.1'] } });
    const refused = refusalsOf(server);
    await dialToReset(net, server, 'PROXY UNKNOWN\r\n');
    assert.equal(refused[0]?.refusal.kind, 'proxy');
    assert.equal(server.status().refused.proxy, 1);
    await server.stop({ grace: 0 });
  });
});
