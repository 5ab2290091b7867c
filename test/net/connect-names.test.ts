import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { temporaryFolder } from '../support/folder.ts';
import { endAll } from '../support/nets.ts';
import { refusal } from '../support/refusal.ts';

describe('connecting to what is not TCP', () => {
  test('a Unix path, an abstract name', { skip: process.platform !== 'linux' }, async (t) => {
    const path = join(temporaryFolder(t), 's');
    for (const to of [`unix://${path}`, { path }, `unix:@portside-${process.pid}-connect`]) {
      const listener = await listen({ endpoint: to, transport: 'node' });
      const client = await connect(to, { transport: 'node' });
      const server = await listener.accept();
      await client.write('by path');
      assert.equal(Buffer.from((await server.readExactly(7)) ?? []).toString(), 'by path');
      assert.equal(client.remote.family, 'unix');
      await endAll(client, server);
      await listener.close();
      const error = await refusal(connect(to, { transport: 'node' }));
      assert.match(error.code, /^(ENOENT|ECONNREFUSED)$/u);
      assert.equal(error.op, 'connect');
    }
  });

  test('a name in memory, where the transport has such names', async () => {
    const { transport } = memoryNetwork();
    const listener = await listen({ endpoint: 'memory://chat', transport });
    const client = await connect('memory://chat', { transport });
    assert.deepEqual(client.remote, { family: 'memory', name: 'chat' });
    await endAll(client);
    await listener.close();
    assert.equal((await refusal(connect('memory://chat', { transport }))).code, 'ECONNREFUSED');
    const error = await refusal(connect('memory://chat', { transport: 'node' }));
    assert.equal(error.code, 'ERR_PORTSIDE_UNSUPPORTED');
    assert.match(error.message, /can't connect to memory:\/\/chat: the transport "node" has no such sockets/u);
  });
});
