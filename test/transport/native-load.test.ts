import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as layout from '../../src/transport/native/layout.ts';
import { inChild, prelude } from './native-support.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('loading the native core', () => {
  test('without its binary the transport says so, and loading never throws', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portside-'));
    try {
      cpSync(join(root, 'src'), join(folder, 'src'), { recursive: true });
      cpSync(join(root, 'package.json'), join(folder, 'package.json'));
      const copied = prelude.replaceAll(new URL('../../src/', import.meta.url).href, `file://${folder}/src/`);
      const code = copied.replace('const transport = nativeTransport();', '');
      const { out, err } = await inChild(`${code}
        console.log(typeof loadNative().reason, loadNative() === loadNative());
        try { nativeTransport(); } catch (error) { console.log(error.code, error.message.includes('native/build.ts')); }`);
      assert.equal(out, 'string true\nERR_PORTSIDE_UNSUPPORTED true\n', err);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('the numbers that C and TypeScript share are the same on both sides', () => {
    const header = readFileSync(join(root, 'native/portside.h'), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//gu, '');
    const numbers: Record<string, number> = {};
    for (const [, body = ''] of header.matchAll(/enum \{([^}]*)\}/gu)) {
      let value = 0;
      for (const item of body
        .split(',')
        .map((text) => text.trim())
        .filter(Boolean)) {
        const [name = '', sum] = item.split(' = ');
        // Sums and products of numbers and names that came before.
        if (sum !== undefined) {
          value = sum.split(' + ').reduce((total, product) => {
            return total + product.split(' * ').reduce((left, factor) => left * (numbers[factor] ?? Number(factor)), 1);
          }, 0);
        }
        numbers[name] = value++;
      }
    }
    const shared = Object.entries<number>(layout);
    assert.ok(shared.length > 40);
    for (const [name, value] of shared) assert.equal(numbers[name], value, name);
  });

  test('the build is no failure without a compiler, and says in one line that there is none', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'native/build.ts')], {
      env: { ...process.env, CC: '/nonexistent/cc', NODE_NO_WARNINGS: '1' },
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^native core: not built, .+\n$/u);
  });
});
