import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { ClosedError, isPortsideError } from '../../src/base/errors.ts';
import type { PortsideError } from '../../src/base/errors.ts';
import { bindUdp, isUdpSocket } from '../../src/net/udp.ts';
import type { Datagram, UdpOptions, UdpSocket } from '../../src/net/udp.ts';
import { after, select } from '../../src/sync/evt.ts';
import { Scope } from '../../src/sync/scope.ts';
import { watchLeaks } from '../support/leaks.ts';

const LOCAL = '127.0.0.1';
const text = (datagram: Datagram): string => Buffer.from(datagram.data).toString();

let checkLeaks: () => Promise<void>;
let opened: UdpSocket[] = [];
beforeEach(() => {
  checkLeaks = watchLeaks();
});
// Hooks of a test run before this one, so that what they close is closed by now.
afterEach(async () => {
  await Promise.all(opened.map((socket) => socket.close()));
  opened = [];
  await checkLeaks();
});

/** A socket that is closed when the test is over. */
async function bound(where: UdpOptions | number | string = { host: LOCAL }, more?: UdpOptions): Promise<UdpSocket> {
  const socket = await bindUdp(where, more);
  opened.push(socket);
  return socket;
}

async function refusal(promise: Promise<unknown>): Promise<PortsideError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(isPortsideError(error), String(error));
    return error;
  }
  assert.fail('it was not refused');
}

const v6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
const lo =
  Object.entries(networkInterfaces()).find(([, list]) => list?.some(({ address }) => address === LOCAL))?.[0] ?? 'lo';

/** An interface that is not the loopback one and has an address of the family. */
function outside(family: 'IPv4' | 'IPv6'): string | undefined {
  return Object.entries(networkInterfaces()).find(([, list]) =>
    list?.some((one) => !one.internal && one.family === family),
  )?.[0];
}

/** Waits until the socket has that many datagrams, by turns of the loop. */
async function arrived(socket: UdpSocket, count: () => number, wanted: number): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (count() < wanted) {
    assert.ok(performance.now() < deadline, `${count()} of ${wanted} came to ${socket.local.port}`);
    await new Promise(setImmediate);
  }
}

describe('a UDP socket', () => {
  test('sends datagrams and receives them with the address of the sender', async () => {
    const a = await bound();
    const b = await bound();
    await a.send(new Uint8Array([1, 2, 3]), b.local);
    const { data, remote } = await b.receive();
    assert.deepEqual([...data], [1, 2, 3]);
    assert.deepEqual(remote, a.local);
    await b.send('grüß', remote);
    assert.equal(text(await a.receive()), 'grüß');
  });

  test('keeps the limits of datagrams, the empty one too', async () => {
    const a = await bound();
    const b = await bound();
    for (const data of ['one', '', 'three']) await a.send(data, b.local);
    const got = [await b.receive(), await b.receive(), await b.receive()];
    assert.deepEqual(got.map(text), ['one', '', 'three']);
  });

  test('takes addresses as strings, with names of hosts and services', async () => {
    const a = await bound();
    const b = await bound('udp://127.0.0.1:0');
    await a.send('1', `127.0.0.1:${b.local.port}`);
    await a.send('2', `udp://127.0.0.1:${b.local.port}`);
    await a.send('3', { host: 'localhost', port: String(b.local.port) });
    assert.deepEqual([await b.receive(), await b.receive(), await b.receive()].map(text), ['1', '2', '3']);
  });

  test('of IPv6 reaches IPv6', { skip: !v6 && 'no IPv6' }, async () => {
    const a = await bound({ host: '::1' });
    const b = await bound('[::1]:0');
    assert.equal(b.local.family, 'ipv6');
    await a.send('six', b.local);
    const datagram = await b.receive();
    assert.equal(text(datagram), 'six');
    assert.deepEqual(datagram.remote, a.local);
  });

  test(
    'that is bound to every address speaks with both families, and IPv4 looks like IPv4',
    { skip: !v6 && 'no IPv6' },
    async () => {
      const all = await bound({});
      assert.equal(all.local.host, '::');
      for (const host of [LOCAL, '::1']) {
        const peer = await bound({ host });
        await peer.send('to', { host, port: all.local.port });
        const { remote } = await all.receive();
        assert.deepEqual(remote, peer.local);
        await all.send('fro', remote);
        assert.equal(text(await peer.receive()), 'fro');
      }
      const peer = await bound();
      await all.send('mapped', { host: '::ffff:127.0.0.1', port: peer.local.port });
      assert.equal(text(await peer.receive()), 'mapped');
    },
  );

  test('keeps to the families that are asked for', async () => {
    const four = await bound({ families: ['ipv4'] });
    assert.deepEqual(four.local.host, '0.0.0.0');
    const named = await bound({ host: 'localhost', families: ['ipv4'] });
    assert.equal(named.local.family, 'ipv4');
    assert.equal((await refusal(bindUdp({ host: '::1', families: ['ipv4'] }))).code, 'ERR_PORTSIDE_OPTIONS');
  });

  test('of IPv6 alone leaves the port to IPv4', { skip: !v6 && 'no IPv6' }, async () => {
    const six = await bound({ families: ['ipv6'] });
    const four = await bound({ families: ['ipv4'], port: six.local.port });
    assert.equal(four.local.port, six.local.port);
  });

  test('says when the families of the two sides don’t meet', { skip: !v6 && 'no IPv6' }, async () => {
    const four = await bound();
    const six = await bound({ host: '::1' });
    const { code, message } = await refusal(four.send('x', six.local));
    assert.equal(code, 'EAFNOSUPPORT');
    assert.match(message, /of the other family/u);
    assert.equal((await refusal(six.send('x', four.local))).code, 'EAFNOSUPPORT');
  });

  test('has a brand', async () => {
    assert.equal(isUdpSocket(await bound()), true);
    for (const other of [null, {}, 'x']) assert.equal(isUdpSocket(other), false);
  });
});

describe('receiving', () => {
  test('is a loop that ends when the socket is closed, and goes on after a break', async () => {
    const a = await bound();
    const b = await bound();
    for (const data of ['1', '2', '3']) await a.send(data, b.local);
    const seen: string[] = [];
    for await (const datagram of b) {
      seen.push(text(datagram));
      if (seen.length === 2) break;
    }
    for await (const datagram of b) {
      seen.push(text(datagram));
      void b.close();
    }
    for await (const datagram of b) seen.push(text(datagram));
    assert.deepEqual(seen, ['1', '2', '3']);
  });

  test('answers those who wait in order', async () => {
    const a = await bound();
    const b = await bound();
    const waiting = [b.receive(), b.receive(), b.receive()];
    for (const data of ['1', '2', '3']) await a.send(data, b.local);
    assert.deepEqual((await Promise.all(waiting)).map(text), ['1', '2', '3']);
  });

  test('can be called off, and then has taken nothing', async () => {
    const a = await bound();
    const b = await bound();
    const reason = new Error('enough');
    const controller = new AbortController();
    const first = b.receive({ signal: controller.signal });
    const second = b.receive();
    controller.abort(reason);
    await assert.rejects(first, reason);
    await assert.rejects(b.receive({ signal: AbortSignal.abort(reason) }), reason);
    await a.send('x', b.local);
    assert.equal(text(await second), 'x');
  });

  test('that waits is woken by ClosedError when the socket is closed', async () => {
    const socket = await bound();
    const waiting = socket.receive();
    void socket.close();
    await assert.rejects(
      waiting,
      (error) => error instanceof ClosedError && error.code === 'ERR_PORTSIDE_CLOSED' && error.op === 'receive',
    );
    await assert.rejects(socket.receive(), ClosedError);
  });

  test('is an event that takes only when it is chosen', async () => {
    const a = await bound();
    const b = await bound();
    assert.equal(await select(b.receiveEvt(), after(1)), undefined);
    const winner = select(b.receiveEvt(), after(60_000));
    await a.send('1', b.local);
    assert.equal(text((await winner) as Datagram), '1');
    // Of two events over one datagram one is chosen, and the other waits on.
    const [one, two] = [select(b.receiveEvt()), select(b.receiveEvt())];
    await a.send('2', b.local);
    assert.equal(text(await one), '2');
    await a.send('3', b.local);
    assert.equal(text(await two), '3');
    await a.send('4', b.local);
    await arrived(b, () => b.pending, 1);
    assert.equal(text(await select(b.receiveEvt())), '4');
    const closing = select(b.receiveEvt());
    void b.close();
    await assert.rejects(closing, ClosedError);
    await assert.rejects(select(b.receiveEvt()), ClosedError);
  });

  test('drops the newest datagrams above the inbox, and counts them', async () => {
    const a = await bound();
    const b = await bound({ host: LOCAL, inboxDatagrams: 2 });
    for (let i = 0; i < 5; i++) await a.send(String(i), b.local);
    await arrived(b, () => b.pending + b.dropped, 5);
    assert.equal(b.dropped, 3);
    assert.deepEqual([await b.receive(), await b.receive()].map(text), ['0', '1']);
    await a.send('again', b.local);
    assert.equal(text(await b.receive()), 'again');
  });

  test('bounds the bytes of the inbox too, and gets the room back', async () => {
    const a = await bound();
    const b = await bound({ host: LOCAL, inboxBytes: 1_000 });
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 3; i++) await a.send(Buffer.alloc(400, i), b.local);
      await arrived(b, () => b.pending + b.dropped, 3 + round);
      assert.equal(b.pending, 2);
      assert.equal(b.dropped, round + 1);
      assert.deepEqual([(await b.receive()).data[0], (await b.receive()).data[0]], [0, 1]);
    }
  });

  test('takes no more than 10,000 who wait', async () => {
    const socket = await bound();
    const waiting = Array.from({ length: 10_000 }, () => socket.receive());
    assert.equal((await refusal(socket.receive())).code, 'ERR_PORTSIDE_LIMIT');
    void socket.close();
    for (const one of await Promise.allSettled(waiting)) assert.equal(one.status, 'rejected');
  });
});

describe('sending', () => {
  test('too much at once fails that one, and kills nobody who doesn’t await it', async () => {
    const a = await bound();
    const b = await bound();
    void a.send(new Uint8Array(70_000), b.local);
    const { code, op, remote } = await refusal(a.send(new Uint8Array(70_000), b.local));
    assert.equal(code, 'EMSGSIZE');
    assert.equal(op, 'send');
    assert.equal(remote, `127.0.0.1:${b.local.port}`);
    await a.send(new Uint8Array(65_507), b.local);
    assert.equal((await b.receive()).data.length, 65_507);
  });

  test('to a port that nobody has harms nothing', async () => {
    const a = await bound();
    const b = await bound();
    const gone = await bound();
    await gone.close();
    for (let i = 0; i < 3; i++) await a.send('x', gone.local);
    await a.send('y', b.local);
    assert.equal(text(await b.receive()), 'y');
  });

  test('to a name that nobody knows fails that one', async () => {
    const socket = await bound();
    const { code } = await refusal(socket.send('x', 'no-such-host.invalid:9'));
    assert.ok(['ENOTFOUND', 'EAI_AGAIN'].includes(code), code);
  });

  test('to a broadcast address has to be allowed', async () => {
    const a = await bound({ families: ['ipv4'] });
    assert.equal((await refusal(a.send('x', '255.255.255.255:9'))).code, 'EACCES');
    a.setBroadcast(true);
    await a.send('x', '127.255.255.255:9');
  });

  test('is bounded, in datagrams and in bytes', async () => {
    const b = await bound();
    const few = await bound({ host: LOCAL, outboxDatagrams: 2 });
    const sends = ['1', '2', '3'].map((data) => few.send(data, b.local));
    assert.deepEqual(
      (await Promise.allSettled(sends)).map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    );
    assert.equal((await refusal(sends[2] as Promise<void>)).code, 'ERR_PORTSIDE_LIMIT');
    await few.send('4', b.local);
    const small = await bound({ host: LOCAL, outboxBytes: 100 });
    const whole = small.send(new Uint8Array(200), b.local);
    assert.equal(small.queuedBytes, 200);
    assert.equal((await refusal(small.send('x', b.local))).code, 'ERR_PORTSIDE_LIMIT');
    await whole;
    assert.equal(small.queuedBytes, 0);
    await small.send('x', b.local);
  });

  test('by trySend copies the bytes and says whether there was room', async () => {
    const a = await bound({ host: LOCAL, outboxDatagrams: 1 });
    const b = await bound();
    const data = Buffer.from('before');
    assert.equal(a.trySend(data, b.local), true);
    assert.equal(a.trySend(data, b.local), false);
    data.write('after!');
    assert.equal(text(await b.receive()), 'before');
    assert.throws(() => a.trySend('x', 'localhost:9'), { code: 'ERR_PORTSIDE_ENDPOINT' });
    void a.close();
    assert.throws(() => a.trySend('x', b.local), ClosedError);
  });

  test('by trySend tells of failures on the diagnostics channel', async (t) => {
    const socket = await bound();
    const told = new Promise<{ socket: UdpSocket; error: PortsideError }>((resolve) => {
      const hear = (message: unknown): void => resolve(message as { socket: UdpSocket; error: PortsideError });
      subscribe('portside.udp.trouble', hear);
      t.after(() => unsubscribe('portside.udp.trouble', hear));
    });
    assert.equal(socket.trySend(new Uint8Array(70_000), '127.0.0.1:9'), true);
    const message = await told;
    assert.equal(message.socket, socket);
    assert.equal(message.error.code, 'EMSGSIZE');
  });

  test('wrong arguments are thrown at once', async () => {
    const socket = await bound();
    const send = socket.send.bind(socket) as (data: unknown, remote: unknown) => unknown;
    assert.throws(() => send(5, '127.0.0.1:9'), { code: 'ERR_PORTSIDE_OPTIONS' });
    for (const remote of [
      '127.0.0.1',
      '127.0.0.1:0',
      '::1:9',
      { host: LOCAL, port: 70_000 },
      { host: LOCAL, port: 1.5 },
      { host: 5, port: 5 },
      null,
      undefined,
      9,
    ]) {
      assert.throws(() => send('x', remote), { code: 'ERR_PORTSIDE_ENDPOINT' }, JSON.stringify(remote));
    }
    assert.throws(() => send('x', '127.0.0.1:no-such-service'), { code: 'ERR_PORTSIDE_SERVICE' });
    assert.equal(socket.queuedBytes, 0);
  });
});

describe('the life of a UDP socket', () => {
  test('ends once, whoever closes it how often', async () => {
    const socket = await bound();
    const { local } = socket;
    await Promise.all([socket.close(), socket.close(), socket.abort(), socket.closed]);
    assert.deepEqual(socket.local, local);
    await assert.rejects(socket.send('x', '127.0.0.1:9'), ClosedError);
    assert.throws(() => socket.setBroadcast(true), ClosedError);
    assert.throws(() => socket.bufferSizes, ClosedError);
    socket.ref(false);
    // The port is free again.
    await bound({ host: LOCAL, port: local.port });
  });

  test('close lets what is on its way reach the kernel', async () => {
    const a = await bound();
    const b = await bound();
    const sends = Array.from({ length: 20 }, (_, i) => a.send(String(i), b.local));
    await a.close();
    await Promise.all(sends);
    for (let i = 0; i < 20; i++) assert.equal(text(await b.receive()), String(i));
  });

  test('abort drops what is on its way, and says so', async () => {
    const a = await bound();
    const b = await bound();
    const sends = [a.send('x', 'localhost:9'), a.send('y', b.local)];
    void a.abort();
    for (const one of await Promise.allSettled(sends)) {
      assert.ok(one.status === 'rejected' && one.reason instanceof ClosedError);
    }
    await a.closed;
  });

  test('is disposed of by await using, which closes it', async () => {
    const socket = await bound();
    await socket[Symbol.asyncDispose]();
    await assert.rejects(socket.receive(), ClosedError);
  });

  test('belongs to the scope that was current', async () => {
    const scope = new Scope({ name: 'room' });
    const socket = await scope.run(() => bindUdp({ host: LOCAL }));
    opened.push(socket);
    const waiting = socket.receive();
    const { open } = await scope.close();
    assert.deepEqual(
      open.map(({ what }) => what),
      [`UDP socket 127.0.0.1:${socket.local.port}`],
    );
    await assert.rejects(waiting, ClosedError);
    const other = new Scope();
    const mine = await other.run(() => bindUdp({ host: LOCAL }));
    await mine.close();
    assert.deepEqual((await other.close()).open, []);
    await assert.rejects(
      other.run(() => bindUdp({ host: LOCAL })),
      { code: 'ERR_PORTSIDE_SCOPE_CLOSED' },
    );
  });

  test('is closed again when its scope was closed while it was bound', async () => {
    const scope = new Scope();
    const binding = scope.run(() => bindUdp({ host: LOCAL }));
    void scope.close();
    assert.equal((await refusal(binding)).code, 'ERR_PORTSIDE_SCOPE_CLOSED');
  });

  test('can be refused by a guard, which hears host, port and role', async () => {
    const asked: unknown[] = [];
    const scope = new Scope({ guard: (request) => asked.push(request) === 0 });
    assert.equal(
      (await refusal(scope.run(() => bindUdp({ host: 'localhost', port: 'domain' })))).code,
      'ERR_PORTSIDE_GUARD',
    );
    assert.deepEqual(asked, [{ op: 'listen', role: 'server', host: 'localhost', port: 53 }]);
    await scope.close();
  });

  test('can be called off while it is being bound', async () => {
    const reason = new Error('enough');
    await assert.rejects(bindUdp({ host: LOCAL, signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const binding = bindUdp({ host: LOCAL, signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(binding, reason);
    const late = new AbortController();
    const socket = await bound({ host: LOCAL, signal: late.signal });
    late.abort(reason);
    await socket.send('x', socket.local);
    assert.equal(text(await socket.receive()), 'x');
  });
});

describe('binding a UDP socket', () => {
  test('to a port that is taken keeps the system’s code, and shares it when asked to', async () => {
    const first = await bound({ host: LOCAL, reuseAddress: true });
    const { port } = first.local;
    const { code, message, op } = await refusal(bindUdp({ host: LOCAL, port }));
    assert.equal(code, 'EADDRINUSE');
    assert.equal(op, 'listen');
    assert.match(message, /in use by another program/u);
    await bound({ host: LOCAL, port, reuseAddress: true });
  });

  test('to an address of another machine says so', async () => {
    assert.equal((await refusal(bindUdp({ host: '203.0.113.7' }))).code, 'EADDRNOTAVAIL');
  });

  test('by number and options gives both their due', async () => {
    const socket = await bound(0, { host: LOCAL, inboxDatagrams: 1 });
    assert.equal(socket.local.host, LOCAL);
    assert.equal(socket.local.family, 'ipv4');
  });

  test('tells everything that is wrong with the options at once', async () => {
    const wrong = { hots: 'x', port: -1, ttl: 0, multicast: { ttl: 256, loop: true }, inboxBytes: '5', families: [] };
    const { code, message } = await refusal(bindUdp(wrong as unknown as UdpOptions));
    assert.equal(code, 'ERR_PORTSIDE_OPTIONS');
    for (const says of [
      /options\.hots is not an option; did you mean "host"/u,
      /options\.port/u,
      /options\.ttl/u,
      /options\.multicast\.ttl/u,
      /options\.multicast\.loop/u,
      /options\.inboxBytes/u,
      /options\.families/u,
    ]) {
      assert.match(message, says);
    }
    assert.equal((await refusal(bindUdp(-1))).code, 'ERR_PORTSIDE_OPTIONS');
    assert.equal((await refusal(bindUdp({ port: 'no-such-service' }))).code, 'ERR_PORTSIDE_SERVICE');
    assert.equal((await refusal(bindUdp({ host: 'a b' }))).code, 'ERR_PORTSIDE_ENDPOINT');
    assert.equal((await refusal(bindUdp('nowhere'))).code, 'ERR_PORTSIDE_ENDPOINT');
  });

  test('sets the kernel’s buffers', async () => {
    const socket = await bound({ host: LOCAL, receiveBuffer: 20_000, sendBuffer: 10_000 });
    const { receive, send } = socket.bufferSizes;
    assert.ok(receive >= 20_000 && receive <= 40_000, String(receive));
    assert.ok(send >= 10_000 && send <= 20_000, String(send));
    socket.setBufferSizes({ receive: 40_000 });
    assert.ok(socket.bufferSizes.receive >= 40_000);
  });
});

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
