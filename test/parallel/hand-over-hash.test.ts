import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeProxyHeader } from '../../src/codec/proxy-header.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { Watch, ask, dial, endOf, eventually, leavesNoThread, onEachWay, settled, startOn, worker } from './support.ts';

leavesNoThread();

const proxy = { from: ['127.0.0.1'] } as const;

function headerOf(host: string): Uint8Array {
  const family = host.includes(':') ? 'ipv6' : 'ipv4';
  const source = { family, host, port: 4_000 } as const;
  const destination = { family, host: family === 'ipv4' ? '192.0.2.200' : '2001:db8::99', port: 25 } as const;
  return encodeProxyHeader({ version: 2, source, destination });
}

/** Where a client is served that comes through the proxy, and the connection; its first line comes with the header. */
async function come(server: ParallelServer, host: string): Promise<{ client: Connection; at: string }> {
  const client = await dial(server);
  await client.write(Buffer.concat([headerOf(host), Buffer.from('where\n')]));
  return { client, at: (await client.readLine({ timeout: 10_000 })) ?? 'ended' };
}

onEachWay(
  'under hash, behind a proxy,',
  (way) => {
    test('a client is always served by the same worker, and all workers serve', async () => {
      const server = await startOn(way, worker('hops'), { dispatch: 'hash', proxy, parallelism: 3 });
      const homes = new Map<string, string>();
      for (let round = 0; round < 3; round += 1) {
        for (let i = 1; i <= 20; i += 1) {
          const host = i % 2 === 0 ? `192.0.2.${i}` : `2001:db8:0:${i}::${round + 1}`;
          const key = host.replace(/::.*/u, '');
          const { client, at } = await come(server, host);
          assert.equal(homes.get(key) ?? at, at);
          homes.set(key, at);
          // Its handler was not the one to hand it over.
          assert.equal((JSON.parse(await ask(client, 'trail')) as { from?: number }).from, undefined);
          await client.close();
        }
      }
      assert.equal(new Set(homes.values()).size, 3);
      const status = await settled(server, 0);
      assert.equal(status.accepted, 60);
      assert.ok(status.handedOver > 0 && status.handedOver < 60, `${status.handedOver}`);
      assert.equal(status.errors, 0);
    });

    test('by the prefix that was given, within the limits of each client', async () => {
      const server = await startOn(way, worker('hops'), {
        dispatch: { hash: { ipv4: 24 } },
        proxy,
        parallelism: 3,
        maxPerClient: 1,
      });
      const come24 = await Promise.all([1, 2, 3, 4, 5, 6].map((i) => come(server, `198.51.100.${i}`)));
      assert.equal(new Set(come24.map(({ at }) => at)).size, 1);
      const again = await dial(server);
      await again.write(headerOf('198.51.100.1'));
      assert.equal(await endOf(again), 'reset');
      await come24[0]!.client.close();
      await eventually(() => server.status().active === 5);
      assert.equal((await come(server, '198.51.100.1')).at, come24[1]!.at);
    });

    test('when a worker dies only its clients move, and they come back', async () => {
      const server = await startOn(way, worker('hops'), {
        dispatch: 'hash',
        proxy,
        parallelism: 3,
        restart: { delay: 300 },
        onError: () => {},
      });
      const watch = new Watch(server);
      const hosts = Array.from({ length: 12 }, (_, i) => `203.0.113.${i + 1}`);
      const where = async (): Promise<string[]> => {
        const all = await Promise.all(hosts.map((host) => come(server, host)));
        await Promise.all(all.map(({ client }) => client.close()));
        return all.map(({ at }) => at);
      };
      const before = await where();
      const { client } = await come(server, hosts[before.indexOf('1')]!);
      await client.write('exit\n');
      await watch.death();
      await endOf(client);
      const meanwhile = await where();
      for (const [i, at] of before.entries()) {
        if (at === '1') assert.notEqual(meanwhile[i], '1');
        else assert.equal(meanwhile[i], at);
      }
      await watch.restarted();
      assert.deepEqual(await where(), before);
    });

    test('a proxy that speaks for itself is served where it came', async () => {
      const server = await startOn(way, worker('hops'), { dispatch: 'hash', proxy });
      const clients = [await dial(server), await dial(server), await dial(server), await dial(server)];
      await settled(server, 4);
      // Nobody knows yet who they are.
      await eventually(() => server.status().workers.every(({ connections }) => connections === 2));
      for (const client of clients) {
        await client.write(
          Buffer.concat([encodeProxyHeader({ version: 2, command: 'local' }), Buffer.from('where\n')]),
        );
        assert.match((await client.readLine()) ?? '', /^[01]$/u);
      }
      assert.equal((await settled(server, 4)).handedOver, 0);
    });

    test('a module with a listener of its own can’t have it', async () => {
      await assert.rejects(startOn(way, worker('hops-bare'), { dispatch: 'hash', proxy }), /export a handler instead/u);
    });
  },
  (way) => way.takesBack,
);
