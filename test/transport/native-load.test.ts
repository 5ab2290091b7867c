import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as layout from '../../src/transport/native/layout.ts';
import { libcOf } from '../../src/transport/native/libc.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { inChild } from './native-support.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

const skip = 'addon' in loadNative() ? false : 'the native core is not built';
const system = `${process.platform}-${process.arch}-${libcOf(process.execPath)}`;

/** A package like the installed one, with whatever binaries, in a folder of its own. */
function installed(t: TestContext, binaries: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'portside-'));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(join(root, 'src'), join(folder, 'src'), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  for (const [path, from] of Object.entries(binaries)) cpSync(from, join(folder, path), { recursive: true });
  return folder;
}

/** What `loadNative()` of a package says in a process of its own, with PORTSIDE_NATIVE set so. */
async function loadedBy(folder: string, named = ''): Promise<{ readonly path?: string; readonly reason?: string }> {
  const { out, err } = await inChild(`
    process.env.PORTSIDE_NATIVE = ${JSON.stringify(named)};
    const { loadNative } = await import(${JSON.stringify(`file://${folder}/src/transport/native/load.ts`)});
    const { path, reason } = loadNative();
    console.log(JSON.stringify({ path, reason, again: loadNative() === loadNative() }));`);
  assert.notEqual(out, '', err);
  const { again, ...rest } = JSON.parse(out) as { again: boolean; path?: string; reason?: string };
  assert.equal(again, true);
  return rest;
}

/** The binary that the tests run with. */
function binary(): string {
  const loaded = loadNative();
  return 'path' in loaded ? loaded.path : assert.fail(loaded.reason);
}

/** A program as far as `libcOf` reads it: an ELF header, and a table that names the dynamic loader. */
function elf(interpreter: string): Buffer {
  const file = Buffer.alloc(64 + 2 * 56 + 64);
  file.write('\x7fELF\x02\x01', 'latin1');
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(2, 56);
  file.writeUInt32LE(6, 64);
  file.writeUInt32LE(3, 120);
  file.writeBigUInt64LE(176n, 128);
  file.writeBigUInt64LE(BigInt(interpreter.length + 1), 152);
  file.write(interpreter, 176);
  return file;
}

describe('loading the native core', () => {
  test('without its binary the transport says so, and loading never throws', async (t) => {
    const folder = installed(t);
    const { path, reason = '' } = await loadedBy(folder);
    assert.equal(path, undefined);
    assert.ok(reason.includes(system), reason);
    assert.match(reason, /native\/build\.ts/u);
    const { out, err } = await inChild(`
      process.env.PORTSIDE_NATIVE = '';
      const { nativeTransport } = await import(${JSON.stringify(`file://${folder}/src/transport/native/transport.ts`)});
      try { nativeTransport(); } catch (error) { console.log(error.code, error.message); }`);
    assert.equal(out, `ERR_PORTSIDE_UNSUPPORTED the native transport can't be used: ${reason}\n`, err);
  });

  test('a checkout has its own build, and a package what it brings along for this system', { skip }, async (t) => {
    const prebuilt = `prebuilds/${system}/portside.node`;
    const foreign = `prebuilds/${process.platform}-${process.arch}-other/portside.node`;
    const one = installed(t, { [prebuilt]: binary(), [foreign]: binary() });
    assert.deepEqual(await loadedBy(one), { path: join(one, prebuilt) });
    const both = installed(t, { [prebuilt]: binary(), 'build/native/portside.node': binary() });
    assert.deepEqual(await loadedBy(both), { path: join(both, 'build/native/portside.node') });
    const none = installed(t, { [foreign]: binary() });
    assert.match((await loadedBy(none)).reason ?? '', /there is no native core/u);
  });

  test('PORTSIDE_NATIVE names another, absolutely, and then no other is taken', { skip }, async (t) => {
    const folder = installed(t, { 'build/native/portside.node': binary(), 'elsewhere/core.node': binary() });
    const elsewhere = join(folder, 'elsewhere/core.node');
    assert.deepEqual(await loadedBy(folder, elsewhere), { path: elsewhere });
    const relative = await loadedBy(folder, 'elsewhere/core.node');
    assert.match(relative.reason ?? '', /PORTSIDE_NATIVE is elsewhere\/core\.node, which is no absolute path/u);
    const missing = await loadedBy(folder, join(folder, 'missing.node'));
    assert.match(missing.reason ?? '', /PORTSIDE_NATIVE is .*missing\.node, where nothing is/u);
  });

  test('what is no core, or one of another version, is told and not used', { skip }, async (t) => {
    const folder = installed(t);
    const text = join(folder, 'text.node');
    writeFileSync(text, 'no program');
    assert.match((await loadedBy(folder, text)).reason ?? '', /text\.node does not load: /u);
    const old = join(folder, 'old.cjs');
    writeFileSync(old, `module.exports = { layout: ${layout.LAYOUT - 1} };`);
    assert.match((await loadedBy(folder, old)).reason ?? '', /old\.cjs is of another version/u);
  });

  test('the C library of a program is known by its loader', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'portside-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'program');
    const cases: readonly (readonly [Buffer | string, string])[] = [
      [elf('/lib/ld-musl-x86_64.so.1'), 'musl'],
      [elf('/nix/store/x-musl-1.2/lib/ld-musl-aarch64.so.1'), 'musl'],
      [elf('/lib64/ld-linux-x86-64.so.2'), 'glibc'],
      [elf('/lib/ld-musl-/ld-linux.so.2'), 'glibc'],
      [elf('/lib/ld-musl-x86_64.so.1').subarray(0, 100), 'glibc'],
      ['#!/lib/ld-musl-x86_64.so.1', 'glibc'],
      ['', 'glibc'],
    ];
    for (const [content, libc] of cases) {
      writeFileSync(file, content);
      assert.equal(libcOf(file), libc);
    }
    assert.equal(libcOf(join(folder, 'missing')), 'glibc');
    const { glibcVersionRuntime } = (process.report.getReport() as { header: Record<string, string> }).header;
    assert.equal(libcOf(process.execPath), glibcVersionRuntime === undefined ? 'musl' : 'glibc');
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
    const env = { ...process.env, CC: '/nonexistent/cc', NODE_NO_WARNINGS: '1', PORTSIDE_REQUIRE_NATIVE: '' };
    const build = (required: string): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, [join(root, 'native/build.ts')], {
        env: { ...env, PORTSIDE_REQUIRE_NATIVE: required },
        encoding: 'utf8',
      });
    const { status, stdout, stderr } = build('');
    assert.deepEqual([status, stderr], [0, '']);
    assert.equal(stdout, 'native core: not built, there is no C compiler (/nonexistent/cc); node:net is used\n');
    assert.equal(build('1').status, 1, 'where it is required it is a failure');
  });
});
