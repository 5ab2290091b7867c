import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, statSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { inCheckout, start, startNc, startPortside } from '../../support/program.ts';
import type { Program } from '../../support/program.ts';
import { folderWith } from '../command.ts';
import { ANSWER, Client } from './load.ts';
import { startReceiver, withoutPrograms } from './notify-receiver.ts';
import type { NotifyReceiver } from './notify-receiver.ts';

interface Activated {
  readonly at: (name: string) => string;
  readonly server: Program;
  readonly path: string;
  readonly receiver: NotifyReceiver;
  /** The one whose connection has started it. */
  readonly first: Client;
}

/** `portside serve` as systemd starts it: by a connection to one of two sockets that it is given by name, and with somebody to tell how it does. */
async function activated(t: TestContext, ...words: readonly string[]): Promise<Activated> {
  const at = folderWith(t, { 'answer.ts': ANSWER });
  const [path, other] = [at('chat.sock'), at('other.sock')];
  // One is at a path, and one at an abstract name, as systemd has had it.
  const receiver = await startReceiver(t, words.length > 0);
  const node = ['--disable-warning=ExperimentalWarning', '--import', inCheckout('scripts/on-source.ts')];
  const server = start(
    t,
    'systemd-socket-activate',
    [
      ...['-E', 'PATH', '-E', 'NOTIFY_SOCKET', '-E', 'WATCHDOG_USEC', '-l', other, '-l', path, '--fdname=other:chat'],
      ...[process.execPath, ...node, inCheckout('src/cli/bin.ts'), 'serve', at('answer.ts'), '-e', 'systemd://chat'],
      ...words,
    ],
    { NOTIFY_SOCKET: receiver.path, WATCHDOG_USEC: '600000' },
  );
  await server.until(/Listening on .*chat\.sock as 4/u, 'err');
  const first = await Client.connect({ path });
  // Where it is, is told by the transport, as far as that knows.
  await receiver.until(/^READY=1 \| STATUS=serving .*answer\.ts on unix:\/\/.*$/mu);
  return { at, server, path, receiver, first };
}

const without = withoutPrograms('systemd-socket-activate', 'systemd-notify', 'python3');

describe('started by systemd', { skip: without }, () => {
  test('it serves the socket of a name, and tells how it does: ready, alive, reloading, stopping', async (t) => {
    const { server, path, receiver, first } = await activated(t);
    const pid = await first.ask('busy');
    const again = await Client.connect({ path });
    assert.equal(await again.ask('more'), pid);
    await again.end();
    await receiver.until(/^WATCHDOG=1$/mu);
    server.signal('SIGHUP');
    await receiver.until(
      /^RELOADING=1 \| MONOTONIC_USEC=\d+ \| STATUS=serving .*\n(?:.*\n)*?READY=1 \| STATUS=serving /mu,
    );
    server.signal('SIGTERM');
    await receiver.until(/^STOPPING=1 \| STATUS=stopping$/mu);
    await first.end();
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    // It is systemd's.
    assert.ok(statSync(path).isSocket());
  });

  test('with --upgradable, an upgrade is a reload, and the socket stays', async (t) => {
    const { at, server, path, receiver, first } = await activated(t, '--upgradable');
    const before = await first.ask('busy');
    await receiver.until(/^WATCHDOG=1$/mu);
    server.signal('SIGUSR2');
    await receiver.until(
      /^RELOADING=1 \| MONOTONIC_USEC=\d+ \| STATUS=upgrading\n(?:.*\n)*?READY=1 \| STATUS=serving /mu,
    );
    await server.until(/^portside: upgraded: /mu, 'err');
    const next = await Client.connect({ path });
    assert.notEqual(await next.ask('next'), before);
    assert.equal(await first.ask('still'), before);
    await first.end();
    // One that does not start is one, too.
    writeFileSync(at('answer.ts'), "throw new Error('broken');");
    const { length } = receiver.told;
    server.signal('SIGUSR2');
    await server.until(/^portside: not upgraded: /mu, 'err');
    await receiver.until(new RegExp(`^[^]{${length}}(?:.*\\n)*RELOADING=1[^]*READY=1`, 'u'));
    await next.end();
    server.signal('SIGTERM');
    await receiver.until(/^STOPPING=1 \| STATUS=stopping$/mu);
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.ok(statSync(path).isSocket());
  });

  test('programs that it runs for clients have nobody to tell', async (t) => {
    const receiver = await startReceiver(t);
    const words = ['exec', '-p', '0', '--shell', '--', 'echo "<$NOTIFY_SOCKET$PORTSIDE_SUPERVISED>"'];
    const asked = [[], ['--upgradable']].map(async (more) => {
      const server = startPortside(t, [words[0]!, ...more, ...words.slice(1)], { NOTIFY_SOCKET: receiver.path });
      const [, port] = await server.until(/on 127\.0\.0\.1:(\d+)/u);
      const client = startNc(t, Number(port), '-N');
      await client.until(/^<>\n/u);
      client.end();
      await client.exit;
      server.signal('SIGTERM');
      await server.exit;
    });
    await Promise.all(asked);
  });
});

test('where the service manager can not be told, it is said once, and served', async (t) => {
  const at = folderWith(t);
  const env = { NOTIFY_SOCKET: at('nobody'), PATH: at('.') };
  const server = startPortside(t, ['serve', at('tell.ts'), '-p', '0'], env);
  await server.until(/^portside: serving /mu);
  await server.until(
    /^portside: NOTIFY_SOCKET is set, and the service manager can't be told: there is no systemd-notify here$/mu,
    'err',
  );
  server.signal('SIGTERM');
  assert.deepEqual(await server.exit, { code: 0, signal: null });
});

test('the unit files are such as systemd understands', { skip: withoutPrograms('systemd-analyze') }, (t) => {
  const at = folderWith(t);
  for (const kind of ['service', 'socket'])
    cpSync(inCheckout(`examples/systemd/portside@.${kind}`), at(`portside@.${kind}`));
  const { status, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', '--man=no', at('portside@chat.service'), at('portside@chat.socket')],
    {
      encoding: 'utf8',
    },
  );
  assert.deepEqual([status, stderr], [0, '']);
});
