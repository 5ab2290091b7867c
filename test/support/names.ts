import dns from 'node:dns/promises';
import { syncBuiltinESMExports } from 'node:module';
import type { TestContext } from 'node:test';

/** Lets every name stand for these addresses until the test is over. */
export function namesStandFor(t: TestContext, addresses: readonly string[]): void {
  const { lookup } = dns;
  const answer = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  Object.assign(dns, { lookup: () => Promise.resolve(answer) });
  syncBuiltinESMExports();
  t.after(() => {
    Object.assign(dns, { lookup });
    syncBuiltinESMExports();
  });
}
