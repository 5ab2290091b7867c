import assert from 'node:assert/strict';
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { NetConnectOpts } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeptSockets } from '../../../src/cli/upgrade/kept-sockets.ts';
import { socketRequest } from '../../../src/cli/upgrade/socket-request.ts';
import { loadNative } from '../../../src/transport/native/load.ts';
import { nodeTransport } from '../../../src/transport/node/transport.ts';
import { startNc, startPortside } from '../../support/program.ts';
import { folderWith, startCommand } from '../command.ts';
import { ANSWER, Client } from './load.ts';

/** What a connection is refused by; null when it is made. */
function refusal(where: NetConnectOpts): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(where);
    socket.on('connect', () => {
      socket.destroy();
      resolve(null);
    });
    socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(code));
  });
}

/** Resolves when nobody is let in any more. */
async function untilRefused(where: NetConnectOpts): Promise<void> {
  for (let code = await refusal(where); code !== 'ECONNREFUSED'; code = await refusal(where)) {
    // Who waits at a socket that is closed is reset.
    assert.ok(code === null || code === 'ECONNRESET', code ?? '');
    await sleep(20);
  }
}

const withoutHandOver =
  nodeTransport.flags.transfer || 'addon' in loadNative() ? false : 'nothing here gives sockets to other threads';

describe('the end of a server with --upgradable', () => {
  for (const [how, lead, transport] of [
    ['after its lead', '1500ms', 'node'],
    ['at once without a lead', '0', 'auto'],
  ] as const)
    test(`refuses who comes, ${how}, and waits for those who are there`, async (t) => {
      const at = folderWith(t, { 'answer.ts': ANSWER });
      const path = at('answer.sock');
      const { server, port } = await startCommand(t, [
        'serve',
        at('answer.ts'),
        ...['--upgradable', '-p', '0', '-e', path, '--drain-lead', lead, '--transport', transport],
      ]);
      await server.until(/upgrade with/u);
      const old = await Client.connect({ path });
      const before = await old.ask('busy');
      server.signal('SIGUSR2');
      await server.until(/^portside: upgraded: /mu, 'err');
      const client = await Client.connect({ host: '127.0.0.1', port });
      assert.notEqual(await client.ask('busy'), before);
      server.signal('SIGTERM');
      await server.until(/^portside: SIGTERM, (?:accepting for 1500ms more|waiting for 1 connection);/mu, 'err');
      if (lead !== '0') await (await Client.connect({ path })).ask('late');
      await untilRefused({ host: '127.0.0.1', port });
      await untilRefused({ path });
      // Those from before have all their time.
      await client.ask('still');
      await old.ask('still');
      await client.end();
      await old.end();
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      assert.equal(existsSync(path), false);
    });

  test('has its port free while only programs from before an upgrade are left', async (t) => {
    const at = folderWith(t, { 'answer.ts': ANSWER });
    const { server, port } = await startCommand(t, ['serve', at('answer.ts'), '-p', '0', '--upgradable']);
    await server.until(/upgrade with/u);
    const old = await Client.connect({ host: '127.0.0.1', port });
    await old.ask('busy');
    server.signal('SIGUSR2');
    await server.until(/^portside: upgraded: /mu, 'err');
    server.signal('SIGTERM');
    await untilRefused({ host: '127.0.0.1', port });
    await old.ask('still');
    await old.end();
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });

  test('comes at once by a second signal; SIGHUP is for the program', async (t) => {
    const at = folderWith(t, { 'answer.ts': ANSWER });
    const { server, port } = await startCommand(t, ['serve', at('answer.ts'), '-p', '0', '--upgradable']);
    await server.until(/upgrade with/u);
    server.signal('SIGHUP');
    await server.until(/^portside: SIGHUP, and nothing to read anew: /mu, 'err');
    const client = await Client.connect({ host: '127.0.0.1', port });
    await client.ask('busy');
    server.signal('SIGTERM');
    await server.until(/^portside: SIGTERM, waiting for 1 connection; once more ends them$/mu, 'err');
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.match(server.err, /^portside: stopped; 1 connection: 1 forced$/mu);
    await assert.rejects(client.ask('gone'));
  });

  test('comes by a signal during an upgrade too, whose old program has died', async (t) => {
    const at = folderWith(t, { 'answer.ts': ANSWER });
    const { server, port } = await startCommand(t, ['serve', at('answer.ts'), '-p', '0', '--upgradable']);
    await server.until(/upgrade with/u);
    const client = await Client.connect({ host: '127.0.0.1', port });
    const pid = await client.ask('busy');
    writeFileSync(at('answer.ts'), "console.log('slow'); setInterval(() => {}, 1_000); await new Promise(() => {});");
    server.signal('SIGUSR2');
    await server.until(/^slow$/mu);
    process.kill(pid, 'SIGKILL');
    await server.until(/^portside: process \d+ has died \(SIGKILL\)/mu, 'err');
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });

  test('is not there when it only breaks: clients wait for the next program', { skip: withoutHandOver }, async (t) => {
    const breaks = ANSWER.replace('{\n    if', "{\n    if (line === 'die') process.exit(1);\n    if");
    const at = folderWith(t, { 'answer.ts': breaks });
    const words = ['-p', '0', '--upgradable', '--workers', '2', '--on-worker-death', 'stop'];
    const { server, port } = await startCommand(t, ['serve', at('answer.ts'), ...words]);
    await server.until(/upgrade with/u);
    const one = await Client.connect({ host: '127.0.0.1', port });
    const pid = await one.ask('busy');
    const other = await Client.connect({ host: '127.0.0.1', port });
    await assert.rejects(other.ask('die'));
    await server.until(/the server stops$/mu, 'err');
    // The one worker still serves its client, and drains; who comes by then waits.
    const next = await Client.connect({ host: '127.0.0.1', port });
    const asked = next.ask('next');
    await one.ask('still');
    await one.end();
    await server.until(/^portside: process \d+ has died \(exit code 1\); clients wait at its sockets$/mu, 'err');
    assert.notEqual(await asked, pid);
    await next.end();
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });

  test('that has begun is not undone by an upgrade that was under way', async (t) => {
    const at = folderWith(t, { 'answer.ts': ANSWER });
    const admin = at('admin.sock');
    const words = ['-p', '0', '--upgradable', '--admin', admin];
    const { server, port } = await startCommand(t, ['serve', at('answer.ts'), ...words]);
    await server.until(/upgrade with/u);
    const client = await Client.connect({ host: '127.0.0.1', port });
    await client.ask('busy');
    const slow = `import { existsSync } from 'node:fs';
console.log('slow');
while (!existsSync(${JSON.stringify(at('go'))})) await new Promise((resolve) => setTimeout(resolve, 20));
${ANSWER}`;
    writeFileSync(at('answer.ts'), slow);
    server.signal('SIGUSR2');
    await server.until(/^slow$/mu);
    const drain = startPortside(t, ['drain', '--admin', admin]);
    assert.equal((await drain.exit).code, 0, drain.err);
    writeFileSync(at('go'), '');
    await server.until(/^portside: not upgraded: it is being stopped$/mu, 'err');
    await client.ask('still');
    await untilRefused({ host: '127.0.0.1', port });
    await client.end();
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.doesNotMatch(server.err, /forced|failed|has died|goes on/u);
  });
});

test('sockets that are given up leave the files of their paths to those who listen there still', async (t) => {
  const at = folderWith(t);
  const [a, b] = [at('a.sock'), at('b.sock')];
  const kept = new KeptSockets();
  const request = (path: string) => socketRequest('serve', { endpoint: { kind: 'unix', path } });
  await kept.open([request(a), request(b), socketRequest('serve', { endpoint: { kind: 'unix', path: '\0x' + a } })]);
  const { ino } = statSync(a);
  kept.release();
  assert.deepEqual(kept.passed(), { fds: [], told: [] });
  assert.equal(statSync(a).ino, ino);
  assert.equal(await refusal({ path: a }), 'ECONNREFUSED');
  // Whose is what came to be there since is not known.
  await kept.open([request(b)]);
  const other = statSync(b).ino;
  kept.release();
  assert.equal(statSync(b).ino, other);
  kept.close();
  assert.deepEqual([existsSync(a), existsSync(b)], [false, false]);
  await kept.open([request(a)]);
  writeFileSync(at('file'), 'mine');
  renameSync(at('file'), a);
  kept.close();
  assert.ok(statSync(a).isFile(), 'it is somebody else’s');
});

describe('a program that exec runs for a client', () => {
  test('has none of the sockets', { skip: process.platform !== 'linux' }, async (t) => {
    const at = folderWith(t);
    const words = ['-p', '0', '-e', at('x.sock'), '--admin', at('admin.sock'), '--upgradable'];
    // Its input and output are sockets too.
    const shell = 'for each in /proc/$$/fd/*; do if [ -S "$each" ]; then echo "${each##*/}"; fi; done; echo end';
    const { server, port } = await startCommand(t, ['exec', ...words, '--shell', '--', shell]);
    await server.until(/upgrade with/u);
    const client = startNc(t, port, '-N');
    await client.until(/end\n/u);
    assert.match(client.out, /^0\n1\n(?:2\n)?end\n$/u);
    client.end();
    await client.exit;
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });
});
