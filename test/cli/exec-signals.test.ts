import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startNc } from '../support/program.ts';
import { startExec } from './command.ts';
import { isAlive, untilGone } from './processes.ts';

/** A program that says its process id, and stays whatever comes. */
const STUBBORN = `trap '' TERM; echo $$; while :; do sleep 1; done`;

describe('the end of portside exec', () => {
  test('a signal waits for the programs that run, and tells them nothing', async (t) => {
    const { server, port } = await startExec(t, '--', 'cat');
    const client = startNc(t, port, '-N');
    client.write('one\n');
    await client.until(/one/u);
    server.signal('SIGTERM');
    await server.until(/SIGTERM, waiting for 1 connection; once more ends them/u, 'err');
    client.end('two\n');
    await client.exit;
    assert.equal(client.out, 'one\ntwo\n');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.match(server.err, /\nportside: stopped; 1 connection: 1 finished\n/u);
  });

  for (const [how, told] of [
    ['end-input', 'over'],
    ['terminate', 'told'],
  ] as const) {
    test(`--on-drain ${how}`, async (t) => {
      const text = 'trap "echo told; exit" TERM; echo here; read line; echo over';
      const { server, port } = await startExec(t, '--on-drain', how, '--shell', text);
      const client = startNc(t, port, '-d');
      await client.until(/here/u);
      server.signal('SIGTERM');
      await client.exit;
      assert.equal(client.out, `here\n${told}\n`);
      assert.deepEqual(await server.exit, { code: 0, signal: null });
    });
  }

  test('the end of the grace, and a second signal, end the programs too', async (t) => {
    const [short, long] = await Promise.all([
      startExec(t, '--grace', '100ms', '--shell', 'echo $$; exec sleep 1000'),
      startExec(t, '--grace', 'none', '--shell', 'echo $$; exec sleep 1000'),
    ]);
    for (const { server, port } of [short, long]) {
      const client = startNc(t, port, '-d');
      const [pid] = await client.until(/\d+/u);
      server.signal('SIGINT');
      await server.until(/SIGINT, waiting for 1 connection/u, 'err');
      if (server === long.server) server.signal('SIGTERM');
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      assert.equal(isAlive(Number(pid)), false);
      assert.match(server.err, /stopped; 1 connection: 1 forced\n/u);
    }
  });

  test('--kill-after is what a program has that SIGTERM does not end', async (t) => {
    const { server, port } = await startExec(t, '--kill-after', '400ms', '--grace', '0', '--shell', STUBBORN);
    const client = startNc(t, port, '-d');
    const [pid] = await client.until(/\d+/u);
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(isAlive(Number(pid)), false);
    assert.match(
      server.err,
      /waiting for 1 program to end; once more kills what is left\n.*did not end within 400ms of SIGTERM, and was killed\n/u,
    );
  });

  test('while it waits for programs, one more signal kills them, and leaves no orphan', async (t) => {
    const { server, port } = await startExec(t, '--kill-after', 'none', '--grace', '0', '--shell', STUBBORN);
    const client = startNc(t, port, '-d');
    const [pid] = await client.until(/\d+/u);
    server.signal('SIGTERM');
    await server.until(/waiting for 1 program to end/u, 'err');
    // In the first half second it is the same signal, come by npm once more.
    const again = setInterval(() => server.signal('SIGINT'), 100);
    t.after(() => clearInterval(again));
    await untilGone(Number(pid));
    clearInterval(again);
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });
});
