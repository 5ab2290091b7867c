import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BindOptions, BindTarget } from '../../src/transport/contract.ts';
import { BoundSocket, bindingTransport } from '../../src/transport/node/bound.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';

const how: BindOptions = { backlog: 1, reusePort: false, reuseAddress: undefined };
const anyPort: BindTarget = { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false };

async function bound(t: TestContext, target: BindTarget, options: BindOptions = how): Promise<BoundSocket> {
  const socket = await bindingTransport.listen(target, options);
  assert.ok(socket instanceof BoundSocket);
  t.after(() => socket.close());
  return socket;
}

describe('a socket that is bound for others', () => {
  test('has its port and a descriptor, keeps nothing alive, and gives the port back when it is closed', async (t) => {
    const socket = await bound(t, anyPort);
    const { address, fd } = socket;
    assert.ok('port' in address && address.port > 0 && fd > 2);
    assert.deepEqual([socket.take(), socket.pending()], [null, false]);
    // Nobody listens there.
    await assert.rejects(
      bindingTransport.dial({
        kind: 'tcp',
        host: '127.0.0.1',
        port: address.port,
        localHost: undefined,
        localPort: undefined,
      }).result,
      { code: 'ECONNREFUSED' },
    );
    socket.close();
    socket.close();
    const other = await nodeTransport.listen({ ...anyPort, port: address.port }, how);
    await assert.rejects(bindingTransport.listen({ ...anyPort, port: address.port }, how), {
      code: 'EADDRINUSE',
      message: `127.0.0.1:${address.port} is in use by another program; choose another port or stop it`,
    });
    other.close();
  });

  test('is a path, which goes when it is closed', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'portside-bound-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'x.sock');
    const socket = await bound(t, { kind: 'unix', path });
    assert.deepEqual(socket.address, { family: 'unix', path });
    await assert.rejects(bindingTransport.listen({ kind: 'unix', path }, how), { code: 'EADDRINUSE' });
    socket.close();
    assert.equal(existsSync(path), false);
    const nowhere = { kind: 'unix', path: join(folder, 'none/x.sock') } as const;
    await assert.rejects(bindingTransport.listen(nowhere, how), { code: 'EACCES' });
  });

  test('is of both families or of one, and shares its port where that is asked for', async (t) => {
    const six = await bound(t, { ...anyPort, host: '::1', ipv6Only: true });
    assert.equal(six.address.family, 'ipv6');
    if (!nodeTransport.flags.reusePort) return;
    const shared = { ...how, reusePort: true };
    const one = await bound(t, anyPort, shared);
    assert.ok('port' in one.address);
    await bound(t, { ...anyPort, port: one.address.port }, shared);
  });

  test('is not what this can not have', async () => {
    for (const [target, options] of [
      [anyPort, { ...how, reuseAddress: false }],
      [{ kind: 'memory', name: 'x' }, how],
      [{ kind: 'fd', fd: 5 }, how],
    ] as const)
      await assert.rejects(bindingTransport.listen(target, options), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
    assert.throws(() => bindingTransport.adopt({ kind: 'memory', end: {}, unread: [], ended: false }), {
      code: 'ERR_PORTSIDE_UNSUPPORTED',
    });
  });
});
