import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { closing, dial, loopback, next, outcome, plainBind, prelude, readAll, startChild } from './native-support.ts';
import { promise } from './passage-support.ts';

function unasked(): never {
  throw new Error('nobody asked');
}

describe('a listener of the native core', () => {
  promise('clients wait in the kernel while nobody asks, and looking takes none', async () => {
    const transport = nativeTransport();
    const acceptor = await transport.listen(loopback, plainBind);
    acceptor.watcher = { ready: unasked, trouble: unasked };
    assert.equal(acceptor.pending(), false);
    const client = await dial(transport, acceptor.address);
    assert.equal(acceptor.pending(), true);
    assert.equal(acceptor.pending(), true);
    acceptor.want(true);
    acceptor.want(false);
    const turned = await dial(transport, acceptor.address);
    const closed = Promise.all([closing(client), closing(turned)]);
    for (const channel of [client, turned]) channel.flow(true);
    acceptor.close();
    assert.deepEqual(await closed, ['reset', 'reset']);
    assert.equal(acceptor.take(), null);
    assert.equal(acceptor.pending(), false);
  });

  promise('a socket file goes with its listener, and a file in the way is an error that says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portside-'));
    const path = join(folder, 'x.sock');
    const transport = nativeTransport();
    const acceptor = await transport.listen({ kind: 'unix', path }, plainBind);
    assert.ok(statSync(path).isSocket());
    await assert.rejects(transport.listen({ kind: 'unix', path }, plainBind), { code: 'EADDRINUSE' });
    acceptor.close();
    assert.equal(existsSync(path), false);
    await assert.rejects(transport.listen({ kind: 'unix', path: path + 'x'.repeat(200) }, plainBind), {
      code: 'ENAMETOOLONG',
    });
    await assert.rejects(transport.listen({ kind: 'unix', path: 'a\0b' }, plainBind), { code: 'EINVAL' });
    rmSync(folder, { recursive: true });
  });

  promise('an abstract name is a Unix socket without a file', async () => {
    const transport = nativeTransport();
    const path = `\0portside ${process.pid}`;
    const acceptor = await transport.listen({ kind: 'unix', path }, plainBind);
    await assert.rejects(transport.listen({ kind: 'unix', path }, plainBind), { code: 'EADDRINUSE' });
    const [client, server] = await Promise.all([dial(transport, acceptor.address), next(acceptor)]);
    assert.deepEqual(server.local, { family: 'unix', path });
    assert.deepEqual(server.remote, { family: 'unix', path: '' });
    assert.deepEqual(client.remote, { family: 'unix', path });
    acceptor.close();
    const read = readAll(server);
    client.send(Buffer.from('by name'));
    const end = readAll(client);
    client.shutdown();
    assert.equal((await read).text, 'by name');
    await end;
    await assert.rejects(dial(transport, acceptor.address), { code: 'ECONNREFUSED' });
  });

  promise('listeners share a port when all say so, and leave IPv4 alone when told to', async () => {
    const transport = nativeTransport();
    const shared = { ...plainBind, reusePort: true };
    const first = await transport.listen(loopback, shared);
    assert.ok(first.address.family === 'ipv4');
    const same = { ...loopback, port: first.address.port };
    const second = await transport.listen(same, shared);
    await assert.rejects(
      transport.listen(same, plainBind),
      (error) => isPortsideError(error) && error.code === 'EADDRINUSE',
    );
    const six = { kind: 'tcp', host: '::', port: first.address.port, ipv6Only: true } as const;
    const third = await transport.listen(six, plainBind).catch((error: unknown) => error);
    if (!isPortsideError(third)) (third as typeof first).close();
    else assert.equal(third.code, 'EAFNOSUPPORT');
    first.close();
    second.close();
  });

  promise('a listening descriptor from a parent is listened on', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const child = startChild(
      `${prelude}
      const acceptor = await transport.listen({ kind: 'fd', fd: 3 }, plainBind);
      acceptor.watcher = { ready() { const channel = acceptor.take(); channel.send(Buffer.from('from the child')); channel.destroy('flush'); acceptor.close(); }, trouble() {} };
      acceptor.want(true);
      process.send?.('up');
      console.log(acceptor.address.port);`,
      ['ignore', 'pipe', 'pipe', (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd],
    );
    const ended = outcome(child);
    await once(child.stdout ?? assert.fail(), 'data');
    server.close();
    const client = await nativeTransport().dial({
      kind: 'tcp',
      host: '127.0.0.1',
      port,
      localHost: '127.0.0.1',
      localPort: undefined,
    }).result;
    assert.equal((await readAll(client)).text, 'from the child');
    const { code, out, err } = await ended;
    assert.deepEqual({ code, out }, { code: 0, out: `${port}\n` }, err);
    await assert.rejects(nativeTransport().listen({ kind: 'fd', fd: 1_000_000 }, plainBind), { code: 'EBADF' });
  });
});
