import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tcpChannel, tcpCredit, tcpEnd, tcpFailed } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import { TcpStage } from './tcp-stage.ts';
import type { Talker } from './tcp-stage.ts';

const here = tcpListener(5999, { host: '127.0.0.1' });

function failureOf(reason: EndReason | undefined): string | undefined {
  const detail = reason !== undefined && 'detail' in reason ? reason.detail : undefined;
  return tcpFailed.is(detail) ? detail.code : undefined;
}

/** One client, and the actor on its connection. */
async function pair(
  stage: TcpStage,
  which: 'both' | 'in' | 'out' | 'none' = 'both',
): Promise<{ client: Awaited<ReturnType<TcpStage['dial']>>; talker: Talker }> {
  const { talkers } = await stage.serve(here, (one, self) => {
    if (which !== 'none') one.join(self, which);
  });
  const client = await stage.dial(5999);
  const talker = talkers[0];
  assert.ok(talker !== undefined);
  return { client, talker };
}

describe('a connection that was accepted', () => {
  test('is the presence of both of its directions, by the numeric address of its peer', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage);
    assert.deepEqual(talker.events, ['in +', 'out +']);
    const { local } = client;
    assert.ok('port' in local);
    assert.equal(talker.remote.host, '127.0.0.1');
    assert.equal(talker.remote.port, local.port);
    await stage.end();
  });

  test('carries bytes in and bytes and texts out', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage);
    await client.write('hello');
    await stage.settle();
    assert.equal(talker.heard, 'hello');
    await talker.send('grüße ');
    await talker.send(Buffer.from('and bytes'));
    assert.equal(await stage.read(client), 'grüße and bytes');
    await stage.end();
  });

  test('is not read while nobody subscribes: nothing is lost', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage, 'out');
    await client.write('before anybody listens');
    await stage.settle();
    assert.equal(talker.heard, '');
    await talker.hand.do((self) => talker.join(self, 'in'));
    assert.equal(talker.heard, 'before anybody listens');
    await talker.hand.do((self) => self.observeSubscribers(_, {}, { name: 'in' }));
    await client.write(', and while nobody does');
    await stage.settle();
    assert.equal(talker.heard, 'before anybody listens');
    await talker.hand.do((self) => talker.join(self, 'in'));
    assert.equal(talker.heard, 'before anybody listens, and while nobody does');
    await stage.end();
  });

  test('does not wait for a subscriber to whom only some of it means anything', async () => {
    const stage = await new TcpStage().open();
    const ends: unknown[] = [];
    const { client } = await pair(stage, 'none');
    const talker = await stage.hand();
    const { local } = client;
    assert.ok('port' in local);
    const { port } = local;
    await talker.do((self) => {
      self.observePublishers(tcpChannel(_, here, _), {
        onPresence: ({ topic }) => {
          assert.equal(topic.source.port, port);
          self.subscribe(tcpChannel(topic.source, here, tcpEnd()), {
            onMessage: (event) => ends.push(event.topic.body),
          });
        },
      });
    });
    await client.write('nobody wants this');
    await client.closeWrite();
    await stage.settle();
    assert.equal(ends.length, 1);
    await stage.end();
  });

  test('makes the peer wait for a slow taker', async () => {
    const stage = await new TcpStage({ bufferSize: 1_000 }).open({ inputLimit: 2_000 });
    const work = Promise.withResolvers<void>();
    const { talkers } = await stage.serve(here, (one, self) => one.join(self, 'both', () => work.promise));
    const client = await stage.dial(5999, { highWaterMark: 1 });
    let sent = 0;
    const sending = (async () => {
      for (; sent < 100; sent++) await client.write(new Uint8Array(500));
    })();
    await stage.settle();
    const [talker] = talkers;
    const bytes = talker?.sizes.reduce((sum, size) => sum + size, 0) ?? 0;
    assert.ok(bytes > 2_000 && bytes <= 3_500, `${bytes} bytes were read`);
    assert.ok(sent < 20, `${sent} were sent`);
    work.resolve();
    await stage.settle();
    await sending;
    assert.equal(
      talker?.sizes.reduce((sum, size) => sum + size, 0),
      50_000,
    );
    await stage.end();
  });

  test('tells the end of what the peer sends, and lives on in the other direction', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage);
    await client.write('last words');
    await client.closeWrite();
    await stage.settle();
    assert.equal(talker.heard, 'last words<end>');
    assert.deepEqual(talker.events, ['in +', 'out +', 'in -']);
    assert.deepEqual(talker.reasons, [{ kind: 'withdrawn', detail: undefined }]);
    await talker.send('and an answer');
    assert.equal(await stage.read(client), 'and an answer');
    await talker.leave();
    assert.equal(await stage.read(client), '<end>');
    assert.equal((await stage.soon(client.closed))?.kind, 'ended');
    await stage.end();
  });

  test('stays for one who only listened until that one goes, after the end too', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage, 'in');
    await client.write('request');
    await client.closeWrite();
    await stage.settle();
    assert.equal(talker.heard, 'request<end>');
    assert.equal(await stage.read(client), '');
    await talker.hand.do((self) => talker.join(self, 'out'));
    await talker.send('answer');
    assert.equal(await stage.read(client), 'answer');
    await talker.leave();
    assert.equal(await stage.read(client), '<end>');
    await stage.end();
  });

  test('is closed when one who only listened goes after the end', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage, 'in');
    await client.closeWrite();
    await stage.settle();
    assert.equal(talker.heard, '<end>');
    await talker.leave();
    assert.equal(await stage.read(client), '<end>');
    assert.equal(stage.network.open, 0);
    await stage.end();
  });

  test('has its output ended by a tcpEnd, after what was sent before; reading goes on', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage);
    await talker.hand.do((self) => {
      self.send(tcpChannel(here, talker.remote, 'bye'));
      self.send(tcpChannel(here, talker.remote, tcpEnd()));
    });
    assert.equal(await stage.read(client), 'bye<end>');
    await client.write('one more thing');
    await stage.settle();
    assert.equal(talker.heard, 'one more thing');
    await client.closeWrite();
    await stage.settle();
    assert.equal(talker.heard, 'one more thing<end>');
    assert.deepEqual(talker.events.toSorted(), ['in +', 'in -', 'out +', 'out -']);
    assert.equal((await stage.soon(client.closed))?.kind, 'ended');
    assert.ok(talker.reasons.every((reason) => failureOf(reason) === undefined));
    await stage.end();
  });

  test('has its output ended when the last who publishes goes', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage);
    await talker.hand.do((self) => {
      self.send(tcpChannel(here, talker.remote, 'bye'));
      self.observePublishers(_, {}, { name: 'out' });
    });
    assert.equal(await stage.read(client), 'bye<end>');
    await client.write('still heard');
    await stage.settle();
    assert.equal(talker.heard, 'still heard');
    await stage.end();
  });

  test('is flushed and closed when the last participant goes', async () => {
    const stage = await new TcpStage({ bufferSize: 1_000 }).open();
    const { client, talker } = await pair(stage);
    const text = 'x'.repeat(50_000);
    await talker.hand.do((self) => {
      self.send(tcpChannel(here, talker.remote, text));
      self.quit();
    });
    assert.equal(await stage.read(client), `${text}<end>`);
    await stage.now(() => client.close());
    await stage.settle();
    assert.equal(stage.network.open, 0);
    await stage.end();
  });

  test('outlives its port, and one participant of several', async () => {
    const stage = await new TcpStage().open();
    const { talkers, hand } = await stage.serve(here);
    const client = await stage.dial(5999);
    const [talker] = talkers;
    assert.ok(talker !== undefined);
    const other = await stage.hand((self) => {
      self.subscribe(tcpChannel(talker.remote, here, _));
      self.publish(tcpChannel(here, talker.remote, _));
    });
    await hand.do((self) => self.quit());
    assert.equal(stage.network.listening, 0);
    await other.do((self) => self.quit());
    await client.write('still there');
    await stage.settle();
    assert.equal(talker.heard, 'still there');
    await stage.end();
  });

  test('is closed when nobody takes it in time', async () => {
    const stage = await new TcpStage().open({ claimTimeout: 5_000 });
    await stage.hand((self) => self.observePublishers(tcpChannel(_, here, _), {}));
    const seen = await stage.hand();
    const reasons: EndReason[] = [];
    await seen.do((self) =>
      self.observePublishers(tcpChannel(_, here, _), { onAbsence: ({ reason }) => reasons.push(reason) }),
    );
    const client = await stage.dial(5999);
    const reading = stage.read(client);
    await stage.clock.advance(4_999);
    assert.equal(reasons.length, 0);
    await stage.clock.advance(1);
    assert.equal(failureOf(reasons[0]), 'ERR_PORTSIDE_TIMEOUT');
    assert.equal(await reading, '');
    await stage.end();
  });

  test('that the peer resets is absent with the failure as the detail of its reason', async () => {
    const stage = await new TcpStage().open();
    const { client, talker } = await pair(stage);
    await client.write('some');
    await stage.settle();
    client.abort();
    await stage.settle();
    assert.equal(talker.heard, 'some');
    assert.deepEqual(talker.events, ['in +', 'out +', 'in -', 'out -']);
    assert.deepEqual(talker.reasons.map(failureOf), ['ECONNRESET', 'ECONNRESET']);
    await stage.end();
  });

  test('whose peer takes nothing fails when more is sent than the write limit allows', async () => {
    const stage = await new TcpStage({ bufferSize: 1_000 }).open({ listen: { writeLimit: 100_000 } });
    const { client, talker } = await pair(stage);
    for (let i = 0; i < 30; i++)
      talker.hand.tell((self) => self.send(tcpChannel(here, talker.remote, 'x'.repeat(10_000))));
    await stage.settle();
    assert.deepEqual(talker.reasons.map(failureOf), ['ERR_PORTSIDE_WRITE_OVERFLOW', 'ERR_PORTSIDE_WRITE_OVERFLOW']);
    await assert.rejects(async () => {
      while ((await stage.now(() => client.read())) !== null);
    });
    await stage.end();
  });

  const wrong: readonly [string, unknown, string, 'send' | 'feedback'][] = [
    ['a number', 5, 'ERR_PORTSIDE_OPTIONS', 'send'],
    ['a list', ['x'], 'ERR_PORTSIDE_OPTIONS', 'send'],
    ['credit, sent', tcpCredit(5), 'ERR_PORTSIDE_OPTIONS', 'send'],
    ['credit where there is none', tcpCredit(5), 'ERR_PORTSIDE_STATE', 'feedback'],
    ['bytes, fed back', Uint8Array.of(1), 'ERR_PORTSIDE_STATE', 'feedback'],
  ];
  for (const [what, body, code, how] of wrong)
    test(`is ended by who says what can't be said: ${what}`, async () => {
      const stage = await new TcpStage().open();
      const { client, talker } = await pair(stage);
      const other = await stage.dial(5999);
      await (how === 'send' ? talker.send(body) : talker.feedback(body));
      assert.deepEqual(talker.reasons.map(failureOf), [code, code]);
      await assert.rejects(
        stage.now(() => client.read()),
        { code: 'ECONNRESET' },
      );
      // And nobody else is harmed.
      assert.equal(await stage.read(other), '');
      assert.equal((await stage.end()).failed, 0);
    });

  test('is ended by who says more after the end', async () => {
    const stage = await new TcpStage().open();
    const { talker } = await pair(stage);
    await talker.hand.do((self) => {
      self.send(tcpChannel(here, talker.remote, tcpEnd()));
      self.send(tcpChannel(here, talker.remote, 'and another thing'));
    });
    assert.deepEqual(talker.reasons.map(failureOf), ['ERR_PORTSIDE_WRITE_AFTER_END', 'ERR_PORTSIDE_WRITE_AFTER_END']);
    await stage.end();
  });

  test('ends with its actor, whoever ends that', async () => {
    const stage = await new TcpStage().open();
    const actors: number[] = [];
    await stage.hand((self) =>
      self.observePublishers(tcpChannel(_, here, _), { onPresence: ({ actor }) => actors.push(actor) }),
    );
    const client = await stage.dial(5999);
    const killer = await stage.hand();
    await killer.do((self) => self.quit(actors[0] ?? 0, 'because'));
    assert.equal(await stage.read(client), '<end>');
    assert.equal(stage.network.open, 1);
    await stage.end();
  });

  test('has no timer any more when it was claimed, or is over', async () => {
    const stage = await new TcpStage().open({ listen: { linger: 0, deadlines: { life: 1_000 } } });
    const observer = await stage.hand((self) => self.observePublishers(tcpChannel(_, here, _), {}));
    await stage.dial(5999);
    // What is left of it is the time that nobody took it in, which keeps a program running.
    await stage.clock.advance(2_000);
    assert.equal(stage.clock.armed, 0);
    await observer.do((self) => self.quit());
    await stage.end();
    const other = await new TcpStage().open();
    await other.serve(here);
    const armed = other.clock.everArmed;
    await other.dial(5999);
    assert.equal(other.clock.armed, 0);
    assert.ok(other.clock.everArmed > armed);
    await other.end();
  });

  test('is not read while its client does not take what it is sent', async () => {
    const stage = await new TcpStage({ bufferSize: 1_000 }).open({
      listen: { highWaterMark: 2_000, writeLimit: 20_000 },
    });
    await stage.serve(here, (one, self) => {
      self.publish(tcpChannel(here, one.remote, _));
      self.subscribe(tcpChannel(one.remote, here, _), {
        onMessage: ({ topic }) => self.send(tcpChannel(here, one.remote, topic.body)),
      });
    });
    const client = await stage.dial(5999);
    for (let i = 0; i < 100; i++) void client.write(new Uint8Array(1_000));
    await stage.settle();
    assert.ok(client.queuedBytes > 90_000);
    assert.equal((await stage.read(client)).length, 100_000);
    await stage.end();
  });

  test('waits unaccepted while there are as many as may be', async () => {
    const stage = await new TcpStage().open({ maxConnections: 2 });
    const { talkers } = await stage.serve(here);
    const clients = [await stage.dial(5999), await stage.dial(5999), await stage.dial(5999)];
    assert.equal(talkers.length, 2);
    clients[0]?.abort();
    await stage.settle();
    assert.equal(talkers.length, 3);
    await clients[2]?.write('at last');
    await stage.settle();
    assert.equal(talkers[2]?.heard, 'at last');
    await stage.end();
  });

  test('keeps the space running until it is flushed and closed', async () => {
    const stage = await new TcpStage({ bufferSize: 1_000 }).open();
    const { talkers, hand } = await stage.serve(here);
    const client = await stage.dial(5999);
    const [talker] = talkers;
    assert.ok(talker !== undefined);
    stage.letGo();
    hand.tell((self) => self.quit());
    talker.hand.tell((self) => {
      self.send(tcpChannel(here, talker.remote, 'x'.repeat(20_000)));
      self.quit();
    });
    assert.equal(await stage.soon(stage.done), undefined);
    assert.equal((await stage.read(client)).length, 20_005);
    await stage.now(() => client.close());
    assert.equal((await stage.soon(stage.done))?.state, 'idle');
    await stage.end();
  });
});
