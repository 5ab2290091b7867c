import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { startNc, startNode, startServing } from '../support/program.ts';
import { startWith } from './serving.ts';

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\r\n$/u;

/** What nc is told by a server that speaks first, and closes. */
async function told(t: TestContext, port: number): Promise<string> {
  const client = startNc(t, port);
  client.end();
  assert.deepEqual(await client.exit, { code: 0, signal: null });
  assert.equal(client.err, '');
  return client.out;
}

/** That it is the time of day, told between two moments. */
function assertNow(line: string, before: number): void {
  assert.match(line, ISO);
  const at = Date.parse(line.trim());
  assert.ok(before <= at && at <= Date.now(), line);
}

describe('examples/daytime.ts', () => {
  test('tells the time of day in one line and closes', async (t) => {
    const { server, port } = await startServing(t, 'examples/daytime.ts');
    const before = Date.now();
    assertNow(await told(t, port), before);
    assert.equal(server.err, '');
  });

  test('so does `portside exec` by the program date, for each client anew', async (t) => {
    const { server, port } = await startWith(t, ['exec', '--port', '0', '--', 'date', '-u', '+%s.%N']);
    let last = Date.now() / 1_000;
    for (let i = 0; i < 2; i += 1) {
      const line = await told(t, port);
      assert.match(line, /^\d{10}\.\d{9}\n$/u);
      assert.ok(last < Number(line) && Number(line) <= Date.now() / 1_000 + 0.001, line);
      last = Number(line);
    }
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });
});

describe('examples/daytime-thunk.ts', () => {
  test('tells each client the time, by a function that takes none, and the terminal where there is none', async (t) => {
    const before = Date.now();
    const server = startNode(t, ['examples/daytime-thunk.ts'], { PORT: '0' });
    const [, port, time = ''] = await server.until(/^Telling the time on 127\.0\.0\.1:(\d+)\. It is now:\n(.*\r\n)/u);
    assertNow(time, before);
    const clients = await Promise.all(Array.from({ length: 5 }, () => told(t, Number(port))));
    for (const line of clients) assertNow(line, before);
    // None of them was printed on the terminal.
    assert.equal(server.out.split('\n').length, 3);
    assert.equal(server.err, '');
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });
});
