import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClosedError } from '../../src/base/errors.ts';
import { bindUdp } from '../../src/net/udp.ts';
import type { UdpOptions } from '../../src/net/udp.ts';
import { Scope } from '../../src/sync/scope.ts';
import { refusal } from '../support/refusal.ts';
import { LOCAL, text, udpSockets } from '../support/udp.ts';

const bound = udpSockets();

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
    const socket = await scope.run(() => bound());
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
