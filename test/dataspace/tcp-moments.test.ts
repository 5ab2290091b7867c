import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tcpChannel } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpDriver } from '../../src/dataspace/drivers/tcp-driver.ts';
import { tcpAddress, tcpHandle, tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { listen } from '../../src/net/listen.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { Transport } from '../../src/transport/contract.ts';
import { after, TcpStage } from './tcp-stage.ts';
import type { Talker } from './tcp-stage.ts';

const here = tcpListener(5999, { host: '127.0.0.1' });
/** Tasks of the clock before something is done: enough for everything to happen before it once, and after it. */
const MOMENTS = 14;

const go = (talker: Talker): void => talker.hand.tell((self) => self.observePublishers('nobody', {}, { name: 'in' }));

describe('in whatever moment', () => {
  for (const slice of [1, 4_096])
    test(`a subscriber goes, what comes then is for the next one; ${slice} turns at a time`, async () => {
      for (let moment = 0; moment < MOMENTS; moment++) {
        const stage = await new TcpStage({}, { slice }).open();
        const { talkers } = await stage.serve(here);
        const client = await stage.dial(5999);
        const [talker] = talkers;
        assert.ok(talker !== undefined);
        // It has dealt with all that it was given when it goes, as what waits for it goes with it.
        after(stage.clock, moment, () => {
          void client.write('some');
          void client.closeWrite();
        });
        go(talker);
        await stage.settle();
        assert.equal(talker.heard, '', `moment ${moment}`);
        await talker.hand.do((self) => talker.join(self, 'in'));
        assert.equal(talker.heard, 'some<end>', `moment ${moment}`);
        assert.deepEqual(talker.events.slice(-2), ['in +', 'in -']);
        await stage.end();
      }
    });

  for (const slice of [1, 4_096])
    test(`bytes come to a subscriber that goes, none is doubled; ${slice} turns at a time`, async () => {
      let whole = 0;
      for (let moment = 0; moment < MOMENTS; moment++) {
        const stage = await new TcpStage({}, { slice }).open();
        const { talkers } = await stage.serve(here);
        const client = await stage.dial(5999);
        const [talker] = talkers;
        assert.ok(talker !== undefined);
        void client.write('some');
        void client.closeWrite();
        after(stage.clock, moment, () => go(talker));
        await stage.settle();
        const before = talker.heard;
        await talker.hand.do((self) => talker.join(self, 'in'));
        // What was on its way to it went with it; the end is told once, to whoever was there, and never before the bytes.
        assert.match(talker.heard, /^(?:some)?(?:<end>)?$/u, `moment ${moment}`);
        if (before === '' && talker.heard === 'some<end>') whole += 1;
        await stage.end();
      }
      assert.ok(whole > 0, 'no moment was early enough');
    });

  test('the space ends, no port that is being opened and no connection that is being made stays', async () => {
    const network = memoryNetwork();
    const { transport } = network;
    const server = await listen({ host: '127.0.0.1', port: 6_000, transport });
    const rest = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      while (server.acceptReady) (await server.accept()).abort();
    };
    for (const what of ['listen', 'dial'] as const)
      for (let steps = 0; steps < 40; steps++) {
        const space = new Dataspace();
        // In steps of promises: the end may come between the socket and the turn in which it is told.
        const ending = async <T>(value: T): Promise<T> => {
          let step = Promise.resolve();
          for (let i = 0; i < steps; i++) step = step.then(() => {});
          void step.then(() => space.end());
          return value;
        };
        const telling: Transport = {
          ...transport,
          listen: async (target, options) => {
            const acceptor = await transport.listen(target, options);
            return what === 'listen' ? ending(acceptor) : acceptor;
          },
          dial: (target) => {
            const dial = transport.dial(target);
            return what === 'dial' ? { cancel: () => dial.cancel(), result: dial.result.then(ending) } : dial;
          },
        };
        space.spawn(tcpDriver({ transport: telling }));
        space.spawn((self) => {
          if (what === 'listen') self.observePublishers(tcpChannel(_, here, _), {});
          else self.publish(tcpChannel(tcpHandle(1), tcpAddress('127.0.0.1', 6_000), _));
        });
        await space.run();
        await rest();
        assert.equal(network.listening, 1, `a port stays when the space ends ${steps} steps after it is bound`);
        assert.equal(network.open, 0, `a connection stays when the space ends ${steps} steps after it is made`);
      }
    await server.close();
  });

  test('the space ends, connections that were made are ended', async () => {
    const network = memoryNetwork();
    const { transport } = network;
    const server = await listen({ host: '127.0.0.1', port: 6_000, transport });
    const space = new Dataspace();
    space.spawn(tcpDriver({ transport }));
    space.spawn((self) =>
      self.publish(tcpChannel(tcpHandle(1), tcpAddress('127.0.0.1', 6_000), _), { onPresence: () => space.end() }),
    );
    await space.run();
    const accepted = await server.accept();
    assert.equal(await accepted.read(), null);
    accepted.abort();
    await accepted.closed;
    await server.close();
    assert.equal(network.open, 0);
  });
});
