import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { startServing } from '../support/program.ts';
import { folderWith } from './command.ts';

/** Buffers of 64 KiB that nobody keeps, and how often the whole heap was looked through for them. */
const HANDLER = `
  import { PerformanceObserver, constants } from 'node:perf_hooks';
  import { setTimeout as pause } from 'node:timers/promises';
  export default async (conn) => {
    let whole = 0;
    const count = (list) => {
      for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) whole += 1;
    };
    const observer = new PerformanceObserver(count);
    observer.observe({ entryTypes: ['gc'] });
    for (let i = 0; i < 100; i += 1) {
      for (let j = 0; j < 600; j += 1) Buffer.allocUnsafeSlow(65_536)[0] = 1;
      await pause(0);
    }
    await pause(20);
    await conn.write(\`\${whole}\\n\`);
  };`;

// Node 22 counts them otherwise, and Node 24 looks through the heap in any case.
const skip = Number(process.versions.node.split('.')[0]) < 26;

test('buffers that handlers let go do not have the whole heap looked through', { skip }, async (t) => {
  const at = folderWith(t, { 'buffers.mjs': HANDLER });
  const { port } = await startServing(t, at('buffers.mjs'));
  const conn = await connect({ host: '127.0.0.1', port });
  const whole = Number(await conn.readLine({ timeout: 20_000 }));
  conn.abort();
  // Some 30 otherwise.
  assert.ok(whole < 10, `it was looked through ${whole} times`);
});
