import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, test } from 'node:test';
import { ClosedError } from '../../src/base/errors.ts';
import type { PortsideError } from '../../src/base/errors.ts';
import { bindUdp, isUdpSocket } from '../../src/net/udp.ts';
import type { Datagram, UdpSocket } from '../../src/net/udp.ts';
import { after, select } from '../../src/sync/evt.ts';
import { refusal } from '../support/refusal.ts';
import { LOCAL, arrived, text, udpSockets, v6 } from '../support/udp.ts';

const bound = udpSockets();

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
