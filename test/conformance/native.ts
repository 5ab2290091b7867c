import { test } from 'node:test';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import type { Transport } from '../../src/transport/contract.ts';

/**
 * Runs `then` with the native transport. Where its core does not load, a test is skipped with the reason instead; it fails
 * when PORTSIDE_REQUIRE_NATIVE is 1, so that a machine that should have the core can't pass without it.
 */
export function withNative(then: (transport: Transport) => void): void {
  const loaded = loadNative();
  if ('addon' in loaded) {
    then(nativeTransport());
    return;
  }
  const required = process.env['PORTSIDE_REQUIRE_NATIVE'] === '1';
  test('the native core loads', { skip: required ? false : loaded.reason }, () => {
    throw new Error(loaded.reason);
  });
}
