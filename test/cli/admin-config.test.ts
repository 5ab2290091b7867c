import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { Command } from 'commander';
import type { AdminFlags } from '../../src/cli/admin/admin-settings.ts';
import { addFlags } from '../../src/cli/flag.ts';
import { gatherOptions } from '../../src/cli/gather-options.ts';
import { main } from '../../src/cli/main.ts';
import { serverFlags } from '../../src/cli/server-flags.ts';
import { folderWith, startCommandIn } from './command.ts';

const TOKEN = 'correct-horse-battery-staple';
const ADMIN = /^portside: admin on (?:http|unix):\/\/(.*); look with: .*\n/mu;

/** The exit code of `portside status`. */
function status(admin: string, ...words: readonly string[]): Promise<number> {
  return main(['status', '--admin', admin, ...words], { out: () => {}, err: () => {} });
}

/** What a command line comes to. */
async function gathered(...args: readonly string[]): Promise<AdminFlags | null> {
  const command = new Command('test').exitOverride();
  addFlags(command, serverFlags);
  command.parse([...args], { from: 'user' });
  return (await gatherOptions(command, { out: () => {}, err: () => {} })).admin;
}

/** The status of an answer to a request that asks for a host by a name. */
function statusFor(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { host, authorization: `Bearer ${TOKEN}` };
    const asked = request({ host: '127.0.0.1', port, path: '/api/status', headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on('error', reject).end();
  });
}

describe('the admin endpoint in a config file', () => {
  test('is as the flags have it, which go over it, one by one', async (t) => {
    const at = folderWith(t, {
      token: TOKEN,
      'portside.config.ts': `
        import { defineConfig } from 'portside';
        export default defineConfig({
          handler: './tell.ts', port: 0, admin: '0.0.0.0:0', adminTokenFile: 'token', adminNames: ['admin.example'],
        });`,
      'same.mjs': `export default { port: 0, admin: '0.0.0.0:0', adminTokenFile: 'token', adminNames: ['admin.example'] };`,
      'worker.config.ts': `export default { handler: './tell.ts', port: 0, admin: 'unix:admin.sock', workers: 1 };`,
    });
    const [of, parallel] = await Promise.all([
      startCommandIn(t, at('.'), ['serve']),
      startCommandIn(t, at('.'), ['serve', '--config', 'worker.config.ts']),
    ]);
    const [, anywhere = ''] = await of.server.until(ADMIN);
    assert.match(anywhere, /^0\.0\.0\.0:\d+$/u);
    const [, path] = await parallel.server.until(ADMIN);
    assert.equal(path, 'admin.sock');
    const port = Number(anywhere.split(':')[1]);
    assert.equal(await status(`:${port}`), 1);
    assert.equal(await status(`:${port}`, '--token-file', at('token')), 0);
    assert.equal(await status(at('admin.sock')), 0);
    const names = ['admin.example', 'other.example'];
    assert.deepEqual(await Promise.all(names.map((name) => statusFor(port, name))), [200, 403]);

    const config = ['--config', at('same.mjs')];
    const file = `${at('same.mjs')}: adminTokenFile`;
    assert.deepEqual(await gathered(...config, '--admin', ':0', '--admin-name', 'a,b'), {
      admin: ':0',
      adminTokenFile: 'token',
      adminNames: ['a', 'b'],
      tokenFrom: file,
    });
    const { adminTokenFile, tokenFrom } = (await gathered(...config, '--admin-token-file', 'other'))!;
    assert.deepEqual([adminTokenFile, tokenFrom], ['other', '--admin-token-file']);
    assert.equal(await gathered(...config, '--no-admin'), null);
  });

  test('that is wrong is told by the names of the file, and flags by their own', async (t) => {
    const options = `handler: './tell.ts', port: 0`;
    const at = folderWith(t, {
      'wrong.mjs': `export default { ${options}, admin: 'nowhere', adminTokenFile: 1, adminNames: ['a b'] };`,
      'idle.mjs': `export default { ${options}, adminTokenFile: 'token' };`,
      'none.mjs': `export default { ${options}, admin: ':0', adminTokenFile: 'missing' };`,
      'fine.mjs': `export default { ${options}, admin: false };`,
    });
    for (const [file, words, code, told] of [
      [
        'wrong.mjs',
        [],
        1,
        /wrong\.mjs: admin must be an endpoint, .*; adminTokenFile must be .*; adminNames\[0\] must be/u,
      ],
      ['idle.mjs', [], 1, /idle\.mjs: adminTokenFile needs admin: an endpoint/u],
      ['none.mjs', [], 1, /none\.mjs: adminTokenFile missing: there is no such file/u],
      ['fine.mjs', ['--admin-name', 'x'], 2, /--admin-name needs --admin: an endpoint/u],
      ['none.mjs', ['--no-admin', '--admin-token-file', 'x'], 2, /--admin-token-file needs --admin/u],
    ] as const) {
      let err = '';
      const tell = (text: string): void => void (err += text);
      assert.equal(await main(['serve', '--config', at(file), ...words], { out: tell, err: tell }), code, err);
      assert.match(err, told);
    }
  });
});
