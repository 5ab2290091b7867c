import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { startNc, startNode } from '../support/program.ts';
import type { Program } from '../support/program.ts';

async function started(t: TestContext, example: string): Promise<{ server: Program; port: number }> {
  const server = startNode(t, [`examples/${example}`], { PORT: '0' });
  const [, port] = await server.until(/nc -N 127\.0\.0\.1 (\d+)\n/u);
  return { server, port: Number(port) };
}

describe('examples/space-echo.ts', { concurrency: 2 }, () => {
  test('sends back what it gets, all of it, though the end comes right behind it', async (t) => {
    const { server, port } = await started(t, 'space-echo.ts');
    for (let round = 0; round < 3; round += 1) {
      const sent = randomBytes(15_000).toString('base64');
      const nc = startNc(t, port, '-N');
      nc.write(sent);
      nc.end();
      assert.deepEqual(await nc.exit, { code: 0, signal: null });
      assert.equal(nc.out, sent);
    }
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });

  test('says why it can not listen, and ends with 1', async (t) => {
    const { port } = await started(t, 'space-echo.ts');
    const second = startNode(t, ['examples/space-echo.ts'], { PORT: String(port) });
    assert.deepEqual(await second.exit, { code: 1, signal: null });
    assert.match(second.err, /\S+ is in use/u);
  });
});

describe('examples/space-chat.ts', { concurrency: 2 }, () => {
  test('keeps to the transcript', async (t) => {
    const { server, port } = await started(t, 'space-chat.ts');
    const a = startNc(t, port, '-N');
    await a.until(/^You are userA\.\n$/u);
    const b = startNc(t, port, '-N');
    await b.until(/^You are userB\.\nuserA arrived\.\n$/u);
    await a.until(/userB arrived\.\n$/u);
    a.write('hello\n');
    await a.until(/userA: hello\n$/u);
    await b.until(/userA: hello\n$/u);
    // There are no lines in it: what comes in two pieces is said in two.
    a.write('par');
    await b.until(/userA: par$/u);
    a.write('tial\n');
    await b.until(/userA: tial\n$/u);
    b.end();
    assert.deepEqual(await b.exit, { code: 0, signal: null });
    await a.until(/userB departed\.\n$/u);
    assert.equal(a.out, 'You are userA.\nuserB arrived.\nuserA: hello\nuserA: paruserA: tial\nuserB departed.\n');
    assert.equal(b.out, 'You are userB.\nuserA arrived.\nuserA: hello\nuserA: paruserA: tial\n');
    a.end();
    assert.deepEqual(await a.exit, { code: 0, signal: null });
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });

  test('a client that is killed departs as others do, and characters are not torn apart', async (t) => {
    const { port } = await started(t, 'space-chat.ts');
    const a = startNc(t, port, '-N');
    await a.until(/You are userA\.\n/u);
    const b = startNc(t, port, '-N');
    await a.until(/userB arrived\.\n/u);
    const [first, rest] = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1)];
    b.write(Buffer.concat([Buffer.from('caf'), first]));
    await a.until(/userB: caf$/u);
    b.write(rest);
    await a.until(/userB: cafuserB: é$/u);
    b.signal('SIGKILL');
    await a.until(/userB departed\.\n$/u);
  });
});

describe('examples/space-chat-client.ts', { concurrency: 2 }, () => {
  test('shows what comes, sends what is typed, and ends when its input or the server does', async (t) => {
    const { server, port } = await started(t, 'space-chat.ts');
    const a = startNode(t, ['examples/space-chat-client.ts'], { PORT: String(port) });
    await a.until(/^You are userA\.\n$/u);
    const b = startNode(t, ['examples/space-chat-client.ts'], { PORT: String(port) });
    await a.until(/userB arrived\.\n$/u);
    b.write('hello\nand good bye\n');
    await a.until(/userB: hello\n(?:userB: )?and good bye\n$/u);
    b.end();
    assert.deepEqual(await b.exit, { code: 0, signal: null });
    await a.until(/userB departed\.\n$/u);
    server.signal('SIGINT');
    assert.deepEqual(await a.exit, { code: 0, signal: null });
  });

  test('says where nobody listens, and ends with 1', async (t) => {
    const client = startNode(t, ['examples/space-chat-client.ts'], { PORT: '1' });
    assert.deepEqual(await client.exit, { code: 1, signal: null });
    assert.match(client.err, /nobody listens on 127\.0\.0\.1:1/u);
  });
});
