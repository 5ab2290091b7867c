import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeProxyHeader } from '../../src/codec/proxy-header.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import {
  Watch,
  ask,
  assertAddsUp,
  dial,
  dialPort,
  endOf,
  leavesNoThread,
  onEachWay,
  settled,
  startOn,
  worker,
} from './support.ts';

leavesNoThread();

const hops = worker('hops');
const proxy = { from: ['127.0.0.1'] } as const;

/** A client behind a proxy, with a header that says more than its address. */
async function come(server: ParallelServer, host: string): Promise<Connection> {
  const client = await dial(server);
  const source = { family: 'ipv4', host, port: 4_000 } as const;
  const destination = { family: 'ipv4', host: '192.0.2.200', port: 25 } as const;
  const tlvs = [{ type: 5, value: Uint8Array.of(7, 8, 9) }];
  await client.write(encodeProxyHeader({ version: 2, source, destination, tlvs }));
  return client;
}

/** Goes from worker to worker, until it is told to end, as its first worker answers each time. */
async function hop(client: Connection, over: () => boolean): Promise<number> {
  let hopped = 0;
  for (; !over(); hopped += 1) assert.equal(await ask(client, `go ${hopped % 2}\nwhere`), `${hopped % 2}`);
  return hopped;
}

onEachWay(
  'with a connection that is handed over go',
  (way) => {
    test('its PROXY header and its effective client', async () => {
      const server = await startOn(way, hops, { dispatch: () => 0, proxy });
      const client = await come(server, '192.0.2.7');
      const before = JSON.parse(await ask(client, 'peer')) as object;
      const remote = { family: 'ipv4', host: '192.0.2.7', port: 4_000 };
      assert.deepEqual(before, { me: 0, remote, command: 'proxy', tlvs: 1, bytesRead: 5, bytesWritten: 0 });
      // What comes with it begins like a header, and is none any more.
      const header = 'PROXY TCP4 192.0.2.8 192.0.2.9 1 2\r';
      assert.equal(await ask(client, `go 1\n${header}`), header.trimEnd());
      const {
        bytesRead: _,
        bytesWritten: __,
        ...after
      } = JSON.parse(await ask(client, 'peer')) as Record<string, unknown>;
      assert.deepEqual(after, { me: 1, remote, command: 'proxy', tlvs: 1 });
      const [one] = await server.connections();
      assert.deepEqual(one?.remote, remote);
    });

    test('its permit: no more are in than may be, however they move', async () => {
      const server = await startOn(way, hops, { maxConnections: 3, dispatch: 'round-robin' });
      const inside = [await dial(server), await dial(server), await dial(server)];
      for (const client of inside) await ask(client, 'in?');
      const late = await dial(server);
      let answered = false;
      const answer = ask(late, 'in?').then(() => (answered = true));
      let over = false;
      const hopping = inside.map((client) => hop(client, () => over));
      for (let i = 0; i < 20; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        assert.ok(server.status().active <= 3);
      }
      over = true;
      const hopped = (await Promise.all(hopping)).reduce((sum, count) => sum + count, 0);
      assert.ok(hopped > 10, `${hopped}`);
      assert.equal(answered, false);
      await inside[0]!.close();
      await answer;
      const status = await settled(server, 3);
      assert.equal(status.accepted, 4);
      assert.equal(status.handedOver, hopped);
      for (const client of [inside[1]!, inside[2]!, late]) await client.close();
      await settled(server, 0);
      // All came back: as many may come in again, and one more may not.
      const again = [await dial(server), await dial(server), await dial(server)];
      for (const client of again) await ask(client, 'in?');
      await settled(server, 3);
    });

    test('that of an endpoint with a limit of its own', async () => {
      const server = await startOn(way, hops, {
        dispatch: 'round-robin',
        listen: [
          { port: 0, host: '127.0.0.1' },
          { port: 0, host: '127.0.0.1', maxConnections: 1 },
        ],
      });
      const [, narrow] = server.addresses.map((address) => ('port' in address ? address.port : 0));
      for (let i = 0; i < 5; i += 1) {
        const client = await dialPort(narrow!);
        assert.equal(await ask(client, 'go 1\nwhere'), '1');
        assert.equal(await ask(client, 'go 0\nwhere'), '0');
        const late = await dialPort(narrow!);
        let answered = false;
        const answer = ask(late, 'in?').then(() => (answered = true));
        assert.equal(await ask(client, 'go 1\nwhere'), '1');
        assert.equal(answered, false);
        await client.close();
        await answer;
        await late.close();
      }
      assertAddsUp(await settled(server, 0));
    });

    test('its place among those of its client', async () => {
      const server = await startOn(way, hops, { dispatch: 'round-robin', proxy, maxPerClient: 2, onError: () => {} });
      const watch = new Watch(server);
      const inside = [await come(server, '192.0.2.1'), await come(server, '192.0.2.1')];
      for (const client of inside) await ask(client, 'in?');
      let over = false;
      const hopping = inside.map((client) => hop(client, () => over));
      for (let i = 0; i < 25; i += 1) assert.equal(await endOf(await come(server, '192.0.2.1')), 'reset');
      over = true;
      await Promise.all(hopping);
      assert.equal(server.status().refused['client-full'], 25);
      const other = await come(server, '192.0.2.2');
      assert.equal(await ask(other, 'in?'), 'in?');
      // One goes by itself, and one with the worker that it went to.
      await inside[0]!.close();
      await inside[1]!.write('go 1\nexit\n');
      assert.equal((await watch.death()).worker, 1);
      await watch.restarted();
      await endOf(inside[1]!);
      const next = [await come(server, '192.0.2.1'), await come(server, '192.0.2.1')];
      for (const client of next) assert.equal(await ask(client, 'go 1\nwhere'), '1');
      assert.equal(await endOf(await come(server, '192.0.2.1')), 'reset');
      // The worker that they come from has nothing of them any more.
      await (await come(server, '192.0.2.3')).write('go 0\nexit\n');
      assert.equal((await watch.death(2)).worker, 0);
      await watch.restarted(2);
      assert.equal(await endOf(await come(server, '192.0.2.1')), 'reset');
      for (const client of next) assert.equal(await ask(client, 'where'), '1');
    });
  },
  (way) => way.takesBack,
);
