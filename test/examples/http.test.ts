import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { eventually, leavesNoThread, onEachWay, portOf, settled, startOn } from '../parallel/support.ts';
import { temporaryFolder } from '../support/folder.ts';
import { endAll } from '../support/nets.ts';
import { start } from '../support/program.ts';
import { withoutWrk, wrk } from '../support/wrk.ts';
import { startWith } from './serving.ts';
import type { Counted } from './workers/http-counted.ts';

const example = new URL('../../examples/http.ts', import.meta.url);
const MIB = 1_048_576;

for (const transport of ['node', ...('addon' in loadNative() ? ['native'] : [])]) {
  describe(`examples/http.ts, one thread of ${transport}, by curl`, () => {
    const serving = ['serve', 'examples/http.ts', '--port', '0', '--transport', transport];

    test('serves several URLs on one connection', async (t) => {
      const { server, port } = await startWith(t, serving);
      const url = `http://127.0.0.1:${port}/`;
      const curl = start(t, 'curl', ['-sSv', url, `${url}again`]);
      assert.deepEqual(await curl.exit, { code: 0, signal: null }, curl.err);
      assert.match(curl.out, /^(?:Hello, 127\.0\.0\.1! This is thread 0\.\n){2}$/u);
      assert.match(curl.err, /Re-using existing/u);
      server.signal('SIGTERM');
      assert.deepEqual(await server.exit, { code: 0, signal: null }, server.err);
    });

    test('gives back 5 MB as they were, asked before or not', async (t) => {
      const { port } = await startWith(t, serving);
      const folder = temporaryFolder(t);
      const up = join(folder, 'up');
      const down = join(folder, 'down');
      const body = randomBytes(5 * MIB);
      writeFileSync(up, body);
      for (const more of [
        ['-H', 'Expect: 100-continue'],
        ['-H', 'Expect:'],
        ['-H', 'Transfer-Encoding: chunked'],
      ]) {
        const post = ['-sSv', ...more, '--data-binary', `@${up}`, '-o', down, `http://127.0.0.1:${port}/`];
        const curl = start(t, 'curl', post);
        assert.deepEqual(await curl.exit, { code: 0, signal: null }, curl.err);
        assert.ok(readFileSync(down).equals(body), more.join(' '));
        assert.equal(/HTTP\/1\.1 100 Continue/u.test(curl.err), !more.includes('Expect:'), curl.err);
      }
    });

    test('speaks HTTP/1.0, and HEAD', async (t) => {
      const { port } = await startWith(t, serving);
      const url = `http://127.0.0.1:${port}/`;
      const old = start(t, 'curl', ['-sSi', '-0', url]);
      assert.deepEqual(await old.exit, { code: 0, signal: null }, old.err);
      assert.match(old.out, /\r\nConnection: close\r\n(?:[^]*\r\n)?\r\nHello/u);
      const head = start(t, 'curl', ['-sSI', url]);
      assert.deepEqual(await head.exit, { code: 0, signal: null }, head.err);
      assert.match(head.out, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/u);
    });
  });
}

/** Posts something, and waits for it to come back. */
async function echo(agent: Agent, port: number, body: Buffer): Promise<{ body: Buffer; thread: string }> {
  const request = httpRequest({ host: '127.0.0.1', port, method: 'POST', agent });
  request.end(body);
  const [response] = await once(request, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { body: Buffer.concat(chunks), thread: String(response.headers['x-thread']) };
}

onEachWay('examples/http.ts over two workers', (way) => {
  leavesNoThread();

  test('is served by both, through one port', async () => {
    const server = await startOn(way, example);
    const threads = new Map<string, number>();
    const clients = [];
    // By the kernel, which one serves is chance.
    for (let i = 0; i < 8 || threads.size < 2; i += 1) {
      const client = await connect({ host: '127.0.0.1', port: portOf(server) });
      clients.push(client);
      await client.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n');
      const head = Buffer.from((await client.readUntil('\r\n\r\n')) ?? []).toString('latin1');
      const thread = /X-Thread: (\d+)/u.exec(head)?.[1];
      assert.ok(thread !== undefined, head);
      threads.set(thread, (threads.get(thread) ?? 0) + 1);
    }
    assert.equal(threads.size, 2);
    if (way.handed) assert.deepEqual([...threads.values()], [4, 4]);
    const { workers } = server.status();
    assert.deepEqual([...threads.keys()].toSorted(), workers.map(({ threadId }) => String(threadId)).toSorted());
    await endAll(...clients);
    await settled(server, 0);
  });

  test('stands a load of wrk without an error', { skip: withoutWrk() }, async (t) => {
    const server = await startOn(way, example);
    const failed: unknown[] = [];
    server.on('error', (error) => failed.push(error));
    const { requests, faults } = await wrk(t, `http://127.0.0.1:${portOf(server)}/`, '-t', '1', '-c', '64', '-d', '2');
    assert.deepEqual(faults, []);
    assert.ok(requests > 64, `${requests} requests`);
    const { workers, accepted } = await settled(server, 0);
    assert.ok(accepted >= 64);
    for (const { index, accepted: own } of workers) assert.ok(own > 0, `worker ${index} had no connection`);
    assert.deepEqual(failed, []);
  });

  test('a drain under load finishes every request that was begun', async () => {
    const begun = new SharedArrayBuffer(4);
    const workerData: Counted = { begun };
    const server = await startOn(way, new URL('./workers/http-counted.ts', import.meta.url), { workerData });
    const port = portOf(server);
    let answered = 0;
    let over = false;
    const threads = new Set<string>();
    const clients = Array.from({ length: 16 }, async (_, i) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      // Some are small, some take long.
      const body = randomBytes(i % 4 === 0 ? 2 * MIB : 2_000);
      try {
        for (;;) {
          const { body: back, thread } = await echo(agent, port, body);
          assert.ok(back.equals(body));
          threads.add(thread);
          answered += 1;
        }
      } catch (error) {
        // Who comes too late is told by a connection that is refused, or ends without an answer.
        assert.ok(over, error as Error);
        assert.match((error as NodeJS.ErrnoException).code ?? '', /^(?:ECONNREFUSED|ECONNRESET|EPIPE)$/u);
      } finally {
        agent.destroy();
      }
    });
    await eventually(() => answered > 500 && threads.size === 2);
    over = true;
    const { connections, entries, lost, took: _, ...endings } = await server.drain({ grace: 20_000 });
    await Promise.all(clients);
    assert.equal(answered, new Int32Array(begun)[0], 'every request that a worker began was answered whole');
    assert.equal(endings.forced, 0);
    assert.equal(
      Object.values(endings).reduce((sum, count) => sum + count, 0),
      connections,
    );
    assert.equal(entries.length, connections);
    assert.deepEqual(lost, []);
  });
});
