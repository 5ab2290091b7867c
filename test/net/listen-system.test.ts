import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import { systemdDescriptor } from '../../src/net/systemd.ts';
import { endAll, nets, portOf } from '../support/nets.ts';

const system = nets().filter(({ transport }) => transport.flags.descriptors);
const hasIpv6 = await new Promise<boolean>((resolve) => {
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(0, '::1', () => server.close(() => resolve(true)));
});

for (const { name, transport } of system) {
  test(
    `a name with several addresses binds all of them on one port (${name})`,
    { skip: hasIpv6 ? false : 'this machine has no IPv6' },
    async () => {
      const listener = await listen({ port: 0, host: 'localhost', transport });
      const { addresses } = listener;
      assert.ok(addresses.length >= 1);
      assert.equal(new Set(addresses.map((address) => ('port' in address ? address.port : -1))).size, 1);
      for (const address of addresses) {
        assert.ok('host' in address);
        const client = await connect({ host: address.host, port: address.port }, { transport });
        const conn = await listener.accept();
        await endAll(client, conn);
      }
      await listener.close();
    },
  );

  test(`without a host both families are bound, and an IPv4 client has an IPv4 address (${name})`, async () => {
    const listener = await listen({ port: 0, transport });
    const client = await connect({ host: '127.0.0.1', port: portOf(listener) }, { transport });
    const conn = await listener.accept();
    assert.ok(conn.remote.family === 'ipv4' && conn.remote.host === '127.0.0.1', JSON.stringify(conn.remote));
    await endAll(client, conn);
    await listener.close();
  });

  test(`families chooses what is bound (${name})`, { skip: hasIpv6 ? false : 'this machine has no IPv6' }, async () => {
    const four = await listen({ port: 0, families: ['ipv4'], transport });
    assert.equal(four.address.family, 'ipv4');
    await assert.rejects(connect({ host: '::1', port: portOf(four) }, { transport }), { code: 'ECONNREFUSED' });
    const six = await listen({ port: 0, families: ['ipv6'], transport });
    assert.equal(six.address.family, 'ipv6');
    await assert.rejects(connect({ host: '127.0.0.1', port: portOf(six) }, { transport }), { code: 'ECONNREFUSED' });
    await Promise.all([four.close(), six.close()]);
  });

  test(`a name that does not resolve is ENOTFOUND or EAI_AGAIN, in a sentence (${name})`, async () => {
    await assert.rejects(listen({ port: 0, host: 'no-such-host.invalid', transport }), {
      code: /^(ENOTFOUND|EAI_AGAIN)$/u,
      op: 'listen',
    });
  });

  test(`an address that is not this machine's is EADDRNOTAVAIL (${name})`, async () => {
    await assert.rejects(listen({ port: 0, host: '192.0.2.1', transport }), { code: 'EADDRNOTAVAIL', op: 'listen' });
  });

  test(`a Unix socket has its permissions, is removed at close, and a stale one is cleared away (${name})`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portside-'));
    const path = join(folder, 'a.sock');
    const listener = await listen({ path, mode: 0o600, transport });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const client = await connect(`unix://${path}`, { transport });
    const conn = await listener.accept();
    await client.write('over unix');
    assert.equal(Buffer.from((await conn.read()) ?? []).toString(), 'over unix');
    await endAll(client, conn);
    await assert.rejects(listen({ path, transport }), { code: 'EADDRINUSE' });
    await listener.close();
    assert.equal(existsSync(path), false);
    writeFileSync(path, 'not a socket');
    await assert.rejects(listen({ path, transport }), { code: 'EADDRINUSE' });
    assert.equal(existsSync(path), true);
    rmSync(folder, { recursive: true });
  });

  test(`a descriptor that listens already is adopted (${name})`, async () => {
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const { fd } = (other as unknown as { _handle: { fd: number } })._handle;
    assert.ok(fd > 2);
    // The descriptor stays the other server's; a child process is where adopting is for real.
    const { spawn } = await import('node:child_process');
    const script = `
      import { listen } from ${JSON.stringify(new URL('../../src/net/listen.ts', import.meta.url).href)};
      const listener = await listen({ endpoint: 'systemd://web', transport: ${JSON.stringify(name)} });
      console.log(JSON.stringify(listener.address));
      const conn = await listener.accept();
      await conn.write('adopted');
      await conn.close();
      await listener.close();`;
    const child = spawn(
      '/bin/sh',
      ['-c', `LISTEN_PID=$$ exec ${JSON.stringify(process.execPath)} --input-type=module -e "$SCRIPT"`],
      {
        stdio: ['ignore', 'pipe', 'inherit', fd],
        env: { ...process.env, SCRIPT: script, LISTEN_FDS: '1', LISTEN_FDNAMES: 'web' },
      },
    );
    const exited = new Promise((resolve) => {
      child.once('exit', resolve);
    });
    const line = await new Promise<string>((resolve) => {
      child.stdout!.once('data', (bytes: Buffer) => resolve(bytes.toString()));
    });
    const address = JSON.parse(line) as { port: number };
    other.close();
    const client = await connect({ host: '127.0.0.1', port: address.port }, { transport });
    assert.equal(Buffer.from((await client.read({ timeout: 5_000 })) ?? []).toString(), 'adopted');
    await client.close();
    assert.equal(await exited, 0);
  });
}

test('reuse: false on node:net says that it cannot be had', async () => {
  await assert.rejects(listen({ port: 0, host: '127.0.0.1', reuse: false, transport: 'node' }), {
    code: 'ERR_PORTSIDE_UNSUPPORTED',
  });
});

test('reusePort lets two listeners share a port, where the platform has it', async (t) => {
  const { transport } = system[0]!;
  if (!transport.flags.reusePort) {
    t.skip('not here');
    return;
  }
  const first = await listen({ port: 0, host: '127.0.0.1', reusePort: true, transport });
  const second = await listen({ port: portOf(first), host: '127.0.0.1', reusePort: true, transport });
  assert.equal(portOf(first), portOf(second));
  await Promise.all([first.close(), second.close()]);
});

test('tls endpoints without certificates, sockets that the transport lacks, and several places at once are refused in words', async () => {
  await assert.rejects(listen('tls://127.0.0.1:0'), { code: 'ERR_PORTSIDE_CERTIFICATE' });
  await assert.rejects(listen('memory://x', { transport: 'node' }), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
  await assert.rejects(listen({ port: 0, path: '/tmp/x' }), { code: 'ERR_PORTSIDE_OPTIONS' });
  await assert.rejects(listen({ host: '127.0.0.1' }), { code: 'ERR_PORTSIDE_OPTIONS' });
  await assert.rejects(listen({}), { code: 'ERR_PORTSIDE_OPTIONS' });
});

test('systemd descriptors are found by name, for this process only', () => {
  const env = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:admin' };
  assert.equal(systemdDescriptor('web', env, 7), 3);
  assert.equal(systemdDescriptor('admin', env, 7), 4);
  assert.throws(() => systemdDescriptor('mail', env, 7), { code: 'ERR_PORTSIDE_ENDPOINT', message: /web, admin/u });
  assert.throws(() => systemdDescriptor('web', env, 8), { code: 'ERR_PORTSIDE_ENDPOINT' });
  assert.throws(() => systemdDescriptor('web', {}, 8), { code: 'ERR_PORTSIDE_ENDPOINT' });
});
