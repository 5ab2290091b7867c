import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PortsideError } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { isConnection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import type { Clock, TimerHandle } from '../../src/sync/clock.ts';
import { systemClock } from '../../src/sync/clock.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { Dial, Transport } from '../../src/transport/contract.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, listenOn, onEachNet, pairOn, portOf } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { refusal } from '../support/refusal.ts';

/** A name that has no address anywhere (RFC 6761). */
const NOWHERE = 'nobody.portside.invalid';

/** A transport whose dials are looked at and let through. */
function spied(transport: Transport): { transport: Transport; dials: Dial[] } {
  const dials: Dial[] = [];
  return {
    dials,
    transport: {
      ...transport,
      listen: (target, options) => transport.listen(target, options),
      adopt: (released) => transport.adopt(released),
      dial: (target) => {
        const dial = transport.dial(target);
        dials.push(dial);
        return dial;
      },
    },
  };
}

onEachNet('connecting', (net) => {
  test('it resolves to a connection, by string, by object and by host and port', async () => {
    const listener = await listenOn(net);
    const port = portOf(listener);
    for (const to of [`tcp://127.0.0.1:${port}`, `127.0.0.1:${port}`, { host: '127.0.0.1', port }]) {
      const client = await connect(to, { transport: net.transport });
      const server = await listener.accept();
      assert.equal(isConnection(client), true);
      assert.deepEqual(client.remote, { family: 'ipv4', host: '127.0.0.1', port });
      assert.deepEqual(server.remote, client.local);
      await endAll(client, server);
    }
    await listener.close();
  });

  test('where nobody listens it is ECONNREFUSED, with what was done, with whom, and a sentence that says what to do', async () => {
    const check = watchLeaks();
    const listener = await listenOn(net);
    const port = portOf(listener);
    await listener.close();
    const error = await refusal(connect(`127.0.0.1:${port}`, { transport: net.transport }));
    assert.equal(error.code, 'ECONNREFUSED');
    assert.equal(error.op, 'connect');
    assert.equal(error.remote, `127.0.0.1:${port}`);
    assert.match(error.message, /nobody listens on 127\.0\.0\.1:\d+; check the address/u);
    await check();
  });

  test('a name that does not resolve says so, with the name and what to check', async () => {
    const error = await refusal(connect(`${NOWHERE}:80`, { transport: net.transport, timeout: 30_000 }));
    // Where there are no name servers at all the system says EAI_AGAIN.
    assert.match(error.code, /^(ENOTFOUND|EAI_AGAIN)$/u);
    assert.equal(error.op, 'connect');
    assert.match(error.message, /nobody\.portside\.invalid/u);
  });

  test('a signal that is aborted already begins nothing', async () => {
    const spy = spied(net.transport);
    const reason = new Error('no need');
    await assert.rejects(
      connect('127.0.0.1:9', { transport: spy.transport, signal: AbortSignal.abort(reason) }),
      (error) => error === reason,
    );
    assert.equal(spy.dials.length, 0);
  });

  test('a signal that is aborted during the lookup ends it with the reason, and nothing is dialled afterwards', async () => {
    const spy = spied(net.transport);
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const connecting = connect('localhost:9', { transport: spy.transport, signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(connecting, (error) => error === reason);
    await refusal(connect(`${NOWHERE}:80`, { transport: net.transport }));
    assert.equal(spy.dials.length, 0);
  });

  test('a time that runs out during the lookup is ERR_PORTSIDE_TIMEOUT', async () => {
    const spy = spied(net.transport);
    let fire = (): void => assert.fail('no timer was set');
    const timer: TimerHandle = { cancel() {}, ref() {} };
    const clock: Clock = {
      ...systemClock,
      after: (_ms, fn) => {
        fire = fn;
        return timer;
      },
    };
    const scope = new Scope({ parent: null, clock });
    const connecting = scope.run(() => connect('localhost:9', { transport: spy.transport, timeout: 70 }));
    fire();
    const error = await refusal(connecting);
    assert.equal(error.code, 'ERR_PORTSIDE_TIMEOUT');
    assert.equal(error.remote, 'tcp://localhost:9');
    assert.match(error.message, /tcp:\/\/localhost:9 did not answer within 70 ms/u);
    assert.equal(spy.dials.length, 0);
    await scope.close();
  });

  test('a signal that is aborted while it dials ends it with the reason, and a socket that comes late is closed', async () => {
    const rejections = unhandled();
    const check = watchLeaks();
    const listener = await listenOn(net);
    const reason = new Error('too long');
    for (let turns = 0; turns < 4; turns += 1) {
      const spy = spied(net.transport);
      const controller = new AbortController();
      const connecting = connect(`127.0.0.1:${portOf(listener)}`, {
        transport: spy.transport,
        signal: controller.signal,
      });
      let settled = false;
      const outcome = connecting.then(
        (connection) => {
          settled = true;
          return endAll(connection);
        },
        (error: unknown) => {
          settled = true;
          assert.equal(error, reason);
        },
      );
      for (let turn = 0; turn < turns && !settled; turn += 1) await new Promise(setImmediate);
      controller.abort(reason);
      await outcome;
    }
    await listener.close();
    assert.deepEqual(await rejections(), []);
    await check();
  });

  test('a signal that is aborted once it is connected leaves the connection alone', async () => {
    const controller = new AbortController();
    const { server, client } = await pairOn(net, { client: { signal: controller.signal, timeout: 10_000 } });
    controller.abort();
    await client.write('still here');
    assert.equal(Buffer.from((await server.readExactly(10)) ?? []).toString(), 'still here');
    assert.equal(client.closeReason, null);
    await endAll(server, client);
  });

  test('the time that is given is let go when it is connected: no timer is left', async () => {
    const clock = new VirtualClock();
    const scope = new Scope({ parent: null, clock });
    const listener = await listenOn(net);
    const client = await scope.run(() =>
      connect(`127.0.0.1:${portOf(listener)}`, { transport: net.transport, timeout: 100 }),
    );
    assert.equal(clock.everArmed, 1);
    assert.equal(clock.armed, 0);
    await clock.advance(1_000);
    assert.equal(client.closeReason, null);
    await endAll(client);
    await listener.close();
    await scope.close();
  });

  test('a local address is used, alone and with a port; so is a local port without an address', async () => {
    const listener = await listenOn(net);
    const to = `127.0.0.1:${portOf(listener)}`;
    const ended: Connection[] = [];
    const alone = await connect(to, { transport: net.transport, localHost: '127.0.0.2' });
    assert.ok('host' in alone.local && alone.local.host === '127.0.0.2' && alone.local.port > 0);
    assert.deepEqual((await keep(listener, ended)).remote, alone.local);

    const free = await freePort(net.transport);
    const both = await connect(to, { transport: net.transport, localHost: '127.0.0.2', localPort: free });
    assert.deepEqual(both.local, { family: 'ipv4', host: '127.0.0.2', port: free });
    assert.deepEqual((await keep(listener, ended)).remote, both.local);

    const other = await freePort(net.transport);
    const port = await connect(to, { transport: net.transport, localPort: other });
    assert.ok('port' in port.local && port.local.port === other);
    assert.deepEqual((await keep(listener, ended)).remote, port.local);

    await endAll(alone, both, port, ...ended);
    await listener.close();
  });

  test('a local address that is not of this machine is EADDRNOTAVAIL, in words', async (t) => {
    if (net.name === 'memory') return t.skip('a network in memory has every address');
    const listener = await listenOn(net);
    const error = await refusal(
      connect(`127.0.0.1:${portOf(listener)}`, { transport: net.transport, localHost: '203.0.113.9' }),
    );
    assert.equal(error.code, 'EADDRNOTAVAIL');
    assert.match(error.message, /203\.0\.113\.9.* can't be used as the local address/u);
    await listener.close();
  });

  test('a local address of another family than the peer is refused in words', async () => {
    const error = await refusal(connect('127.0.0.1:9', { transport: net.transport, localHost: '::1' }));
    assert.equal(error.code, 'ERR_PORTSIDE_UNSUPPORTED');
    assert.match(error.message, /family of the local address ::1/u);
  });

  test('families leave out addresses of the other one', async () => {
    const error = await refusal(connect('[::1]:9', { transport: net.transport, families: ['ipv4'] }));
    assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
    const listener = await listenOn(net);
    const client = await connect(`localhost:${portOf(listener)}`, { transport: net.transport, families: ['ipv4'] });
    assert.equal(client.remote.family, 'ipv4');
    await endAll(client);
    await listener.close();
  });

  test('wrong options are told all at once, with the path and the nearest name', async () => {
    const error = await refusal(
      connect('127.0.0.1:9', {
        timeot: 3,
        order: 'random',
        attemptDelay: 1,
        localHost: 'localhost',
        localPort: 70_000,
        families: [],
        transport: 'carrier-pigeon',
        signal: {},
        linger: -1,
      } as never),
    );
    assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
    const { problems } = error as PortsideError & { problems: { path: string }[] };
    assert.deepEqual(problems.map(({ path }) => path).sort(), [
      'options.attemptDelay',
      'options.families',
      'options.linger',
      'options.localHost',
      'options.localPort',
      'options.order',
      'options.signal',
      'options.timeot',
      'options.transport',
    ]);
    assert.match(error.message, /did you mean "timeout"/u);
  });

  test('what can only be listened on, or is not understood, is refused in words', async () => {
    const options = { transport: net.transport };
    for (const [to, code] of [
      ['fd://3', /^ERR_PORTSIDE_(ENDPOINT|UNSUPPORTED)$/u],
      ['systemd://web', /^ERR_PORTSIDE_(ENDPOINT|UNSUPPORTED)$/u],
      ['127.0.0.1:0', /^ERR_PORTSIDE_ENDPOINT$/u],
      ['127.0.0.1:70000', /^ERR_PORTSIDE_ENDPOINT$/u],
      ['gopher://x:1', /^ERR_PORTSIDE_ENDPOINT$/u],
    ] as const) {
      const error = await refusal(connect(to, options));
      assert.match(error.code, code, to);
      assert.ok(error.message.length > 20, error.message);
    }
  });

  test('what it opens belongs to the scope that is current, and a scope that closes meanwhile closes it', async () => {
    const check = watchLeaks();
    const listener = await listenOn(net);
    const to = `127.0.0.1:${portOf(listener)}`;
    const scope = new Scope({ parent: null });
    const mine = await scope.run(() => connect(to, { transport: net.transport }));
    assert.deepEqual(
      scope.report().map(({ what }) => what),
      [`connection from 127.0.0.1:${portOf(listener)}`],
    );
    const late = scope.run(() => connect(to, { transport: net.transport }));
    await Promise.all([assert.rejects(late, { code: 'ERR_PORTSIDE_SCOPE_CLOSED' }), scope.close()]);
    assert.notEqual(mine.closeReason, null);
    await assert.rejects(
      scope.run(() => connect(to, { transport: net.transport })),
      { code: 'ERR_PORTSIDE_SCOPE_CLOSED' },
    );
    await listener.close();
    await check();
  });

  test('a guard is asked by the host that was asked for, before anything is looked up or dialled', async () => {
    const spy = spied(net.transport);
    const asked: unknown[] = [];
    const scope = new Scope({
      parent: null,
      guard: (request) => {
        asked.push(request);
        return false;
      },
    });
    await scope.run(async () => {
      for (const to of [`${NOWHERE}:81`, 'unix:///run/x.sock', ':82']) {
        const error = await refusal(connect(to, { transport: spy.transport }));
        assert.equal(error.code, 'ERR_PORTSIDE_GUARD', error.message);
      }
    });
    assert.deepEqual(asked, [
      { op: 'connect', role: 'client', host: NOWHERE, port: 81 },
      { op: 'connect', role: 'client', host: 'unix:///run/x.sock', port: undefined },
      { op: 'connect', role: 'client', host: 'localhost', port: 82 },
    ]);
    assert.equal(spy.dials.length, 0);
    await scope.close();
  });
});

async function keep(listener: Listener, kept: Connection[]): Promise<Connection> {
  const connection = await listener.accept();
  kept.push(connection);
  return connection;
}

async function freePort(transport: Transport): Promise<number> {
  const listener = await listen({ port: 0, host: '127.0.0.2', transport });
  const port = portOf(listener);
  await listener.close();
  return port;
}
