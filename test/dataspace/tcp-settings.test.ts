import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import { tcpBound, tcpChannel, tcpFailed } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpDriver } from '../../src/dataspace/drivers/tcp-driver.ts';
import { tcpAddress, tcpHandle, tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { Scope } from '../../src/sync/scope.ts';
import { TcpStage } from './tcp-stage.ts';

const here = tcpListener(5999, { host: '127.0.0.1' });

function failureOf(reason: EndReason | undefined): string | undefined {
  const detail = reason !== undefined && 'detail' in reason ? reason.detail : undefined;
  return tcpFailed.is(detail) ? detail.code : undefined;
}

describe('the settings of the driver', () => {
  test('are told everything that is wrong with them', () => {
    const wrong = {
      listen: { port: 5, writeLimit: 0, deadlines: { idle: 'soon' } },
      connect: { timeout: -1, signal: AbortSignal.abort() },
      transport: 'pigeon',
      tls: { servers: { chat: { key: 1 } }, clients: { chat: 5 } },
      maxConnections: 0,
      claimTimeout: Number.NaN,
      inputLimit: 0.5,
      creditLimit: '1',
      maxConections: 5,
    };
    try {
      tcpDriver(wrong as never);
      assert.fail('they were taken');
    } catch (error) {
      assert.ok(isPortsideError(error));
      assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
      for (const name of [
        'options.listen.port',
        'options.listen.writeLimit',
        'options.listen.deadlines.idle',
        'options.connect.timeout',
        'options.connect.signal',
        'options.transport',
        'options.tls.servers.chat',
        'options.tls.clients.chat',
        'options.maxConnections',
        'options.claimTimeout',
        'options.inputLimit',
        'options.creditLimit',
        'options.maxConections',
      ])
        assert.ok(error.message.includes(name), `${name} is not in ${error.message}`);
    }
  });

  test('are for its connections: a deadline that passes is the reason of their absence', async () => {
    const stage = await new TcpStage().open({ listen: { deadlines: { idle: 1_000 } } });
    const { talkers } = await stage.serve(here);
    await stage.dial(5999);
    await stage.clock.advance(999);
    assert.deepEqual(talkers[0]?.reasons, []);
    await stage.clock.advance(10_000);
    assert.deepEqual(talkers[0]?.reasons.map(failureOf), ['ERR_PORTSIDE_TIMEOUT', 'ERR_PORTSIDE_TIMEOUT']);
    await stage.end();
  });

  test('may ask for PROXY headers: then the remote address is the one that they tell', async () => {
    const stage = await new TcpStage().open({ listen: { proxy: { from: ['127.0.0.1'] } } });
    const { talkers } = await stage.serve(here);
    const client = await stage.dial(5999);
    assert.equal(talkers.length, 0);
    await client.write('PROXY TCP4 192.0.2.7 192.0.2.1 40000 5999\r\nhello');
    await stage.settle();
    assert.deepEqual(talkers[0]?.remote, tcpAddress('192.0.2.7', 40_000));
    assert.equal(talkers[0]?.heard, 'hello');
    // Two that are called the same can't be told apart, so the second is not let in.
    const liar = await stage.dial(5999);
    await liar.write('PROXY TCP4 192.0.2.7 192.0.2.1 40000 5999\r\nme too');
    await assert.rejects(
      stage.now(() => liar.read()),
      { code: 'ECONNRESET' },
    );
    assert.equal(talkers.length, 1);
    await talkers[0]?.send('to the first');
    assert.equal(await stage.read(client), 'to the first');
    client.abort();
    await talkers[0]?.leave();
    const next = await stage.dial(5999);
    await next.write('PROXY TCP4 192.0.2.7 192.0.2.1 40000 5999\r\nnow');
    await stage.settle();
    assert.equal(talkers[1]?.heard, 'now');
    await stage.end();
  });
});

describe('a connection of which the system knows nothing any more', () => {
  test('makes room for the next from the same address and port', async () => {
    const stage = await new TcpStage().open();
    const { talkers } = await stage.serve(here, (one, self) => one.join(self, 'out'));
    const first = await stage.dial(5999, { localPort: 40_000 });
    // Nobody reads, so nobody notices.
    first.abort();
    await stage.settle();
    assert.deepEqual(talkers[0]?.events, ['out +']);
    const second = await stage.dial(5999, { localPort: 40_000 });
    assert.deepEqual(talkers[0]?.reasons.map(failureOf), ['ECONNRESET']);
    assert.equal(talkers.length, 2);
    await talkers[0]?.leave();
    await talkers[1]?.send('to the second');
    assert.equal(await stage.read(second), 'to the second');
    await stage.end();
  });
});

describe('the scope of the driver', () => {
  test('is asked before a port is opened and a connection made', async () => {
    const stage = new TcpStage();
    const guarded = new Scope({ name: 'guarded', parent: stage.scope, guard: ({ port }) => port !== 5_999 });
    await stage.open();
    const { transport } = stage.network;
    await stage.hand((self) => self.quit(stage.driver, undefined));
    stage.space.spawn(guarded.run(() => tcpDriver({ transport })));
    const failed = await stage.watch(tcpFailed(_, _, _, _));
    await stage.hand((self) => {
      self.observePublishers(tcpChannel(_, here, _), {});
      self.publish(tcpChannel(tcpHandle('x'), tcpAddress('127.0.0.1', 5_999), _));
    });
    const news = failed.news();
    assert.equal(news.length, 2);
    for (const line of news) assert.match(line, /ERR_PORTSIDE_GUARD/u);
    await guarded.close();
    await stage.end();
  });

  test('takes its ports and connections along when it is closed', async () => {
    const stage = new TcpStage();
    const own = new Scope({ name: 'own', parent: stage.scope });
    await stage.open();
    const { transport } = stage.network;
    await stage.hand((self) => self.quit(stage.driver, undefined));
    stage.space.spawn(own.run(() => tcpDriver({ transport })));
    const bound = await stage.watch(tcpBound(_, _));
    const failed = await stage.watch(tcpFailed(_, _, _, _));
    const { talkers } = await stage.serve(here);
    await stage.dial(5999);
    await stage.clock.run(own.close());
    await stage.settle();
    assert.equal(stage.network.listening, 0);
    assert.deepEqual(talkers[0]?.reasons.map(failureOf), ['ERR_PORTSIDE_CLOSED', 'ERR_PORTSIDE_CLOSED']);
    await stage.clock.advance(1_000);
    assert.equal(bound.news().length, 2);
    assert.match(failed.news().join('\n'), /ERR_PORTSIDE_SCOPE_CLOSED/u);
    await stage.end();
  });
});

describe('a space within a space', () => {
  test('has connections by atMeta, and its going closes them', async () => {
    const stage = await new TcpStage().open();
    const heard: string[] = [];
    stage.space.spawn((self) =>
      self.spawnSpace((inner) => {
        inner.atMeta.observePublishers(tcpChannel(_, here, _), {
          onPresence: ({ topic: { source } }) => {
            inner.atMeta.publish(tcpChannel(here, source, _));
            inner.atMeta.subscribe(tcpChannel(source, here, _), {
              onMessage: ({ topic: { body } }) => {
                heard.push(body instanceof Uint8Array ? Buffer.from(body).toString() : '<end>');
                if (heard.length === 1) inner.atMeta.send(tcpChannel(here, source, 'to you'));
                else inner.quit();
              },
            });
          },
        });
      }),
    );
    await stage.settle();
    const client = await stage.dial(5999);
    await client.write('hello');
    await stage.settle();
    assert.equal(await stage.read(client), 'to you');
    await client.closeWrite();
    await stage.settle();
    assert.deepEqual(heard, ['hello', '<end>']);
    assert.equal(await stage.read(client), '<end>');
    assert.equal(stage.network.listening, 0);
    await stage.end();
  });
});

test('a full space turns clients away, and keeps its port', async () => {
  const stage = new TcpStage();
  const space = stage.scope.run(() => new Dataspace({ maxActors: 4 }));
  const { transport } = stage.network;
  space.spawn(stage.scope.run(() => tcpDriver({ transport })));
  space.spawn((self) => self.observePublishers(tcpChannel(_, here, _), {}));
  const over = stage.scope.run(() => space.run());
  await stage.settle();
  const first = await stage.dial(5999);
  const second = await stage.dial(5999);
  await assert.rejects(
    stage.now(() => second.read()),
    { code: 'ECONNRESET' },
  );
  assert.equal(await stage.read(first), '');
  assert.equal(stage.network.listening, 1);
  space.end();
  await stage.settle();
  assert.equal((await over).state, 'ended');
  await stage.open();
  await stage.end();
});
