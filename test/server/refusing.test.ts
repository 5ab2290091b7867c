import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import type { RefusedWith, Refusal } from '../../src/server/refusal.ts';
import type { Server } from '../../src/server/server.ts';
import { certificates } from '../support/certificates.ts';
import { onEachNet } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { watchLeaks } from '../support/leaks.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, dialToReset, serveOn, until } from './support.ts';
import { Fate, Stage } from './virtual.ts';

const holding: Handler = { open: (conn) => void conn.write('in'), data() {} };

/** A server for one client, which has it: the next is refused, in the first stage or the second. */
async function taken(
  net: Net,
  stage: 'first' | 'second',
  options: ServerOptions = {},
): Promise<{ server: Server; first: Connection }> {
  const limits = stage === 'first' ? ({ maxConnections: 1, whenFull: 'refuse' } as const) : { maxPerClient: 1 };
  const server = await serveOn(net, holding, { ...limits, ...options });
  const first = await dial(net, server);
  await first.read();
  return { server, first };
}

onEachNet('a client that is refused', (net) => {
  for (const stage of ['first', 'second'] as const) {
    const kind = stage === 'first' ? 'full' : 'client-full';

    test(`by the ${stage} stage reads what it is told, and then the end`, async () => {
      const { server, first } = await taken(net, stage, { refuseWith: { send: 'come back later\n' } });
      const client = await dial(net, server);
      const fate = new Fate(client);
      // What it sends is taken, so that no reset overtakes the words.
      void client.write('hello');
      await until(() => fate.end !== null);
      assert.deepEqual([fate.text, fate.end], ['come back later\n', 'eof']);
      assert.equal(server.status().refused[kind], 1);
      client.abort();
      first.abort();
      await server.stop({ grace: 0 });
    });

    test(`by the ${stage} stage reads the end with \`close\``, async () => {
      const { server, first } = await taken(net, stage, { refuseWith: 'close' });
      const fate = new Fate(await dial(net, server));
      await until(() => fate.end !== null);
      assert.deepEqual([fate.text, fate.end], ['', 'eof']);
      fate.client.abort();
      first.abort();
      await server.stop({ grace: 0 });
    });

    test(`by the ${stage} stage is reset by default`, async () => {
      const { server, first } = await taken(net, stage);
      await dialToReset(net, server);
      assert.equal(server.status().refused[kind], 1);
      first.abort();
      await server.stop({ grace: 0 });
    });

    test(`by the ${stage} stage is told by a function what fits the reason; one that throws is reported, and resets`, async () => {
      const rejections = unhandled();
      const asked: [Refusal, string][] = [];
      const errors: unknown[] = [];
      const broken = new Error('no words');
      const answers: (() => RefusedWith)[] = [
        () => ({ send: Buffer.from('first') }),
        () => {
          throw broken;
        },
        () => 'nonsense' as 'close',
        () => ({ send: 'fourth' }),
      ];
      const { server, first } = await taken(net, stage, {
        refuseWith(refusal, remote) {
          asked.push([refusal, 'host' in remote ? remote.host : remote.family]);
          return answers[asked.length - 1]?.() ?? 'reset';
        },
        onError: (error, connection) => void errors.push([error, connection]),
      });
      const told = async (): Promise<string> => {
        const fate = new Fate(await dial(net, server));
        await until(() => fate.end !== null);
        fate.client.abort();
        return fate.text;
      };
      assert.equal(await told(), 'first');
      await dialToReset(net, server);
      await dialToReset(net, server);
      assert.equal(await told(), 'fourth');
      for (const [refusal, host] of asked) assert.deepEqual([refusal.kind, host], [kind, '127.0.0.1']);
      assert.equal(errors.length, 2);
      assert.deepEqual(errors[0], [broken, undefined]);
      assert.equal(((errors[1] as unknown[])[0] as { code?: string }).code, 'ERR_PORTSIDE_OPTIONS');
      assert.equal(server.status().refused[kind], 4);
      assert.equal(server.status().errors, 2);
      first.abort();
      await server.stop({ grace: 0 });
      assert.deepEqual(await rejections(), []);
    });
  }

  test('where TLS is spoken gets no words in the clear', async () => {
    const { server: pair, ca } = certificates();
    const server = await serveOn(net, holding, {
      tls: pair,
      maxConnections: 1,
      whenFull: 'refuse',
      refuseWith: { send: 'full' },
    });
    const first = await dial(net, server, { tls: { ca, servername: 'localhost' } });
    await first.read();
    await dialToReset(net, server);
    server.set({ refuseWith: 'close' });
    const fate = new Fate(await dial(net, server));
    await until(() => fate.end !== null);
    assert.deepEqual([fate.text, fate.end], ['', 'eof']);
    fate.client.abort();
    first.abort();
    await server.stop({ grace: 0 });
  });

  test('behind a proxy, before TLS, gets no words in the clear; without TLS it does', async () => {
    const { server: pair } = certificates();
    for (const tls of [undefined, pair]) {
      const server = await serveOn(net, holding, {
        ...(tls === undefined ? {} : { tls }),
        proxy: { from: ['loopback'] },
        deny: ['203.0.113.1'],
        refuseWith: { send: 'denied' },
      });
      const source = { family: 'ipv4', host: '203.0.113.1', port: 1 } as const;
      const fate = new Fate(await dial(net, server, { proxy: { source } }));
      await until(() => fate.end !== null);
      assert.deepEqual([fate.text, fate.end], tls === undefined ? ['denied', 'eof'] : ['', 'ECONNRESET']);
      await until(() => server.status().active === 0);
      assert.equal(server.status().refused.denied, 1);
      fate.client.abort();
      await server.stop({ grace: 0 });
    }
  });

  test('can be told something else from one moment to the next', async () => {
    const { server, first } = await taken(net, 'first', { refuseWith: { send: 'one' } });
    for (const send of ['one', 'two', 'three']) {
      server.set({ refuseWith: { send } });
      const fate = new Fate(await dial(net, server));
      await until(() => fate.end !== null);
      assert.equal(fate.text, send);
      fate.client.abort();
    }
    first.abort();
    await server.stop({ grace: 0 });
  });

  test('leaves nothing behind, however many come and whatever they do, and the server is as good as before', async () => {
    const noLeaks = watchLeaks();
    const rejections = unhandled();
    const { server, first } = await taken(net, 'first', { refuseWith: { send: 'no' } });
    const come = async (i: number): Promise<void> => {
      const client = await dial(net, server).catch(() => null);
      if (client === null) return;
      if (i % 3 === 0) void client.write('x'.repeat(i * 100));
      if (i % 4 === 1) await client.closeWrite();
      if (i % 2 === 0) await client.read().catch(() => null);
      client.abort();
      await client.closed;
    };
    await Promise.all(Array.from({ length: 80 }, (_, i) => come(i)));
    // Those before it were refused, or gone before they could be.
    const last = new Fate(await dial(net, server));
    await until(() => last.end !== null);
    assert.equal(last.text, 'no');
    last.client.abort();
    const { full } = server.status().refused;
    assert.ok(full > 1 && full <= 81, `${full}`);
    await first.close();
    await until(() => server.status().active === 0);
    const next = await dial(net, server);
    assert.equal(Buffer.from((await next.read()) ?? []).toString(), 'in');
    next.abort();
    await server.stop({ grace: 0 });
    assert.equal(server.status().errors, 0);
    assert.deepEqual(await rejections(), []);
    await noLeaks();
  });
});

describe('a client that is refused', () => {
  test('has a second to take its words, and does not hold up a stop', async () => {
    for (const early of [false, true]) {
      const stage = new Stage();
      const options = { maxConnections: 1, whenFull: 'refuse', refuseWith: { send: 'no' } } as const;
      const server = await stage.serve(holding, options);
      const first = await stage.dial(server);
      await stage.clock.settle();
      // It never ends its side.
      const client = await stage.dial(server);
      await stage.clock.settle();
      assert.equal(Buffer.from((await stage.now(() => client.read())) ?? []).toString(), 'no');
      assert.equal(stage.network.open, 4);
      if (early) {
        first.abort();
        await stage.clock.run(server.stop());
        await stage.clock.settle();
        // The client's own end may be open still, if it has not noticed.
        assert.ok(stage.network.open <= 1);
      } else {
        await stage.clock.advance(999);
        assert.equal(stage.network.open, 4);
        await stage.clock.advance(1);
        assert.equal(stage.network.open, 3);
      }
      client.abort();
      await stage.end(server, first);
      assert.equal(stage.clock.armed, 0);
    }
  });
});
