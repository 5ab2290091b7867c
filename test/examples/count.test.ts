import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { startNc, startNode } from '../support/program.ts';
import '../../scripts/on-source.ts';

// Only when the hook above is in place does the example get the same copy of portside as this file.
const { count } = await import('../../examples/count.ts');

interface Counting {
  readonly clock: VirtualClock;
  readonly listener: Listener;
  readonly stop: AbortController;
  readonly total: Promise<number>;
  readonly dial: () => Promise<Connection>;
}

/** The loop in a time of its own, on a network of its own. */
async function counting(): Promise<Counting> {
  const clock = new VirtualClock();
  const { transport } = memoryNetwork({ clock });
  const scope = new Scope({ clock });
  const stop = new AbortController();
  const listener = await scope.run(() => listen({ endpoint: 'memory://count', transport }));
  const total = scope.run(() => count(listener, stop.signal));
  const dial = (): Promise<Connection> => scope.run(() => clock.run(connect('memory://count', { transport })));
  return { clock, listener, stop, total, dial };
}

describe('examples/count.ts', () => {
  test('each second is told to whoever is there, with who was', async () => {
    const { clock, stop, total, dial } = await counting();
    const first = await dial();
    assert.equal(await clock.run(first.readLine()), 'You are visitor 1. Say "who", or "bye".');
    await clock.advance(1_000 - clock.now());
    assert.equal(await clock.run(first.readLine()), '1: 1 here, 1 in all');
    const second = await dial();
    assert.equal(await clock.run(second.readLine()), 'You are visitor 2. Say "who", or "bye".');
    await clock.advance(1_000);
    for (const client of [first, second]) assert.equal(await clock.run(client.readLine()), '2: 2 here, 2 in all');
    void second.write('bye\n');
    assert.equal(await clock.run(second.read()), null);
    await clock.advance(1_000);
    assert.equal(await clock.run(first.readLine()), '3: 1 here, 2 in all');
    await clock.advance(60_000);
    for (let tick = 4; tick <= 63; tick += 1)
      assert.equal(await clock.run(first.readLine()), `${tick}: 1 here, 2 in all`);
    stop.abort();
    assert.equal(await clock.run(first.readLine()), 'Closed. There were 2.');
    void first.close();
    void second.close();
    assert.equal(await clock.run(total), 2);
  });

  test('a visitor who is reset has left, and the loop goes on; a hundred at most are let in', async () => {
    const { clock, listener, stop, total, dial } = await counting();
    const clients: Connection[] = [];
    for (let i = 0; i < 101; i += 1) clients.push(await dial());
    await clock.settle();
    assert.equal(listener.acceptReady, true, 'the last one waits');
    const last = clients.at(-1)!;
    clients[0]!.abort();
    assert.match((await clock.run(last.readLine())) ?? '', /^You are visitor 101\./u);
    stop.abort();
    for (const client of clients) void client.close();
    assert.equal(await clock.run(total), 101);
  });

  test('from the command line, with nc: who, bye, a second, and the end by SIGINT', async (t) => {
    const program = startNode(t, ['examples/count.ts'], { PORT: '0' });
    const [, port] = await program.until(/^Counting visitors; connect with: nc 127\.0\.0\.1 (\d+)\n/u);
    const first = startNc(t, Number(port));
    await first.until(/^You are visitor 1\./u);
    const second = startNc(t, Number(port));
    await second.until(/^You are visitor 2\./u);
    first.write('who\n');
    await first.until(/^1 2\n/mu);
    first.write('what?\n');
    await first.until(/^Visitor 1, say "who" or "bye"\.\n/mu);
    await first.until(/^\d+: 2 here, 2 in all\n/mu);
    // Without -N, nc keeps its side open at the end of its input, until the server closes.
    second.end('bye\n');
    assert.deepEqual(await second.exit, { code: 0, signal: null });
    first.end();
    program.signal('SIGINT');
    assert.deepEqual(await first.exit, { code: 0, signal: null });
    assert.match(first.out, /^Closed\. There were 2\.\n$/mu);
    assert.deepEqual(await program.exit, { code: 0, signal: null });
    assert.match(program.out, /\nThere were 2\.\n$/u);
    assert.equal(program.err, '');
  });
});
