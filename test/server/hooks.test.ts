import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PortsideError } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { createServer } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';

const host = '127.0.0.1';
const nothing = { open(): void {} };

describe('stopping while it starts', () => {
  /** A server in a time of its own, whose onStart ends when it is told to, or never. */
  function starting(more: Partial<ServerOptions> = {}) {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const opening = Promise.withResolvers<void>();
    const log: string[] = [];
    const server = new Scope({ clock }).run(() =>
      createServer(nothing, {
        port: 4_000,
        host,
        transport,
        onStart: () => opening.promise,
        onStop: (_server, given) => void log.push(`stop ${String(given?.['why'])}`),
        ...more,
      }),
    );
    return { clock, server, opening, log, dialled: () => clock.run(connect({ host, port: 4_000 }, { transport })) };
  }

  test('is a stop after the start: start resolves, nobody is served, and it has stopped', async () => {
    const { clock, server, opening, log, dialled } = starting();
    const began = server.start();
    const stopped = server.stop({ given: { why: 'early' } });
    const client = await dialled();
    opening.resolve();
    assert.equal(await clock.run(began), server);
    assert.equal((await clock.run(stopped)).connections, 0);
    assert.deepEqual([server.state, server.status().accepted, log], ['stopped', 0, ['stop early']]);
    await assert.rejects(clock.run(client.read()), { code: 'ECONNRESET' });
  });

  test('gives onStart the grace and no more: then start rejects with ERR_PORTSIDE_ABORTED, and nothing is left', async () => {
    const { clock, server, log, dialled } = starting();
    const began = server.start();
    began.catch(() => {});
    const running = server.run({ signals: [] });
    const stopped = server.stop({ grace: 700, given: { why: 'hung' } });
    await clock.advance(699);
    assert.equal(server.state, 'starting');
    await clock.advance(1);
    await assert.rejects(began, { code: 'ERR_PORTSIDE_ABORTED', message: /stopped while it was starting/u });
    assert.deepEqual([(await stopped).connections, (await running).connections], [0, 0]);
    assert.deepEqual([server.state, log], ['stopped', ['stop hung']]);
    await assert.rejects(dialled(), { code: 'ECONNREFUSED' });
    assert.equal(clock.armed, 0);
  });

  test('can be hastened by a second stop, and made no longer by a third', async () => {
    const { clock, server } = starting({ grace: 60_000 });
    const began = server.start();
    began.catch(() => {});
    void server.stop();
    await clock.advance(1_000);
    void server.stop({ grace: 0 });
    const third = server.stop({ grace: Infinity });
    await clock.advance(0);
    await third;
    assert.equal(server.state, 'stopped');
    await assert.rejects(began, { code: 'ERR_PORTSIDE_ABORTED' });
  });

  test('comes to the shortest of the times that were asked for, and what the first was given', async () => {
    const { clock, server, opening, log } = starting();
    const began = server.start();
    const stopped = server.drain({ lead: 0, grace: 60_000, given: { why: 'first' } });
    void server.drain({ lead: 30_000, grace: 60_000, given: { why: 'second' } });
    opening.resolve();
    await clock.run(began);
    await clock.run(stopped);
    assert.deepEqual([clock.now(), log], [0, ['stop first']]);
  });

  test('what onStart throws after it was given up is told to onError', async () => {
    const told: unknown[] = [];
    const { clock, server, opening } = starting({ onError: (error) => void told.push(error) });
    const began = server.start();
    began.catch(() => {});
    await clock.run(server.stop({ grace: 5 }));
    const late = new Error('late');
    opening.reject(late);
    await clock.settle();
    assert.deepEqual(told, [late]);
  });

  test('may be asked for by onStart itself, even one that waits for it', async () => {
    const { clock, server } = starting({ grace: 50, onStart: async (it) => void (await it.stop()) });
    await assert.rejects(clock.run(server.start()), { code: 'ERR_PORTSIDE_ABORTED' });
    assert.equal(server.state, 'stopped');
  });

  for (const [what, signal] of [
    ['', undefined],
    [', with a signal of the options too', new AbortController().signal],
  ] as const)
    test(`calls off binding that takes too long${what}: what was bound by then is closed`, async () => {
      const gate = Promise.withResolvers<void>();
      const slow = memoryNetwork().transport;
      const bind = slow.listen.bind(slow);
      slow.listen = async (target, options) => {
        if (target.kind === 'tcp' && target.port === 2) await gate.promise;
        return bind(target, options);
      };
      const places = [1, 2, 3].map((port) => ({ port, host }));
      const { clock, server, log } = starting({
        port: undefined,
        host: undefined,
        listen: places,
        transport: slow,
        signal,
      });
      const began = server.start();
      began.catch(() => {});
      await clock.settle();
      assert.equal(server.addresses.length, 1);
      const stopped = server.stop({ grace: 0 });
      await clock.advance(0);
      gate.resolve();
      await assert.rejects(clock.run(began), { code: 'ERR_PORTSIDE_ABORTED' });
      await stopped;
      assert.deepEqual([server.state, server.addresses.length, log], ['stopped', 1, []]);
      for (const place of places) await (await listen({ ...place, transport: slow })).close();
    });
});

describe('a hook at the end', () => {
  test('that waits for the stop itself ends with the grace of that, and is told as ERR_PORTSIDE_TIMEOUT', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const told: unknown[] = [];
    const server = new Scope({ clock }).run(() =>
      createServer(nothing, {
        port: 4_000,
        host,
        transport,
        onStop: async (it) => void (await it.stop({ grace: 300 })),
        onError: (error) => void told.push((error as PortsideError).code),
      }),
    );
    await clock.run(server.start());
    const stopped = server.stop();
    await clock.advance(299);
    assert.equal(server.state, 'draining');
    await clock.advance(1);
    await stopped;
    assert.deepEqual(told, ['ERR_PORTSIDE_TIMEOUT']);
    assert.equal(clock.armed, 0);
  });

  test('that never ends is waited for, until somebody stops the server again', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const server = new Scope({ clock }).run(() =>
      createServer(nothing, { port: 4_000, host, transport, onStop: () => new Promise(() => {}) }),
    );
    await clock.run(server.start());
    const stopped = server.stop();
    await clock.advance(60 * 60_000);
    assert.equal(server.state, 'draining');
    void server.stop({ grace: 0 });
    await clock.run(stopped);
    assert.equal(server.status().errors, 1);
  });
});
