import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { REPORTER, SourceWatch } from '../../src/cli/source-watch.ts';
import { folderWith } from './command.ts';

/** What was told, to be waited for. */
class Told {
  readonly changes: string[][] = [];
  readonly unseen: string[] = [];
  #wake: (() => void) | null = null;

  changed(files: readonly string[]): void {
    this.changes.push(files.map((file) => basename(file)).toSorted());
    this.#wake?.();
  }

  blind(why: string): void {
    this.unseen.push(why);
  }

  /** The next change. What watches keeps no process alive, and so this does. */
  async next(): Promise<string[]> {
    const hold = setInterval(() => {}, 1_000);
    while (this.changes.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    clearInterval(hold);
    return this.changes.shift() ?? [];
  }
}

function watching(t: TestContext, file: string): Told {
  const told = new Told();
  const watch = new SourceWatch(file, told);
  t.after(() => watch.close());
  return told;
}

/** Loads a module in a worker that tells what it loads, until it has ended. */
async function load(file: string): Promise<void> {
  const both = [REPORTER, pathToFileURL(file).href].map((one) => `await import(${JSON.stringify(one)});`);
  const worker = new Worker(new URL(`data:text/javascript,${both.join('')}`));
  await new Promise<void>((resolve, reject) => {
    worker.on('exit', () => resolve());
    worker.on('error', reject);
  });
  // What it told is on its way by a channel of its own.
  await new Promise((resolve) => setImmediate(resolve));
}

describe('what is watched', () => {
  test('is the module from the start, by rename too, and no neighbour', async (t) => {
    const at = folderWith(t, { 'a.mjs': '', 'b.mjs': '' });
    const told = watching(t, at('a.mjs'));
    writeFileSync(at('b.mjs'), 'changed');
    writeFileSync(at('a.mjs'), 'changed');
    assert.deepEqual(await told.next(), ['a.mjs']);
    writeFileSync(at('a.new'), 'again');
    renameSync(at('a.new'), at('a.mjs'));
    assert.deepEqual(await told.next(), ['a.mjs']);
  });

  test('is what workers load, by import and require, and nothing in node_modules; several changes are told at once', async (t) => {
    const at = folderWith(t, {
      'a.mjs': `import './b.mjs'; import './c.cjs'; import 'pack';`,
      'b.mjs': '',
      'c.cjs': `require('./d.cjs')`,
      'd.cjs': '',
      'other.mjs': '',
    });
    mkdirSync(at('node_modules/pack'), { recursive: true });
    const packed = at('node_modules/pack/index.js');
    writeFileSync(packed, '');
    const told = watching(t, at('a.mjs'));
    await load(at('a.mjs'));
    for (const file of [packed, at('other.mjs'), at('b.mjs'), at('d.cjs')]) writeFileSync(file, '\n');
    assert.deepEqual(await told.next(), ['b.mjs', 'd.cjs']);
  });

  test('is again what was taken away with its directory and has come back', async (t) => {
    const at = folderWith(t, { 'a.mjs': `import './deep/b.mjs';` });
    mkdirSync(at('deep'));
    writeFileSync(at('deep/b.mjs'), '');
    const told = watching(t, at('a.mjs'));
    await load(at('a.mjs'));
    rmSync(at('deep'), { recursive: true });
    assert.deepEqual(await told.next(), ['b.mjs']);
    assert.equal(told.unseen.length, 1, 'the directory is not there');
    mkdirSync(at('deep'));
    writeFileSync(at('deep/b.mjs'), '');
    // Whoever mends it touches something that is watched, or sends SIGHUP.
    writeFileSync(at('a.mjs'), `import './deep/b.mjs'; `);
    assert.deepEqual(await told.next(), ['a.mjs']);
    writeFileSync(at('deep/b.mjs'), 'changed');
    assert.deepEqual(await told.next(), ['b.mjs']);
  });

  test('is told when it changed between being loaded and being watched', async (t) => {
    const at = folderWith(t, { 'a.mjs': '' });
    mkdirSync(at('deep'));
    writeFileSync(at('deep/b.mjs'), '');
    const told = watching(t, at('a.mjs'));
    // It changes its own source after it was loaded, and before anybody has heard that it was.
    const text = `import { writeFileSync } from 'node:fs'; import './deep/b.mjs';
      const until = Date.now() + 20; while (Date.now() < until); writeFileSync(${JSON.stringify(at('deep/b.mjs'))}, '\\n');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);`;
    writeFileSync(at('loads.mjs'), text);
    const loaded = load(at('loads.mjs'));
    // The event loop stands still until the worker has done it.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    await loaded;
    assert.deepEqual(await told.next(), ['b.mjs']);
  });

  test('that can not be is told', (t) => {
    const told = watching(t, join(folderWith(t)('none'), 'a.mjs'));
    assert.match(told.unseen[0] ?? '', /^--watch does not see to .*none: ENOENT/u);
  });
});
