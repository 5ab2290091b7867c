/* oxlint-disable unicorn/no-thenable -- the option is called so, and is never a function */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { PortsideError } from '../../src/base/errors.ts';
import { checkValue } from '../../src/base/options.ts';
import { Goodbyes, RefusalCounts, refuse, refuseWithRule, refusalKinds } from '../../src/server/refusal.ts';
import type { RefuseWith, Refusal } from '../../src/server/refusal.ts';
import { systemClock } from '../../src/sync/clock.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { Channel, ChannelEnd, DialTarget, Sink } from '../../src/transport/contract.ts';
import { watchLeaks } from '../support/leaks.ts';
import { onEachNet } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';

const full: Refusal = { kind: 'full', limit: 10 };

/** A client's end: what it hears, and when it is over. */
class Client implements Sink {
  readonly channel: Channel;
  readonly ended: Promise<void>;
  readonly over: Promise<ChannelEnd>;
  text = '';
  readonly #end: () => void;
  readonly #close: (end: ChannelEnd) => void;

  constructor(channel: Channel) {
    const ended = Promise.withResolvers<void>();
    const over = Promise.withResolvers<ChannelEnd>();
    this.channel = channel;
    this.ended = ended.promise;
    this.over = over.promise;
    this.#end = ended.resolve;
    this.#close = over.resolve;
    channel.sink = this;
    channel.flow(true);
  }

  data(bytes: Uint8Array): void {
    this.text += Buffer.from(bytes).toString('utf8');
  }

  end(): void {
    this.#end();
  }

  writable(): void {}

  close(end: ChannelEnd): void {
    this.#close(end);
  }
}

interface Pair {
  readonly server: Channel;
  readonly client: Client;
}

/** Connections of which the server's end was just accepted. What is left of them after the test is reset. */
async function pairs(t: TestContext, { transport }: Net, count: number): Promise<Pair[]> {
  const noLeaks = watchLeaks();
  const acceptor = await transport.listen(
    { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false },
    { backlog: 16, reusePort: false, reuseAddress: undefined },
  );
  const all: Pair[] = [];
  t.after(async () => {
    for (const { server, client } of all) for (const channel of [server, client.channel]) channel.destroy('reset');
    await Promise.all(all.map(({ client }) => client.over));
    await noLeaks();
  });
  assert.ok('port' in acceptor.address);
  const { host, port } = acceptor.address;
  const target: DialTarget = { kind: 'tcp', host, port, localHost: undefined, localPort: undefined };
  for (let i = 0; i < count; i++) {
    const server = new Promise<Channel>((resolve, reject) => {
      acceptor.watcher = {
        ready() {
          const channel = acceptor.take();
          if (channel === null) return;
          acceptor.want(false);
          resolve(channel);
        },
        trouble: reject,
      };
      acceptor.want(true);
    });
    const channel = await transport.dial(target).result;
    all.push({ client: new Client(channel), server: await server });
  }
  acceptor.close();
  return all;
}

async function pair(t: TestContext, net: Net): Promise<Pair> {
  const [only] = await pairs(t, net, 1);
  return only!;
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Whether a promise has settled after some turns of the loop. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  for (let i = 0; i < 20; i++) await turn();
  return done;
}

onEachNet('a client that is refused', (net) => {
  test('by a reset sees one', async (t) => {
    const { server, client } = await pair(t, net);
    await refuse(server, full, 'reset', systemClock);
    assert.equal((await client.over).kind, 'reset');
    assert.equal(client.text, '');
  });

  test('by a close sees the end, and nothing else', async (t) => {
    const { server, client } = await pair(t, net);
    await refuse(server, full, 'close', systemClock);
    await client.ended;
    assert.equal(client.text, '');
    client.channel.shutdown();
    assert.ok(server.closed);
  });

  test('with bytes gets all of them and then the end', async (t) => {
    const { server, client } = await pair(t, net);
    const refused = refuse(server, full, { send: 'später\n' }, systemClock);
    await client.ended;
    assert.equal(client.text, 'später\n');
    client.channel.shutdown();
    await refused;
    assert.equal((await client.over).kind, 'ended', 'in order on both sides');
  });

  test('with many bytes gets all of them, though it has sent many that nobody wanted', async (t) => {
    const { server, client } = await pair(t, net);
    client.channel.send(new Uint8Array(30_000));
    const goodbye = 'x'.repeat(65_536);
    const refused = refuse(server, full, { send: Buffer.from(goodbye), then: 'close' }, systemClock);
    client.channel.send(new Uint8Array(30_000));
    await client.ended;
    assert.equal(client.text, goodbye);
    client.channel.shutdown();
    await refused;
    assert.equal((await client.over).kind, 'ended');
  });

  test('with no bytes to send sees the end in order too, though it has sent some', async (t) => {
    const { server, client } = await pair(t, net);
    client.channel.send(new Uint8Array(1_000));
    const refused = refuse(server, full, { send: '' }, systemClock);
    await client.ended;
    client.channel.shutdown();
    await refused;
    assert.equal((await client.over).kind, 'ended');
  });

  test('with bytes and a reset is reset without being waited for', async (t) => {
    const { server, client } = await pair(t, net);
    await refuse(server, full, { send: 'go away', then: 'reset' }, new VirtualClock());
    assert.equal((await client.over).kind, 'reset');
    assert.ok('go away'.startsWith(client.text));
  });

  test('and does not end has a second to do so, and no more', async (t) => {
    const { server, client } = await pair(t, net);
    const clock = new VirtualClock();
    const refused = refuse(server, full, { send: 'bye' }, clock);
    await client.ended;
    assert.equal(client.text, 'bye');
    await clock.advance(999);
    assert.equal(await settled(refused), false);
    await clock.advance(1);
    await refused;
    assert.equal(clock.armed, 0);
  });

  test('and sends without end is read no further than to a bound, and still gets its bytes', async (t) => {
    const { server, client } = await pair(t, net);
    const clock = new VirtualClock();
    let read = 0;
    const refused = refuse(server, full, { send: 'stop it' }, clock);
    const { sink } = server;
    server.sink = {
      data(bytes, borrowed) {
        read += bytes.length;
        sink.data(bytes, borrowed);
      },
      end: () => sink.end(),
      writable: () => sink.writable(),
      close: (end) => sink.close(end),
    };
    // More than all the buffers in between can hold.
    const flood = 64 * 1_048_576;
    client.channel.send(new Uint8Array(flood));
    await client.ended;
    assert.equal(client.text, 'stop it');
    assert.equal(await settled(refused), false);
    assert.ok(client.channel.queued > 0, 'nobody takes the rest');
    await clock.advance(1_000);
    await refused;
    assert.ok(read >= 65_536 && read < 2 * 1_048_576, `${read} bytes were read`);
    assert.ok(['reset', 'failed'].includes((await client.over).kind));
  });

  test('and resets first ends it at once', async (t) => {
    const { server, client } = await pair(t, net);
    const clock = new VirtualClock();
    const refused = refuse(server, full, { send: 'bye' }, clock);
    await client.ended;
    client.channel.destroy('reset');
    await refused;
    assert.equal(clock.armed, 0);
  });

  test('may be answered by a function, which is told why and who', async (t) => {
    const [first, second] = (await pairs(t, net, 2)) as [Pair, Pair];
    const refusals: Refusal[] = [];
    const how: RefuseWith = (refusal, remote) => {
      refusals.push(refusal);
      assert.equal(remote.family, 'ipv4');
      return refusal.kind === 'denied' ? 'reset' : { send: refusal.kind };
    };
    await refuse(first.server, { kind: 'denied' }, how, systemClock);
    assert.equal((await first.client.over).kind, 'reset');
    const refused = refuse(second.server, full, how, systemClock);
    await second.client.ended;
    second.client.channel.shutdown();
    await refused;
    assert.equal(second.client.text, 'full');
    assert.deepEqual(refusals, [{ kind: 'denied' }, full]);
  });

  test('is reset when the function throws or gives no answer, and whoever refuses hears of it', async (t) => {
    const [first, second, third] = (await pairs(t, net, 3)) as [Pair, Pair, Pair];
    const error = new Error('no idea');
    const throwing: RefuseWith = () => {
      throw error;
    };
    await assert.rejects(refuse(first.server, full, throwing, systemClock), error);
    for (const [answer, { server }] of [
      [undefined, second],
      [{ send: 'x'.repeat(65_537) }, third],
    ] as const) {
      const wrong = (() => answer) as unknown as RefuseWith;
      await assert.rejects(refuse(server, full, wrong, systemClock), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    for (const { client } of [first, second, third]) assert.equal((await client.over).kind, 'reset');
  });

  test('beyond the bound of goodbyes is reset, until there is room again', async (t) => {
    const [first, second, third] = (await pairs(t, net, 3)) as [Pair, Pair, Pair];
    const goodbyes = new Goodbyes(1);
    const clock = new VirtualClock();
    const how = { send: 'bye' };
    const lingers = refuse(first.server, full, how, clock, goodbyes);
    assert.equal(goodbyes.size, 1);
    await refuse(second.server, full, how, clock, goodbyes);
    assert.equal((await second.client.over).kind, 'reset');
    assert.equal(second.client.text, '');
    await first.client.ended;
    first.client.channel.shutdown();
    await lingers;
    assert.equal(goodbyes.size, 0);
    const again = refuse(third.server, full, how, clock, goodbyes);
    await third.client.ended;
    assert.equal(third.client.text, 'bye');
    goodbyes.cut();
    await again;
    assert.equal(goodbyes.size, 0);
    assert.equal(clock.armed, 0);
  });

  test('and is gone already is no trouble', async (t) => {
    const { server, client } = await pair(t, net);
    server.destroy('reset');
    await client.over;
    const asked: RefuseWith = () => assert.fail('nobody is there to be answered');
    await refuse(server, full, asked, systemClock);
  });
});

describe('what a client that is refused may see', () => {
  test('is one of these', () => {
    const right: RefuseWith[] = [
      'close',
      'reset',
      { send: 'x' },
      { send: new Uint8Array(65_536), then: 'reset' },
      () => 'close',
    ];
    for (const how of right) assert.equal(checkValue('serve', 'refuseWith', refuseWithRule, how), how);
  });

  test('is nothing else, and what is wrong is told with ERR_PORTSIDE_OPTIONS', () => {
    const wrong: [unknown, RegExp][] = [
      ['drop', /refuseWith must be/],
      [{}, /refuseWith\.send is required/],
      [{ send: 5 }, /refuseWith\.send must be/],
      [{ send: 'x', then: 'wait' }, /refuseWith\.then must be "close" or "reset"/],
      [{ send: 'ä'.repeat(32_769) }, /refuseWith\.send must be at most 65536 bytes, got 65538/],
      [{ send: new Uint8Array(65_537) }, /got 65537/],
    ];
    for (const [how, message] of wrong) {
      assert.throws(() => checkValue('serve', 'refuseWith', refuseWithRule, how), {
        code: 'ERR_PORTSIDE_OPTIONS',
        message,
      });
    }
    assert.throws(() => new Goodbyes(-1), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});

describe('counts of refusals', () => {
  const one: Record<Refusal['kind'], Refusal> = {
    denied: { kind: 'denied' },
    'not-allowed': { kind: 'not-allowed' },
    rate: { kind: 'rate', client: '192.0.2.1', retryAfter: 50 },
    full,
    'client-full': { kind: 'client-full', client: '192.0.2.1', limit: 3 },
    'handshakes-full': { kind: 'handshakes-full', limit: 100 },
    proxy: { kind: 'proxy', error: new PortsideError('ERR_PORTSIDE_PROXY_HEADER', 'no header') },
    stopping: { kind: 'stopping' },
  };

  test('are exact, by kind and together, and name every kind', () => {
    const counts = new RefusalCounts();
    assert.deepEqual(Object.keys(one).toSorted(), refusalKinds.toSorted());
    for (const [i, kind] of refusalKinds.entries()) for (let n = 0; n <= i; n++) counts.add(one[kind]);
    assert.deepEqual(
      Object.entries(counts.snapshot()),
      refusalKinds.map((kind, i) => [kind, i + 1]),
    );
    assert.equal(counts.total, 36);
  });

  test('stay as they were in a snapshot, and begin with 0', () => {
    const counts = new RefusalCounts();
    const before = counts.snapshot();
    counts.add(full);
    assert.equal(before.full, 0);
    assert.equal(counts.snapshot().full, 1);
    assert.equal(new RefusalCounts().total, 0);
  });
});
