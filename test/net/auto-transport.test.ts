import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { loadNative } from '../../src/transport/native/load.ts';
import { inCheckout, start } from '../support/program.ts';
import { temporaryFolder } from '../support/folder.ts';

const native = 'addon' in loadNative();
const linux = process.platform === 'linux' ? false : 'for Linux';

/** What a process of its own prints, as JSON, that begins with these statements. */
async function told(
  t: TestContext,
  statements: string,
  env: Readonly<Record<string, string>>,
  ...under: readonly string[]
): Promise<unknown> {
  const from = (path: string): string => JSON.stringify(`file://${inCheckout(path)}`);
  const source = `
    import { autoTransport } from ${from('src/net/transports.ts')};
    import { connect } from ${from('src/net/connect.ts')};
    import { listen } from ${from('src/net/listen.ts')};
    import { loadNative } from ${from('src/transport/native/load.ts')};
    ${statements}`;
  const file = join(temporaryFolder(t), 'program.ts');
  writeFileSync(file, source);
  const words = [...under, process.execPath, '--disable-warning=ExperimentalWarning', file];
  const program = start(t, words[0] ?? '', words.slice(1), { PORTSIDE_TRANSPORT: '', ...env });
  const { code } = await program.exit;
  assert.equal(code, 0, program.err);
  return JSON.parse(program.out);
}

/** What auto is there, and whether it serves. */
const SERVES = `
  const auto = autoTransport();
  const listener = await listen({ port: 0, host: '127.0.0.1' });
  const [client, server] = await Promise.all([connect(listener.address), listener.accept()]);
  await client.write('here\\n');
  const line = await server.readLine();
  client.abort();
  server.abort();
  await listener.close();
  console.log(JSON.stringify({ ...auto, kernel: listener.backlogIsKernel, line }));`;

describe('without the native core, auto is node, serves, and says why', { skip: linux }, () => {
  const missing = { name: 'node', kernel: false, line: 'here' };

  test('where there is no binary', async (t) => {
    const env = { PORTSIDE_NATIVE: '/nowhere/portside.node' };
    const why = 'PORTSIDE_NATIVE is /nowhere/portside.node, where nothing is';
    assert.deepEqual(await told(t, SERVES, env), { ...missing, why });
  });

  test('where it does not load, with what the loader said', async (t) => {
    const file = join(temporaryFolder(t), 'portside.node');
    writeFileSync(file, 'not a library');
    const { why, ...rest } = (await told(t, SERVES, { PORTSIDE_NATIVE: file })) as { why: string };
    assert.deepEqual(rest, missing);
    assert.ok(why.startsWith(`${file} does not load: `), why);
    assert.match(why, /file too short|invalid ELF header/u);
  });

  test('where it does not start, and stays so', { skip: !native }, async (t) => {
    const { why, ...rest } = (await told(
      t,
      `import { closeSync, openSync } from 'node:fs';
      loadNative();
      const open = [];
      try {
        for (;;) open.push(openSync('/dev/null'));
      } catch {}
      autoTransport();
      for (const fd of open) closeSync(fd);
      ${SERVES}`,
      {},
      ...['prlimit', '--nofile=100:100'],
    )) as { why: string };
    assert.deepEqual(rest, missing);
    assert.match(why, /^the native core does not start: .*no file descriptor left/u);
  });

  test('where Node may load no addons', { skip: !native }, async (t) => {
    const { why, ...rest } = (await told(t, SERVES, { NODE_OPTIONS: '--no-addons' })) as { why: string };
    assert.deepEqual(rest, missing);
    assert.match(why, /does not load: .*addon/u);
  });
});

describe('in a worker of node:cluster', () => {
  test('auto is node, and two of them listen on one port', async (t) => {
    const found = (await told(
      t,
      `import cluster from 'node:cluster';
      import { once } from 'node:events';
      if (cluster.isPrimary) {
        const workers = [cluster.fork(), cluster.fork()];
        const heard = await Promise.all(workers.map((worker) => once(worker, 'message')));
        for (const worker of workers) worker.disconnect();
        console.log(JSON.stringify(heard.map(([message]) => message)));
      } else {
        // The primary gives all of them the same one.
        const listener = await listen({ port: 0, host: '127.0.0.1' });
        process.send({ ...autoTransport(), port: listener.address.port });
        process.once('disconnect', () => void listener.close());
      }`,
      {},
    )) as { name: string; why: string; port: number }[];
    assert.equal(found.length, 2);
    for (const { name, why } of found) {
      assert.equal(name, 'node');
      assert.match(why, /worker of node:cluster/u);
    }
    assert.equal(found[0]?.port, found[1]?.port);
  });
});
