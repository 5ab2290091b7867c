import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import type { UdpOptions } from '../../src/net/udp.ts';
import { LOCAL, lo, outside, text, udpSockets } from '../support/udp.ts';

const bound = udpSockets();

describe('multicast', () => {
  // Nothing leaves the machine: the time to live is 0, and groups in ff01:: are those of one interface.
  const cases: [string, string, string | undefined, UdpOptions][] = [
    ['IPv4', '239.255.77.1', lo, { families: ['ipv4'] }],
    // The loopback interface has no route for groups of IPv6.
    ['IPv6', 'ff01::77:1', outside('IPv6'), { families: ['ipv6'] }],
  ];
  for (const [name, group, iface, options] of cases) {
    test(
      `of ${name} reaches those who joined, on one interface by its name, until they leave`,
      { skip: iface === undefined && 'no interface for it' },
      async () => {
        const sender = await bound({ ...options, multicast: { ttl: 0, loopback: true, interface: iface } });
        const one = await bound({ ...options, reuseAddress: true });
        const two = await bound({ ...options, reuseAddress: true, port: one.local.port });
        const place = { host: group, port: one.local.port };
        one.addMembership(group, iface);
        two.addMembership(group, iface);
        await sender.send('all', place);
        assert.equal(text(await one.receive()), 'all');
        assert.equal(text(await two.receive()), 'all');
        assert.throws(() => two.addMembership(group, iface), { code: 'EADDRINUSE' });
        one.dropMembership(group, iface);
        two.dropMembership(group, iface);
        assert.throws(() => two.dropMembership(group, iface), { code: 'EADDRNOTAVAIL' });
        await sender.send('unheard', place);
        two.addMembership(group, iface);
        await sender.send('heard', place);
        assert.equal(text(await two.receive()), 'heard');
      },
    );
  }

  test(
    'is not heard by its own machine when loopback is off',
    { skip: outside('IPv4') === undefined && 'loopback interfaces loop always' },
    async () => {
      const iface = outside('IPv4') as string;
      const group = '239.255.77.2';
      const sender = await bound({ families: ['ipv4'], multicast: { ttl: 0 } });
      const taker = await bound({ families: ['ipv4'] });
      taker.addMembership(group, iface);
      sender.setMulticastInterface(iface);
      sender.setMulticastLoopback(false);
      await sender.send('unheard', { host: group, port: taker.local.port });
      sender.setMulticastLoopback(true);
      await sender.send('heard', { host: group, port: taker.local.port });
      assert.equal(text(await taker.receive()), 'heard');
    },
  );

  test('says what is no group and no interface', async () => {
    const socket = await bound({ families: ['ipv4'] });
    assert.throws(
      () => socket.addMembership('10.0.0.1'),
      (error) => isPortsideError(error) && error.code === 'EINVAL',
    );
    assert.throws(() => socket.addMembership('nowhere'), isPortsideError);
    assert.throws(() => socket.addMembership('239.255.77.1', 'no-such-interface'), isPortsideError);
    assert.throws(() => socket.addMembership(''), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => socket.setMulticastTtl(256), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => socket.setTtl(0), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => socket.setMulticastInterface('no-such-interface'), isPortsideError);
  });
});

describe('other programs', () => {
  const python = spawnSync('python3', ['--version']).status === 0;

  test('a client in another language gets its echo', { skip: !python && 'no python3' }, async () => {
    const socket = await bound();
    const script = [
      'import socket, sys',
      's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
      's.settimeout(10)',
      'for i in range(100):',
      '  s.sendto(b"%d" % i, ("127.0.0.1", int(sys.argv[1])))',
      '  assert s.recvfrom(100)[0] == b"%d" % i',
      'print("well")',
    ].join('\n');
    const child = spawn('python3', ['-c', script, String(socket.local.port)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = once(child, 'close').then(() => socket.close());
    for await (const { data, remote } of socket) await socket.send(data, remote);
    await ended;
    assert.equal(said.trim(), 'well');
  });

  async function echo(t: TestContext, program: string, args: (port: string) => string[]): Promise<void> {
    if (spawnSync(program, ['-h']).error !== undefined) return t.skip(`no ${program}`);
    const socket = await bound();
    const child = spawn(program, args(String(socket.local.port)), { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.kill());
    child.stdin.write('hello\n');
    const { data, remote } = await socket.receive();
    await socket.send(data, remote);
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    assert.equal(chunk.toString(), 'hello\n');
    child.kill();
    await once(child, 'close');
  }

  test('nc -u gets its echo', (t) => echo(t, 'nc', (port) => ['-u', LOCAL, port]));
  test('socat gets its echo', (t) => echo(t, 'socat', (port) => ['-', `UDP:127.0.0.1:${port}`]));
});
