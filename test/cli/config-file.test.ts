import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { configHandler, loadConfig } from '../../src/cli/config-file.ts';
import type { LoadedConfig } from '../../src/cli/config-file.ts';
import { mergeOptions } from '../../src/cli/merge-options.ts';

const base = mkdtempSync(join(tmpdir(), 'portside-config-'));
after(() => rmSync(base, { recursive: true }));
let made = 0;

/** A directory with these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  made += 1;
  const folder = join(base, `d${made}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** The config of a directory, which has to have one. */
async function configOf(files: Readonly<Record<string, string>>, path?: string): Promise<LoadedConfig> {
  const config = await loadConfig(path, folderOf(files));
  assert.ok(config !== null);
  return config;
}

describe('a config file', () => {
  for (const name of ['portside.config.ts', 'portside.config.mts', 'portside.config.js', 'portside.config.mjs']) {
    test(`${name} is found in the working directory`, async () => {
      const typed = name.endsWith('ts') ? ': { port: number }' : '';
      const folder = folderOf({ [name]: `const options${typed} = { port: 7000 };\nexport default options;` });
      assert.deepEqual(await loadConfig(undefined, folder), {
        file: join(folder, name),
        name,
        options: { port: 7000 },
        handler: undefined,
      });
    });
  }

  test('is not needed', async () => {
    assert.equal(await loadConfig(undefined, folderOf({ 'other.config.ts': 'export default {};' })), null);
  });

  test('may be named, by a path from the working directory or a whole one, whatever else is there', async () => {
    const folder = folderOf({
      'portside.config.ts': 'export default { port: 1 };',
      'portside.config.js': 'export default { port: 2 };',
      'other.mjs': 'export default { port: 3 };',
    });
    const whole = join(folder, 'other.mjs');
    for (const path of ['other.mjs', whole]) {
      const config = await loadConfig(path, folder);
      assert.deepEqual([config?.options, config?.file, config?.name], [{ port: 3 }, whole, path]);
    }
  });

  test('may be CommonJS, a promise, or a function, async or not, that gives the options', async () => {
    const ways = [
      'export default () => ({ port: 7 });',
      'export default async () => ({ port: 7 });',
      'export default Promise.resolve({ port: 7 });',
      'export default Object.assign(Object.create(null), { port: 7 });',
    ];
    for (const way of ways) {
      const { options } = await configOf({ 'portside.config.mjs': way });
      assert.deepEqual({ ...options }, { port: 7 }, way);
    }
    const { options } = await configOf({ 'c.cjs': 'module.exports = { port: 7 };' }, 'c.cjs');
    assert.deepEqual(options, { port: 7 });
  });

  const wrong: readonly (readonly [string, Readonly<Record<string, string>>, string | undefined, RegExp])[] = [
    [
      'that was named and is not there',
      {},
      'no.ts',
      /^There is no file no\.ts; check the path, which is relative to \//u,
    ],
    ['that is a directory', {}, '.', /^\. is a directory; name the file of the module that exports the options\.$/u],
    [
      'of which there are two',
      { 'portside.config.ts': '', 'portside.config.mjs': '' },
      undefined,
      /^There are portside\.config\.ts and portside\.config\.mjs in .*; keep one of them, or name it by --config\.$/u,
    ],
    [
      'with a mistake',
      { 'portside.config.mjs': 'export default {' },
      undefined,
      /^portside\.config\.mjs can't be loaded: Unexpected end of input$/u,
    ],
    [
      'that throws',
      { 'portside.config.ts': 'throw new Error("no env\\nreally");\nexport default {};' },
      undefined,
      /^portside\.config\.ts can't be loaded: no env$/u,
    ],
    [
      'that imports what is not there',
      { 'portside.config.ts': 'import "not-installed-anywhere"; export default {};' },
      undefined,
      /\(what it imports is not there; install it, or check the path\)$/u,
    ],
    [
      'without an export',
      { 'portside.config.mjs': '' },
      undefined,
      /^portside\.config\.mjs exports nothing; export the/u,
    ],
    [
      'without a default export',
      { 'portside.config.mjs': 'export const port = 1, host = "";' },
      undefined,
      /^portside\.config\.mjs exports only host, port; export the options as its default: export default defineConfig/u,
    ],
    [
      'that exports no options',
      { 'portside.config.mjs': 'export default [];' },
      undefined,
      /^portside\.config\.mjs exports a list of 0 as its options; it has to be an object: /u,
    ],
    [
      'whose function gives none',
      { 'portside.config.mjs': 'export default () => {};' },
      undefined,
      /^The function that portside\.config\.mjs exports gives undefined as its options; it has to be an object/u,
    ],
    [
      'whose function fails',
      { 'portside.config.mjs': 'export default async () => { throw new Error("no secret"); };' },
      undefined,
      /^The function that portside\.config\.mjs exports failed: no secret$/u,
    ],
  ];
  for (const [what, files, path, says] of wrong) {
    test(`${what} is ERR_PORTSIDE_MODULE`, async () => {
      const folder = folderOf(files);
      await assert.rejects(loadConfig(path, folder), { code: 'ERR_PORTSIDE_MODULE', message: says });
    });
  }
});

describe('the handler of a config file', () => {
  const handler = { 'chat.ts': 'export default (conn: { close(): unknown }): void => void conn.close();' };

  test('is the module that it names, by a path from the file or a URL', async () => {
    const ways = [`'./chat.ts'`, `'chat.ts'`, `new URL('chat.ts', import.meta.url)`];
    for (const way of ways) {
      const config = await configOf({ ...handler, 'portside.config.ts': `export default { handler: ${way} };` });
      assert.equal(typeof (await configHandler(config)), 'function', way);
    }
  });

  test('may stand in the file itself', async () => {
    for (const own of ['() => {}', '{ data() {} }']) {
      const config = await configOf({ 'portside.config.ts': `export default { handler: ${own} };` });
      assert.equal(await configHandler(config), config.handler);
    }
  });

  test('may be left out', async () => {
    assert.equal(await configHandler(await configOf({ 'portside.config.ts': 'export default {};' })), null);
  });

  test('that is none is told by the file and its name', async () => {
    for (const [own, shown] of [
      ['5', '5'],
      ['{}', 'an object'],
      ["''", '""'],
      ['null', 'null'],
      ["new URL('https://x.example')", 'an? URL'],
    ] as const) {
      const config = await configOf({ 'portside.config.ts': `export default { handler: ${own} };` });
      await assert.rejects(configHandler(config), {
        code: 'ERR_PORTSIDE_HANDLER',
        message: new RegExp(`^portside\\.config\\.ts: handler must be the path of a module, .* got ${shown}\\.$`, 'u'),
      });
    }
    const config = await configOf({ 'portside.config.ts': `export default { handler: './none.ts' };` });
    await assert.rejects(configHandler(config), { code: 'ERR_PORTSIDE_MODULE', message: /none\.ts; check the path/u });
  });

  test('is loaded from a file of any name', async () => {
    const folder = folderOf({
      'a #1%.mjs': 'export default { handler: "./h ?.mjs" };',
      'h ?.mjs': 'export default () => {};',
    });
    const config = await loadConfig('a #1%.mjs', folder);
    assert.ok(config !== null);
    assert.equal(pathToFileURL(config.file).href.includes('%231%25'), true);
    assert.equal(typeof (await configHandler(config)), 'function');
  });
});

describe('merging options', () => {
  test('the strongest layer that gives an option wins, and undefined gives nothing', () => {
    assert.deepEqual(
      mergeOptions([
        { host: 'a', port: 1, backlog: 5, grace: 1 },
        undefined,
        null,
        { host: 'b', port: undefined, grace: 0 },
        { host: undefined, port: 3 },
      ]),
      { host: 'b', port: 3, backlog: 5, grace: 0 },
    );
    assert.deepEqual(mergeOptions([]), {});
  });

  test('objects are joined at any depth, everything else is taken whole and as it is', () => {
    const list = ['10.0.0.0/8'];
    const key = Buffer.from('k');
    const onError = (): void => {};
    class Store {}
    const store = new Store();
    const config = {
      deadlines: { idle: 1, read: 2 },
      a: { b: { c: 1, d: 2 } },
      allow: ['x', 'y'],
      tls: { key },
      when: 'wait',
    };
    const command = { deadlines: { idle: 9 }, a: { b: { c: 3 } }, allow: list, onError, store, when: { retries: 2 } };
    const merged = mergeOptions([config, command]);
    assert.deepEqual(merged, {
      deadlines: { idle: 9, read: 2 },
      a: { b: { c: 3, d: 2 } },
      allow: list,
      tls: { key },
      onError,
      store,
      when: { retries: 2 },
    });
    assert.equal(merged['allow'], list);
    assert.equal(merged['store'], store);
    assert.equal((merged['tls'] as { key: unknown }).key, key);
    assert.deepEqual(mergeOptions([{ tls: { cert: 'c' } }, { tls: false }]), { tls: false });
    assert.deepEqual(mergeOptions([{ tls: false }, { tls: { cert: 'c', key: undefined } }]), { tls: { cert: 'c' } });
  });

  test('nothing that is given is changed', () => {
    const config = Object.freeze({ deadlines: Object.freeze({ idle: 1 }), port: 1 });
    const command = Object.freeze({ deadlines: Object.freeze({ read: 1 }), endpoint: 'x' });
    const merged = mergeOptions([config, command], [['port', 'endpoint']]);
    assert.deepEqual(merged, { deadlines: { idle: 1, read: 1 }, endpoint: 'x' });
    assert.deepEqual(config, { deadlines: { idle: 1 }, port: 1 });
  });

  test('of options that stand for one another, those of a weaker layer go', () => {
    const instead = [
      ['listen', 'endpoint', 'port', 'path'],
      ['tls.cert', 'tls.key', 'tls.selfSigned'],
    ];
    const config = { listen: ['tcp://:1'], tls: { cert: 'c', key: 'k', alpn: ['x'] }, backlog: 5 };
    assert.deepEqual(mergeOptions([config, { port: 7 }], instead), { port: 7, tls: config.tls, backlog: 5 });
    assert.deepEqual(mergeOptions([config, { tls: { selfSigned: true } }], instead), {
      listen: ['tcp://:1'],
      tls: { selfSigned: true, alpn: ['x'] },
      backlog: 5,
    });
    assert.deepEqual(mergeOptions([config, { tls: { cert: 'd', key: undefined } }], instead)['tls'], {
      cert: 'd',
      alpn: ['x'],
    });
    assert.deepEqual(mergeOptions([{ port: 1, path: 'p' }, { port: 2 }, { listen: undefined }], instead), { port: 2 });
    // Those of one layer are left together: that they don't go together is told to whoever gave them.
    assert.deepEqual(mergeOptions([{}, { port: 2, path: 'q' }], instead), { port: 2, path: 'q' });
  });

  test('an option called __proto__ is an option like any other', () => {
    const hostile = JSON.parse('{ "__proto__": { "polluted": true }, "a": { "__proto__": { "b": 1 } } }') as object;
    const merged = mergeOptions([{ a: { x: 1 } }, { ...hostile }, hostile as Record<string, unknown>]);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
    assert.equal(Object.getPrototypeOf(merged), Object.prototype);
    assert.deepEqual(Object.keys(merged).sort(), ['__proto__', 'a']);
  });
});
