import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { inCheckout, start, startPortside } from '../support/program.ts';
import { folderWith } from './command.ts';
import { withoutPrograms } from './upgrade/notify-receiver.ts';

const PORTSIDE = [
  '--disable-warning=ExperimentalWarning',
  '--import',
  inCheckout('scripts/on-source.ts'),
  inCheckout('src/cli/bin.ts'),
];

/** What `portside status` shows. */
async function ask(t: TestContext, admin: string): Promise<string> {
  const asked = startPortside(t, ['status', '--admin', admin]);
  const { code } = await asked.exit;
  assert.equal(code, 0, asked.err);
  return asked.out;
}

/** Runs `portside serve` with an admin endpoint on descriptor 3, a socket that listens at `host`; gives its first line, or what it fails by. */
async function givenSocket(t: TestContext, host: string): Promise<string> {
  const socket = createServer().listen(0, host);
  await once(socket, 'listening');
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const words = [...PORTSIDE, 'serve', folderWith(t)('tell.ts'), '--port', '0', '--admin', 'fd://3'];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe', fd] });
  socket.close();
  const over = once(child, 'close');
  t.after(async () => {
    child.kill('SIGKILL');
    await over;
  });
  const failed = text(child.stderr!);
  const [first] = (await Promise.race([once(child.stdout!, 'data'), over.then(() => [null])])) as [Buffer | null];
  return first === null ? failed : String(first);
}

describe('an admin endpoint on a socket that was handed over', () => {
  test('is had by its name from systemd', { skip: withoutPrograms('systemd-socket-activate') }, async (t) => {
    const at = folderWith(t);
    const [admin, chat] = [at('admin.sock'), at('chat.sock')];
    const words = ['serve', at('tell.ts'), '-e', 'systemd://chat', '--admin', 'systemd://admin'];
    const sockets = ['-E', 'PATH', '-l', admin, '-l', chat, '--fdname=admin:chat'];
    const server = start(t, 'systemd-socket-activate', [...sockets, process.execPath, ...PORTSIDE, ...words]);
    await server.until(/Listening on .*chat\.sock as 4/u, 'err');
    // Who asks starts it.
    assert.match(await ask(t, admin), /^connections +0 of 10000\n/mu);
    // Where it is, only systemd knows.
    await server.until(/^portside: admin on systemd:\/\/admin; look with: portside status --admin <its path>\n/mu);
    server.signal('SIGTERM');
    assert.equal((await server.exit).code, 0);
    assert.ok(statSync(admin).isSocket(), 'it is systemd’s');
  });

  test('is had by its number, and needs a token where others may reach it', async (t) => {
    const [mine, open] = await Promise.all([givenSocket(t, '127.0.0.1'), givenSocket(t, '0.0.0.0')]);
    const [, admin = ''] = /^portside: admin on http:\/\/(127\.0\.0\.1:\d+); look with: /u.exec(mine) ?? [];
    assert.match(await ask(t, admin), /^connections +0 of 10000\n/mu);
    assert.match(open, /^portside: the admin endpoint can't be on fd:\/\/3 without a token/u);
  });

  test('that is not there is told', async (t) => {
    const handler = folderWith(t)('tell.ts');
    for (const [admin, told] of [
      ['systemd://admin', /^portside: systemd passed no sockets to this process, so systemd:\/\/admin can't be had/u],
      ['fd://77', /^portside: .*fd:\/\/77/u],
    ] as const) {
      const server = startPortside(t, ['serve', handler, '--port', '0', '--admin', admin]);
      assert.equal((await server.exit).code, 1);
      assert.match(server.err, told);
    }
  });
});
