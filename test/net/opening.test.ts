import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { PortsideError } from '../../src/base/errors.ts';
import type { CloseReason } from '../../src/net/close-reason.ts';
import { connect } from '../../src/net/connect.ts';
import { link } from '../../src/net/connection.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { ListenOptions } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import type { StandIn } from '../../src/net/stand-in.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { Transport } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, onEachNet, pairOn } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { unhandled } from '../support/unhandled.ts';
import { turns } from '../server/support.ts';

const place = { host: '127.0.0.1', port: 4000 };
const header = 'PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n';
const proxy = { from: ['loopback'] };

interface Stage {
  readonly clock: VirtualClock;
  readonly transport: Transport;
  readonly listener: Listener;
  /** A client in the clear, and the server's end of it. */
  readonly pair: () => Promise<{ server: Connection; client: Connection }>;
  /** Runs what is asked for to its end, in the time of the stage. */
  readonly run: <T>(work: Promise<T>) => Promise<T>;
}

/** A listener in a time of its own. */
async function onStage(options: ListenOptions, body: (stage: Stage) => Promise<void>): Promise<void> {
  const noLeaks = watchLeaks();
  const loose = unhandled();
  const clock = new VirtualClock();
  const { transport } = memoryNetwork({ clock });
  const scope = new Scope({ clock });
  await scope.run(async () => {
    const listener = await listen({ ...place, transport, ...options });
    const run = <T>(work: Promise<T>): Promise<T> => clock.run(work);
    const pair = async (): Promise<{ server: Connection; client: Connection }> => {
      const [client, server] = await run(Promise.all([connect(place, { transport }), listener.accept()]));
      return { client, server };
    };
    await body({ clock, transport, listener, pair, run });
    await listener.close();
  });
  await clock.run(scope.close());
  await clock.settle();
  assert.equal(clock.armed, 0, 'a timer was left');
  assert.deepEqual(await loose(), []);
  await noLeaks();
}

const outcomeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error as { code: string }).code,
  );

/** Notes how a connection ends, each time that it is told. */
function endsOf(connection: Connection): string[] {
  const ends: string[] = [];
  void connection.closed.then((reason: CloseReason) =>
    ends.push(reason.kind === 'timeout' ? `timeout ${reason.deadline} ${reason.after}` : reason.kind),
  );
  return ends;
}

describe('a handshake that takes too long', () => {
  for (const [what, options, ms] of [
    ['of TLS, in 10 seconds', { tls: serverTls() }, 10_000],
    ['of TLS, in what was said', { tls: serverTls({ handshakeTimeout: 700 }) }, 700],
    ['with a PROXY header, in 5 seconds', { proxy }, 5_000],
    ['with a PROXY header, in what was said', { proxy: { ...proxy, timeout: 300 }, tls: serverTls() }, 300],
  ] as const) {
    test(`${what}, is ended to the millisecond`, async () => {
      await onStage(options, async ({ clock, pair, run }) => {
        const { server, client } = await pair();
        const opened = outcomeOf(server.opened);
        const ends = endsOf(server);
        const reading = outcomeOf(server.read());
        await clock.advance(ms - 1);
        assert.deepEqual(ends, []);
        await clock.advance(1);
        assert.deepEqual(ends, [`timeout handshake ${ms}`]);
        assert.deepEqual([await opened, await reading], ['ERR_PORTSIDE_TIMEOUT', 'ERR_PORTSIDE_TIMEOUT']);
        assert.equal(await outcomeOf(server.opened), 'ERR_PORTSIDE_TIMEOUT');
        assert.equal(await run(client.read()), null);
        client.abort();
      });
    });
  }

  test('has its own time for TLS, whatever the header took', async () => {
    const tls = serverTls({ handshakeTimeout: 1_000 });
    await onStage({ proxy: { ...proxy, timeout: 2_000 }, tls }, async ({ clock, pair }) => {
      const { server, client } = await pair();
      const ends = endsOf(server);
      await clock.advance(1_900);
      void client.write(header);
      await clock.settle();
      assert.deepEqual(server.remote, { family: 'ipv4', host: '192.0.2.1', port: 1234 });
      await clock.advance(999);
      assert.deepEqual(ends, []);
      await clock.advance(1);
      assert.deepEqual(ends, ['timeout handshake 1000']);
      client.abort();
    });
  });

  test('on an upgrade includes the time until the peer has taken what was written before', async () => {
    const clear = { endpoint: 'tcp://127.0.0.1:4000', host: undefined, port: undefined };
    await onStage({ ...clear, tls: serverTls({ handshakeTimeout: 600 }) }, async ({ clock, pair }) => {
      const { server, client } = await pair();
      const ends = endsOf(server);
      void server.write(Buffer.alloc(4_000_000));
      const upgraded = outcomeOf(server.upgradeTls());
      await clock.advance(599);
      assert.deepEqual(ends, []);
      await clock.advance(1);
      assert.deepEqual([ends, await upgraded], [['timeout handshake 600'], 'ERR_PORTSIDE_TIMEOUT']);
      client.abort();
    });
  });
});

describe('more handshakes than may be under way', () => {
  test('wait for their turn, and are refused when their time is over before it comes', async () => {
    await onStage({ tls: serverTls({ maxHandshakes: 1, handshakeTimeout: 1_000 }) }, async (stage) => {
      const { clock, transport, listener, pair, run } = stage;
      const stalled = await pair();
      await clock.advance(400);
      const waiting = await pair();
      const ends = [endsOf(stalled.server), endsOf(waiting.server)];
      // The place is free again after 600 more.
      const secured = outcomeOf(waiting.client.upgradeTls({ tls: clientTls() }));
      await clock.advance(599);
      assert.deepEqual(ends, [[], []]);
      await run(waiting.server.opened);
      assert.deepEqual([ends[0], await run(secured)], [['timeout handshake 1000'], 'done']);

      // Two that stall: the second never has its turn.
      const third = await pair();
      const fourth = await pair();
      const told = [endsOf(third.server), endsOf(fourth.server)];
      const opened = outcomeOf(fourth.server.opened);
      await clock.advance(1_000);
      assert.deepEqual(told, [['timeout handshake 1000'], ['refused']]);
      assert.deepEqual(fourth.server.closeReason, { kind: 'refused', refusal: { kind: 'handshakes-full', limit: 1 } });
      assert.equal(await opened, 'ERR_PORTSIDE_CLOSED');

      // Whoever leaves while waiting makes room.
      const fifth = await pair();
      const sixth = await pair();
      const seventh = await pair();
      sixth.server.abort();
      fifth.server.abort();
      void seventh.client.upgradeTls({ tls: clientTls() });
      await run(seventh.server.opened);
      const again = run(connect(place, { transport, tls: clientTls() }));
      const last = await run(listener.accept());
      await run(Promise.all([again, last.opened]));
      for (const { client } of [stalled, waiting, third, fourth, fifth, sixth, seventh]) client.abort();
      for (const one of [await again, last, waiting.server, seventh.server]) one.abort();
      await clock.settle();
    });
  });

  test('are over when their connection fails meanwhile, with nothing that waits on', async () => {
    await onStage({ tls: serverTls({ maxHandshakes: 1 }) }, async ({ clock, pair, run }) => {
      const stalled = await pair();
      const waiting = await pair();
      const ends = endsOf(waiting.server);
      const opened = outcomeOf(waiting.server.opened);
      await clock.settle();
      const error = new PortsideError('ETIMEDOUT', 'nobody there');
      // As the system tells it of a connection that is not read.
      (link(waiting.server).channel as StandIn).close({ kind: 'failed', error });
      await clock.settle();
      assert.deepEqual([ends, await opened, link(waiting.server).opening], [['failed'], 'ETIMEDOUT', false]);
      assert.equal(await outcomeOf(waiting.server.opened), 'ETIMEDOUT');
      await endAllIn(run, stalled.server, stalled.client, waiting.client);
      assert.equal(clock.armed, 0);
    });
  });

  test('are counted over all listeners of one context, and follow its reload', async () => {
    const context = await TlsServerContext.create(serverTls({ maxHandshakes: 1 }));
    await onStage({ tls: context }, async ({ clock, transport, pair, run }) => {
      const other = await listen({ host: '127.0.0.1', port: 4001, transport, tls: context });
      const stalled = await pair();
      const second = { host: '127.0.0.1', port: 4001 };
      const [client, server] = await run(Promise.all([connect(second, { transport }), other.accept()]));
      const secured = client.upgradeTls({ tls: clientTls() });
      await clock.advance(100);
      assert.equal(server.tls, null);
      await context.reload(serverTls({ maxHandshakes: 2 }));
      const third = await pair();
      void third.client.upgradeTls({ tls: clientTls() });
      await run(Promise.all([secured, server.opened]));
      await endAllIn(run, stalled.server, stalled.client, third.server, third.client, server, client);
      await other.close();
    });
    context.close();
  });
});

function endAllIn(run: <T>(work: Promise<T>) => Promise<T>, ...connections: Connection[]): Promise<void> {
  return run(endAll(...connections));
}

onEachNet('the beginning of a connection', (net) => {
  test('an end in place of the header is told at once, where TLS was to follow', async () => {
    const { server, client } = await pairOn(net, {
      server: { proxy: { ...proxy, mode: 'optional' }, tls: serverTls() },
    });
    void client.write('PRO');
    await client.closeWrite();
    // Long before any deadline.
    await assert.rejects(server.opened, { code: 'ERR_PORTSIDE_UNEXPECTED_END' });
    assert.equal((await server.closed).kind, 'handshake');
    await endAll(client);
  });

  test('a connection that is ended while the certificate of its peer is judged, or just after it, leaves nothing', async () => {
    const noLeaks = watchLeaks();
    for (let depth = 0; depth < 5; depth += 1) {
      const { server, client } = await pairOn(net);
      // Before whoever waits for the handshake is told, or in one of the ticks behind it.
      const later = (left: number): void => (left === 0 ? client.abort() : process.nextTick(() => later(left - 1)));
      const checkServerIdentity = (): undefined => {
        later(depth);
        return undefined;
      };
      const upgraded = outcomeOf(client.upgradeTls({ tls: clientTls({ checkServerIdentity }) }));
      const secured = outcomeOf(server.upgradeTls({ tls: serverTls() }));
      await Promise.all([upgraded, secured, client.closed]);
      // The other side learns it, for nobody has the connection.
      await outcomeOf(server.read());
      await endAll(server);
    }
    await noLeaks();
  });

  test('`abort` resets a connection in each of its handshakes', async () => {
    for (const [what, options, said] of [
      ['the header', { proxy, tls: serverTls() }, 'PROXY'],
      ['TLS', { tls: serverTls() }, ''],
      ['TLS behind a header', { proxy, tls: serverTls() }, header],
      ['the middle of TLS', { tls: serverTls() }, Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3)],
    ] as const) {
      const { server, client } = await pairOn(net, { server: options });
      const heard = outcomeOf(client.read());
      if (said.length > 0) void client.write(said);
      await turns(8);
      server.abort();
      assert.equal(await heard, 'ECONNRESET', what);
      assert.equal((await server.closed).kind, 'aborted');
    }
  });

  test('what comes while a handshake waits for its turn is not lost', async () => {
    const context = await TlsServerContext.create(serverTls({ maxHandshakes: 1 }));
    const stalled = await pairOn(net);
    const { server, client } = await pairOn(net);
    const holding = stalled.server.upgradeTls({ tls: context });
    // Its reading has begun.
    void client.write('STARTTLS\n');
    assert.equal(await server.readLine(), 'STARTTLS');
    const upgraded = server.upgradeTls({ tls: context });
    const info = client.upgradeTls({ tls: clientTls() });
    await turns(20);
    assert.equal(server.tls, null);
    await endAll(stalled.server, stalled.client);
    await assert.rejects(holding);
    assert.equal((await info).protocol, (await upgraded).protocol);
    await endAll(server, client);
    context.close();
  });

  const steps = [
    ['nothing', []],
    ['a part of its header', ['PROXY TCP4 192.0']],
    ['its header', [header]],
    ['its header and a part of its greeting', [header, Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3)]],
  ] as const;
  const ways: readonly (readonly [string, (server: Connection, client: Connection, scope: Scope) => unknown])[] = [
    ['the peer resets', (_server, client) => client.abort()],
    ['the peer ends', (_server, client) => void client.close()],
    ['it is aborted', (server) => server.abort()],
    ['it is closed at once', (server) => void server.close({ linger: 0 })],
    ['it is closed', (server) => void server.close({ linger: 10 })],
    ['its scope is closed', (_server, _client, scope) => scope.close()],
  ];
  for (const [sent, pieces] of steps) {
    for (const [what, end] of ways) {
      test(`with ${sent} sent, and then ${what}: it is over once, with nothing left`, async () => {
        const noLeaks = watchLeaks();
        const loose = unhandled();
        for (const moment of [0, 1, 8]) {
          const scope = new Scope({ name: 'server' });
          const listener = await scope.run(() =>
            listen({ host: '127.0.0.1', port: 0, transport: net.transport, proxy, tls: serverTls() }),
          );
          const { address } = listener;
          assert.ok('port' in address);
          const [client, server] = await Promise.all([
            connect({ host: '127.0.0.1', port: address.port }, { transport: net.transport }),
            scope.run(() => listener.accept()),
          ]);
          void server.write('never in the clear');
          const ends = endsOf(server);
          const opened = outcomeOf(server.opened);
          for (const piece of pieces) {
            void client.write(piece);
            await turns(moment);
          }
          let heard = 0;
          const hearing = (async () => {
            for await (const bytes of client) heard += bytes.length;
          })().catch(() => {});
          await Promise.resolve();
          // A pending read of this side's has to be told too.
          const reading = outcomeOf(server.read());
          end(server, client, scope);
          const reason = await server.closed;
          assert.notEqual(reason.kind, 'ended');
          assert.notEqual(await opened, 'done');
          assert.notEqual(await outcomeOf(server.opened), 'done');
          await reading;
          client.abort();
          await hearing;
          assert.equal(heard, 0, 'something came in the clear');
          await turns(3);
          assert.equal(ends.length, 1);
          await scope.close();
          await client.closed;
        }
        assert.deepEqual(await loose(), []);
        await noLeaks();
      });
    }
  }
});
