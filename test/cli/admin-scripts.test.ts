import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { main } from '../../src/cli/main.ts';
import type { Admin } from '../../src/ops/admin.ts';
import { endsItsStands, say, standOne, standTwo } from '../ops/admin-support.ts';
import { serverTls } from '../support/tls.ts';

/** What a command of `portside` says, and its exit code. */
async function run(
  { address }: Admin,
  ...words: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const io = { out: (text: string): void => void (out += text), err: (text: string): void => void (err += text) };
  const where = 'port' in address ? `127.0.0.1:${address.port}` : '';
  const code = await main([...words, '--admin', where], io);
  return { code, out, err };
}

/** The same with `--json`: the objects that it writes. */
async function json(admin: Admin, ...words: readonly string[]): Promise<unknown> {
  const { code, out, err } = await run(admin, ...words, '--json');
  assert.deepEqual([code, err], [0, '']);
  return JSON.parse(out);
}

describe('commands for scripts, with --json', () => {
  endsItsStands();

  test('give what the server says, as JSON', async () => {
    const stand = await standOne();
    const { server, admin } = stand;
    const clients = [await stand.dial(), await stand.dial()];
    for (const client of clients) await say(client, 'hello');
    await say(clients[1]!, 'draining');
    const look = ['connections', '--where', 'peer=loopback,doing=busy', '--sort', 'id'];
    const { total, matched, connections } = (await json(admin, ...look)) as Record<string, unknown>;
    assert.deepEqual([total, matched, (connections as { id: number }[]).map(({ id }) => id)], [2, 1, [2]]);
    assert.deepEqual(await json(admin, 'connections', '1', '--close'), { matched: 1, closed: 1 });
    assert.equal(await clients[0]!.readLine(), null);
    await clients[0]!.close();
    const { maxConnections } = (await json(admin, 'limit', '--max-connections', '5')) as Record<string, unknown>;
    assert.deepEqual([maxConnections, server.limits.maxConnections], [5, 5]);
    assert.deepEqual(await json(admin, 'suspend'), { state: 'suspended', ready: false });
    assert.deepEqual(await json(admin, 'resume'), { state: 'running', ready: true });
    // What is refused is told in words, and by the exit code.
    const refused = await run(admin, 'reload', '--json');
    assert.deepEqual(refused, {
      code: 1,
      out: '',
      err: 'portside: the server runs on one thread: it has no workers\n',
    });
    const { entries } = (await json(admin, 'audit')) as { entries: { action: string }[] };
    assert.deepEqual(
      entries.map(({ action }) => action),
      ['connections/close', 'limits', 'suspend', 'resume', 'reload'],
    );
    assert.deepEqual(await json(admin, 'drain', '--grace', '1m'), { state: 'draining', ready: false });
    // As the command does.
    const closed = server.waitStopped().then(() => admin.close());
    const { code, out } = await run(admin, 'stop', '--grace', '0', '--wait', '--json');
    await closed;
    const lines = out.trimEnd().split('\n');
    const { left, forced } = JSON.parse(lines.at(-1)!) as { left: number; forced: number };
    assert.deepEqual([code, left, forced], [0, 0, 1]);
  });

  test('exchange and count workers', async () => {
    const { admin } = await standTwo();
    assert.deepEqual(await json(admin, 'resize', '1'), { workers: 1 });
    assert.deepEqual(await json(admin, 'reload'), { workers: 1, seamless: true, why: null });
    const { workers } = (await json(admin, 'status')) as { workers: { state: string }[] };
    assert.equal(workers.filter(({ state }) => state === 'serving').length, 1);
  });

  test('reload certificates alone', async () => {
    const { admin } = await standOne({ tls: serverTls() });
    assert.deepEqual(await json(admin, 'reload', '--tls'), { reloaded: true });
    assert.equal((await run(admin, 'reload', '--tls')).out, 'certificates were read anew\n');
    const clear = await run((await standOne()).admin, 'reload', '--tls');
    assert.deepEqual([clear.code, clear.out], [1, '']);
    assert.match(clear.err, /^portside: .*TLS/u);
  });
});
