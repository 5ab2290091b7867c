import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll } from '../support/nets.ts';
import { refusal } from '../support/refusal.ts';

describe('connecting to what never answers', () => {
  test('runs into the timeout at the time that was given, not before', async () => {
    const clock = new VirtualClock();
    const network = memoryNetwork({ clock, seed: 1 });
    const scope = new Scope({ parent: null, clock });
    network.partition(true);
    const connecting = scope.run(() => connect('10.0.0.1:80', { transport: network.transport, timeout: 5_000 }));
    const failed = refusal(connecting);
    let over = false;
    void failed.then(() => {
      over = true;
    });
    await clock.advance(4_999);
    assert.equal(over, false);
    await clock.advance(1);
    const error = await failed;
    assert.equal(error.code, 'ERR_PORTSIDE_TIMEOUT');
    assert.equal(error.op, 'connect');
    assert.equal(error.remote, 'tcp://10.0.0.1:80');
    assert.equal(clock.armed, 0, 'the dial and its timers are gone');
    network.partition(false);
    await clock.advance(60_000);
    assert.equal(network.open, 0);
    await scope.close();
  });

  test('without a timeout it is the system’s own ETIMEDOUT', async () => {
    const clock = new VirtualClock();
    const network = memoryNetwork({ clock, seed: 1, synRetry: 2 });
    const scope = new Scope({ parent: null, clock });
    network.partition(true);
    const error = await clock.run(refusal(scope.run(() => connect('10.0.0.1:80', { transport: network.transport }))));
    assert.equal(error.code, 'ETIMEDOUT');
    assert.equal(clock.now(), 7_000);
    await scope.close();
  });

  test('a listener whose queue is full makes clients wait; a signal ends the wait', async () => {
    const network = memoryNetwork({ seed: 1 });
    const listener = await listen({ port: 80, host: '10.0.0.1', backlog: 1, transport: network.transport });
    const first = await connect('10.0.0.1:80', { transport: network.transport });
    const controller = new AbortController();
    const second = connect('10.0.0.1:80', { transport: network.transport, signal: controller.signal });
    const third = connect('10.0.0.1:80', { transport: network.transport });
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(second, (error) => error === reason);
    const accepted = [await listener.accept(), await listener.accept()];
    await endAll(first, await third, ...accepted);
    await listener.close();
    assert.equal(network.open, 0);
  });

  test(
    'a real listener whose queue is full is a timeout, and leaves no socket behind',
    { skip: process.platform !== 'linux' },
    async (t) => {
      // A listener of its own process, stopped, so that nobody accepts: the kernel completes backlog + 1 connections and drops the SYNs behind.
      const script =
        "const s = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => process.send(s.address().port))";
      const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
      t.after(() => child.kill('SIGKILL'));
      const [port] = (await once(child, 'message')) as [number];
      child.kill('SIGSTOP');
      child.disconnect();
      const check = watchLeaks();
      const opened: Connection[] = [];
      const error = await refusal(
        (async () => {
          for (let i = 0; i < 20; i += 1)
            opened.push(await connect(`127.0.0.1:${port}`, { transport: nodeTransport, timeout: 300 }));
        })(),
      );
      assert.equal(error.code, 'ERR_PORTSIDE_TIMEOUT');
      await endAll(...opened);
      await check();
    },
  );
});
