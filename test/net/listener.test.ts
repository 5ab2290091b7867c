import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { isConnection } from '../../src/net/connection.ts';
import { isListener } from '../../src/net/listener.ts';
import type { Listener } from '../../src/net/listener.ts';
import { always, map, never, none, select, sync } from '../../src/sync/evt.ts';
import { Scope } from '../../src/sync/scope.ts';
import type { Net } from '../support/nets.ts';
import { endAll, listenOn, onEachNet, portOf } from '../support/nets.ts';

const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
};

function dial(net: Net, listener: Listener): Promise<Connection> {
  return connect({ host: '127.0.0.1', port: portOf(listener) }, { transport: net.transport, timeout: 5_000 });
}

async function ready(listener: Listener): Promise<void> {
  await sync(listener.readyEvt(), { signal: AbortSignal.timeout(5_000) });
}

onEachNet('listening', (net) => {
  test('a listener is bound when listen resolves, and its address can be read after close', async () => {
    const listener = await listenOn(net);
    const { address } = listener;
    assert.ok('port' in address && address.port > 0 && address.host === '127.0.0.1');
    assert.equal(isListener(listener), true);
    assert.equal(isListener({}), false);
    await listener.close();
    assert.deepEqual(listener.address, address);
    assert.deepEqual(listener.addresses, [address]);
  });

  test('accept gives one connection per call, in the order of asking', async () => {
    const listener = await listenOn(net);
    const waiting = [listener.accept(), listener.accept()] as const;
    const first = await dial(net, listener);
    const second = await dial(net, listener);
    const [a, b] = await Promise.all(waiting);
    assert.equal(isConnection(a), true);
    assert.deepEqual(a.remote, first.local);
    assert.deepEqual(b.remote, second.local);
    await endAll(a, b, first, second);
    await listener.close();
  });

  test('readiness consumes nothing: it stays until the connection is accepted', async () => {
    const listener = await listenOn(net);
    assert.equal(listener.acceptReady, false);
    assert.equal(listener.readyEvt().take(), none);
    const client = await dial(net, listener);
    await ready(listener);
    assert.equal(listener.acceptReady, true);
    assert.equal(listener.acceptReady, true);
    const conn = await listener.accept();
    assert.equal(listener.acceptReady, false);
    await endAll(conn, client);
    await listener.close();
  });

  test('iteration accepts when it is asked, and ends when the listener is closed', async () => {
    const listener = await listenOn(net);
    const clients = await Promise.all([dial(net, listener), dial(net, listener), dial(net, listener)]);
    const accepted: Connection[] = [];
    for await (const conn of listener) {
      accepted.push(conn);
      if (accepted.length === 3) void listener.close();
    }
    assert.equal(accepted.length, 3);
    await endAll(...accepted, ...clients);
  });

  test('a blocked accept is woken with ClosedError; so are evts, and later accepts', async () => {
    const listener = await listenOn(net);
    const blocked = listener.accept();
    const chosen = sync(listener.acceptEvt());
    await Promise.all([
      assert.rejects(blocked, { code: 'ERR_PORTSIDE_CLOSED', op: 'accept', name: 'ClosedError' }),
      assert.rejects(chosen, { code: 'ERR_PORTSIDE_CLOSED' }),
      listener.close(),
    ]);
    await listener.close();
    await assert.rejects(listener.accept(), { code: 'ERR_PORTSIDE_CLOSED' });
    assert.throws(() => listener.acceptReady, { code: 'ERR_PORTSIDE_CLOSED' });
    assert.throws(() => listener.acceptEvt().take(), { code: 'ERR_PORTSIDE_CLOSED' });
  });

  test('an accept that is called off has taken nothing', async () => {
    const listener = await listenOn(net);
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const off = listener.accept({ signal: controller.signal });
    const on = listener.accept();
    controller.abort(reason);
    await assert.rejects(off, reason);
    await assert.rejects(listener.accept({ signal: controller.signal }), reason);
    const client = await dial(net, listener);
    await endAll(await on, client);
    await listener.close();
  });

  test('of several events, select commits to one, and an accept that is not chosen loses no connection', async () => {
    const listener = await listenOn(net);
    const client = await dial(net, listener);
    await ready(listener);
    let accepted = 0;
    let other = 0;
    for (let round = 0; round < 50 && accepted === 0; round += 1) {
      const what = await select(
        map(listener.acceptEvt(), (conn) => conn),
        always('other'),
        never(),
      );
      if (what === 'other') other += 1;
      else {
        accepted += 1;
        await endAll(what as Connection);
      }
    }
    assert.equal(accepted, 1, `fair among ready ones, after ${other} others`);
    await endAll(client);
    await listener.close();
  });

  test('many selects at once over one listener: each connection goes to exactly one', async () => {
    const listener = await listenOn(net);
    const taking = Array.from({ length: 20 }, () => sync(listener.acceptEvt()));
    const clients = await Promise.all(Array.from({ length: 20 }, () => dial(net, listener)));
    const accepted = await Promise.all(taking);
    const peers = new Set(accepted.map((conn) => JSON.stringify(conn.remote)));
    assert.equal(peers.size, 20);
    await endAll(...accepted, ...clients);
    await listener.close();
  });

  test('an accept evt gives its connection to the scope in which it was made', async () => {
    const listener = await listenOn(net);
    const mine = new Scope({ parent: null });
    const event = mine.run(() => listener.acceptEvt());
    const client = await dial(net, listener);
    const conn = await sync(event);
    assert.equal(mine.report().length, 1);
    await mine.close();
    assert.equal(conn.closeReason?.kind, 'closed');
    await endAll(client);
    const dead = mine.run(() => listener.acceptEvt());
    const late = await dial(net, listener);
    await assert.rejects(sync(dead), { code: 'ERR_PORTSIDE_SCOPE_CLOSED' });
    await late.close();
    await listener.close();
  });

  test('suspended, it accepts nothing and clients wait; resumed, they are served', async () => {
    const listener = await listenOn(net);
    const blocked = listener.accept();
    listener.suspend();
    assert.equal(listener.suspended, true);
    const client = await dial(net, listener);
    let served = false;
    void blocked.then(() => {
      served = true;
    });
    await turns();
    assert.equal(served, false);
    assert.equal(listener.acceptReady, false);
    listener.resume();
    const conn = await blocked;
    await conn.write('served');
    assert.equal(Buffer.from((await client.read()) ?? []).toString(), 'served');
    await endAll(conn, client);
    await listener.close();
  });

  test('closing leaves accepted connections alone and resets the others', async () => {
    const listener = await listenOn(net);
    const first = await dial(net, listener);
    const conn = await listener.accept();
    const second = await dial(net, listener);
    await turns();
    await listener.close();
    await assert.rejects(
      async () => {
        for (;;) {
          await second.write('x');
          if ((await second.read({ timeout: 5_000 })) === null) return;
        }
      },
      { code: /^(ECONNRESET|EPIPE)$/u },
    );
    await conn.write('still here');
    assert.equal(Buffer.from((await first.read()) ?? []).toString(), 'still here');
    await endAll(first, conn);
    await second.closed;
  });

  test('without a kernel queue no more than the backlog is held, and the next is reset', async (t) => {
    const listener = await listenOn(net, { backlog: 2 });
    if (listener.backlogIsKernel) {
      t.skip('this transport leaves clients in the kernel');
      await listener.close();
      return;
    }
    const clients = [await dial(net, listener), await dial(net, listener)];
    await turns();
    await assert.rejects(
      async () => {
        const third = await dial(net, listener);
        for (;;) {
          await third.write('x');
          if ((await third.read({ timeout: 5_000 })) === null) return;
        }
      },
      { code: /^(ECONNRESET|EPIPE)$/u },
    );
    const held = [await listener.accept(), await listener.accept()];
    assert.equal(listener.acceptReady, false);
    await endAll(...held, ...clients);
    await listener.close();
  });

  test('a held client that goes away before it is accepted harms nobody', async () => {
    const listener = await listenOn(net);
    const gone = await dial(net, listener);
    await turns();
    await endAll(gone);
    await turns();
    const client = await dial(net, listener);
    const told: string[] = [];
    for (;;) {
      const conn = await listener.accept();
      if (JSON.stringify(conn.remote) === JSON.stringify(client.local)) {
        await endAll(conn);
        break;
      }
      await conn.read().catch((error: unknown) => told.push((error as { code: string }).code));
      await conn.close({ linger: 0 });
    }
    assert.ok(told.every((code) => code === 'ECONNRESET'));
    await endAll(client);
    await listener.close();
  });

  test('a port in use is EADDRINUSE, with a sentence that says what to do', async () => {
    const listener = await listenOn(net);
    await assert.rejects(listenOn(net, { port: portOf(listener) }), (error: Error & { code: string; op: string }) => {
      assert.equal(error.code, 'EADDRINUSE');
      assert.equal(error.op, 'listen');
      assert.match(error.message, /in use/u);
      return true;
    });
    await listener.close();
  });

  test('no more than 10,000 accepts wait at a time', async () => {
    const listener = await listenOn(net);
    const waiting = Array.from({ length: 10_000 }, () => listener.accept());
    await assert.rejects(listener.accept(), { code: 'ERR_PORTSIDE_LIMIT' });
    const outcomes = Promise.allSettled(waiting);
    await listener.close();
    assert.ok((await outcomes).every(({ status }) => status === 'rejected'));
  });

  test('it is async-disposable', async () => {
    const listener = await listenOn(net);
    await listener[Symbol.asyncDispose]();
    await assert.rejects(listener.accept(), { code: 'ERR_PORTSIDE_CLOSED' });
  });

  test('an already aborted signal binds nothing', async () => {
    const reason = new Error('no');
    await assert.rejects(listenOn(net, { signal: AbortSignal.abort(reason) }), reason);
  });

  test('wrong options are told all at once, with the path and the nearest name', async () => {
    await assert.rejects(
      listenOn(net, { backlg: 3, families: ['ipv5'], port: 70_000, highWaterMark: 'x' } as never),
      (error: Error & { code: string; problems: { path: string }[] }) => {
        assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
        assert.deepEqual(error.problems.map(({ path }) => path).sort(), [
          'options.backlg',
          'options.families[0]',
          'options.highWaterMark',
          'options.port',
        ]);
        assert.match(error.message, /did you mean "backlog"/u);
        return true;
      },
    );
  });
});
