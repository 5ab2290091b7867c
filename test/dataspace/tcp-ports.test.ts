import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tcpBound, tcpChannel, tcpFailed } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { Transport } from '../../src/transport/contract.ts';
import { TcpStage } from './tcp-stage.ts';

const here = tcpListener(5999, { host: '127.0.0.1' });

describe('a port', () => {
  test('is open while somebody observes who publishes to it, and is told as bound', async () => {
    const stage = await new TcpStage().open();
    const bound = await stage.watch(tcpBound(_, _));
    const observer = await stage.hand((self) => self.observePublishers(tcpChannel(_, here, _), {}));
    assert.deepEqual(bound.news(), [
      '+ tcp-bound(tcp-listener(5999, "127.0.0.1", 511, null, false), tcp-address("127.0.0.1", 5999))',
    ]);
    assert.equal(stage.network.listening, 1);
    await observer.do((self) => self.quit());
    assert.equal(stage.network.listening, 0);
    assert.equal(bound.news().length, 1);
    await stage.end();
  });

  test('is open while somebody observes who subscribes to what it sends', async () => {
    const stage = await new TcpStage().open();
    const observer = await stage.hand((self) => self.observeSubscribers(tcpChannel(here, _, _), {}));
    assert.equal(stage.network.listening, 1);
    await observer.do((self) => self.quit());
    assert.equal(stage.network.listening, 0);
    await stage.end();
  });

  test('is not opened by participants, nor by whoever watches any port', async () => {
    const stage = await new TcpStage().open();
    await stage.hand((self) => {
      self.subscribe(tcpChannel(_, here, _));
      self.publish(tcpChannel(here, _, _));
      self.observePublishers(tcpChannel(_, tcpListener(_), _), {});
      self.observePublishers(_, {}, { interest: 'everything' });
    });
    assert.equal(stage.network.listening, 0);
    await stage.end();
  });

  test('is shared by those who say the same, and closed by the last to go', async () => {
    const stage = await new TcpStage().open();
    const bound = await stage.watch(tcpBound(_, _));
    const one = await stage.hand((self) => self.observePublishers(tcpChannel(_, here, _), {}));
    const two = await stage.hand((self) => self.observeSubscribers(tcpChannel(here, _, _), {}));
    assert.equal(bound.news().length, 1);
    await one.do((self) => self.quit());
    assert.equal(stage.network.listening, 1);
    assert.deepEqual(bound.news(), []);
    await two.do((self) => self.quit());
    assert.equal(stage.network.listening, 0);
    await stage.end();
  });

  test('that the system chooses is told', async () => {
    const stage = await new TcpStage().open();
    const bound = await stage.watch(tcpBound(_, _));
    await stage.serve(tcpListener(0, { host: '127.0.0.1' }));
    const [news = ''] = bound.news();
    const port = Number(/tcp-address\("127\.0\.0\.1", (\d+)\)/u.exec(news)?.[1]);
    const client = await stage.dial(port);
    client.abort();
    await stage.end();
  });

  test('that is taken is told as failed while somebody wants it, and tried again when it is asked for again', async () => {
    const stage = await new TcpStage().open();
    const other = await stage.listen(5999);
    const failed = await stage.watch(tcpFailed(_, _, _, _));
    const bound = await stage.watch(tcpBound(_, _));
    const observer = await stage.hand((self) => self.observePublishers(tcpChannel(_, here, _), {}, { name: 'o' }));
    const [news = '', ...more] = failed.news();
    assert.match(news, /^\+ tcp-failed\(tcp-listener\(5999, .*\), null, "EADDRINUSE", ".*5999.*"\)$/u);
    assert.deepEqual(more, []);
    await other.close();
    await stage.clock.advance(60_000);
    assert.deepEqual(failed.news(), []);
    assert.deepEqual(bound.news(), []);
    await observer.do((self) => self.observePublishers(record('other', ['x'])(_), {}, { name: 'o' }));
    assert.equal(failed.news().length, 1);
    await observer.do((self) => self.observePublishers(tcpChannel(_, here, _), {}, { name: 'o' }));
    assert.deepEqual(failed.news(), []);
    assert.equal(bound.news().length, 1);
    await stage.end();
  });

  test('with a TLS name that the driver does not know is told as failed', async () => {
    const stage = await new TcpStage().open();
    const failed = await stage.watch(tcpFailed(_, _, _, _));
    await stage.hand((self) => self.observePublishers(tcpChannel(_, tcpListener(5999, { tls: 'constructor' }), _), {}));
    assert.match(failed.news()[0] ?? '', /ERR_PORTSIDE_TLS.*no TLS server by the name/u);
    await stage.end();
  });

  test('of a record that no maker made is told as failed, and harms nobody', async () => {
    const stage = await new TcpStage().open();
    const failed = await stage.watch(tcpFailed(_, _, _, _));
    const raw = record('tcp-listener', ['port', 'host', 'backlog', 'tls', 'credit']);
    await stage.hand((self) => {
      self.observePublishers(
        record('tcp-channel', ['source', 'destination', 'body'])(_, raw(99_999, 5, -1, null, 7), _),
        {},
      );
    });
    assert.match(failed.news()[0] ?? '', /ERR_PORTSIDE_OPTIONS/u);
    const summary = await stage.end();
    assert.equal(summary.failed, 0);
  });

  test('is never left open by one who comes and goes quickly', async () => {
    const stage = await new TcpStage().open();
    const bound = await stage.watch(tcpBound(_, _));
    for (let i = 0; i < 20; i++) {
      stage.space.spawn((self) => {
        self.observePublishers(tcpChannel(_, here, _), {});
        for (let wait = Promise.resolve(), n = 0; n < i; n++) wait = wait.then(() => {});
        self.async(Promise.resolve(), () => self.quit());
      });
      if (i % 3 === 0) await stage.settle();
    }
    await stage.settle();
    assert.equal(stage.network.listening, 0);
    const news = bound.news();
    assert.equal(
      news.filter((line) => line.startsWith('+')).length,
      news.filter((line) => line.startsWith('-')).length,
    );
    await stage.end();
  });

  test('waits for another one by the same number that is called off while it is being opened', async () => {
    const stage = new TcpStage();
    const { transport } = stage.network;
    // As it is where the system takes its time to say that it is bound.
    const slow: Transport = {
      ...transport,
      listen: async (target, options) => {
        const acceptor = await transport.listen(target, options);
        await new Promise<void>((resolve) => stage.clock.after(100, resolve));
        return acceptor;
      },
    };
    await stage.open({ transport: slow });
    const bound = await stage.watch(tcpBound(_, _));
    const failed = await stage.watch(tcpFailed(_, _, _, _));
    const other = tcpListener(5999, { host: '127.0.0.1', backlog: 7 });
    const observer = await stage.hand((self) => self.observePublishers(tcpChannel(_, here, _), {}, { name: 'o' }));
    await observer.do((self) => self.observePublishers(tcpChannel(_, other, _), {}, { name: 'o' }));
    await stage.clock.advance(1_000);
    assert.deepEqual(failed.news(), []);
    assert.equal(bound.news().length, 1);
    assert.equal(stage.network.listening, 1);
    await stage.end();
  });

  test('keeps the space running while it is open, and not longer', async () => {
    const stage = await new TcpStage().open();
    const { hand } = await stage.serve(here);
    hand.release();
    stage.letGo();
    assert.equal(await stage.soon(stage.done), undefined);
    stage.space.spawn((self) => self.quit(hand.self.id, undefined));
    assert.equal((await stage.soon(stage.done))?.state, 'idle');
    await stage.end();
  });

  test('is closed with the driver; what it had accepted too', async () => {
    const stage = await new TcpStage().open();
    const { talkers } = await stage.serve(here);
    const client = await stage.dial(5999);
    assert.equal(talkers.length, 1);
    const hand = await stage.hand();
    await hand.do((self) => self.quit(stage.driver, 'enough'));
    assert.equal(stage.network.listening, 0);
    assert.deepEqual(talkers[0]?.events, ['in +', 'out +', 'in -', 'out -']);
    assert.equal(await stage.read(client), '<end>');
    client.abort();
    await stage.end();
  });
});
