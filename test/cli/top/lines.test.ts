import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { main } from '../../../src/cli/main.ts';
import { quoted } from '../../../src/cli/hints.ts';
import { endsItsStands, eventually, say, standOne } from '../../ops/admin-support.ts';
import { inCheckout, start, startPortside } from '../../support/program.ts';
import { folderWith } from '../command.ts';

describe('portside top where there is no terminal', () => {
  endsItsStands();

  test('has a line for each look, in words or as JSON, over restarts, until it is ended or nobody reads it', async (t) => {
    const path = folderWith(t)('admin.sock');
    const stand = await standOne({}, { listen: path });
    const client = await stand.dial();
    await say(client, 'hello');
    const json = startPortside(t, ['top', '--admin', path, '--json', '--count', '1']);
    const words = startPortside(t, ['top', '--admin', path]);
    const command = `${[process.execPath, '--import', inCheckout('scripts/on-source.ts'), inCheckout('src/cli/bin.ts')].map(quoted).join(' ')} top --admin ${quoted(path)} | head -n 1`;
    const unread = start(t, 'sh', ['-c', command]);

    const line =
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ running; 1 open of 10000; accepted 0\/s; closed 0\/s; refused 0\/s; in 0\/s; out 0\/s; loop \d+%, late [\d.]+ms; memory \d+M\n/u;
    await words.until(line);
    assert.deepEqual(await json.exit, { code: 0, signal: null });
    const { name, pid, active, bytesRead, rates } = JSON.parse(json.out) as Record<string, unknown>;
    assert.deepEqual([name, pid, active, bytesRead], ['echo.ts', process.pid, 1, 6]);
    assert.equal((rates as { accepted: number }).accepted, 0);
    await unread.exit;
    assert.match(unread.out, line);

    void stand.server.drain({ grace: 60_000 });
    assert.equal(await client.readLine(), null);
    await client.close();
    await words.until(/Z stopped, not ready;[^\n]*; drain: 0 left; 1 closed \(idle 1\)\n/u);
    await stand.admin.close();
    await words.until(/^portside: the server is gone: it has stopped; trying again\n/mu, 'err');
    const { length } = words.out;
    await standOne({}, { listen: path });
    await words.until(/^portside: the server is back\n/mu, 'err');
    await eventually(() => words.out.slice(length).includes(' running; 0 open'));
    words.signal('SIGTERM');
    assert.deepEqual(await words.exit, { code: 0, signal: null });
  });

  test('says with 3 that there is no server, with 1 that it refuses, with 2 what is wrong', async (t) => {
    const at = folderWith(t);
    const { admin } = await standOne({}, { listen: at('admin.sock'), token: 'correct-horse-battery-staple' });
    assert.ok('path' in admin.address);
    for (const [words, code, told] of [
      [['--admin', at('nobody.sock')], 3, /; a server has an admin endpoint when it was started with --admin/u],
      [['--admin', admin.address.path], 1, /the token is missing: .*; --token-file names the file/u],
      [['--count', '0'], 2, /whole number from 1 on/u],
      [['--interval', '10ms'], 2, /--interval/u],
    ] as const) {
      let err = '';
      const tell = (text: string): void => void (err += text);
      assert.equal(await main(['top', ...words], { out: tell, err: tell }), code, words.join(' '));
      assert.match(err, told);
    }
  });
});
