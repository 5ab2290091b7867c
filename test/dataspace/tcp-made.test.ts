import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tcpChannel, tcpEnd, tcpFailed } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpAddress, tcpHandle, tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { TcpHandle } from '../../src/dataspace/drivers/tcp-places.ts';
import { Talker, TcpStage } from './tcp-stage.ts';

const there = tcpAddress('127.0.0.1', 5999);
const me = tcpHandle('me');

async function talkerOn(
  stage: TcpStage,
  handle: TcpHandle = me,
  which: 'both' | 'in' | 'out' = 'both',
): Promise<Talker> {
  const hand = await stage.hand();
  const talker = new Talker(hand, handle, there);
  await hand.do((self) => talker.join(self, which));
  return talker;
}

describe('a connection that is made', () => {
  for (const which of ['in', 'out'] as const)
    test(`is made for one participant: who ${which === 'in' ? 'subscribes' : 'publishes'}`, async () => {
      const stage = await new TcpStage().open();
      const server = await stage.listen(5999);
      const talker = await talkerOn(stage, me, which);
      assert.deepEqual(talker.events, [`${which} +`]);
      const accepted = await stage.now(() => server.accept());
      await talker.leave();
      assert.equal(await stage.read(accepted), '<end>');
      await stage.now(() => accepted.close());
      await server.close();
      await stage.end();
    });

  test('carries bytes both ways, is made once, and shared by those who want it', async () => {
    const stage = await new TcpStage().open();
    const server = await stage.listen(5999);
    const one = await talkerOn(stage);
    const two = await talkerOn(stage);
    const accepted = await stage.now(() => server.accept());
    assert.equal(server.acceptReady, false);
    await one.send('from one, ');
    await two.send('from two');
    assert.equal(await stage.read(accepted), 'from one, from two');
    await accepted.write('to both');
    await stage.settle();
    assert.deepEqual([one.heard, two.heard], ['to both', 'to both']);
    await one.leave();
    await two.send('!');
    assert.equal(await stage.read(accepted), '!');
    accepted.abort();
    await server.close();
    await stage.end();
  });

  test('is another one for another handle, and for another address', async () => {
    const stage = await new TcpStage().open();
    const server = await stage.listen(5999);
    await talkerOn(stage, tcpHandle('a'));
    await talkerOn(stage, tcpHandle(['b', 2]));
    const accepted = [await stage.now(() => server.accept()), await stage.now(() => server.accept())];
    assert.equal(server.acceptReady, false);
    for (const connection of accepted) connection.abort();
    await server.close();
    await stage.end();
  });

  test('is not made for observers, nor for who leaves open to whom', async () => {
    const stage = await new TcpStage().open();
    const server = await stage.listen(5999);
    await stage.hand((self) => {
      self.observePublishers(tcpChannel(there, me, _), {});
      self.observeSubscribers(tcpChannel(me, there, _), {});
      self.subscribe(tcpChannel(_, me, _));
      self.publish(tcpChannel(me, _, _));
      self.subscribe(_);
    });
    assert.equal(server.acceptReady, false);
    await server.close();
    await stage.end();
  });

  test('that can not be had is told as failed while somebody wants it, and tried again when it is asked for again', async () => {
    const stage = await new TcpStage().open();
    const failed = await stage.watch(tcpFailed(_, _, _, _));
    const talker = await talkerOn(stage);
    assert.deepEqual(talker.events, []);
    assert.match(
      failed.news().join('\n'),
      /^\+ tcp-failed\(tcp-handle\("me", .*\), tcp-address\(.*\), "ECONNREFUSED", /u,
    );
    stage.letGo();
    await stage.clock.advance(100_000);
    assert.deepEqual(failed.news(), []);
    const server = await stage.listen(5999);
    await talker.hand.do((self) => {
      self.observePublishers(_, {}, { name: 'in' });
      self.observePublishers(_, {}, { name: 'out' });
    });
    assert.match(failed.news().join('\n'), /^- tcp-failed/u);
    await talker.hand.do((self) => talker.join(self));
    assert.deepEqual(talker.events, ['in +', 'out +']);
    await server.close();
    await stage.end();
  });

  test('with a TLS name that the driver does not know, or to no address, is told as failed', async () => {
    const stage = await new TcpStage().open();
    const failed = await stage.watch(tcpFailed(_, _, _, _));
    await talkerOn(stage, tcpHandle('x', { tls: 'toString' }));
    assert.match(failed.news().join('\n'), /ERR_PORTSIDE_TLS.*no TLS client by the name/u);
    await stage.hand((self) => self.publish(tcpChannel(me, tcpAddress('', 0), _)));
    await stage.hand((self) => self.publish(tcpChannel(me, tcpAddress('/run/x.sock', 70_000), _)));
    await stage.hand((self) => self.publish(tcpChannel(me, tcpAddress(5 as never, 'x' as never), _)));
    const news = failed.news();
    assert.equal(news.length, 3);
    for (const line of news) assert.match(line, /ERR_PORTSIDE_ENDPOINT/u);
    assert.equal((await stage.end()).failed, 0);
  });

  test('is called off when nobody wants it before it is there, and nothing is left', async () => {
    const stage = await new TcpStage({ faults: { latency: { min: 100, max: 100 } } }).open();
    const server = await stage.clock.run(stage.scope.run(() => stage.listen(5999)));
    const talker = await talkerOn(stage);
    await stage.clock.advance(50);
    assert.deepEqual(talker.events, []);
    await talker.leave();
    assert.ok(stage.ends.some(({ name }) => name === 'tcp connection'));
    await stage.clock.advance(10_000);
    await server.close();
    await stage.clock.advance(10_000);
    assert.equal(stage.network.open, 0);
    await stage.end();
  });

  test('that comes to its end is not made again for those who were there', async () => {
    const stage = await new TcpStage().open();
    const server = await stage.listen(5999);
    const talker = await talkerOn(stage);
    const accepted = await stage.now(() => server.accept());
    await accepted.closeWrite();
    await stage.settle();
    assert.equal(talker.heard, '<end>');
    await talker.send(tcpEnd());
    assert.deepEqual(talker.events.toSorted(), ['in +', 'in -', 'out +', 'out -']);
    assert.equal(server.acceptReady, false);
    await stage.clock.advance(100_000);
    assert.equal(server.acceptReady, false);
    // Who comes while they are there finds the same; when all have gone it is made anew.
    const other = await talkerOn(stage);
    assert.deepEqual(other.events, []);
    await other.leave();
    await talker.leave();
    const late = await talkerOn(stage);
    assert.deepEqual(late.events, ['in +', 'out +']);
    accepted.abort();
    await server.close();
    await stage.end();
  });

  test('is flushed when the last who wanted it goes; who comes then gets one of its own', async () => {
    const stage = await new TcpStage({ bufferSize: 1_000 }).open();
    const server = await stage.listen(5999);
    const talker = await talkerOn(stage);
    const accepted = await stage.now(() => server.accept());
    const text = 'y'.repeat(20_000);
    await talker.hand.do((self) => {
      self.send(tcpChannel(me, there, text));
      self.quit();
    });
    const late = await talkerOn(stage);
    await stage.clock.advance(3_000);
    assert.deepEqual(late.events, []);
    assert.equal(await stage.read(accepted), `${text}<end>`);
    await stage.now(() => accepted.close());
    assert.deepEqual(late.events, ['in +', 'out +']);
    await late.send('new');
    const next = await stage.now(() => server.accept());
    assert.equal(await stage.read(next), 'new');
    next.abort();
    await server.close();
    await stage.end();
  });

  test('ends with the driver', async () => {
    const stage = await new TcpStage().open();
    const server = await stage.listen(5999);
    const talker = await talkerOn(stage);
    const accepted = await stage.now(() => server.accept());
    await talker.hand.do((self) => self.quit(stage.driver, undefined));
    assert.deepEqual(talker.events, ['in +', 'out +', 'in -', 'out -']);
    assert.equal(await stage.read(accepted), '<end>');
    accepted.abort();
    await server.close();
    await stage.end();
  });

  test('may lead to a port of the same space', async () => {
    const stage = await new TcpStage().open();
    const { talkers } = await stage.serve(tcpListener(5999, { host: '127.0.0.1' }));
    const talker = await talkerOn(stage);
    await talker.send('to myself');
    assert.equal(talkers[0]?.heard, 'to myself');
    await talkers[0]?.send('and back');
    assert.equal(talker.heard, 'and back');
    await talker.leave();
    assert.equal(talkers[0]?.heard, 'to myself<end>');
    await talkers[0]?.leave();
    assert.equal(stage.network.open, 0);
    await stage.end();
  });

  test('keeps the space running while it is made and while it is open, and not when it has failed', async () => {
    const stage = await new TcpStage().open();
    const server = await stage.listen(5999);
    stage.space.spawn((self) => {
      self.publish(tcpChannel(me, there, _));
    });
    stage.letGo();
    assert.equal(await stage.soon(stage.done), undefined);
    const accepted = await stage.now(() => server.accept());
    await accepted.closeWrite();
    accepted.abort();
    stage.space.spawn((self) => {
      self.subscribe(tcpChannel(there, me, _));
    });
    assert.equal((await stage.soon(stage.done))?.state, 'idle');
    await server.close();
    await stage.end();
  });
});
