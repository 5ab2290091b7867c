import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Listener } from '../../src/net/listener.ts';
import { listen } from '../../src/net/listen.ts';
import { current, currentInput, print } from '../../src/server/ambient.ts';
import { handlerErrorChannel } from '../../src/server/channels.ts';
import { serveThunk } from '../../src/server/thunk.ts';
import type { ThunkOptions } from '../../src/server/thunk.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { formatAddress } from '../../src/transport/address.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, listenOn, onEachNet, portOf } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { textOf, turns, until } from './support.ts';

function dialTo(net: Net, listener: Listener): Promise<Connection> {
  return connect({ host: '127.0.0.1', port: portOf(listener) }, { transport: net.transport, timeout: 5_000 });
}

/** Code that knows of no connection. */
async function greet(): Promise<void> {
  const name = await currentInput().readLine();
  if (name === 'boom') throw new Error('boom');
  await print('Hello,', name);
}

async function ask(net: Net, listener: Listener, name: string): Promise<string> {
  const client = await dialTo(net, listener);
  void client.write(`${name}\n`);
  const answer = await textOf(client);
  await client.close();
  return answer;
}

/** The code that reading it to its end meets; null at an orderly end. */
async function endOf(client: Connection): Promise<unknown> {
  return textOf(client).then(
    () => null,
    (error: unknown) => (error as { code?: unknown }).code,
  );
}

onEachNet('a thunk', (net) => {
  test('serves each client as if it were alone, and its connection is closed when it returns', async () => {
    const noLeaks = watchLeaks();
    const listener = await listenOn(net);
    const server = serveThunk(listener, greet);
    const names = ['a', 'b', 'c', 'd'];
    assert.deepEqual(
      await Promise.all(names.map((name) => ask(net, listener, name))),
      names.map((name) => `Hello, ${name}\n`),
    );
    await server.stop();
    const { running, requests, errors } = server;
    assert.deepEqual({ running, requests, errors }, { running: 0, requests: 4, errors: 0 });
    assert.equal(current(), undefined);
    await listener.close();
    await noLeaks();
  });

  test('may be a plain function, as the server of the time of day', async () => {
    const listener = await listenOn(net);
    const server = serveThunk(listener, () => void print('noon'));
    assert.equal(await ask(net, listener, ''), 'noon\n');
    await server.stop();
    await listener.close();
  });

  test('runs for so many clients at a time and no more; those beyond wait and are served, none is refused', async () => {
    for (const maxRequests of [1, 3]) {
      const listener = await listenOn(net);
      const begun: (() => void)[] = [];
      let now = 0;
      let most = 0;
      const server = serveThunk(
        listener,
        async () => {
          now += 1;
          most = Math.max(most, now, server.running);
          await new Promise<void>((resolve) => begun.push(resolve));
          await greet();
          now -= 1;
        },
        { maxRequests },
      );
      const answers = Array.from({ length: 8 }, (_, i) => ask(net, listener, `${i}`));
      for (let done = 0; done < 8; done += 1) {
        await until(() => begun.length > 0);
        await turns(5);
        assert.equal(begun.length, Math.min(maxRequests, 8 - done), 'all that may run do, and no others');
        begun.shift()!();
        await until(() => server.running < maxRequests || begun.length === maxRequests);
      }
      assert.deepEqual(
        await Promise.all(answers),
        Array.from({ length: 8 }, (_, i) => `Hello, ${i}\n`),
      );
      assert.equal(most, maxRequests);
      await server.stop();
      await listener.close();
    }
  });

  test('that never settles holds its place no longer than its connection', async () => {
    const listener = await listenOn(net);
    let begun = 0;
    const server = serveThunk(
      listener,
      async () => {
        begun += 1;
        await currentInput().read();
        await new Promise(() => {});
      },
      { maxRequests: 1 },
    );
    for (let round = 1; round <= 3; round += 1) {
      const client = await dialTo(net, listener);
      await until(() => begun === round);
      await client.write('x');
      await turns(5);
      client.abort();
      await until(() => server.running === 0);
    }
    await server.stop();
    await listener.close();
    assert.equal(server.errors, 0);
  });

  test('that throws ends its connection abruptly, after onError and prepareHardClose, and no other', async () => {
    const rejections = unhandled();
    const listener = await listenOn(net);
    const order: unknown[] = [];
    const server = serveThunk(listener, greet, {
      onError: (error, conn) => void order.push((error as Error).message, conn?.closeReason, current()),
      prepareHardClose: (conn) => void order.push('prepare', conn.closeReason, current()),
    });
    const bystander = await dialTo(net, listener);
    await until(() => server.running === 1);
    const client = await dialTo(net, listener);
    void client.write('boom\n');
    assert.equal(await endOf(client), 'ECONNRESET');
    assert.deepEqual(order, ['boom', null, undefined, 'prepare', null, undefined]);
    void bystander.write('still here\n');
    assert.equal(await textOf(bystander), 'Hello, still here\n');
    await bystander.close();
    await server.stop();
    assert.deepEqual([server.requests, server.errors], [2, 1]);
    await listener.close();
    assert.deepEqual(await rejections(), []);
  });

  test('without onError has its errors counted and published; with prepareHardClose the end may be in order', async () => {
    const listener = await listenOn(net);
    const server = serveThunk(listener, greet, {
      prepareHardClose(conn) {
        void conn.write('sorry');
        void conn.close();
      },
    });
    const errors: unknown[] = [];
    const note = (message: unknown): void => {
      const { server: from, error } = message as { server: unknown; error: Error };
      if (from === server) errors.push(error.message);
    };
    handlerErrorChannel.subscribe(note);
    assert.equal(await ask(net, listener, 'boom'), 'sorry');
    handlerErrorChannel.unsubscribe(note);
    await server.stop();
    assert.deepEqual([errors, server.errors], [['boom'], 1]);
    await listener.close();
  });

  test('whose client resets has made no error', async () => {
    const listener = await listenOn(net);
    const server = serveThunk(listener, greet);
    const client = await dialTo(net, listener);
    await until(() => server.running === 1);
    await turns(3);
    client.abort();
    await until(() => server.running === 0);
    await server.stop();
    assert.equal(server.errors, 0);
    await listener.close();
  });

  test('has its requests told in four lines, with numbers of their own and true counts', async () => {
    const listener = await listenOn(net);
    const lines: string[] = [];
    const release = Promise.withResolvers<void>();
    const thunk = async (): Promise<void> => {
      const name = await currentInput().readLine();
      if (name === 'boom') throw new Error('boom');
      await release.promise;
    };
    const server = serveThunk(listener, thunk, { verbose: 'time', log: (line) => void lines.push(line) });
    const here = formatAddress(listener.address);
    assert.deepEqual(lines.splice(0), [`[time] waiting for requests on ${here}`]);
    const clients: Connection[] = [];
    for (const id of [1, 2]) {
      const client = await dialTo(net, listener);
      clients.push(client);
      await until(() => server.running === id);
      const peer = formatAddress(client.local);
      assert.deepEqual(lines.splice(0), [
        `[time] #${id} request from ${peer} to ${here}`,
        `[time] #${id} started (${id} running)`,
      ]);
      void client.write('x\n');
    }
    const bad = await dialTo(net, listener);
    void bad.write('boom\n');
    await endOf(bad);
    await until(() => server.running === 2);
    assert.deepEqual(lines.splice(0).slice(2), ['[time] #3 finished (2 running)'], 'a hard close is not a closing');
    release.resolve();
    await Promise.all(clients.map((client) => textOf(client).then(() => client.close())));
    await until(() => server.running === 0);
    assert.deepEqual(
      [lines.slice(0, 2).toSorted(), lines.slice(2).map((line) => line.replace(/#\d/u, '#'))],
      [
        ['[time] #1 closing the connection', '[time] #2 closing the connection'],
        ['[time] # finished (1 running)', '[time] # finished (0 running)'],
      ],
    );
    await server.stop();
    await listener.close();
  });

  test('has its addresses asked for only when they are told, and a failure of that leaks nothing', async () => {
    for (const verbose of [true, false]) {
      const listener = await listenOn(net);
      const asked: Connection[] = [];
      const lines: string[] = [];
      const errors: string[] = [];
      const server = serveThunk(listener, greet, {
        maxRequests: 1,
        verbose,
        log: (line) => void lines.push(line),
        addresses(conn) {
          asked.push(conn);
          if (asked.length === 2) throw new Error('unknown');
          return ['me', `peer ${asked.length}`];
        },
        onError: (error) => void errors.push((error as Error).message),
      });
      for (const name of ['a', 'b', 'c']) assert.equal(await ask(net, listener, name), `Hello, ${name}\n`);
      await server.stop();
      await listener.close();
      assert.equal(asked.length, verbose ? 3 : 0);
      assert.deepEqual(errors, verbose ? ['unknown'] : []);
      assert.deepEqual(
        lines.filter((line) => line.includes('request ')),
        verbose
          ? [
              '[portside] #1 request from peer 1 to me',
              '[portside] #2 request from an unknown peer',
              '[portside] #3 request from peer 3 to me',
            ]
          : [],
      );
    }
  });

  test('gets its connections from accept, which is looked up for each, and whose failures are of single connections', async () => {
    const listener = await listenOn(net);
    const errors: unknown[] = [];
    const calls: string[] = [];
    const operations: ThunkOptions = {
      async accept(from, { signal }) {
        calls.push('first');
        const connection = await from.accept({ signal });
        operations.accept = second;
        return connection;
      },
      onError: (error, conn) => void errors.push([(error as Error).message, conn]),
    };
    let failing = 0;
    const second: ThunkOptions['accept'] = async (from, { signal }) => {
      calls.push('second');
      const connection = await from.accept({ signal });
      failing += 1;
      if (failing === 1) {
        connection.abort();
        throw new Error('not this one');
      }
      if (failing === 2) {
        connection.abort();
        return 'no connection' as unknown as Connection;
      }
      operations.accept = undefined;
      return connection;
    };
    const server = serveThunk(listener, greet, operations);
    assert.equal(await ask(net, listener, 'a'), 'Hello, a\n');
    for (let i = 0; i < 2; i += 1) await dialTo(net, listener).then(endOf, () => null);
    assert.equal(await ask(net, listener, 'b'), 'Hello, b\n');
    assert.equal(await ask(net, listener, 'c'), 'Hello, c\n');
    await server.stop();
    await listener.close();
    assert.deepEqual(calls, ['first', 'second', 'second', 'second']);
    assert.deepEqual(errors, [
      ['not this one', undefined],
      ['serveThunk: what accept gives must be a connection', undefined],
    ]);
    assert.equal(server.errors, 2);
  });

  test('ends when its listener is closed, once its last request is over', async () => {
    const listener = await listenOn(net);
    const server = serveThunk(listener, greet);
    const client = await dialTo(net, listener);
    await until(() => server.running === 1);
    let over = false;
    void server.closed.then(() => {
      over = true;
    });
    await listener.close();
    await turns(5);
    assert.equal(over, false);
    void client.write('last\n');
    assert.equal(await textOf(client), 'Hello, last\n');
    await client.close();
    await server.closed;
    assert.equal(server.errors, 0);
  });

  test('stops: tells its connections, closes idle ones, and leaves the listener to its owner, who may serve on', async () => {
    const listener = await listenOn(net);
    const draining: boolean[] = [];
    const first = serveThunk(listener, async () => {
      const { draining: signal } = current()!;
      signal.addEventListener('abort', () => draining.push(signal.aborted));
      await greet();
    });
    const idle = await dialTo(net, listener);
    await until(() => first.running === 1);
    await turns(3);
    const stopped = first.stop();
    assert.equal(await endOf(idle), null);
    void idle.close();
    await stopped;
    assert.deepEqual(draining, [true]);
    assert.equal(first.errors, 0);
    await first.stop({ grace: 0 });
    assert.equal(listener.acceptReady, false);
    const answer = ask(net, listener, 'next');
    await turns(5);
    assert.equal(first.running, 0);
    const second = serveThunk(listener, greet);
    assert.equal(await answer, 'Hello, next\n');
    await second[Symbol.asyncDispose]();
    await listener.close();
  });

  test('of an accept that pays no heed to its signal is stopped all the same, and what comes late is ended', async () => {
    const listener = await listenOn(net);
    const late = Promise.withResolvers<void>();
    const server = serveThunk(listener, greet, {
      async accept(from) {
        const connection = await from.accept();
        await late.promise;
        return connection;
      },
    });
    const client = await dialTo(net, listener);
    await turns(5);
    await server.stop();
    late.resolve();
    assert.equal(await endOf(client), 'ECONNRESET');
    assert.equal(server.requests, 0);
    await listener.close();
  });

  test('that is none, a listener that is none, and wrong options are refused at once', async () => {
    const listener = await listenOn(net);
    assert.throws(() => serveThunk({} as Listener, greet), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => serveThunk(listener, 'greet' as never), { code: 'ERR_PORTSIDE_HANDLER' });
    for (const options of [{ maxRequests: 0 }, { verbose: true }, { accept: 5 }, { maxRequest: 1 }])
      assert.throws(() => serveThunk(listener, greet, options as never), { code: 'ERR_PORTSIDE_OPTIONS' });
    const server = serveThunk(listener, greet);
    assert.throws(() => server.stop({ grace: -1 }), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.equal(await ask(net, listener, 'a'), 'Hello, a\n');
    await server.stop();
    await listener.close();
  });
});

describe('a thunk server in a time of its own', () => {
  const place = { host: '127.0.0.1', port: 4000 };

  test('ends those that are left when the grace is over, which a second stop can shorten', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    await new Scope({ clock }).run(async () => {
      const listener = await listen({ ...place, transport });
      const prepared: Connection[] = [];
      const server = serveThunk(listener, () => new Promise(() => {}), {
        prepareHardClose: (conn) => void prepared.push(conn),
      });
      const client = await clock.run(connect(place, { transport }));
      await clock.settle();
      let over = false;
      void server.stop().then(() => {
        over = true;
      });
      await clock.advance(9_000);
      void server.stop({ grace: 500 });
      void server.stop();
      await clock.advance(499);
      assert.equal(server.running, 1);
      await clock.advance(1);
      assert.deepEqual([server.running, over, prepared.length], [0, true, 1]);
      assert.deepEqual(prepared[0]?.closeReason, { kind: 'drained', idle: false });
      await clock.run(endAll(client));
      await listener.close();
    });
  });

  test('rests longer and longer while accepting always fails, and for an instant only after one failure', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    await new Scope({ clock }).run(async () => {
      const listener = await listen({ ...place, transport });
      let calls = 0;
      const server = serveThunk(listener, () => {}, {
        accept() {
          calls += 1;
          return Promise.reject(new Error('no'));
        },
      });
      await clock.settle();
      const seen = [calls];
      for (const step of [1, 2, 4, 8, 16, 32, 64, 100, 100]) {
        await clock.advance(step);
        seen.push(calls);
      }
      assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      await server.stop();
      await clock.advance(1_000);
      assert.equal(calls, 10);
      assert.equal(server.errors, 10);
      await listener.close();
    });
  });
});
