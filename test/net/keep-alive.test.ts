import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { endAll, onEachNet, pairOn } from '../support/nets.ts';

/** Milliseconds until the kernel's next probe of a connection (proc(5), /proc/net/tcp); null when it sends none. */
function nextProbe({ local, remote }: Connection): number | null {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  if (!('port' in local) || !('port' in remote)) throw new Error('no TCP');
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const line = lines.find((text) => text.includes(`:${hex(local.port)} 0100007F:${hex(remote.port)} `));
  assert.ok(line !== undefined, 'the kernel knows no such connection');
  // sl, local, remote, state, queues, timer:when
  const [, , , , , timer = ''] = line.trim().split(/\s+/u);
  const [kind, when = ''] = timer.split(':');
  return kind === '02' ? Number.parseInt(when, 16) * 10 : null;
}

onEachNet('keep-alive of accepted connections', (net) => {
  const skip = net.name === 'memory' ? 'memory needs none' : process.platform !== 'linux' && 'only Linux tells';

  test('is on from the beginning, with the idle time that was asked for, or off', { skip }, async () => {
    for (const [keepAlive, least, most] of [
      [undefined, 55_000, 60_100],
      [7_000, 5_000, 7_100],
      [false, null, null],
    ] as const) {
      const { server, client } = await pairOn(net, { server: { keepAlive }, client: { keepAlive: false } });
      const probe = nextProbe(server);
      if (least === null) assert.equal(probe, null);
      else assert.ok(probe !== null && probe > least && probe <= most, `${String(keepAlive)}: ${String(probe)}`);
      assert.equal(nextProbe(client), null);
      await endAll(server, client);
    }
  });

  test('can be turned off and on later', { skip }, async () => {
    const { server, client } = await pairOn(net);
    assert.notEqual(nextProbe(server), null);
    server.setKeepAlive(false);
    assert.equal(nextProbe(server), null);
    server.setKeepAlive(true, 9_000);
    assert.ok(nextProbe(server)! <= 9_100);
    await endAll(server, client);
  });
});
