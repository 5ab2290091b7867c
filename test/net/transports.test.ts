import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import { autoTransport, transportFor, transportName } from '../../src/net/transports.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { endAll } from '../support/nets.ts';

const loaded = loadNative();
const hasNative = 'addon' in loaded;

/** Sets the environment variable for one test. */
function setEnvironment(t: TestContext, value: string | undefined): void {
  const before = process.env['PORTSIDE_TRANSPORT'];
  const set = (to: string | undefined): void => {
    if (to === undefined) delete process.env['PORTSIDE_TRANSPORT'];
    else process.env['PORTSIDE_TRANSPORT'] = to;
  };
  set(value);
  t.after(() => set(before));
}

describe('the choice of a transport', () => {
  test('by default, and by auto, it is the native core where it loads, else node; the reason is told', (t) => {
    for (const value of [undefined, '', 'auto']) {
      setEnvironment(t, value);
      const { name, why } = autoTransport();
      assert.equal(name, hasNative ? 'native' : 'node');
      assert.equal(why, 'path' in loaded ? `the native core loads, from ${loaded.path}` : loaded.reason);
      for (const choice of [undefined, 'auto'] as const) {
        assert.equal(transportFor(choice).name, name);
        assert.equal(transportName(choice), name);
      }
    }
    assert.equal(transportFor('node'), nodeTransport);
  });

  test('one of your own is taken as it is', () => {
    const { transport } = memoryNetwork();
    assert.equal(transportFor(transport), transport);
  });

  test('the environment decides what auto is, and nothing else', (t) => {
    for (const name of hasNative ? (['node', 'native'] as const) : (['node'] as const)) {
      setEnvironment(t, name);
      assert.deepEqual(autoTransport(), { name, why: `PORTSIDE_TRANSPORT is ${name}` });
      assert.equal(transportFor(undefined).name, name);
      assert.equal(transportFor('auto').name, name);
      assert.equal(transportFor('node'), nodeTransport);
      if (hasNative) assert.equal(transportFor('native').name, 'native');
      const { transport } = memoryNetwork();
      assert.equal(transportFor(transport), transport);
    }
  });

  test('what the environment can’t mean is told in words, by listen and connect too', async (t) => {
    setEnvironment(t, 'pigeon');
    const wrong = {
      code: 'ERR_PORTSIDE_OPTIONS',
      message: /PORTSIDE_TRANSPORT is "pigeon".*"auto", "node" or "native"/u,
    };
    assert.throws(() => transportFor(undefined), wrong);
    assert.throws(() => autoTransport(), wrong);
    assert.equal(transportName(undefined), 'pigeon');
    await assert.rejects(connect('127.0.0.1:9'), wrong);
    await assert.rejects(listen({ port: 0, host: '127.0.0.1' }), wrong);
  });

  test('native by name is the native one, or ERR_PORTSIDE_UNSUPPORTED with the reason', () => {
    if (hasNative) assert.equal(transportFor('native').name, 'native');
    else assert.throws(() => transportFor('native'), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
  });
});

describe('a path of a network in memory', () => {
  function folder(t: TestContext): string {
    const path = mkdtempSync(join(tmpdir(), 'portside-'));
    t.after(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  test('is a name: listening, connecting and closing make, touch and remove no file', async (t) => {
    const { transport } = memoryNetwork();
    const path = join(folder(t), 's');
    const listener = await listen({ path, transport });
    assert.deepEqual(listener.address, { family: 'unix', path });
    assert.equal(existsSync(path), false);
    const client = await connect({ path }, { transport });
    const server = await listener.accept();
    await client.write('by name');
    assert.equal(Buffer.from((await server.readExactly(7)) ?? []).toString(), 'by name');
    await endAll(client, server);
    await assert.rejects(listen({ path, transport }), { code: 'EADDRINUSE' });
    await listener.close();
    await (await listen({ path, transport })).close();
  });

  test('whatever file has that name is none of its business', async (t) => {
    const { transport } = memoryNetwork();
    const directory = folder(t);
    const path = join(directory, 'precious');
    writeFileSync(path, 'keep me');
    const listener = await listen({ path, transport });
    await listener.close();
    assert.equal(readFileSync(path, 'utf8'), 'keep me');
    const real = await listen({ path: join(directory, 's'), transport: 'node' });
    await (await listen({ path: join(directory, 's'), transport })).close();
    assert.deepEqual(readdirSync(directory).sort(), ['precious', 's']);
    const client = await connect({ path: join(directory, 's') }, { transport: 'node' });
    await endAll(client);
    await real.close();
  });

  test('has no permissions: a mode is ERR_PORTSIDE_UNSUPPORTED, and nothing is bound', async (t) => {
    const network = memoryNetwork();
    const path = join(folder(t), 's');
    await assert.rejects(listen({ path, mode: 0o600, transport: network.transport }), {
      code: 'ERR_PORTSIDE_UNSUPPORTED',
      message: /is no file and has no permissions; leave mode out/u,
    });
    assert.equal(network.listening, 0);
  });
});
