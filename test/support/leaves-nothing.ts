import assert from 'node:assert/strict';
import { afterEach, beforeEach } from 'node:test';
import { watchLeaks } from './leaks.ts';
import { unhandled } from './unhandled.ts';

/** Holds each test of a file to leaving nothing open, no rejection without a handler and no error without a catcher. */
export function leavesNothing(): void {
  let checkLeaks: () => Promise<void>;
  let strays: () => Promise<unknown[]>;
  beforeEach(() => {
    checkLeaks = watchLeaks();
    strays = unhandled();
  });
  afterEach(async () => {
    assert.deepEqual(await strays(), []);
    await checkLeaks();
  });
}
