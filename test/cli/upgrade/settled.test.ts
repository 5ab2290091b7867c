import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { settled } from '../../../src/cli/upgrade/settled.ts';
import { connect } from '../../../src/net/connect.ts';
import { serve } from '../../../src/server/server.ts';

test('before a drain, those who came last are waited for, until they have said something', async (t) => {
  const server = await serve({ data: (conn, bytes) => void conn.write(bytes) }, { port: 0, host: '127.0.0.1' });
  t.after(() => server.stop({ grace: 0 }));
  const silent = await connect(server.addresses[0]!);
  // It is there, and more than one look finds it so.
  while (server.status().active === 0) await new Promise(setImmediate);
  const over = settled(server).then(() => 'settled');
  assert.equal(await Promise.race([over, sleep(300, 'waits')]), 'waits');
  await silent.write('now');
  assert.equal(await over, 'settled');
  assert.equal(new TextDecoder().decode((await silent.read()) ?? undefined), 'now');
  await silent.close();
});

test('when nobody is there, or the server ends, there is nothing to wait for', async () => {
  const server = await serve(() => {}, { port: 0, host: '127.0.0.1' });
  await settled(server);
  await server.stop();
  await settled(server);
});
