import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemCode } from '../../src/base/errors.ts';
import type { Acceptor, Channel } from '../../src/transport/contract.ts';
import { CTL_OPS, OP_READ_OFF, OPS } from '../../src/transport/native/layout.ts';
import { nativeLoop } from '../../src/transport/native/loop.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { closing, dial, loopback, next, plainBind } from './native-support.ts';
import { pair, promise } from './passage-support.ts';

/** A port that nobody listens on. */
async function closedPort(): Promise<Acceptor> {
  const acceptor = await nativeTransport().listen(loopback, plainBind);
  acceptor.close();
  return acceptor;
}

/** What it comes to within some turns of the loop. */
async function settled<T>(wanted: Promise<T>): Promise<T | 'nothing'> {
  let came: T | 'nothing' = 'nothing';
  void wanted.then((value) => (came = value));
  for (let turn = 0; turn < 500 && came === 'nothing'; turn += 1) await nextTurn();
  return came;
}

/** Ends its output, with somebody who waits for room, so that its own end comes back by itself. */
function shut(channel: Channel): Promise<string> {
  const over = closing(channel);
  channel.wantWritable();
  channel.shutdown();
  return over;
}

describe('what the native core tells in one batch', () => {
  promise('of a connection that has ended reaches it, though another came before in the same batch', async () => {
    const { addon, channels } = nativeLoop();
    const acceptor = await nativeTransport().listen(loopback, plainBind);
    const { client, server } = await pair(acceptor);
    while (server.queued === 0) {
      for (let i = 0; i < 8; i += 1) server.send(new Uint8Array(8_000));
      await nextTurn();
    }
    const over = closing(server);
    server.destroy('flush');
    const arrived = next(acceptor);
    await nextTurn();
    // The client comes first, then there is room for all of the output, and both are found at once.
    const dialled = dial(nativeTransport(), acceptor.address);
    const slot = channels.findIndex((channel) => Object.is(channel, client));
    const gen = channels[slot]?.gen ?? assert.fail('the channel has no slot');
    const into = new Uint8Array(1_048_576);
    for (let idle = 0; idle < 100; idle += 1) if (addon.recv(slot, gen, into) > 0) idle = 0;
    const others = await Promise.all([dialled, arrived]);
    assert.equal(await settled(over), 'closed');
    for (const channel of [client, ...others]) channel.destroy('reset');
    acceptor.close();
  });

  promise('of a dial that has failed reaches it, though another was begun before in the same batch', async () => {
    const transport = nativeTransport();
    const nobody = await closedPort();
    const acceptor = await transport.listen(loopback, plainBind);
    const onward = new Promise<readonly [Channel | null, Promise<Channel>]>((resolve) => {
      const ready = (): void => {
        acceptor.want(false);
        resolve([acceptor.take(), dial(transport, acceptor.address)]);
      };
      acceptor.watcher = { ready, trouble() {} };
      acceptor.want(true);
    });
    await nextTurn();
    const first = dial(transport, acceptor.address);
    const refused = [0, 1, 2].map(async () => {
      try {
        await dial(transport, nobody.address);
        return 'connected';
      } catch (error) {
        return systemCode(error);
      }
    });
    const [taken, begun] = await onward;
    const second = await begun;
    const last = await next(acceptor);
    assert.deepEqual(await settled(Promise.all(refused)), ['ECONNREFUSED', 'ECONNREFUSED', 'ECONNREFUSED']);
    for (const channel of [taken, await first, second, last]) channel?.destroy('reset');
    acceptor.close();
  });

  promise('is all taken over, though what comes of it is told meanwhile', async () => {
    const loop = nativeLoop();
    const pairs = await Promise.all(Array.from({ length: 4 }, () => pair()));
    const servers = pairs.map(({ server }) => server);
    const ends = servers.map((server) => {
      return new Promise<void>((resolve) => {
        server.sink = { data() {}, end: resolve, writable() {}, close() {} };
        server.flow(true);
      });
    });
    for (const { client } of pairs) client.shutdown();
    await Promise.all(ends);
    const [first, second, ...others] = servers as [Channel, Channel, Channel, Channel];
    const overs = [shut(first), shut(second)];
    loop.addon.flush();
    overs.push(...others.map(shut));
    // There is no room for what the ends of the first two bring about, and making some brings the others'.
    while ((loop.ctl[CTL_OPS] as number) < OPS) loop.control(-1, 0, OP_READ_OFF);
    loop.apply();
    assert.deepEqual(await settled(Promise.all(overs)), ['ended', 'ended', 'ended', 'ended']);
    for (const { client } of pairs) client.destroy('reset');
  });
});
