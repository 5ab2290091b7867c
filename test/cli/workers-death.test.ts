import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { call, startSaying, wordIs } from './workers.ts';

describe('the death of a worker', () => {
  test('is told with why and whom it cost, and another takes its place', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '2');
    const victim = await call(t, port);
    const other = await call(t, port);
    victim.client.write('throw\n');
    await server.until(
      /^portside: worker 0 died with 1 connection: asked to throw \(--verbose shows where it comes from\); another starts in 100ms$/mu,
      'err',
    );
    victim.client.end();
    await victim.client.exit;
    await server.until(/^portside: worker 0 serves again$/mu, 'err');
    const next = await call(t, port);
    assert.ok(next.thread !== victim.thread && next.thread !== other.thread);
    other.client.write('still here\n');
    await other.client.until(/still here!/u);
    next.client.write('exit\n');
    await server.until(/worker 0 died with 1 connection: it ended with code 3; another starts in 200ms$/mu, 'err');
  });

  test('shows with --verbose where it comes from, after what becomes of it', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '1', '--verbose');
    const { client } = await call(t, port);
    client.write('throw\n');
    await server.until(
      /^portside: worker 0 died with 1 connection: asked to throw; another starts in 100ms\nError: asked to throw\n {4}at .*say\.ts:/mu,
      'err',
    );
  });

  test('comes from --watchdog when it computes for too long', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '1', '--watchdog', '500ms');
    const { client } = await call(t, port);
    client.write('hang\n');
    await server.until(
      /worker 0 died with 1 connection: it did not turn its event loop for 500 ms, and was ended; /u,
      'err',
    );
    client.end();
    await client.exit;
    await server.until(/worker 0 serves again/u, 'err');
  });

  test('--on-worker-death shrink: the others go on, and when none is left the server stops with exit code 1', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '2', '--on-worker-death', 'shrink');
    const first = await call(t, port);
    first.client.write('exit\n');
    await server.until(/worker 0 died with 1 connection: it ended with code 3; 1 worker goes on$/mu, 'err');
    const second = await call(t, port);
    second.client.write('exit\n');
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(
      server.err,
      /worker 1 died with 1 connection: it ended with code 3; the server stops\nportside: stopped because of a worker that died; /u,
    );
  });

  test('--on-worker-death stop: connections of the others have their grace, and the exit code is 1', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '2', '--on-worker-death', 'stop');
    const victim = await call(t, port);
    const { client } = await call(t, port);
    victim.client.write('exit\n');
    await server.until(/worker 0 died with 1 connection: it ended with code 3; the server stops$/mu, 'err');
    client.write('when drained\n');
    await client.until(/when drained!/u);
    client.end();
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(server.err, /portside: stopped because of a worker that died; 1 connection: 1 finished\n$/u);
  });

  test('over code that is broken by now is tried again, later each time', async (t) => {
    const { server, port, at } = await startSaying(t, '--workers', '1');
    const { client } = await call(t, port);
    writeFileSync(at('word.ts'), 'export const word: string = ;');
    client.write('exit\n');
    await server.until(/worker 0 could not start: .*word\.ts:1 \(--verbose .*\); another starts in 200ms$/mu, 'err');
    writeFileSync(at('word.ts'), wordIs('mended'));
    await server.until(/worker 0 serves again/u, 'err');
    assert.equal((await call(t, port)).word, 'mended');
  });
});
