import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { libcOf } from '../../src/transport/native/libc.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { startServing } from '../support/program.ts';
import { folderWith } from './command.ts';

/** Buffers of 64 KiB that nobody keeps, and how often the whole heap was looked through for them. */
const BUFFERS = `
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
const old = Number(process.versions.node.split('.')[0]) < 26;

test('buffers that handlers let go do not have the whole heap looked through', { skip: old }, async (t) => {
  const at = folderWith(t, { 'buffers.mjs': BUFFERS });
  const { port } = await startServing(t, at('buffers.mjs'));
  const conn = await connect({ host: '127.0.0.1', port });
  const whole = Number(await conn.readLine({ timeout: 20_000 }));
  conn.abort();
  // Some 30 otherwise.
  assert.ok(whole < 10, `it was looked through ${whole} times`);
});

/** How much the heap of the C library grows for a block of 30 MiB. */
const BLOCK = `
  import { readFileSync } from 'node:fs';
  const size = () => {
    const [from, to] = /^([0-9a-f]+)-([0-9a-f]+) .*\\[heap\\]$/mu.exec(readFileSync('/proc/self/maps', 'latin1')).slice(1);
    return Number.parseInt(to, 16) - Number.parseInt(from, 16);
  };
  export default async (conn) => {
    const before = size();
    const block = Buffer.allocUnsafeSlow(30 * 2 ** 20);
    await conn.write(\`\${size() - before} \${block.length}\\n\`);
  };`;

async function growthOf(t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<number> {
  const at = folderWith(t, { 'block.mjs': BLOCK });
  const { port } = await startServing(t, at('block.mjs'), { env });
  const conn = await connect({ host: '127.0.0.1', port });
  const line = await conn.readLine({ timeout: 20_000 });
  conn.abort();
  return Number.parseInt(line ?? '', 10);
}

const noCore = !('addon' in loadNative()) || libcOf(process.execPath) !== 'glibc';

test(
  'the C library takes blocks from memory that it keeps, if the environment does not say otherwise',
  { skip: noCore },
  async (t) => {
    assert.ok((await growthOf(t, { PORTSIDE_TRANSPORT: 'native' })) > 16 * 2 ** 20);
    assert.equal(await growthOf(t, { PORTSIDE_TRANSPORT: 'native', MALLOC_MMAP_THRESHOLD_: '1048576' }), 0);
    assert.equal(await growthOf(t, { PORTSIDE_TRANSPORT: 'node' }), 0);
  },
);
