import { spawnSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { start } from './program.ts';

/** Why tests with wrk are left out; false where it is there. With PORTSIDE_REQUIRE_WRK=1 its absence is an error. */
export function withoutWrk(): string | false {
  // It says what it is, and calls that a failure.
  if (spawnSync('wrk', ['-v']).error === undefined) return false;
  if (process.env['PORTSIDE_REQUIRE_WRK'] === '1') throw new Error('wrk is not installed');
  return 'wrk is not installed';
}

/** What wrk saw. */
export interface WrkResult {
  readonly requests: number;
  /** What went wrong, in its words: errors of sockets, and answers that are neither 2xx nor 3xx. */
  readonly faults: readonly string[];
}

/** A load of requests, one after the other on each connection. `args`: flags of wrk. */
export async function wrk(t: TestContext, url: string, ...args: readonly string[]): Promise<WrkResult> {
  const program = start(t, 'wrk', [...args, url]);
  const { code } = await program.exit;
  if (code !== 0) throw new Error(`wrk ended with ${String(code)}: ${program.out}${program.err}`);
  const [, requests = '0'] = /(\d+) requests in /u.exec(program.out) ?? [];
  const faults = program.out.match(/^.*(?:Socket errors|Non-2xx).*$/gmu) ?? [];
  return { requests: Number(requests), faults: faults.map((line) => line.trim()) };
}
