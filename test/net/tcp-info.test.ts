import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endAll, onEachNet, pairOn } from '../support/nets.ts';

onEachNet('what the kernel knows and promises about a connection', (net) => {
  const native = net.name === 'native';

  test('is told on the native core, and null elsewhere', async () => {
    const { client, server } = await pairOn(net);
    await client.write('ten bytes.');
    assert.equal((await server.readExactly(10))?.length, 10);
    const info = server.tcpInfo();
    if (native) assert.deepEqual([info?.state, info?.bytesReceived], ['established', 10]);
    else assert.equal(info, null);
    await endAll(client, server);
    assert.equal(server.tcpInfo(), null);
  });

  test('its user timeout is set there, and said not to be elsewhere; what is no time is an error', async () => {
    const { client, server } = await pairOn(net);
    assert.equal(client.setUserTimeout(30_000), native);
    assert.equal(client.setUserTimeout(0), native);
    for (const wrong of [-1, 1.5, Number.NaN, 2 ** 31, Infinity]) {
      assert.throws(() => client.setUserTimeout(wrong), /whole milliseconds, from 0 to 2147483647/u);
    }
    await endAll(client, server);
    assert.equal(client.setUserTimeout(1_000), false);
  });
});
