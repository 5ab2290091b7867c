import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { loadNative } from '../../../src/transport/native/load.ts';
import { nodeTransport } from '../../../src/transport/node/transport.ts';
import { folderWith, startCommand } from '../command.ts';
import { ANSWER, load } from './load.ts';

/** `PORTSIDE_UPGRADES=20` for what is promised. */
const UPGRADES = Number(process.env['PORTSIDE_UPGRADES'] ?? 1);

const withoutNative = (): string | false => {
  const native = loadNative();
  if ('addon' in native) return false;
  if (process.env['PORTSIDE_REQUIRE_NATIVE'] === '1') throw new Error('the native transport does not load');
  return native.reason;
};
const withoutMoves = nodeTransport.flags.transfer ? false : 'this Node moves no sockets between threads';

async function upgradeUnderLoad(t: TestContext, unix: boolean, ...words: readonly string[]): Promise<void> {
  const at = folderWith(t, { 'answer.ts': ANSWER });
  const path = at('answer.sock');
  const paths = unix ? ['--endpoint', `unix://${path}`] : [];
  const { server, port } = await startCommand(t, [
    'serve',
    at('answer.ts'),
    ...['--port', '0', '--upgradable', '--grace', '1m', ...paths, ...words],
  ]);
  await server.until(/^portside: upgrade with: kill -USR2 \d+$/mu);
  const { met, stop } = load([{ host: '127.0.0.1', port }, ...(unix ? [{ path }] : [])]);
  const pids = new Set<number>();
  for (let count = 1; count <= UPGRADES; count += 1) {
    server.signal('SIGUSR2');
    const [line, now] = await server.until(
      new RegExp(`^(?:portside: upgraded: process (\\d+) serves[^]*?){${count}}$`, 'mu'),
      'err',
    );
    assert.ok(line);
    pids.add(Number(now));
    // Each serves for a while, and the ones before it drain.
    const { short } = met;
    while (!met.pids.has(Number(now)) || met.short < short + 50)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { short, asked, failures } = await stop();
  t.diagnostic(`${UPGRADES} upgrades: ${short} short connections, ${asked} questions of long ones`);
  assert.deepEqual(failures, []);
  assert.equal(pids.size, UPGRADES);
  assert.ok(short > 50 * UPGRADES && asked > 0);
  server.signal('SIGTERM');
  assert.deepEqual(await server.exit, { code: 0, signal: null });
  assert.doesNotMatch(server.err, /forced|failed|has died/u);
}

describe('upgrades under a load of short and long connections: none refused, none reset', () => {
  test('one thread over node:net, by TCP and by a path', (t) => upgradeUnderLoad(t, true, '--transport', 'node'));

  test('one thread over the native core, by TCP and by a path', { skip: withoutNative() }, (t) =>
    upgradeUnderLoad(t, true, '--transport', 'native'),
  );

  test('two workers over the native core, by TCP and by a path', { skip: withoutNative() }, (t) =>
    upgradeUnderLoad(t, true, '--transport', 'native', '--workers', '2'),
  );

  test('two workers over node:net', { skip: withoutMoves }, (t) =>
    upgradeUnderLoad(t, false, '--transport', 'node', '--workers', '2'),
  );
});
