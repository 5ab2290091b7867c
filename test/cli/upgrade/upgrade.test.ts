import assert from 'node:assert/strict';
import { existsSync, mkdirSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { inCheckout, start, startNc, startPortside } from '../../support/program.ts';
import type { Program } from '../../support/program.ts';
import { folderWith } from '../command.ts';
import { isAlive, untilGone } from '../processes.ts';
import { Client } from './load.ts';

/** Answers each line by `word` and the process. */
const says = (word: string, more = ''): string => `
import type { Connection } from 'portside';
${more}
export default async function say(conn: Connection): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    conn.busy = true;
    await conn.write(\`${word} \${process.pid}\\n\`);
  }
}
`;

interface Upgradable {
  readonly at: (name: string) => string;
  readonly server: Program;
  readonly port: number;
  /** The process that upgrades. */
  readonly supervisor: number;
}

async function upgradable(t: TestContext, ...words: readonly string[]): Promise<Upgradable> {
  const at = folderWith(t, { 'say.ts': says('one') });
  const server = startPortside(t, ['serve', at('say.ts'), '--port', '0', '--upgradable', ...words]);
  const [, port] = await server.until(/^portside: serving .* on 127\.0\.0\.1:(\d+)/mu);
  const [, supervisor] = await server.until(/^portside: upgrade with: kill -USR2 (\d+)$/mu);
  return { at, server, port: Number(port), supervisor: Number(supervisor) };
}

/** Asks for a word on a connection of its own, which stays. */
async function call(where: { readonly port: number } | { readonly path: string }, word: string): Promise<Client> {
  const client = await Client.connect('port' in where ? { host: '127.0.0.1', port: where.port } : where);
  await client.asked('go', new RegExp(`^${word} (\\d+)$`, 'u'));
  return client;
}

async function stopped(server: Program): Promise<void> {
  server.signal('SIGTERM');
  assert.deepEqual(await server.exit, { code: 0, signal: null });
}

describe('portside serve --upgradable', () => {
  test('by SIGUSR2 takes up new code; who is connected stays with the old program, to his end', async (t) => {
    // Longer than any timer of Node's.
    const { at, server, port } = await upgradable(t, '--upgrade-timeout', '1000h');
    const before = await call({ port }, 'one');
    const silent = await Client.connect({ host: '127.0.0.1', port });
    writeFileSync(at('say.ts'), says('two'));
    server.signal('SIGUSR2');
    await server.until(/^portside: upgraded: process \d+ serves, process \d+ drains$/mu, 'err');
    await server.until(/^portside: process \d+ serves from now on; waiting for 2 connections$/mu, 'err');
    // Who came last has a moment to say what he wants.
    await silent.asked('go', /^one (\d+)$/u);
    await silent.end();
    // The old program takes nobody any more.
    for (let count = 0; count < 20; count += 1) await (await call({ port }, 'two')).end();
    const after = await call({ port }, 'two');
    await before.asked('still', /^one (\d+)$/u);
    await before.end();
    await server.until(/^portside: stopped; (?!.*(?:idle|forced|failed)).*$/mu, 'err');
    await after.end();
    await stopped(server);
  });

  test('goes on with the old program when the new one dies, or is late, and says why', async (t) => {
    const [{ at, server, port }, slow] = await Promise.all([
      upgradable(t),
      upgradable(t, '--upgrade-timeout', '1500ms'),
    ]);
    writeFileSync(slow.at('say.ts'), says('two', 'setInterval(() => {}, 1_000); await new Promise(() => {});'));
    slow.server.signal('SIGUSR2');
    await slow.server.until(/upgrade by SIGUSR2: starting the new version\n/u, 'err');
    slow.server.signal('SIGUSR2');
    await slow.server.until(/^portside: upgrade by SIGUSR2: not now: another upgrade is under way$/mu, 'err');
    writeFileSync(at('say.ts'), says('two', "throw new Error('half done');"));
    server.signal('SIGUSR2');
    await server.until(
      /^portside: not upgraded: the new version did not start: exit code 1: .*half done.*\nportside: process \d+ goes on$/mu,
      'err',
    );
    await (await call({ port }, 'one')).end();
    writeFileSync(at('say.ts'), says('three'));
    server.signal('SIGUSR2');
    await server.until(/^portside: upgraded: /mu, 'err');
    await (await call({ port }, 'three')).end();
    await stopped(server);
    await slow.server.until(/not upgraded: the new version did not start: it was not ready within 1500ms\n/u, 'err');
    await (await call(slow, 'one')).end();
    await stopped(slow.server);
  });

  test('is upgraded by its admin endpoint, which moves along, as do its paths and its shutdown port', async (t) => {
    const at = folderWith(t, { 'say.ts': says('one') });
    const [path, admin] = [at('say.sock'), at('admin.sock')];
    const words = [
      '--endpoint',
      `unix://${path}`,
      '--admin',
      admin,
      '--shutdown',
      ':0',
      '--port',
      '0',
      '--mode',
      '600',
    ];
    const server = startPortside(t, ['serve', at('say.ts'), '--upgradable', ...words]);
    await server.until(/upgrade with/u);
    const { ino, mode } = statSync(path);
    assert.equal(mode & 0o777, 0o600);
    assert.equal(statSync(admin).mode & 0o777, 0o600);
    writeFileSync(at('say.ts'), says('two'));
    const asked = startPortside(t, ['upgrade', '--admin', admin, '--json']);
    assert.deepEqual(await asked.exit, { code: 0, signal: null });
    const { pid, before } = JSON.parse(asked.out) as { pid: number; before: number };
    await server.until(
      new RegExp(`^portside: upgrade by unix: process ${pid} serves, process ${before} drains$`, 'mu'),
      'err',
    );
    await server.until(/^portside: stopped; /mu, 'err');
    assert.ok(!isAlive(before) || (await untilGone(before)) === undefined);
    // Whoever left has not taken the files along.
    assert.equal(statSync(path).ino, ino);
    await (await call({ path }, 'two')).end();
    const status = startPortside(t, ['status', '--admin', admin, '--json']);
    await status.exit;
    assert.equal((JSON.parse(status.out) as { pid: number }).pid, pid);
    const [, shutdown] = await server.until(/any connection to 127\.0\.0\.1:(\d+) stops it/u);
    startNc(t, Number(shutdown), '-z');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.deepEqual([existsSync(path), existsSync(admin)], [false, false]);
  });

  test('has what a config file says, which is read anew with every upgrade', async (t) => {
    const config = (paths: readonly string[]): string =>
      `export default { handler: './say.ts', listen: ${JSON.stringify(paths.map((path) => ({ path })))} };`;
    const at = folderWith(t, { 'say.ts': says('one') });
    const [a, b] = [at('a.sock'), at('b.sock')];
    writeFileSync(at('portside.config.ts'), config([a]));
    const server = startPortside(t, ['serve', '--upgradable', '--config', at('portside.config.ts')]);
    await server.until(/upgrade with/u);
    const first = await call({ path: a }, 'one');
    writeFileSync(at('portside.config.ts'), config([b]));
    server.signal('SIGUSR2');
    await server.until(/^portside: upgraded: /mu, 'err');
    await (await call({ path: b }, 'one')).end();
    assert.equal(existsSync(a), false);
    await first.end();
    // Of a version that does not start nothing stays open.
    const c = at('c.sock');
    const seen = `console.log('found', process.getBuiltinModule('node:fs').existsSync('${c}')); throw new Error('broken');`;
    writeFileSync(at('portside.config.ts'), config([b, c]));
    writeFileSync(at('say.ts'), says('two', seen));
    server.signal('SIGUSR2');
    await server.until(/^portside: process \d+ goes on$/mu, 'err');
    assert.match(server.out, /^found true$/mu);
    assert.equal(existsSync(c), false);
    await (await call({ path: b }, 'one')).end();
    await stopped(server);
    assert.equal(existsSync(b), false);
  });

  test('starts a program that has died again, and clients wait for it', async (t) => {
    const { server, port } = await upgradable(t);
    const client = await Client.connect({ host: '127.0.0.1', port });
    const pid = await client.asked('go', /^one (\d+)$/u);
    process.kill(pid, 'SIGKILL');
    await server.until(/^portside: process \d+ has died \(SIGKILL\); clients wait at its sockets$/mu, 'err');
    await (await call({ port }, 'one')).end();
    // And takes it along when it dies itself.
    const next = await Client.connect({ host: '127.0.0.1', port });
    const left = await next.asked('go', /^one (\d+)$/u);
    assert.notEqual(left, pid);
    server.signal('SIGKILL');
    await server.until(/^portside: the supervisor has died; stopping$/mu, 'err');
    await next.asked('still', /^one (\d+)$/u);
    await next.end();
    await untilGone(left);
  });

  test('those who wait because it is full, and not in the kernel, are served by the old program', async (t) => {
    const { server, port } = await upgradable(t, '--transport', 'node', '--max-connections', '1');
    const one = await Client.connect({ host: '127.0.0.1', port });
    const pid = await one.asked('go', /^one (\d+)$/u);
    const waiting = await Client.connect({ host: '127.0.0.1', port });
    const asked = waiting.asked('go', /^one (\d+)$/u);
    server.signal('SIGUSR2');
    await server.until(/^portside: upgraded: /mu, 'err');
    assert.equal(await asked, pid);
    await Promise.all([one.end(), waiting.end()]);
    await stopped(server);
  });

  test('goes where symbolic links lead by then', async (t) => {
    const at = folderWith(t);
    for (const version of ['v1', 'v2']) {
      mkdirSync(at(version));
      writeFileSync(at(`${version}/say.ts`), says(`${version}\${process.env['BY'] ?? ''}`));
    }
    symlinkSync('v1', at('current'));
    symlinkSync(process.execPath, at('node'));
    const node = ['--disable-warning=ExperimentalWarning', '--import', inCheckout('scripts/on-source.ts')];
    const words = [at('node'), ...node, inCheckout('src/cli/bin.ts'), 'serve', 'say.ts', '-p', '0', '--upgradable'];
    const server = start(t, 'sh', ['-c', 'cd "$0" && exec "$@"', at('current'), ...words]);
    const [, port] = await server.until(/on 127\.0\.0\.1:(\d+)[^]*upgrade with/u);
    await (await call({ port: Number(port) }, 'v1')).end();
    symlinkSync('v2', at('next'));
    renameSync(at('next'), at('current'));
    // And Node, of which there is no other here.
    writeFileSync(at('other-node'), `#!/bin/sh\nBY=-other exec '${process.execPath}' "$@"\n`, { mode: 0o755 });
    renameSync(at('other-node'), at('node'));
    server.signal('SIGUSR2');
    await server.until(/^portside: upgraded: /mu, 'err');
    await (await call({ port: Number(port) }, 'v2-other')).end();
    await stopped(server);
  });
});

test('with JSON lines, nothing else is on standard error', async (t) => {
  const at = folderWith(t, { 'say.ts': says('one') });
  const server = startPortside(t, ['serve', at('say.ts'), '-p', '0', '--upgradable', '--log-format', 'json']);
  await server.until(/"msg":"upgrade with: kill -USR2 \d+"\}\n/u, 'err');
  writeFileSync(at('say.ts'), says('two', "throw new Error('half done');"));
  server.signal('SIGUSR2');
  await server.until(
    /"msg":"not upgraded: the new version did not start: exit code 1: [^{]*half done[^{]*"\}\n/u,
    'err',
  );
  await stopped(server);
  const lines = server.err
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { level: string; msg: string });
  assert.ok(lines.length > 4 && lines.every(({ level, msg }) => level !== '' && msg !== ''));
  assert.equal(server.out, '');
});

describe('portside exec --upgradable', () => {
  test('drains the programs of the old one, and runs new ones by the new', async (t) => {
    const server = startPortside(t, ['exec', '-p', '0', '--upgradable', '--shell', '--', 'echo $PPID; exec cat']);
    const [, port] = await server.until(/^portside: running .* on 127\.0\.0\.1:(\d+)[^]*upgrade with/mu);
    const old = startNc(t, Number(port), '-N');
    const [, before] = await old.until(/^(\d+)\n/u);
    server.signal('SIGUSR2');
    await server.until(/^portside: upgraded: /mu, 'err');
    const fresh = startNc(t, Number(port), '-N');
    const [, now] = await fresh.until(/^(\d+)\n/u);
    assert.notEqual(now, before);
    old.end('still here\n');
    await old.until(/still here/u);
    assert.deepEqual(await old.exit, { code: 0, signal: null });
    fresh.end();
    await fresh.exit;
    await stopped(server);
  });
});

describe('what does not start', () => {
  test('ends the supervisor with its exit code, and its words', async (t) => {
    const at = folderWith(t, { 'broken.ts': "throw new Error('broken');" });
    const broken = startPortside(t, ['serve', at('broken.ts'), '-p', '0', '--upgradable']);
    const usage = startPortside(t, ['serve', at('tell.ts'), '-p', '0', '--upgradable', '--grace', '1s', '--host', '']);
    const kernel = startPortside(t, [
      'serve',
      at('tell.ts'),
      '-p',
      '0',
      '--upgradable',
      '--workers',
      '1',
      '--dispatch',
      'kernel',
    ]);
    assert.deepEqual(await broken.exit, { code: 1, signal: null });
    assert.match(broken.err, /^portside: .*broken.*\n$/u);
    assert.equal((await usage.exit).code, 2);
    assert.equal((await kernel.exit).code, 1);
    assert.match(kernel.err, /^portside: --upgradable: under --dispatch kernel every worker has a socket of its own/u);
    const path = at('admin.sock');
    const plain = startPortside(t, ['serve', at('tell.ts'), '-p', '0', '--admin', path]);
    await plain.until(/serving/u);
    const upgrade = startPortside(t, ['upgrade', '--admin', path]);
    assert.equal((await upgrade.exit).code, 1);
    assert.equal(
      upgrade.err,
      'portside: the server has no supervisor that could start a new version; start it with --upgradable\n',
    );
    await stopped(plain);
    const idle = startPortside(t, ['serve', at('tell.ts'), '-p', '0', '--upgrade-timeout', '1s']);
    assert.equal((await idle.exit).code, 2);
    assert.match(idle.err, /--upgrade-timeout needs --upgradable/u);
  });

  test('a taken port is told by the supervisor', async (t) => {
    const { port } = await upgradable(t);
    const at = folderWith(t);
    const other = startPortside(t, ['serve', at('tell.ts'), '-p', String(port), '--upgradable']);
    assert.deepEqual(await other.exit, { code: 1, signal: null });
    assert.equal(
      other.err,
      `portside: 127.0.0.1:${port} is in use by another program; choose another port or stop it\n`,
    );
  });
});
