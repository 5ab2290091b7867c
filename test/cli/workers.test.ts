import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { start, startNc, startPortside } from '../support/program.ts';
import { folderWith, startCommand, startTlsClient } from './command.ts';
import { call, sayings, startSaying } from './workers.ts';

/** A module that never gets ready, though its thread lives. */
const SLOW = `
import type { Connection } from 'portside';
setInterval(() => {}, 1_000);
await new Promise(() => {});
export default (conn: Connection): void => void conn.write('late');
`;

describe('portside serve --workers', () => {
  test('serves on as many threads, says so, and counts over all of them at the end', async (t) => {
    const { server, port, at } = await startSaying(t, '--workers', '2');
    const told = `serving ${at('say.ts')} on 127.0.0.1:${port} with 2 workers, least-busy; connect with: nc 127.0.0.1 ${port}`;
    assert.equal(server.out, `portside: ${told}\n`);
    const callers = [await call(t, port), await call(t, port)];
    assert.notEqual(callers[0]?.thread, callers[1]?.thread);
    assert.ok(callers.every(({ thread }) => thread > 0));
    server.signal('SIGTERM');
    await server.until(/SIGTERM, waiting for 2 connections; once more ends them\n/u, 'err');
    assert.notEqual((await startNc(t, port).exit).code, 0, 'the port is closed');
    for (const { client } of callers) {
      client.write('when drained\n');
      await client.until(/when drained!/u);
      client.end();
      await client.exit;
    }
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.match(server.err, /\nportside: stopped; 2 connections: 2 finished\n$/u);
  });

  test('a second signal ends the connections of all workers at once', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '2', '--grace', '600s');
    const callers = [await call(t, port), await call(t, port)];
    server.signal('SIGINT');
    await server.until(/waiting for 2 connections/u, 'err');
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    for (const { client } of callers) await client.exit;
    assert.match(server.err, /\nportside: stopped; 2 connections: 2 forced\n$/u);
  });

  for (const [args, how] of [
    [['--dispatch', 'round-robin'], 'round-robin'],
    [['--dispatch', 'hash'], 'hash'],
    [['--dispatch', 'kernel'], 'kernel'],
  ] as const) {
    test(`${args.join(' ')} is told, and serves`, async (t) => {
      const { server, port } = await startSaying(t, '--workers', '2', ...args);
      await server.until(new RegExp(` with 2 workers, ${how}; connect with`, 'u'));
      const threads: number[] = [];
      for (let i = 0; i < 4; i += 1) {
        const { client, thread } = await call(t, port);
        threads.push(thread);
        client.end();
        await client.exit;
      }
      const [first, second] = threads;
      if (how === 'round-robin') assert.deepEqual(threads, [first, second, first, second]);
      if (how === 'round-robin') assert.notEqual(first, second);
      if (how === 'hash') assert.deepEqual(threads, [first, first, first, first]);
    });
  }

  test('limits hold over all workers', async (t) => {
    const { port } = await startSaying(t, '--workers', '2', '--max-connections', '1');
    const first = await call(t, port);
    const second = startNc(t, port, '-N', '-v');
    await second.until(/succeeded/u, 'err');
    first.client.write('still alone\n');
    await first.client.until(/still alone!/u);
    assert.equal(second.out, '');
    first.client.end();
    await second.until(/thread/u);
  });

  test('an error of a handler is told with its worker and its client', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '2');
    const { client } = await call(t, port);
    client.write('fail\n');
    await client.exit;
    await server.until(
      /^portside: worker 0: the handler failed for 127\.0\.0\.1:\d+: asked to fail \(--verbose shows where it comes from\)\n/mu,
      'err',
    );
    assert.equal((await call(t, port)).word, 'one');
  });

  test('--verbose has the worker in the prefix, the parent none, and shows where a handler threw', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '2', '--verbose=say', '--deny', '127.0.0.7');
    await server.until(/^\[say 1\] waiting for connections on 127/mu, 'err');
    const first = await call(t, port);
    await call(t, port);
    await server.until(/^\[say 0\] #1 accepted from 127.*\n\[say 0\] #1 started \(1 running\)$/mu, 'err');
    await server.until(/^\[say 1\] #1 started/mu, 'err');
    start(t, 'nc', ['-s', '127.0.0.7', '127.0.0.1', String(port)]);
    await server.until(/^\[say\] refused 127\.0\.0\.7:\d+: denied$/mu, 'err');
    first.client.write('fail\n');
    await server.until(
      /^portside: worker 0: the handler failed for .*: Error: asked to fail\n {4}at .*say\.ts:/mu,
      'err',
    );
  });

  test('--shutdown stops all of them', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '2', '--shutdown', ':0');
    const { client } = await call(t, port);
    const [, stop = ''] = await server.until(/any connection to .* stops it: (nc .*)\n/u);
    await start(t, 'sh', ['-c', stop]).exit;
    client.write('when drained\n');
    await client.until(/when drained!/u);
    client.end();
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.match(server.err, /stopped; 1 connection: 1 finished\n$/u);
  });

  test('--tls-self-signed makes one certificate for all, and another at SIGHUP', async (t) => {
    const { server, port } = await startSaying(t, '--workers', '2', '--tls-self-signed', '--dispatch', 'round-robin');
    const shown = async (): Promise<string> => {
      const text = `openssl s_client -connect 127.0.0.1:${port} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256`;
      const client = start(t, 'sh', ['-c', text]);
      const [, print = ''] = await client.until(/=([\dA-F:]{95})/u);
      return print;
    };
    const [, told = ''] = await server.until(/kept in memory; SHA-256 ([\dA-F:]{95})$/mu);
    assert.deepEqual([await shown(), await shown()], [told, told]);
    const client = startTlsClient(t, port);
    server.signal('SIGHUP');
    await server.until(/SIGHUP, reloaded: 2 new workers serve/u, 'err');
    const prints = [...server.out.matchAll(/SHA-256 ([\dA-F:]{95})$/gmu)].map(([, print]) => print);
    assert.equal(prints.length, 2);
    assert.notEqual(prints[1], told);
    assert.deepEqual([await shown(), await shown()], [prints[1], prints[1]]);
    client.end();
  });

  test('--workers cores is as many as the process may use', async (t) => {
    const { server } = await startSaying(t, '--workers', 'cores');
    await server.until(/ with [1-9]\d* workers?, least-busy; /u);
  });
});

describe('a start that fails', () => {
  const failing: readonly (readonly [string, string, RegExp])[] = [
    [
      'throws',
      'throw new Error("no database\\nand more");',
      /^portside: worker [01] could not start: no database \(--verbose shows where it comes from\)\n$/u,
    ],
    [
      'has a mistake',
      'export const x: number = ;',
      /^portside: worker [01] could not start: .*, in \/.*bad\.ts:1 \(--verbose .*\)\n$/u,
    ],
    [
      'exports no handler',
      'export const x = 1;',
      /^portside: worker [01] could not start: file:\/\/.*bad\.ts has no default export, and has not called receiveConnections\(\)\n$/u,
    ],
    ['ends its thread', 'process.exit(5);', /^portside: worker [01] ended with code 5 while it was starting\n$/u],
  ];
  for (const [what, text, says] of failing) {
    test(`of a module that ${what} is told with the worker, and the exit code is 1`, async (t) => {
      const at = folderWith(t, { 'bad.ts': text });
      const server = startPortside(t, ['serve', at('bad.ts'), '--port', '0', '--workers', '2']);
      assert.deepEqual(await server.exit, { code: 1, signal: null });
      assert.match(server.err, says);
      assert.equal(server.out, '');
    });
  }

  test('shows with --verbose where it comes from', async (t) => {
    const at = folderWith(t, { 'bad.ts': 'throw new Error("no database");' });
    const server = startPortside(t, ['serve', at('bad.ts'), '-p', '0', '--workers', '1', '--verbose']);
    assert.equal((await server.exit).code, 1);
    assert.match(
      server.err,
      /^portside: worker 0 could not start: no database\nError: no database\n {4}at .*bad\.ts:1/mu,
    );
  });

  test('for want of the file is told before any worker', async (t) => {
    const at = sayings(t);
    const server = startPortside(t, ['serve', at('none.ts'), '-p', '0', '--workers', '2']);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(server.err, /^portside: There is no file .*none\.ts; check the path\.\n$/u);
  });

  test('is bounded by --boot-timeout, all workers told that are not ready', async (t) => {
    const at = folderWith(t, { 'slow.ts': SLOW });
    const server = startPortside(t, ['serve', at('slow.ts'), '-p', '0', '--workers', '2', '--boot-timeout', '250ms']);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.equal(server.err, 'portside: workers 0, 1 did not get ready within 250 ms\n');
  });

  test('is called off by a signal, and that is in order', async (t) => {
    // The parent's own voice tells when it is under way.
    const at = folderWith(t, { 'slow.ts': `console.log('loading');\n${SLOW}` });
    const server = startPortside(t, ['serve', at('slow.ts'), '-p', '0', '--workers', '1']);
    await server.until(/loading/u);
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(server.err, 'portside: SIGINT, stopped while it was starting\n');
  });

  test('for a port that is taken is told as with one thread', async (t) => {
    const { port } = await startCommand(t, ['serve', sayings(t)('say.ts'), '-p', '0']);
    const server = startPortside(t, ['serve', sayings(t)('say.ts'), '-p', String(port), '--workers', '2']);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(server.err, /^portside: 127\.0\.0\.1:\d+ is in use by another program; [^\n]+\n$/u);
  });

  test('for what does not go together says what does', async (t) => {
    const words = ['--workers', '2', '--dispatch', 'kernel', '--max-connections', '1'];
    const server = startPortside(t, ['serve', sayings(t)('say.ts'), '-p', '0', ...words]);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(server.err, /^portside: maxConnections: 1 .* say round-robin, least-busy or hash, or .*\n$/u);
  });
});
