import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { serve } from '../../src/server/server.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { endAll, onEachNet, pairOn } from '../support/nets.ts';
import { ask, dial, endOf, eventually, leavesNoThread, line, onEachWay, settled, startOn, worker } from './support.ts';

const hops = worker('hops');

describe('what can’t be handed over', () => {
  leavesNoThread();

  onEachWay(
    'stays as it is, and is told why',
    (way) => {
      test('to a worker that there is none of', async () => {
        const server = await startOn(way, hops);
        const client = await dial(server);
        assert.equal(await ask(client, 'go 2'), 'ERR_PORTSIDE_NO_WORKER');
        assert.equal(await ask(client, 'go 1023'), 'ERR_PORTSIDE_NO_WORKER');
        for (const wrong of ['-1', '0.5', '1024', 'x'])
          assert.equal(await ask(client, `go ${wrong}`), 'ERR_PORTSIDE_OPTIONS');
        assert.equal(await ask(client, 'still here'), 'still here');
        assert.equal((await settled(server, 1)).handedOver, 0);
      });

      test('with a value that can’t be copied, or is too large', async () => {
        const server = await startOn(way, hops, { dispatch: () => 0 });
        const client = await dial(server);
        assert.equal(await ask(client, 'value function'), 'ERR_PORTSIDE_OPTIONS');
        assert.equal(await ask(client, 'value symbol'), 'ERR_PORTSIDE_OPTIONS');
        assert.equal(await ask(client, 'value large'), 'ERR_PORTSIDE_LIMIT');
        assert.equal(await ask(client, 'go 1\nwhere'), '1');
      });

      test('while a read waits, or with its output ended', async () => {
        const server = await startOn(way, hops, { dispatch: () => 0 });
        const client = await dial(server);
        assert.equal(await ask(client, 'reading'), 'ERR_PORTSIDE_READ_BUSY');
        assert.equal(await ask(client, 'where'), '0');
        await client.write('half\n');
        assert.equal(await client.readLine(), null);
        await client.close();
        assert.equal((await settled(server, 0)).handedOver, 0);
        assert.equal(await ask(await dial(server), 'told'), 'ERR_PORTSIDE_STATE');
      });

      test('under TLS, whose keys stay where they are', async () => {
        const server = await startOn(way, hops, { dispatch: () => 0, tls: serverTls() });
        const client = await dial(server, { tls: clientTls() });
        assert.equal(await ask(client, 'go 1'), 'ERR_PORTSIDE_UNSUPPORTED');
        assert.equal(await ask(client, 'where'), '0');
        assert.equal((await settled(server, 1)).handedOver, 0);
      });

      test('when it is over', async () => {
        const server = await startOn(way, hops, { dispatch: () => 0 });
        const client = await dial(server);
        await ask(client, 'where');
        await client.write('late\n');
        assert.equal(await endOf(client), 'end');
        await eventually(() => server.status().reasons['closed'] === 1 || server.status().reasons['ended'] === 1);
        const status = await settled(server, 0);
        assert.equal(status.errors, 0);
        assert.equal(await ask(await dial(server), 'told'), 'ERR_PORTSIDE_CLOSED');
      });
    },
    (way) => way.takesBack,
  );

  onEachWay(
    'where connections don’t travel',
    (way) => {
      test('it is told, and they are served on', async () => {
        const server = await startOn(way, hops);
        const client = await dial(server);
        const here = await ask(client, 'where');
        assert.equal(await ask(client, 'go 1'), 'ERR_PORTSIDE_UNSUPPORTED');
        assert.equal(await ask(client, 'where'), here);
      });
    },
    (way) => !way.takesBack,
  );
});

describe('without workers', () => {
  onEachNet('a connection', (net) => {
    test('can’t be handed over, and goes on', async () => {
      const { client, server } = await pairOn(net);
      await assert.rejects(client.handOver(0), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
      assert.equal(client.handedOver, null);
      await client.write('hello\n');
      assert.equal(await line(server), 'hello');
      client.abort();
      await server.closed.catch(() => {});
      server.abort();
      await assert.rejects(client.handOver(0), { code: 'ERR_PORTSIDE_CLOSED' });
    });
  });

  onEachNet('in a server', (net) => {
    test('a handler is told so, and goes on', async () => {
      const server = await serve(
        async (conn: Connection) => {
          await assert.rejects(conn.handOver(1, 'x'), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
          await conn.write(conn.handedOver === null ? 'refused\n' : 'came\n');
        },
        { port: 0, host: '127.0.0.1', transport: net.transport },
      );
      const client = await connect(server.addresses[0]!, { transport: net.transport });
      assert.equal(await line(client), 'refused');
      await endAll(client);
      await server.stop();
      assert.equal(server.status().handedOver, 0);
    });
  });
});
