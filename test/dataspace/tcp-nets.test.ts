import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tcpBound, tcpChannel, tcpEnd, tcpFailed } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpDriver } from '../../src/dataspace/drivers/tcp-driver.ts';
import type { TcpDriverOptions } from '../../src/dataspace/drivers/tcp-driver.ts';
import { tcpAddress, tcpHandle, tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import type { TcpListener, TcpPeer } from '../../src/dataspace/drivers/tcp-places.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { connect } from '../../src/net/connect.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { onEachNet, readAll } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { startNc } from '../support/program.ts';
import { clientTls, serverTls } from '../support/tls.ts';

const echo =
  (here: TcpListener, client: TcpPeer): Boot =>
  (self) => {
    self.publish(tcpChannel(here, client, _));
    self.subscribe(tcpChannel(client, here, _), {
      onMessage: ({ topic }) => self.send(tcpChannel(here, client, topic.body)),
      onAbsence: () => self.quit(),
    });
  };

/** A space that echoes on a port that the system chooses, and which that is. */
async function echoing(
  net: Net,
  here: TcpListener = tcpListener(0, { host: '127.0.0.1' }),
  options: TcpDriverOptions = {},
): Promise<{ space: Dataspace; port: number; over: Promise<unknown> }> {
  const space = new Dataspace();
  space.spawn(tcpDriver({ transport: net.transport, ...options }));
  const port = new Promise<number>((resolve, reject) => {
    space.spawn((self) => {
      self.subscribe(tcpBound(here, _), { onPresence: ({ topic }) => resolve(topic.address.port) });
      self.subscribe(tcpFailed(here, _, _, _), { onPresence: ({ topic }) => reject(new Error(topic.message)) });
      self.observePublishers(tcpChannel(_, here, _), {
        onPresence: ({ topic }) => self.spawn(echo(here, topic.source)),
      });
    });
  });
  const over = space.run();
  return { space, port: await port, over };
}

leavesNothing();

onEachNet('the driver', (net) => {
  const { transport } = net;

  test('echoes 20,000 bytes that are followed at once by the end, and ends', async () => {
    const { space, port, over } = await echoing(net);
    const bytes = Buffer.alloc(20_000, 'portside ');
    for (let round = 0; round < 5; round++) {
      const client = await connect({ host: '127.0.0.1', port }, { transport });
      await client.write(bytes);
      await client.closeWrite();
      assert.deepEqual(await readAll(client), bytes);
      assert.equal((await client.close()).kind, 'ended');
    }
    space.end();
    await over;
  });

  test('carries 8 MB to one who takes it slowly, through two spaces', async () => {
    const { space, port, over } = await echoing(net);
    const [me, there] = [tcpHandle('me'), tcpAddress('127.0.0.1', port)];
    const size = 8_388_608;
    const client = new Dataspace();
    let got = 0;
    let ended = false;
    client.spawn(tcpDriver({ transport }));
    client.spawn((self) => {
      self.publish(tcpChannel(me, there, _), {
        onPresence: () => {
          self.send(tcpChannel(me, there, new Uint8Array(size)));
          self.send(tcpChannel(me, there, tcpEnd()));
        },
      });
      self.subscribe(tcpChannel(there, me, _), {
        onMessage: async ({ topic: { body } }) => {
          if (tcpEnd.is(body)) ended = true;
          else got += body.length;
          await new Promise(setImmediate);
        },
        onAbsence: () => self.quit(),
      });
    });
    const summary = await client.run();
    assert.deepEqual({ got, ended, state: summary.state }, { got: size, ended: true, state: 'idle' });
    space.end();
    await over;
  });

  test('tells a peer’s reset by its code, and a port that nobody has', async () => {
    const { space, port, over } = await echoing(net);
    const details: unknown[] = [];
    space.spawn((self) => {
      self.observePublishers(tcpChannel(_, tcpListener(_), _), {
        onAbsence: ({ reason }) => details.push('detail' in reason ? reason.detail : null),
      });
    });
    const client = await connect({ host: '127.0.0.1', port }, { transport });
    await client.write('x');
    assert.equal((await client.read())?.length, 1);
    client.abort();
    await client.closed;
    while (details.length === 0) await new Promise(setImmediate);
    assert.ok(tcpFailed.is(details[0]));
    assert.match(details[0].code, /^(ECONNRESET|EPIPE)$/u);
    space.end();
    await over;
    const lonely = new Dataspace();
    lonely.spawn(tcpDriver({ transport }));
    const codes: string[] = [];
    lonely.spawn((self) => {
      self.subscribe(tcpFailed(_, _, _, _), { onPresence: ({ topic }) => codes.push(topic.code) });
      self.publish(tcpChannel(tcpHandle(1), tcpAddress('127.0.0.1', port), _));
    });
    assert.equal((await lonely.run()).state, 'idle');
    assert.deepEqual(codes, ['ECONNREFUSED']);
  });

  test('speaks TLS by names, and is not there for who does not', async () => {
    const here = tcpListener(0, { host: '127.0.0.1', tls: 'chat' });
    const servers = { chat: serverTls() };
    const { space, port, over } = await echoing(net, here, { tls: { servers } });
    let seen = 0;
    space.spawn((self) => {
      self.observePublishers(tcpChannel(_, here, _), { onPresence: () => (seen += 1) });
    });
    const plain = await connect({ host: '127.0.0.1', port }, { transport });
    await plain.write('GET / HTTP/1.1\r\n\r\n');
    await readAll(plain).catch(() => {});
    plain.abort();
    assert.equal(seen, 0);
    const [me, there] = [tcpHandle('me', { tls: 'chat' }), tcpAddress('127.0.0.1', port)];
    const client = new Dataspace();
    client.spawn(tcpDriver({ transport, tls: { clients: { chat: clientTls() } } }));
    let heard = '';
    client.spawn((self) => {
      self.publish(tcpChannel(me, there, _), { onPresence: () => self.send(tcpChannel(me, there, 'under TLS')) });
      self.subscribe(tcpChannel(there, me, _), {
        onMessage: ({ topic: { body } }) => {
          if (body instanceof Uint8Array) heard += Buffer.from(body).toString();
          if (heard === 'under TLS') self.quit();
        },
      });
    });
    await client.run();
    assert.equal(heard, 'under TLS');
    assert.equal(seen, 1);
    space.end();
    await over;
  });

  test('binds a port again that was just called off or closed', async () => {
    const { space, port, over } = await echoing(net);
    space.end();
    await over;
    const here = tcpListener(port, { host: '127.0.0.1' });
    const again = new Dataspace();
    const failed: string[] = [];
    again.spawn(tcpDriver({ transport }));
    again.spawn((self) =>
      self.subscribe(tcpFailed(_, _, _, _), { onPresence: ({ topic }) => failed.push(topic.message) }),
    );
    const bound = new Promise<void>((resolve) => {
      again.spawn(async (self) => {
        // Two records for the same port, of which only one at a time is wanted.
        const other = tcpListener(port, { host: '127.0.0.1', backlog: 5 });
        self.subscribe(tcpBound(here, _), { onPresence: () => last && resolve() });
        let last = false;
        const source = self.outside();
        for (let i = 0; i <= 20; i++) {
          source.enter(() => {
            last = i === 20;
            self.observePublishers(tcpChannel(_, i % 2 === 0 ? here : other, _), {}, { name: 'o' });
          });
          for (let turns = 0; turns < i % 4; turns++) await new Promise(setImmediate);
        }
        source.release();
      });
    });
    void again.run();
    await Promise.race([bound, new Promise((resolve) => setTimeout(resolve, 5_000).unref())]);
    assert.deepEqual(failed, []);
    await bound;
    again.end();
  });

  test('leaves nothing open when the space ends at any moment', async () => {
    for (let turns = 0; turns < 12; turns++) {
      const here = tcpListener(0, { host: '127.0.0.1' });
      // Each turn of an actor is one of the loop, so that the end comes between any two.
      const space = new Dataspace({ slice: 1 });
      space.spawn(tcpDriver({ transport }));
      const port = new Promise<number>((resolve) => {
        space.spawn((self) => {
          self.subscribe(tcpBound(here, _), { onPresence: ({ topic }) => resolve(topic.address.port) });
          self.observePublishers(tcpChannel(_, here, _), {
            onPresence: ({ topic }) => self.spawn(echo(here, topic.source)),
          });
        });
      });
      const over = space.run();
      const there = tcpAddress('127.0.0.1', await port);
      const clients = await Promise.all(
        Array.from({ length: 3 }, () => connect({ host: there.host, port: there.port }, { transport })),
      );
      space.spawn((self) => self.publish(tcpChannel(tcpHandle(1), there, _)));
      for (let i = 0; i < turns; i++) await new Promise(setImmediate);
      space.end();
      await over;
      for (const client of clients) client.abort();
      await Promise.all(clients.map((client) => client.closed));
    }
  });

  test('leaves nothing open when the space ends in the middle of it', async () => {
    const { space, port, over } = await echoing(net);
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => connect({ host: '127.0.0.1', port }, { transport })),
    );
    for (const client of clients) void client.write(new Uint8Array(100_000));
    space.spawn((self) => self.publish(tcpChannel(tcpHandle(1), tcpAddress('127.0.0.1', port), _)));
    await new Promise(setImmediate);
    space.end();
    await over;
    for (const client of clients) client.abort();
    await Promise.all(clients.map((client) => client.closed));
  });
});

test('the driver echoes to nc', async (t) => {
  const [net] = [{ name: 'node', transport: undefined as never }];
  const { space, port, over } = await echoing(net, undefined, { transport: 'auto' });
  const nc = startNc(t, port, '-N');
  nc.write('hello\n');
  await nc.until(/hello\n/u);
  nc.end('and bye\n');
  assert.equal((await nc.exit).code, 0);
  assert.equal(nc.out, 'hello\nand bye\n');
  space.end();
  await over;
});
