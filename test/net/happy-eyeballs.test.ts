import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PortsideError } from '../../src/base/errors.ts';
import { interleave, race } from '../../src/net/happy-eyeballs.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { Acceptor, Channel, DialTarget } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { unhandled } from '../support/unhandled.ts';

/** A network, its time, and when which address was dialled. */
class Stage {
  readonly clock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly dialled: string[] = [];
  readonly acceptors: Acceptor[] = [];

  constructor() {
    this.network = memoryNetwork({ clock: this.clock, seed: 7, synRetry: 1 });
  }

  async listen(host: string, latency = 0): Promise<void> {
    const acceptor = await this.network.transport.listen(
      { kind: 'tcp', host, port: 80, ipv6Only: true },
      { backlog: 16, reusePort: false, reuseAddress: undefined },
    );
    this.acceptors.push(acceptor);
    this.latency(host, latency);
  }

  /** Milliseconds that each way takes; a round trip is twice that. */
  latency(host: string, ms: number): void {
    this.network.faults({ latency: { min: ms, max: ms } }, host.includes(':') ? `[${host}]:80` : `${host}:80`);
  }

  /** Silence: SYNs get no answer. */
  silence(host: string): void {
    this.network.faults({ backlogFull: 1 }, host.includes(':') ? `[${host}]:80` : `${host}:80`);
  }

  race(hosts: readonly string[], delay: number, signal = new AbortController().signal): Promise<Channel> {
    const { transport } = this.network;
    return race(
      hosts.map((host): DialTarget => ({ kind: 'tcp', host, port: 80, localHost: undefined, localPort: undefined })),
      delay,
      {
        ...transport,
        dial: (target) => {
          assert.ok(target.kind === 'tcp');
          this.dialled.push(`${this.clock.now()} ${target.host}`);
          return transport.dial(target);
        },
      },
      this.clock,
      signal,
    );
  }

  /** Who won, and when. */
  async winner(hosts: readonly string[], delay: number, { quiet = false } = {}): Promise<string> {
    const channel = await this.clock.run(this.race(hosts, delay));
    const { remote } = channel;
    assert.ok('host' in remote);
    const text = `${this.clock.now()} ${remote.host}`;
    const { length } = this.dialled;
    await this.clock.settle();
    // Latencies are the network's own and run on; what the race has set must be gone at once.
    if (quiet) assert.equal(this.clock.armed, 0, 'the others are called off');
    channel.destroy('drop');
    for (const acceptor of this.acceptors) acceptor.close();
    await this.clock.advance(100_000);
    assert.equal(this.network.open, 0, 'the sockets of the others are closed');
    assert.equal(this.dialled.length, length, 'nothing is dialled afterwards');
    assert.equal(this.clock.armed, 0);
    return text;
  }
}

function refusal(promise: Promise<unknown>): Promise<PortsideError> {
  return promise.then(
    () => assert.fail('it resolved'),
    (error: unknown) => {
      assert.ok(error instanceof PortsideError);
      return error;
    },
  );
}

describe('the order of addresses', () => {
  const of = (...hosts: string[]): { host: string; family: string }[] =>
    hosts.map((host) => ({ host, family: host.includes(':') ? 'ipv6' : 'ipv4' }));
  const mixed = (...hosts: string[]): string[] => interleave(of(...hosts)).map(({ host }) => host);

  test('families take turns, beginning with that of the first; within a family the order stays', () => {
    assert.deepEqual(mixed('::1', '::2', '::3', '1.1.1.1', '2.2.2.2'), ['::1', '1.1.1.1', '::2', '2.2.2.2', '::3']);
    assert.deepEqual(mixed('1.1.1.1', '2.2.2.2', '3.3.3.3', '::1'), ['1.1.1.1', '::1', '2.2.2.2', '3.3.3.3']);
    assert.deepEqual(mixed('1.1.1.1', '::1', '2.2.2.2'), ['1.1.1.1', '::1', '2.2.2.2']);
  });

  test('one family, one address and none are left as they are', () => {
    assert.deepEqual(mixed('::3', '::1', '::2'), ['::3', '::1', '::2']);
    assert.deepEqual(mixed('::1'), ['::1']);
    assert.deepEqual(mixed(), []);
  });
});

describe('the race of addresses', () => {
  test('an address that answers before the delay is the only one that is dialled', async () => {
    const stage = new Stage();
    await stage.listen('::1', 50);
    await stage.listen('1.1.1.1');
    assert.equal(await stage.winner(['::1', '1.1.1.1'], 250), '100 ::1');
    assert.deepEqual(stage.dialled, ['0 ::1']);
  });

  test('one that is silent gets company after the delay, and each of the next after another; the first that answers wins', async () => {
    const stage = new Stage();
    stage.silence('::1');
    stage.silence('1.1.1.1');
    await stage.listen('::2', 30);
    await stage.listen('2.2.2.2');
    assert.equal(await stage.winner(['::1', '1.1.1.1', '::2', '2.2.2.2'], 250, { quiet: true }), '560 ::2');
    assert.deepEqual(stage.dialled, ['0 ::1', '250 1.1.1.1', '500 ::2']);
  });

  test('one that is slow may still win after the next began', async () => {
    const stage = new Stage();
    await stage.listen('::1', 150);
    await stage.listen('1.1.1.1', 100);
    assert.equal(await stage.winner(['::1', '1.1.1.1'], 250), '300 ::1');
    assert.deepEqual(stage.dialled, ['0 ::1', '250 1.1.1.1']);
  });

  test('a failure begins the next at once, and the delay counts anew from there', async () => {
    const stage = new Stage();
    stage.latency('::1', 20);
    stage.silence('1.1.1.1');
    await stage.listen('::2', 10);
    assert.equal(await stage.winner(['::1', '1.1.1.1', '::2'], 250), '310 ::2');
    assert.deepEqual(stage.dialled, ['0 ::1', '40 1.1.1.1', '290 ::2']);
  });

  test('two that answer in one turn, before either can be called off: one is given, the other is closed', async () => {
    const { network, clock } = new Stage();
    const pairs = [network.pair(), network.pair()];
    const answers: (() => void)[] = [];
    const targets = ['a', 'b'].map((name): DialTarget => ({ kind: 'memory', name }));
    const racing = race(
      targets,
      10,
      {
        ...network.transport,
        dial: () => {
          const [channel] = pairs[answers.length]!;
          const { promise, resolve } = Promise.withResolvers<Channel>();
          answers.push(() => resolve(channel));
          // It is too late to cancel what has answered.
          return { result: promise, cancel() {} };
        },
      },
      clock,
      new AbortController().signal,
    );
    await clock.advance(10);
    for (const answer of answers) answer();
    const winner = await clock.run(racing);
    assert.equal(winner, pairs[0]![0]);
    assert.equal(winner.closed, false);
    assert.equal(pairs[1]![0].closed, true);
    network.resetAll();
  });

  test('in sequence, each is given up before the next begins', async () => {
    const stage = new Stage();
    stage.silence('::1');
    stage.latency('1.1.1.1', 5);
    await stage.listen('::2', 5);
    // With one more try a silent address takes 1 + 2 seconds.
    assert.equal(await stage.winner(['::1', '1.1.1.1', '::2'], Infinity), '3020 ::2');
    assert.deepEqual(stage.dialled, ['0 ::1', '3000 1.1.1.1', '3010 ::2']);
  });

  test('when all fail, the error is that of the first that failed, and its cause has them all in order', async () => {
    const stage = new Stage();
    stage.silence('::1');
    stage.latency('1.1.1.1', 5);
    const error = await stage.clock.run(refusal(stage.race(['::1', '1.1.1.1', '::2'], 250)));
    assert.equal(error.code, 'ECONNREFUSED');
    assert.equal(error.remote, '1.1.1.1:80');
    assert.equal(error.op, 'connect');
    assert.match(error.message, /nobody listens on 1\.1\.1\.1:80.*and 2 more of its addresses/u);
    assert.ok(error.cause instanceof AggregateError);
    assert.deepEqual(
      error.cause.errors.map((one: PortsideError) => `${one.code} ${String(one.remote)}`),
      ['ECONNREFUSED 1.1.1.1:80', 'ECONNREFUSED [::2]:80', 'ETIMEDOUT [::1]:80'],
    );
    assert.deepEqual(stage.dialled, ['0 ::1', '250 1.1.1.1', '260 ::2']);
    assert.equal(stage.clock.now(), 3_000);
    assert.equal(stage.clock.armed, 0);
  });

  test('the only address’s error is given as it is', async () => {
    const stage = new Stage();
    const error = await stage.clock.run(refusal(stage.race(['::1'], 250)));
    assert.equal(error.code, 'ECONNREFUSED');
    assert.equal(error.cause, undefined);
    assert.doesNotMatch(error.message, /more/u);
  });

  test('an abort calls all of them off, and nothing is left behind', async () => {
    const rejections = unhandled();
    const stage = new Stage();
    stage.silence('::1');
    await stage.listen('1.1.1.1', 500);
    const controller = new AbortController();
    const reason = new Error('enough');
    const racing = assert.rejects(
      stage.race(['::1', '1.1.1.1', '::2'], 250, controller.signal),
      (error) => error === reason,
    );
    await stage.clock.advance(400);
    controller.abort(reason);
    await racing;
    for (const acceptor of stage.acceptors) acceptor.close();
    await stage.clock.advance(100_000);
    assert.deepEqual(stage.dialled, ['0 ::1', '250 1.1.1.1']);
    assert.equal(stage.network.open, 0);
    assert.equal(stage.clock.armed, 0);
    assert.deepEqual(await rejections(), []);
  });
});
