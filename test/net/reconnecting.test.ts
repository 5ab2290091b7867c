import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { PortsideError } from '../../src/base/errors.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import { reconnecting } from '../../src/net/reconnecting.ts';
import type { ReconnectOptions } from '../../src/net/reconnecting.ts';
import { seededRandom } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { unhandled } from '../support/unhandled.ts';

const TO = '10.0.0.1:80';

/** A network, its time and its chance. */
class Stage {
  readonly clock: VirtualClock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly scope: Scope;
  /** When each attempt failed, and how long the next waits. */
  readonly failures: { at: number; wait: number }[] = [];

  constructor(seed = 1) {
    this.network = memoryNetwork({ clock: this.clock, seed });
    this.scope = new Scope({ parent: null, clock: this.clock, random: seededRandom(seed) });
  }

  start(options: ReconnectOptions = {}): AsyncGenerator<Connection, void, undefined> {
    return this.scope.run(() =>
      reconnecting(TO, {
        transport: this.network.transport,
        onFailure: (_error, wait) => void this.failures.push({ at: this.clock.now(), wait }),
        ...options,
      }),
    );
  }

  listen(): Promise<Listener> {
    return this.scope.run(() => listen({ port: 80, host: '10.0.0.1', transport: this.network.transport }));
  }

  /** Nothing is left: no timer, no socket, nothing that the scope owns. */
  async done(): Promise<void> {
    await this.clock.settle();
    assert.equal(this.clock.armed, 0, 'a timer is left');
    assert.equal(this.network.open, 0, 'a socket is left');
    assert.deepEqual(this.scope.report(), []);
    await this.scope.close();
  }
}

/** Each wait must be between half and all of what it is a share of. */
function assertShares(waits: readonly number[], wholes: readonly number[]): void {
  assert.equal(waits.length, wholes.length);
  for (const [i, wait] of waits.entries()) {
    const whole = wholes[i]!;
    assert.ok(wait >= whole / 2 && wait <= whole, `wait ${i} is ${wait}, not between half and all of ${whole}`);
  }
}

async function failed(clock: VirtualClock, promise: Promise<unknown>): Promise<PortsideError> {
  const caught = promise.then(
    () => assert.fail('it resolved'),
    (error: unknown) => error,
  );
  const error = await clock.run(caught);
  assert.ok(error instanceof PortsideError, String(error));
  return error;
}

describe('reconnecting', () => {
  test('waits longer after each failure, by a share between half and all, up to the longest; then throws the last error', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const stage = new Stage(seed);
      const error = await failed(
        stage.clock,
        stage.start({ backoff: { first: 100, max: 1_000, factor: 3, attempts: 7 } }).next(),
      );
      assert.equal(error.code, 'ECONNREFUSED');
      const waits = stage.failures.map(({ wait }) => wait);
      assertShares(waits, [100, 300, 900, 1_000, 1_000, 1_000]);
      assert.ok(new Set(waits.slice(3)).size > 1, 'the waits differ');
      let at = 0;
      for (const failure of stage.failures) {
        assert.ok(Math.abs(failure.at - at) < 1e-6, `an attempt at ${failure.at}, not ${at}`);
        at += failure.wait;
      }
      assert.ok(Math.abs(stage.clock.now() - at) < 1e-6);
      await stage.done();
    }
  });

  test('the same seed gives the same waits, another one others', async () => {
    const { signal } = new AbortController();
    const waitsOf = async (seed: number): Promise<number[]> => {
      const stage = new Stage(seed);
      await failed(stage.clock, stage.start({ signal, backoff: { attempts: 5 } }).next());
      assert.equal(getEventListeners(signal, 'abort').length, 0, 'the signal is left as it was');
      return stage.failures.map(({ wait }) => wait);
    };
    const first = await waitsOf(3);
    assertShares(first, [100, 200, 400, 800]);
    assert.deepEqual(await waitsOf(3), first);
    assert.notDeepEqual(await waitsOf(4), first);
  });

  test('attempts: 1 fails at once; a first wait that is longer than the longest is cut', async () => {
    const once = new Stage();
    assert.equal((await failed(once.clock, once.start({ backoff: { attempts: 1 } }).next())).code, 'ECONNREFUSED');
    assert.equal(once.clock.now(), 0);
    assert.deepEqual(once.failures, []);
    await once.done();
    const cut = new Stage();
    await failed(cut.clock, cut.start({ backoff: { first: 500, max: 100, attempts: 3 } }).next());
    assertShares(
      cut.failures.map(({ wait }) => wait),
      [100, 100],
    );
    await cut.done();
  });

  test('gives a connection when one can be had, and counts failures anew from there', async () => {
    const stage = new Stage();
    const connections = stage.start({ backoff: { first: 100, factor: 2, attempts: 3, stable: 0 } });
    const next = connections.next();
    await stage.clock.settle();
    const listener = await stage.listen();
    const { value: client } = await stage.clock.run(next);
    assert.ok(client !== undefined);
    assert.equal(stage.failures.length, 1);
    assert.equal(stage.clock.now(), stage.failures[0]!.wait);
    await listener.close();
    client.abort();
    // Two more failures are told before the third is thrown: the one before the connection does not count.
    const error = await failed(stage.clock, connections.next());
    assert.equal(error.code, 'ECONNREFUSED');
    assert.equal(stage.failures.length, 3);
    await stage.done();
  });

  test('after a stable connection the next attempt is at once and the waits begin anew; after a short one they go on growing', async () => {
    const stage = new Stage(2);
    const listener = await stage.listen();
    const connections = stage.start({ backoff: { first: 100, max: 60_000, factor: 2, stable: 5_000 } });
    const starts: number[] = [];
    const lives = [10, 10, 10, 5_000, 10, 20_000, 0];
    for (const life of lives) {
      const { value: client } = await stage.clock.run(connections.next());
      assert.ok(client !== undefined);
      starts.push(stage.clock.now());
      await stage.clock.advance(life);
      client.abort();
      await stage.clock.settle();
    }
    const waits = starts.slice(1).map((start, i) => start - starts[i]! - lives[i]!);
    assertShares(waits.slice(0, 3), [100, 200, 400]);
    assert.ok(Math.abs(waits[3]!) < 1e-6, `after a stable one: ${String(waits[3])}`);
    assertShares([waits[4]!], [100]);
    assert.ok(Math.abs(waits[5]!) < 1e-6);
    await stage.clock.run(connections.return());
    await listener.close();
    await stage.done();
  });

  test('the next connection is made only when it is asked for', async () => {
    const stage = new Stage();
    const listener = await stage.listen();
    const connections = stage.start();
    await stage.clock.advance(60_000);
    assert.equal(stage.network.open, 0);
    const { value: client } = await stage.clock.run(connections.next());
    client?.abort();
    await stage.clock.advance(60_000);
    assert.equal(stage.network.open, 1, 'the accepting side alone, which nobody has taken');
    await stage.clock.run(connections.return());
    await listener.close();
    await stage.done();
  });

  test('break closes the connection and ends it; so does a body that throws', async () => {
    for (const way of ['break', 'throw'] as const) {
      const stage = new Stage();
      const listener = await stage.listen();
      let seen: Connection | undefined;
      const failure = new Error('in the body');
      const loop = (async () => {
        for await (const client of stage.start()) {
          seen = client;
          if (way === 'throw') throw failure;
          break;
        }
      })();
      const server = await stage.clock.run(listener.accept());
      const end = server.read();
      if (way === 'throw') await assert.rejects(stage.clock.run(loop), (error) => error === failure);
      else await stage.clock.run(loop);
      assert.equal(seen?.closeReason?.kind, 'closed');
      assert.equal(await end, null);
      await stage.clock.run(server.close());
      await listener.close();
      await stage.done();
    }
  });

  test('a connection that is still open when the body is done with it is closed before the next is made', async () => {
    const stage = new Stage();
    const listener = await stage.listen();
    const connections = stage.start({ linger: 0 });
    const first = (await stage.clock.run(connections.next())).value;
    const second = (await stage.clock.run(connections.next())).value;
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(first.closeReason?.kind, 'closed');
    assert.equal(second.closeReason, null);
    await stage.clock.run(connections.return());
    await listener.close();
    await stage.done();
  });

  test('a signal ends it without an error: before it begins, while it dials, while it waits, and between two connections', async () => {
    const rejections = unhandled();
    for (const at of ['before', 'dialling', 'waiting', 'between'] as const) {
      const stage = new Stage();
      const controller = new AbortController();
      if (at === 'before') controller.abort();
      if (at === 'dialling') stage.network.partition(true);
      const listener = at === 'between' ? await stage.listen() : null;
      const connections = stage.start({ signal: controller.signal, backoff: { first: 60_000, max: 60_000 } });
      const next = connections.next();
      if (at === 'dialling' || at === 'waiting') {
        await stage.clock.advance(1_000);
        assert.equal(stage.failures.length, at === 'waiting' ? 1 : 0);
        assert.ok(stage.clock.armed > 0);
        controller.abort();
      }
      const got = await stage.clock.run(next);
      if (at === 'between') {
        assert.equal(got.done, false);
        const client = got.value ?? assert.fail('no connection');
        controller.abort();
        assert.equal(client.closeReason, null, 'the connection that the body has is its own');
        client.abort();
        assert.equal((await stage.clock.run(connections.next())).done, true);
      } else assert.equal(got.done, true, at);
      assert.equal((await connections.next()).done, true);
      await listener?.close();
      await stage.done();
    }
    assert.deepEqual(await rejections(), []);
  });

  test('a signal that is aborted while it waits after a short connection ends it at once', async () => {
    const stage = new Stage();
    const listener = await stage.listen();
    const controller = new AbortController();
    const connections = stage.start({ signal: controller.signal, backoff: { first: 60_000, max: 60_000 } });
    (await stage.clock.run(connections.next())).value?.abort();
    const next = connections.next();
    await stage.clock.advance(1_000);
    const before = stage.clock.now();
    controller.abort();
    assert.equal((await stage.clock.run(next)).done, true);
    assert.equal(stage.clock.now(), before);
    await listener.close();
    await stage.done();
  });

  test('each attempt has the timeout that is given, and one that ran out is tried again', async () => {
    const stage = new Stage();
    stage.network.partition(true);
    const codes: unknown[] = [];
    const error = await failed(
      stage.clock,
      stage
        .start({
          timeout: 500,
          backoff: { attempts: 3 },
          onFailure: (one) => void codes.push((one as PortsideError).code),
        })
        .next(),
    );
    assert.equal(error.code, 'ERR_PORTSIDE_TIMEOUT');
    assert.deepEqual(codes, ['ERR_PORTSIDE_TIMEOUT', 'ERR_PORTSIDE_TIMEOUT']);
    await stage.done();
  });

  test('wrong options and endpoints are thrown by the call, all at once and with their paths', () => {
    assert.throws(
      () =>
        reconnecting(TO, {
          timeot: 5,
          backoff: { first: 0, factor: 0.5, attempts: 0, jitter: true },
          onFailure: 'log',
        } as never),
      (error: Error & { code: string; problems: { path: string }[] }) => {
        assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
        assert.deepEqual(error.problems.map(({ path }) => path).sort(), [
          'options.backoff.attempts',
          'options.backoff.factor',
          'options.backoff.first',
          'options.backoff.jitter',
          'options.onFailure',
          'options.timeot',
        ]);
        return true;
      },
    );
    assert.throws(() => reconnecting('nowhere'), { code: 'ERR_PORTSIDE_ENDPOINT' });
  });

  test('what another attempt can’t mend is thrown at once: a guard, a transport that lacks it, a closed scope', async () => {
    const stage = new Stage();
    const guarded = new Scope({ parent: stage.scope, guard: () => false });
    const refused = guarded.run(() => reconnecting(TO, { transport: stage.network.transport }));
    assert.equal((await failed(stage.clock, refused.next())).code, 'ERR_PORTSIDE_GUARD');
    await guarded.close();
    const lacking = stage.scope.run(() => reconnecting('memory://x', { transport: 'node' }));
    assert.equal((await failed(stage.clock, lacking.next())).code, 'ERR_PORTSIDE_UNSUPPORTED');
    assert.equal(stage.clock.now(), 0);
    const late = stage.start();
    await stage.scope.close();
    assert.equal((await failed(stage.clock, late.next())).code, 'ERR_PORTSIDE_SCOPE_CLOSED');
    await stage.done();
  });

  test('its connections belong to the scope of the call, wherever it is asked for them', async () => {
    const stage = new Stage();
    const listener = await stage.listen();
    const inner = new Scope({ parent: stage.scope, name: 'inner' });
    const connections = inner.run(() => reconnecting(TO, { transport: stage.network.transport }));
    const { value: client } = await stage.clock.run(connections.next());
    assert.equal(inner.report().length, 1);
    await stage.clock.run(inner.close());
    assert.equal(client?.closeReason?.kind, 'closed');
    await listener.close();
    await stage.done();
  });

  test('what onFailure throws ends it', async () => {
    const stage = new Stage();
    const mine = new Error('mine');
    const connections = stage.start({
      onFailure: () => {
        throw mine;
      },
    });
    await assert.rejects(stage.clock.run(connections.next()), (error) => error === mine);
    assert.equal((await connections.next()).done, true);
    await stage.done();
  });
});
