import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { autoTransport } from '../../src/net/transports.ts';
import { inCheckout, start, startNc, startPortside, startServing } from '../support/program.ts';

const echo = inCheckout('examples/echo.ts');

describe('portside serve', () => {
  let folder = '';
  const file = (name: string): string => join(folder, name);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portside-'));
    await writeFile(
      file('moody.ts'),
      `import type { Connection } from 'portside';
       export default async (conn: Connection): Promise<void> => {
         // Between two lines too it is not idle, so that the end of the server waits for its client.
         conn.busy = true;
         for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
           if (line === 'throw') throw new Error('bad mood\\nreally');
           await conn.write(\`\${line}!\\n\`);
         }
       };`,
    );
    await writeFile(file('protocol.cjs'), 'module.exports = { data: (conn, bytes) => void conn.write(bytes) };');
  });
  after(() => rm(folder, { recursive: true }));

  test('says where it serves and how to connect, and that works', async (t) => {
    const { server, port } = await startServing(t, echo);
    assert.equal(server.out, `portside: serving ${echo} on 127.0.0.1:${port}; connect with: nc 127.0.0.1 ${port}\n`);
    const client = startNc(t, port, '-N');
    client.end('hello\n');
    await client.exit;
    assert.equal(client.out, 'hello\n');
    assert.equal(server.err, '');
  });

  test('serves a protocol object from CommonJS', async (t) => {
    const { port } = await startServing(t, file('protocol.cjs'));
    const client = startNc(t, port, '-N');
    client.end('hello\n');
    await client.exit;
    assert.equal(client.out, 'hello\n');
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} lets a connected client finish, and then it exits 0`, async (t) => {
      const { server, port } = await startServing(t, file('moody.ts'));
      const client = startNc(t, port, '-N');
      client.write('one\n');
      await client.until(/one!/u);
      server.signal(signal);
      await server.until(new RegExp(`${signal}, waiting for 1 connection; once more ends them`, 'u'), 'err');
      const late = startNc(t, port);
      assert.notEqual((await late.exit).code, 0, 'the port is closed');
      client.write('two\n');
      await client.until(/two!/u);
      client.end('three\n');
      assert.deepEqual(await client.exit, { code: 0, signal: null });
      assert.equal(client.out, 'one!\ntwo!\nthree!\n');
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      assert.match(server.err, /once more ends them\nportside: stopped; 1 connection: 1 finished\n$/u);
    });
  }

  test('with nobody connected a signal ends it at once, with exit code 0', async (t) => {
    const { server } = await startServing(t, echo);
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(server.err, 'portside: SIGTERM, stopping\nportside: stopped; no connections were left\n');
  });

  test('what the module left open does not keep it from ending', async (t) => {
    await writeFile(file('timer.ts'), 'setInterval(() => {}, 1_000);\nexport default (): void => {};');
    const { server } = await startServing(t, file('timer.ts'));
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });

  test('it goes on serving when nobody reads any more what it says', async (t) => {
    const words = [inCheckout('scripts/on-source.ts'), inCheckout('src/cli/bin.ts'), file('moody.ts')];
    const text =
      '"$0" --import "$1" "$2" serve "$3" -p 0 --shutdown :0 --verbose 2>&1 | { for line in 1 2 3; do read line; echo "$line"; done; }';
    const shell = start(t, 'sh', ['-c', text, process.execPath, ...words]);
    const [, port] = await shell.until(/nc 127\.0\.0\.1 (\d+)/u);
    const [, stop = ''] = await shell.until(/stops it: (nc .*)\n/u);
    // The first line that comes now finds the pipe closed.
    for (const word of ['one', 'two']) {
      const client = startNc(t, Number(port), '-N');
      client.end(`${word}\n`);
      await client.exit;
      assert.equal(client.out, `${word}!\n`);
    }
    await start(t, 'sh', ['-c', stop]).exit;
    await shell.exit;
  });

  test('a second signal ends the connections at once', async (t) => {
    const { server, port } = await startServing(t, file('moody.ts'), { args: ['--grace', '600000'] });
    const clients = [startNc(t, port), startNc(t, port)];
    for (const client of clients) {
      client.write('here\n');
      await client.until(/here!/u);
    }
    server.signal('SIGINT');
    await server.until(/waiting for 2 connections/u, 'err');
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    for (const client of clients) await client.exit;
    assert.match(server.err, /\nportside: stopped; 2 connections: 2 forced\n$/u);
  });

  test('the same signal within half a second is the same Ctrl-C, which npm passes on too; later it ends the connections', async (t) => {
    const { server, port } = await startServing(t, file('moody.ts'), { args: ['--grace', '600000'] });
    const client = startNc(t, port);
    client.write('here\n');
    await client.until(/here!/u);
    const before = performance.now();
    server.signal('SIGINT');
    const again = setInterval(() => server.signal('SIGINT'), 20);
    t.after(() => clearInterval(again));
    await client.exit;
    assert.ok(performance.now() - before >= 495);
    // A signal that comes when all is over, and before the process is, would kill it.
    clearInterval(again);
    await server.exit;
  });

  test('--grace bounds how long it waits', async (t) => {
    const { server, port } = await startServing(t, file('moody.ts'), { args: ['--grace', '100'] });
    const client = startNc(t, port);
    client.write('here\n');
    await client.until(/here!/u);
    const before = performance.now();
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.ok(performance.now() - before >= 95);
    await client.exit;
  });

  test('a handler that throws prints one line with the peer, and the server lives on', async (t) => {
    const { server, port } = await startServing(t, file('moody.ts'));
    const good = startNc(t, port, '-N');
    good.write('fine\n');
    await good.until(/fine!/u);
    const bad = startNc(t, port);
    bad.write('throw\n');
    await bad.exit;
    await server.until(/\n/u, 'err');
    assert.match(
      server.err,
      /^portside: the handler failed for 127\.0\.0\.1:\d+: bad mood \(--verbose shows where it comes from\)\n$/u,
    );
    good.end('again\n');
    await good.exit;
    assert.equal(good.out, 'fine!\nagain!\n');
  });

  test('--verbose shows what carries the bytes and why, and where a handler threw', async (t) => {
    const { server, port } = await startServing(t, file('moody.ts'), { args: ['--verbose'] });
    const { name, why } = autoTransport();
    const [, told] = await server.until(/^portside: transport (.*)\n/mu);
    assert.equal(told, `${name}: ${why}`);
    const bad = startNc(t, port);
    bad.write('throw\n');
    await bad.exit;
    await server.until(
      /the handler failed for 127\.0\.0\.1:\d+: Error: bad mood\nreally\n {4}at .*moody\.ts:6:/u,
      'err',
    );
  });

  test('--endpoint serves a Unix domain socket, with --mode, and takes its file away', async (t) => {
    const path = file('e.sock');
    const server = startPortside(t, ['serve', echo, '--endpoint', `unix://${path}`, '--mode', '600']);
    await server.until(/\n/u);
    assert.equal(server.out, `portside: serving ${echo} on unix://${path}; connect with: nc -U ${path}\n`);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const client = start(t, 'nc', ['-N', '-U', path]);
    client.end('hello\n');
    await client.exit;
    assert.equal(client.out, 'hello\n');
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(existsSync(path), false);
  });

  test('several endpoints and a port are served at once, each with its line', async (t) => {
    const path = file('with space.sock');
    const server = startPortside(t, [
      'serve',
      echo,
      '-p',
      '0',
      '-e',
      `unix://${path.replace(' ', '%20')}`,
      '-e',
      'tcp://127.0.0.1:0',
    ]);
    await server.until(/(?:.*\n){3}/u);
    const ways = [...server.out.matchAll(/connect with: nc (.*)$/gmu)].map(([, way = '']) => way);
    assert.equal(ways.length, 3);
    assert.equal(ways[1], `-U '${path}'`);
    for (const way of ways) {
      const client = start(t, 'sh', ['-c', `exec nc -N ${way}`]);
      client.end(`by ${way}`);
      await client.exit;
      assert.equal(client.out, `by ${way}`);
    }
  });

  test('when one endpoint can not be had it ends, and leaves nothing behind', async (t) => {
    const path = file('gone.sock');
    const { port } = await startServing(t, echo);
    const server = startPortside(t, ['serve', echo, '-e', `unix://${path}`, '-e', `tcp://127.0.0.1:${port}`]);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(server.err, /^portside: 127\.0\.0\.1:\d+ is in use by another program; [^\n]+\n$/u);
    assert.equal(server.out, '');
    assert.equal(existsSync(path), false);
  });

  test('--max-connections lets the next one in when one has left', async (t) => {
    const { port } = await startServing(t, echo, { args: ['--max-connections', '1'] });
    const first = startNc(t, port, '-N');
    first.write('first\n');
    await first.until(/first/u);
    const second = startNc(t, port, '-N', '-v');
    await second.until(/succeeded/u, 'err');
    second.end('second\n');
    first.write('first again\n');
    await first.until(/again/u);
    assert.equal(second.out, '');
    first.end();
    await second.exit;
    assert.equal(second.out, 'second\n');
  });
});
