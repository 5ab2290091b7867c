import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  after,
  always,
  at,
  choose,
  guard,
  isEvt,
  makeEvt,
  map,
  never,
  none,
  select,
  toEvt,
} from '../../src/sync/evt.ts';
import { Semaphore } from '../../src/sync/semaphore.ts';
import { temporaryFolder } from '../support/folder.ts';

describe('an Evt', () => {
  test('is known by its brand, across copies of the package', () => {
    const foreign = { [Symbol.for('portside.evt')]: true, take: () => 1, watch: () => () => {} };
    for (const evt of [makeEvt({ take: () => none, watch: () => () => {} }), always(1), never(), after(1), foreign]) {
      assert.equal(isEvt(evt), true);
    }
    for (const other of [null, undefined, 1, 'x', {}, Promise.resolve(), () => {}, new Semaphore(1)]) {
      assert.equal(isEvt(other), false);
    }
    assert.equal(none, Symbol.for('portside.evt.none'));
  });

  test('of another copy of the package can be waited for, guards and mappings included', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    for (const room of ['base', 'sync']) {
      cpSync(new URL(`../../src/${room}`, import.meta.url), join(folder, room), { recursive: true });
    }
    const url: string = pathToFileURL(join(folder, 'sync', 'evt.ts')).href;
    const copy = (await import(url)) as typeof import('../../src/sync/evt.ts');
    assert.notEqual(copy.makeEvt, makeEvt);
    let guards = 0;
    const theirs = copy.guard(() => {
      guards++;
      return copy.map(copy.choose(copy.never(), copy.always(20)), (value) => value + 1);
    });
    assert.equal(
      await select(
        never(),
        map(theirs, (value) => value * 2),
      ),
      42,
    );
    assert.equal(guards, 1);
  });

  test('is never thenable', () => {
    const evts = [makeEvt({ take: () => none, watch: () => () => {} }), always(1), never(), after(1), at(1)];
    const more = [
      choose(always(1), always(2)),
      map(always(1), String),
      guard(() => always(1)),
      toEvt(Promise.resolve()),
    ];
    for (const evt of [...evts, ...more]) assert.equal('then' in evt, false);
  });
});
