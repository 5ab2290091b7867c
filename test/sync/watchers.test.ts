import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { Watchers } from '../../src/sync/evt.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { turn } from './support.ts';

describe('watchers', () => {
  test('are woken in order while there is something, and those who come meanwhile wait for the next time', () => {
    const watchers = new Watchers();
    const log: string[] = [];
    let left = 2;
    const add = (name: string): void => {
      const end = watchers.add(() => {
        log.push(name);
        left--;
        end();
        add(`${name}'`);
      });
    };
    for (const name of ['a', 'b', 'c']) add(name);
    watchers.wake(() => left > 0);
    assert.deepEqual(log, ['a', 'b']);
    watchers.wakeAll();
    assert.deepEqual(log, ['a', 'b', 'c', "a'", "b'"]);
    assert.equal(watchers.size, 3);
  });

  test('do not keep each other from waking by throwing', async () => {
    await capturingUncaught(async (caught) => {
      const watchers = new Watchers();
      let woken = false;
      watchers.add(() => {
        throw new Error('watcher');
      });
      watchers.add(() => {
        woken = true;
      });
      watchers.wakeAll();
      assert.equal(woken, true);
      await turn();
      assert.deepEqual(caught.map(String), ['Error: watcher']);
    });
  });
});
