import assert from 'node:assert/strict';
import { isPortsideError } from '../../src/base/errors.ts';
import type { PortsideError } from '../../src/base/errors.ts';

/** The error of what has to be refused. */
export async function refusal(promise: Promise<unknown>): Promise<PortsideError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(isPortsideError(error), String(error));
    return error;
  }
  assert.fail('it was not refused');
}
