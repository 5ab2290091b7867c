import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { temporaryFolder } from '../support/folder.ts';
import { endAll } from '../support/nets.ts';
import {
  ask,
  atEnd,
  dial,
  endOf,
  eventually,
  leavesNoThread,
  line,
  onEachWay,
  settled,
  startOn,
  worker,
} from './support.ts';

leavesNoThread();

const hops = worker('hops');

onEachWay(
  'a connection that is handed over',
  (way) => {
    test('is served there, with a copy of the value, and counted once', async () => {
      const server = await startOn(way, hops, { dispatch: () => 0 });
      const client = await dial(server);
      assert.equal(await ask(client, 'where'), '0');
      await client.write('go 1 {"deep":[1,{"two":"three"}]}\n');
      assert.equal(await ask(client, 'where'), '1');
      const value = { path: [0], extra: { deep: [1, { two: 'three' }] } };
      assert.deepEqual(JSON.parse(await ask(client, 'trail')), { me: 1, from: 0, to: 1, value });
      const status = await settled(server, 1);
      assert.equal(status.handedOver, 1);
      assert.equal(status.accepted, 1);
      assert.deepEqual(
        status.workers.map(({ connections, accepted, handedOver }) => ({ connections, accepted, handedOver })),
        [
          { connections: 0, accepted: 1, handedOver: 1 },
          { connections: 1, accepted: 1, handedOver: 0 },
        ],
      );
      await client.close();
      const { reasons } = await settled(server, 0);
      assert.deepEqual(reasons, { ended: 1 });
    });

    test('has what was read and not consumed first, and then what comes, in order', async () => {
      const server = await startOn(way, hops, { parallelism: 3 });
      const client = await dial(server);
      const said: string[] = [];
      const sent: string[] = [];
      for (let i = 0; i < 3_000; i += 1) {
        said.push(`${i} ${'x'.repeat(i % 97)}`);
        sent.push(said[i]!);
        if (i % 20 === 19) sent.push(`go ${((i / 20) % 3) | 0}`);
      }
      const all = `${sent.join('\n')}\n`;
      // In pieces that have nothing to do with the lines, and the most of it before the first hop.
      void (async () => {
        for (let at = 0; at < all.length; at += 7_919) await client.write(all.slice(at, at + 7_919));
      })();
      for (const each of said) assert.equal(await line(client), each);
      await eventually(() => server.status().handedOver === 150);
      await settled(server, 1);
      await client.closeWrite();
      assert.equal(await endOf(client), 'end');
      await eventually(() => server.status().bytesRead === all.length);
      await settled(server, 0);
    });

    test('takes the peer’s end along', async () => {
      const server = await startOn(way, hops, { dispatch: () => 0 });
      const client = await dial(server);
      await client.write('go 1\nlast words\n');
      await client.closeWrite();
      assert.equal(await line(client), 'last words');
      assert.equal(await endOf(client), 'end');
      const { reasons } = await settled(server, 0);
      assert.deepEqual(reasons, { ended: 1 });
    });

    test('goes round to the worker that has it', async () => {
      const server = await startOn(way, hops, { dispatch: () => 0 });
      const client = await dial(server);
      assert.equal(await ask(client, 'go 0\nwhere'), '0');
      assert.equal((JSON.parse(await ask(client, 'trail')) as { from: number }).from, 0);
      assert.equal((await settled(server, 1)).handedOver, 1);
    });

    test('has what its output was, all of it', async () => {
      const server = await startOn(way, hops, { dispatch: () => 0 });
      const client = await dial(server);
      const long = 'y'.repeat(60_000);
      // Nobody reads: the output has to wait before the connection may go.
      void client.write(`${`${long}\n`.repeat(60)}go 1\nwhere\n`);
      for (let i = 0; i < 60; i += 1) assert.equal(await line(client), long);
      assert.equal(await line(client), '1');
    });

    test('may be a Unix socket’s', async (t) => {
      const path = join(temporaryFolder(t), 'sock');
      const server = await startOn(way, hops, { dispatch: () => 0, listen: { path } });
      const client = await connect({ path }, { transport: nodeTransport });
      atEnd(() => endAll(client));
      assert.equal(await ask(client, 'go 1\nwhere'), '1');
      assert.equal((await settled(server, 1)).handedOver, 1);
    });

    test('counts its bytes once, and its age goes on', async () => {
      const server = await startOn(way, hops, { dispatch: () => 0 });
      const client = await dial(server);
      assert.equal(await ask(client, 'where'), '0');
      await sleep(60);
      const { bytesRead } = JSON.parse(await ask(client, 'go 1\npeer')) as { bytesRead: number };
      assert.equal(bytesRead, 'peer\n'.length);
      // What went along is counted where it was consumed.
      await eventually(() => server.status().workers[0]!.bytesRead === 'where\ngo 1\n'.length);
      await eventually(() => server.status().workers[1]!.bytesRead === 'peer\n'.length);
      const [one] = await server.connections();
      assert.equal(one?.worker, 1);
      assert.ok(one.age >= 60, `${one.age}`);
    });

    test('does not get younger while it waits for a client that reads slowly', async () => {
      const server = await startOn(way, hops, { dispatch: () => 0 });
      const client = await dial(server);
      const flood = 16 * 2 ** 20;
      await client.write(`flood ${flood}\ngo 1\n`);
      await sleep(400);
      for (let read = 0; read < flood; read += 65_536) await client.readExactly(65_536);
      assert.equal(await ask(client, 'where'), '1');
      const [one] = await server.connections();
      assert.ok(one!.age >= 400, `${one!.age}`);
    });

    test('is held to the deadlines that it came with', async () => {
      const deadlines = { life: 1_500, firstByte: 200 };
      const server = await startOn(way, hops, { dispatch: () => 0, deadlines });
      const client = await dial(server);
      const ended = endOf(client);
      let hopped = 0;
      // Neither begins anew with a hop: the one is over, and the other goes on.
      for (; hopped < 10 && client.closeReason === null && server.status().active <= 1; hopped += 1) {
        await client.write(`go ${(hopped + 1) % 2}\n`).catch(() => {});
        await sleep(400);
        if (server.status().reasons['timeout-life'] !== undefined) break;
      }
      await ended;
      assert.deepEqual((await settled(server, 0)).reasons, { 'timeout-life': 1 });
      assert.ok(hopped >= 1 && hopped < 10, `${hopped}`);
    });
  },
  (way) => way.takesBack,
);

onEachWay(
  'in callbacks',
  (way) => {
    for (const shape of ['bytes', 'frames'] as const) {
      test(`(${shape}) none is called from the call on, and there they begin with open`, async () => {
        const server = await startOn(way, worker('hops-callbacks'), { dispatch: () => 0, workerData: { shape } });
        const client = await dial(server);
        assert.equal(await ask(client, 'hello'), '0 hello');
        for (let hop = 1; hop <= 6; hop += 1) {
          const to = hop % 2;
          // The rest of the batch is the other worker's.
          if (shape === 'frames') await client.write(`go ${to}\nfirst\nsecond\nhal`);
          else await client.write(`go ${to}\n`);
          assert.equal(await line(client), `opened at ${to}`);
          if (shape === 'frames') {
            assert.equal(await line(client), `${to} first`);
            assert.equal(await line(client), `${to} second`);
            assert.equal(await ask(client, 'f'), `${to} half`);
          } else assert.equal(await ask(client, 'first'), `${to} first`);
        }
        const status = await settled(server, 1);
        assert.equal(status.handedOver, 6);
        assert.equal(status.errors, 0);
      });
    }

    test('they go on where it can’t be done', async () => {
      const server = await startOn(way, worker('hops-callbacks'), {
        dispatch: () => 0,
        workerData: { shape: 'frames' },
      });
      const client = await dial(server);
      await client.write('go 9\nfirst\nsecond\nhal');
      // What is refused is told a turn later.
      const answers = [await line(client), await line(client), await line(client)];
      assert.deepEqual(answers.toSorted(), ['0 first', '0 second', 'ERR_PORTSIDE_NO_WORKER'].toSorted());
      assert.equal(await ask(client, 'f'), '0 half');
    });
  },
  (way) => way.takesBack,
);

onEachWay(
  'with receiveConnections()',
  (way) => {
    test('the listener of the other worker gives it', async () => {
      const server = await startOn(way, worker('hops-bare'), { dispatch: () => 0 });
      const client: Connection = await dial(server);
      assert.deepEqual(JSON.parse(await ask(client, 'hi')), { index: 0, line: 'hi' });
      await client.write('go 1\ngo 0\ngo 1\nthere\n');
      const told: unknown = JSON.parse(await line(client));
      assert.deepEqual(told, { index: 1, line: 'there', from: 0, to: 1, value: [0, 1, 0] });
      const status = await settled(server, 1);
      assert.equal(status.handedOver, 3);
      const ledger = await server.stop({ grace: 0 });
      assert.equal(ledger.connections, 1);
    });
  },
  (way) => way.takesBack,
);
