/** Results that are kept, one file for each suite. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { IdleResult } from './idle.ts';
import type { LoadResult } from './load.ts';
import type { Machine } from './machine.ts';
import { suites, type Suite } from './suites.ts';

/** Where they are. */
export const RESULTS: string = fileURLToPath(new URL('../results/', import.meta.url));

interface Common {
  readonly suite: Suite;
  readonly machine: Machine;
  readonly cores: { readonly server?: number | undefined; readonly load?: number | undefined };
  /** Those that took part, in the order of the table. */
  readonly contenders: readonly { readonly name: string; readonly about: string; readonly ours: boolean }[];
  /** Why others did not, or not to the end. */
  readonly troubles: Readonly<Record<string, string>>;
}

/** Every round of a suite, and on what it was measured. */
export type Result = Common &
  ({ readonly kind: 'load'; readonly result: LoadResult } | { readonly kind: 'idle'; readonly result: IdleResult });

export function save(result: Result): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}${result.suite.name}.json`, `${JSON.stringify(result)}\n`);
}

/** Those that were kept, in the order of the suites. */
export function kept(): readonly Result[] {
  return suites.flatMap(({ name }) => {
    const file = `${RESULTS}${name}.json`;
    return existsSync(file) ? [JSON.parse(readFileSync(file, 'utf8')) as Result] : [];
  });
}
