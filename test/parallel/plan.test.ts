import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import { OptionsError } from '../../src/base/options.ts';
import type { ParallelOptions } from '../../src/parallel/options.ts';
import { planOf } from '../../src/parallel/plan.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { join } from 'node:path';
import { temporaryFolder } from '../support/folder.ts';
import { serverTls } from '../support/tls.ts';
import { anyWay, ask, dial, endOf, leavesNoThread, settled, line, startOn, ways, worker } from './support.ts';
import { connect } from '../../src/net/connect.ts';

async function refused(options: ParallelOptions, says: RegExp): Promise<void> {
  await assert.rejects(planOf({ port: 0, host: '127.0.0.1', ...options }), (error) => {
    assert.ok(isPortsideError(error), String(error));
    assert.equal(error.code, 'ERR_PORTSIDE_UNSUPPORTED');
    assert.match(error.message, says);
    return true;
  });
}

describe('what can’t be had is an error at the start that says what can', () => {
  test('kernel: an order of arrival, a rate, paths and descriptors', async () => {
    await refused({ dispatch: 'kernel', maxConnections: 1 }, /order of arrival.*round-robin, least-busy or hash/su);
    await refused({ dispatch: 'kernel', rate: { connections: 1, per: 1_000 } }, /rate counts where.*maxPerClient/su);
    await refused({ dispatch: 'kernel', whenFull: 'refuse' }, /goes by all permits.*wait or retries/su);
    const listen = 'unix:///tmp/x.sock';
    await assert.rejects(planOf({ dispatch: 'kernel', listen }), /TCP ports only.*round-robin/u);
    await assert.rejects(planOf({ dispatch: 'kernel', fd: 3 }), /TCP ports only/u);
  });

  test('hash and rates by a socket’s address, behind a proxy', async () => {
    const proxy = { from: ['127.0.0.1'] };
    if (nodeTransport.passages !== undefined) {
      const transport = 'node';
      await refused({ transport, dispatch: 'hash', proxy }, /hash goes by the address of the socket.*maxPerClient/su);
      await refused({ transport, dispatch: { hash: { ipv4: 24 } }, proxy }, /hash goes by/u);
    }
    const { transport } = anyWay.options;
    if (anyWay.takesBack) {
      const tls = serverTls();
      await refused({ transport, dispatch: 'hash', proxy, tls }, /those under TLS can't be moved.*least-busy/su);
      const plan = await planOf({ port: 0, transport, dispatch: 'hash', proxy });
      assert.equal(plan.way, 'handed');
    }
    await refused({ transport, proxy, rate: { connections: 1, per: 1_000 } }, /rate behind a proxy.*maxPerClient/su);
  });

  test('node: paths, and on a Node that moves no sockets all but kernel', async () => {
    if (nodeTransport.passages === undefined) {
      await refused({ transport: 'node' }, /can't be moved between threads by Node.*dispatch: 'kernel'/su);
      return;
    }
    await assert.rejects(
      planOf({ transport: 'node', path: '/tmp/x.sock' }),
      /Node moves TCP sockets between threads, and no others/u,
    );
    await assert.rejects(
      planOf({ transport: 'node', listen: ['tcp://127.0.0.1:0', { path: '/tmp/x.sock' }] }),
      /no others/u,
    );
  });

  test('all that is wrong with options is told at once', async () => {
    const wrong = { port: 0, parallelism: 0, dispatch: 'random', watchdog: 1, onWorkerDeath: 'ignore', workers: 3 };
    await assert.rejects(startOn(anyWay, worker('bare'), wrong as never), (error) => {
      assert.ok(error instanceof OptionsError);
      const paths = error.problems.map(({ path }) => path.replace('options.', ''));
      assert.deepEqual(paths.toSorted(), ['dispatch', 'onWorkerDeath', 'parallelism', 'watchdog', 'workers']);
      return true;
    });
    await assert.rejects(planOf({ listen: [{ port: 0, transport: 'node' }] }), /one for all/u);
  });

  test('a transport of the user’s own is one that a module exports', async () => {
    await assert.rejects(planOf({ port: 0, transport: worker('bare-none') }), { code: 'ERR_MODULE_NOT_FOUND' });
    await assert.rejects(planOf({ port: 0, transport: worker('handler') }), /exports no transport/u);
    const plan = await planOf({
      port: 0,
      transport: new URL('../../src/transport/node/transport.ts', import.meta.url),
      dispatch: 'kernel',
    }).catch((error: unknown) => String(error));
    // It exports one under another name.
    assert.match(plan as string, /exports no transport/u);
  });
});

describe('what can', () => {
  leavesNoThread();

  test(
    'a path, over the native core',
    { skip: ways().every(({ takesBack }) => !takesBack) && 'no native core' },
    async (t) => {
      const path = join(temporaryFolder(t), 'x.sock');
      await startOn(ways()[0]!, worker('bare'), {
        listen: { path },
        parallelism: 2,
        dispatch: 'round-robin',
      });
      const seen: string[] = [];
      for (let i = 0; i < 4; i += 1) {
        const client = await connect({ path });
        seen.push(await line(client));
        assert.equal(await ask(client, 'hello'), 'hello');
        await client.close();
      }
      assert.deepEqual(seen, ['0/2', '1/2', '0/2', '1/2']);
    },
  );

  test(
    'a transport of the user’s own; a connection that it can’t hand over is reset and counted, and the next is served',
    { skip: ways().every(({ handed }) => !handed) && 'nothing moves between threads here' },
    async () => {
      const server = await startOn(anyWay, worker('bare'), {
        transport: worker('reluctant-transport'),
        dispatch: 'round-robin',
        parallelism: 1,
      });
      const errors: unknown[] = [];
      server.on('error', (error, index) => errors.push([String(error), index]));
      assert.equal(await dial(server).then(endOf, () => 'reset'), 'reset');
      assert.equal(await line(await dial(server)), '0/1');
      assert.deepEqual(errors, [['RangeError: no memory for it', null]]);
      const { accepted, reasons } = await settled(server, 1);
      assert.deepEqual([accepted, reasons], [2, { failed: 1 }]);
    },
  );
});
