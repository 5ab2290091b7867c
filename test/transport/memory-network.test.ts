import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatAddress } from '../../src/transport/address.ts';
import type { Acceptor, Channel, DialTarget } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { bindOptions, Ear, listenAt, still, watched } from './memory-support.ts';

function bindTcp(network: MemoryNetwork, host: string, port = 0, ipv6Only = false): Promise<Acceptor> {
  return network.transport.listen({ kind: 'tcp', host, port, ipv6Only }, bindOptions);
}

function tcp(host: string, port: number, localHost?: string, localPort?: number): DialTarget {
  return { kind: 'tcp', host, port, localHost, localPort };
}

function portOf(acceptor: Acceptor): number {
  assert.ok('port' in acceptor.address);
  return acceptor.address.port;
}

describe('addresses of a network in memory', () => {
  test('port 0 takes a free one, and both sides agree on who they are', async () => {
    const { clock, network } = still();
    const first = await bindTcp(network, '127.0.0.1');
    const second = await bindTcp(network, '127.0.0.1');
    assert.notEqual(portOf(first), portOf(second));
    assert.ok(portOf(first) > 0);
    const client = await clock.run(network.transport.dial(tcp('127.0.0.1', portOf(first))).result);
    const server = first.take();
    assert.ok(server !== null);
    assert.deepEqual(server.local, first.address);
    assert.deepEqual(client.remote, server.local);
    assert.deepEqual(client.local, server.remote);
    assert.equal(second.take(), null);
  });

  test('a taken address is refused, by host, by wildcard and over both families', async () => {
    const { network } = still();
    const port = portOf(await bindTcp(network, '127.0.0.1'));
    for (const host of ['127.0.0.1', '0.0.0.0', '::'])
      await assert.rejects(bindTcp(network, host, port), { code: 'EADDRINUSE' });
    await bindTcp(network, '127.0.0.2', port);
    await bindTcp(network, '::', port, true);
    await assert.rejects(bindTcp(network, '0:0:0:0:0:0:0:1', port), { code: 'EADDRINUSE' });
    await listenAt(network, 'name');
    await assert.rejects(listenAt(network, 'name'), { code: 'EADDRINUSE' });
  });

  test('a closed listener frees its address, and leaves what was taken alive', async () => {
    const { clock, network } = still();
    const acceptor = await bindTcp(network, '::1', 7);
    const client = new Ear(await clock.run(network.transport.dial(tcp('::1', 7)).result));
    const server = new Ear(acceptor.take() as Channel);
    acceptor.close();
    acceptor.close();
    assert.equal(formatAddress(acceptor.address), '[::1]:7');
    const again = await bindTcp(network, '::1', 7);
    server.channel.send(Buffer.from('still here'));
    await clock.settle();
    assert.equal(client.text, 'still here');
    assert.equal(again.take(), null);
  });

  test('wildcards are reached by any host of their family, and :: by both unless told otherwise', async () => {
    const { clock, network } = still();
    const four = await bindTcp(network, '0.0.0.0', 4);
    await bindTcp(network, '::', 6);
    await bindTcp(network, '::', 60, true);
    const one = await clock.run(network.transport.dial(tcp('10.1.2.3', 4)).result);
    assert.equal(formatAddress(one.remote), '10.1.2.3:4');
    assert.equal(formatAddress(four.take()?.local ?? one.local), '10.1.2.3:4');
    await clock.run(network.transport.dial(tcp('127.0.0.1', 6)).result);
    await clock.run(network.transport.dial(tcp('::1', 6)).result);
    await clock.run(network.transport.dial(tcp('::1', 60)).result);
    await assert.rejects(clock.run(network.transport.dial(tcp('127.0.0.1', 60)).result), { code: 'ECONNREFUSED' });
  });

  test('a dial leaves by the address and port that it is told, once', async () => {
    const { clock, network } = still();
    await bindTcp(network, '127.0.0.1', 5);
    const target = tcp('127.0.0.1', 5, '127.0.0.9', 1_234);
    const client = await clock.run(network.transport.dial(target).result);
    assert.equal(formatAddress(client.local), '127.0.0.9:1234');
    await assert.rejects(clock.run(network.transport.dial(target).result), { code: 'EADDRINUSE' });
    client.destroy('reset');
    await clock.run(network.transport.dial(target).result);
  });

  test('nobody there is ECONNREFUSED, nonsense is EINVAL', async () => {
    const { clock, network } = still();
    const dial = (target: DialTarget): Promise<Channel> => clock.run(network.transport.dial(target).result);
    await assert.rejects(dial(tcp('127.0.0.1', 9)), { code: 'ECONNREFUSED', op: 'connect' });
    await assert.rejects(dial({ kind: 'memory', name: 'nobody' }), { code: 'ECONNREFUSED', remote: 'memory://nobody' });
    await assert.rejects(dial({ kind: 'unix', path: '/run/none' }), { code: 'ECONNREFUSED' });
    await assert.rejects(dial(tcp('localhost', 9)), { code: 'EINVAL' });
    await assert.rejects(network.transport.listen({ kind: 'fd', fd: 3 }, bindOptions), {
      code: 'ERR_PORTSIDE_UNSUPPORTED',
    });
    await assert.rejects(network.transport.listen({ kind: 'memory', name: 'x' }, { ...bindOptions, reusePort: true }), {
      code: 'ERR_PORTSIDE_UNSUPPORTED',
    });
    await assert.rejects(
      network.transport.listen({ kind: 'memory', name: 'x' }, { ...bindOptions, reuseAddress: false }),
      {
        code: 'ERR_PORTSIDE_UNSUPPORTED',
      },
    );
    assert.deepEqual([network.open, network.listening], [0, 0]);
  });

  test('a network of named hosts has no others', async () => {
    const { clock, network } = still({ hosts: ['10.0.0.1', '::0001'] });
    await bindTcp(network, '10.0.0.1', 80);
    await bindTcp(network, '::1', 80);
    await assert.rejects(bindTcp(network, '10.0.0.2', 80), { code: 'EADDRNOTAVAIL' });
    await assert.rejects(clock.run(network.transport.dial(tcp('10.0.0.2', 80)).result), { code: 'EHOSTUNREACH' });
    await assert.rejects(clock.run(network.transport.dial(tcp('10.0.0.1', 80, '10.0.0.3')).result), {
      code: 'EADDRNOTAVAIL',
    });
  });

  test('a Unix path is a name: its client has none', async () => {
    const { clock, network } = still();
    const acceptor = await network.transport.listen({ kind: 'unix', path: '/run/x.sock' }, bindOptions);
    const client = await clock.run(network.transport.dial({ kind: 'unix', path: '/run/x.sock' }).result);
    const server = acceptor.take();
    assert.deepEqual([client.local, client.remote].map(formatAddress), ['unix://', 'unix:///run/x.sock']);
    assert.deepEqual(
      [server?.local, server?.remote].map((one) => one && formatAddress(one)),
      ['unix:///run/x.sock', 'unix://'],
    );
  });

  test('two networks are strangers', async () => {
    const { clock, network } = still();
    await listenAt(network);
    const other = memoryNetwork({ clock });
    await assert.rejects(clock.run(other.transport.dial({ kind: 'memory', name: 'chat' }).result), {
      code: 'ECONNREFUSED',
    });
  });
});

describe('a listener in memory', () => {
  test('says that it is ready once it is asked, each turn, until nothing is left', async () => {
    const { clock, network } = still();
    const acceptor = await listenAt(network);
    let ready = 0;
    acceptor.watcher = {
      ready() {
        // Leaves the first turn's connection where it is.
        if (++ready > 1) acceptor.take();
      },
      trouble(error) {
        throw error;
      },
    };
    const dials = [1, 2].map(() => network.transport.dial({ kind: 'memory', name: 'chat' }).result);
    await clock.run(Promise.all(dials));
    assert.deepEqual([ready, acceptor.pending()], [0, true]);
    acceptor.want(true);
    assert.equal(ready, 0);
    await clock.settle();
    assert.deepEqual([ready, acceptor.pending()], [3, false]);
    acceptor.want(false);
    await clock.run(network.transport.dial({ kind: 'memory', name: 'chat' }).result);
    assert.equal(ready, 3);
  });

  test('keeps dials waiting while its queue is full, and lets the next in when one is taken', async () => {
    const { clock, network } = still();
    const acceptor = await listenAt(network, 'chat', 2);
    const dials = [1, 2, 3].map(() => watched(network.transport.dial({ kind: 'memory', name: 'chat' }).result));
    await clock.settle();
    assert.deepEqual(
      dials.map((dial) => dial.value !== undefined),
      [true, true, false],
    );
    await clock.advance(500);
    acceptor.take();
    await clock.settle();
    assert.ok(dials[2]?.value !== undefined);
  });

  test('a dial that finds the queue full for 127 seconds times out, as on Linux', async () => {
    const { clock, network } = still();
    const acceptor = await listenAt(network, 'chat', 1);
    const dials = [1, 2].map(() => watched(network.transport.dial({ kind: 'memory', name: 'chat' }).result));
    await clock.advance(126_999);
    assert.equal(dials[1]?.code, undefined);
    await clock.advance(2);
    assert.equal(dials[1]?.code, 'ETIMEDOUT');
    acceptor.take();
    await clock.settle();
    assert.equal(acceptor.take(), null);
  });

  test('closing resets what nobody took and refuses who still waits', async () => {
    const { clock, network } = still();
    const acceptor = await listenAt(network, 'chat', 1);
    const waiting = network.transport.dial({ kind: 'memory', name: 'chat' });
    const client = new Ear(await clock.run(waiting.result));
    const refused = watched(network.transport.dial({ kind: 'memory', name: 'chat' }).result);
    await clock.settle();
    acceptor.close();
    await clock.settle();
    assert.equal(client.code, 'ECONNRESET');
    assert.equal(refused.code, 'ECONNREFUSED');
    assert.equal(acceptor.take(), null);
    assert.deepEqual([network.open, network.listening], [0, 0]);
  });

  test('a dial that is called off leaves nothing behind, at whatever moment', async () => {
    for (let at = 0; at < 40; at += 5) {
      const { clock, network } = still({ faults: { latency: { min: 10, max: 10 } } });
      const acceptor = await listenAt(network);
      const dial = network.transport.dial({ kind: 'memory', name: 'chat' });
      const state = watched(dial.result);
      await clock.advance(at);
      const made = state.value;
      dial.cancel();
      dial.cancel();
      await clock.advance(200);
      if (made !== undefined) made.destroy('drop');
      else assert.equal(state.code, 'ERR_PORTSIDE_ABORTED');
      // As with a kernel, a connection that was called off late may have been queued already.
      const server = acceptor.take();
      if (server !== null) new Ear(server);
      acceptor.close();
      await clock.advance(200);
      server?.destroy('drop');
      await clock.settle();
      assert.equal(network.open, 0, `called off after ${at} ms`);
    }
  });

  test('without descriptors it tells its watcher, waits longer each time, and goes on by itself', async () => {
    const { clock, network } = still();
    const acceptor = await listenAt(network);
    const troubles: string[] = [];
    const taken: Channel[] = [];
    acceptor.watcher = {
      ready() {
        const channel = acceptor.take();
        if (channel !== null) taken.push(channel);
      },
      trouble: (error) => troubles.push(`${clock.now()} ${error.code}`),
    };
    await clock.run(network.transport.dial({ kind: 'memory', name: 'chat' }).result);
    network.exhaustDescriptors(true);
    const start = clock.now();
    acceptor.want(true);
    await clock.settle();
    assert.deepEqual(troubles, [`${start} EMFILE`]);
    await assert.rejects(clock.run(network.transport.dial({ kind: 'memory', name: 'chat' }).result), {
      code: 'EMFILE',
    });
    await assert.rejects(listenAt(network, 'other'), { code: 'EMFILE' });
    await clock.advance(400);
    assert.deepEqual(
      troubles,
      [0, 50, 150, 350].map((ms) => `${start + ms} EMFILE`),
    );
    assert.equal(taken.length, 0);
    network.exhaustDescriptors(false);
    await clock.advance(400);
    assert.equal(taken.length, 1);
    assert.equal(troubles.length, 4);
  });
});

describe('options of a network in memory', () => {
  test('are all told at once when they are wrong', () => {
    const wrong = { seed: -1, bufferSise: 3, faults: { latency: { min: 5, max: 1 }, reset: 2 } };
    assert.throws(
      () => memoryNetwork(wrong),
      (error: unknown) => {
        const { message } = error as Error;
        for (const part of ['options.seed', 'did you mean "bufferSize"', 'options.faults.reset'])
          assert.ok(message.includes(part), message);
        return true;
      },
    );
    const network = memoryNetwork();
    assert.throws(() => network.faults({ latency: { min: 5, max: 1 } }), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.ok(Number.isInteger(network.seed));
  });
});
