import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import { transportFor } from '../../src/net/transports.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { endAll } from '../support/nets.ts';

const hasNative = 'addon' in loadNative();

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
  test('by default, and by auto, it is node', (t) => {
    for (const value of [undefined, '', 'auto', 'node']) {
      setEnvironment(t, value);
      assert.equal(transportFor(undefined), nodeTransport);
    }
    assert.equal(transportFor('auto'), nodeTransport);
    assert.equal(transportFor('node'), nodeTransport);
  });

  test('one of your own is taken as it is', () => {
    const { transport } = memoryNetwork();
    assert.equal(transportFor(transport), transport);
  });

  test('the environment decides where nothing is said, and only there', { skip: !hasNative }, (t) => {
    setEnvironment(t, 'native');
    assert.equal(transportFor(undefined).name, 'native');
    assert.equal(transportFor('node'), nodeTransport);
    const { transport } = memoryNetwork();
    assert.equal(transportFor(transport), transport);
  });

  test('what the environment can’t mean is told in words, by listen and connect too', async (t) => {
    setEnvironment(t, 'pigeon');
    const wrong = {
      code: 'ERR_PORTSIDE_OPTIONS',
      message: /PORTSIDE_TRANSPORT is "pigeon".*"auto", "node" or "native"/u,
    };
    assert.throws(() => transportFor(undefined), wrong);
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
