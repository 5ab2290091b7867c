import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { udpDriver } from '../../src/dataspace/drivers/udp-driver.ts';
import {
  listenerRecord,
  udpAddress,
  udpHandle,
  udpListener,
  udpPacket,
} from '../../src/dataspace/drivers/udp-topics.ts';
import { formatTopic } from '../../src/dataspace/format-topic.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { Scope } from '../../src/sync/scope.ts';
import { LOCAL, text, udpSockets } from '../support/udp.ts';
import { udpBenches } from './udp-bench.ts';

const makeBench = udpBenches();
const bound = udpSockets();
const to = (port: number) => udpAddress(LOCAL, port);

describe('a socket that can’t be had', () => {
  test('is told as long as it is wanted, and had when it is wanted anew and can be', async () => {
    const bench = makeBench();
    const other = await bound();
    const { port } = other.local;
    const local = udpListener(port, { host: LOCAL });
    const key = formatTopic(local);
    const first = await bench.hear(local);
    await bench.until('the failure', () => bench.failed.has(key));
    assert.equal(bench.failed.get(key), 'EADDRINUSE bind');
    const second = await bench.hear(local);
    await other.close();
    await first.hand.do((self) => self.quit());
    await bench.round();
    assert.deepEqual([...bench.failed.keys()], [key], 'somebody wants it still');
    assert.equal(bench.opened, 0);
    await second.hand.do((self) => {
      second.handle.withdraw();
      // It is wanted without a break, and so it stays as it is.
      self.subscribe(udpPacket(_, local, _), {}, { name: 'next' });
    });
    await bench.round();
    assert.equal(bench.opened, 0);
    await second.hand.do((self) => self.quit());
    await bench.until('the failure to be forgotten', () => bench.failed.size === 0);
    const third = await bench.hear(local);
    assert.equal(await bench.port(local), port);
    await third.hand.do((self) => self.quit());
    assert.deepEqual(await bench.over(), { state: 'idle', failed: 0, failures: [] });
  });

  test('does not keep the space running', async () => {
    const bench = makeBench();
    const other = await bound();
    const local = udpListener(other.local.port, { host: LOCAL });
    const { hand } = await bench.hear(local);
    await bench.until('the failure', () => bench.failed.size === 1);
    hand.letGo();
    assert.equal((await bench.over()).state, 'idle');
  });

  test('is told for each packet too: for those that waited, and for those that come later', async () => {
    const bench = makeBench();
    const other = await bound();
    const local = udpListener(other.local.port, { host: LOCAL });
    const hand = await bench.hand((self) => {
      self.publish(udpPacket(local, _, _));
      self.send(udpPacket(local, to(9), 'early'));
    });
    await bench.until('the failure', () => bench.failed.size === 1 && bench.unsent.length === 1);
    await hand.do((self) => self.send(udpPacket(local, to(10), 'late')));
    await bench.until('one more', () => bench.unsent.length === 2);
    assert.deepEqual(bench.unsent, [
      'EADDRINUSE udp-address("127.0.0.1", 9)',
      'EADDRINUSE udp-address("127.0.0.1", 10)',
    ]);
    await hand.do((self) => self.quit());
    await bench.over();
  });

  test('is one too many, until another one is closed', async () => {
    const bench = makeBench({ maxSockets: 2 });
    const hands = [];
    for (const id of [0, 1, 2]) {
      hands.push((await bench.hear(udpHandle(id))).hand);
      await bench.until('a third', () => bench.ports.size + bench.failed.size === id + 1);
    }
    assert.deepEqual([...bench.failed], [['udp-handle(2)', 'ERR_PORTSIDE_LIMIT bind']]);
    await hands[0]?.do((self) => self.quit());
    await hands[2]?.do((self) => self.quit());
    await bench.until('only one', () => bench.ports.size === 1 && bench.failed.size === 0);
    hands.push((await bench.hear(udpHandle(2))).hand);
    await bench.port(udpHandle(2));
    for (const i of [1, 3]) await hands[i]?.do((self) => self.quit());
    await bench.over();
  });

  test('is one whose listener is nothing that could be bound', async () => {
    const bench = makeBench();
    const wrong = [
      [listenerRecord(70_000, null, false), 'ERR_PORTSIDE_OPTIONS'],
      [listenerRecord('x' as never, null, false), 'ERR_PORTSIDE_SERVICE'],
      [listenerRecord(0, 5 as never, false), 'ERR_PORTSIDE_OPTIONS'],
      [listenerRecord(0, LOCAL, 'perhaps' as never), 'ERR_PORTSIDE_OPTIONS'],
      [udpListener(0, { host: 'nowhere.invalid' }), 'ENOTFOUND'],
      [udpListener(0, { host: '192.0.2.1' }), 'EADDRNOTAVAIL'],
    ] as const;
    for (const [local, code] of wrong) {
      const hand = await bench.hand((self) => self.subscribe(udpPacket(_, local, _)));
      await bench.until(code, () => bench.failed.size === 1);
      assert.deepEqual([...bench.failed], [[formatTopic(local), `${code} bind`]]);
      await hand.do((self) => self.quit());
      await bench.until('it to be forgotten', () => bench.failed.size === 0);
    }
    assert.equal((await bench.over()).failed, 0);
  });

  test('is one that the scope refuses, or has closed', async () => {
    const scope = new Scope({ parent: null, guard: ({ port }) => port !== 9 });
    const bench = scope.run(() => makeBench());
    const local = udpListener(9, { host: LOCAL });
    const { hand } = await bench.hear(local);
    await bench.hear(udpHandle('open'));
    await bench.until('one and one', () => bench.failed.size === 1 && bench.ports.size === 1);
    assert.deepEqual([...bench.failed.values()], ['ERR_PORTSIDE_GUARD bind']);
    await hand.do((self) => self.quit());
    bench.space.end();
    await scope.close();

    const other = new Scope({ parent: null });
    const driver = other.run(() => udpDriver());
    const free = makeBench();
    free.space.spawn((self) => {
      self.quit(free.driver, 'another one takes its place');
      self.spawn(driver);
    });
    const heard = await free.hear(udpHandle('x'));
    await free.port(udpHandle('x'));
    const { open } = await other.close();
    assert.equal(open.length, 1, 'sockets belong to the scope in which the driver was made');
    await free.until('the failure', () => free.failed.size === 1);
    assert.deepEqual([...free.failed], [['udp-handle("x")', 'ERR_PORTSIDE_CLOSED bind']]);
    await heard.hand.do((self) => self.quit());
    await free.until('it to be forgotten', () => free.failed.size === 0);
    const again = await free.hear(udpHandle('x'));
    await free.until('the next failure', () => free.failed.size === 1);
    assert.deepEqual([...free.failed.values()], ['ERR_PORTSIDE_SCOPE_CLOSED bind']);
    await again.hand.do((self) => self.quit());
    await free.over();
  });

  test('is one whose actor somebody ended', async () => {
    const bench = makeBench();
    const { hand } = await bench.hear(udpHandle('x'));
    await bench.port(udpHandle('x'));
    const actor = bench.space.inspect().actors.find(({ name }) => name === 'udp handle');
    await hand.do((self) => self.quit(actor?.id ?? 0, 'away'));
    await bench.until('the failure', () => bench.failed.size === 1);
    assert.deepEqual([...bench.failed.values()], ['ERR_PORTSIDE_ABORTED bind']);
    assert.equal(bench.ports.size, 0);
    await hand.do((self) => self.quit());
    await bench.over();
  });
});

describe('what waits for a socket', () => {
  test('is bounded in number; what is one too many is told', async () => {
    const bench = makeBench({ socket: { outboxDatagrams: 2 } });
    const server = await bound();
    const hand = await bench.hand((self) => {
      self.publish(udpPacket(udpHandle('x'), _, _));
      for (const body of ['a', 'b', 'c']) self.send(udpPacket(udpHandle('x'), to(server.local.port), body));
    });
    const got = [await server.receive(), await server.receive()].map((one) => text(one));
    assert.deepEqual(got, ['a', 'b']);
    await bench.until('the failure', () => bench.unsent.length > 0);
    assert.deepEqual(bench.unsent, [`ERR_PORTSIDE_LIMIT udp-address("127.0.0.1", ${server.local.port})`]);
    assert.equal(server.pending, 0);
    await hand.do((self) => self.quit());
    await bench.over();
  });

  test('is bounded in bytes', async () => {
    const bench = makeBench({ socket: { outboxBytes: 100 } });
    const server = await bound();
    const remote = to(server.local.port);
    const hand = await bench.hand((self) => {
      self.publish(udpPacket(udpHandle('x'), _, _));
      for (const length of [60, 60, 40]) self.send(udpPacket(udpHandle('x'), remote, 'x'.repeat(length)));
    });
    const got = [await server.receive(), await server.receive()].map(({ data }) => data.length);
    assert.deepEqual(got, [60, 40]);
    await bench.until('the failure', () => bench.unsent.length > 0);
    await hand.do((self) => self.quit());
    await bench.over();
  });
});

test('options that make no sense are an error of whoever gives them', () => {
  for (const wrong of [
    { maxSockets: -1 },
    { untakenPackets: 0 },
    { untakenBytes: '5' },
    { socket: { port: 5 } },
    { socket: { ttl: 0 } },
    { socket: { multicast: { ttl: 256 } } },
    { sockets: 1 },
  ])
    assert.throws(() => udpDriver(wrong as never), { code: 'ERR_PORTSIDE_OPTIONS' });
  assert.throws(() => udpListener(65_536), { code: 'ERR_PORTSIDE_OPTIONS' });
});

test('settings reach the sockets', async () => {
  const server = await bound({ host: '0.0.0.0' });
  const everybody = udpAddress('127.255.255.255', server.local.port);
  const local = udpListener(0, { host: LOCAL });
  for (const broadcast of [false, true]) {
    const bench = makeBench({ socket: { broadcast, ttl: 5, receiveBuffer: 65_536, multicast: { loopback: false } } });
    const hand = await bench.hand((self) => {
      self.publish(udpPacket(local, _, _));
      self.send(udpPacket(local, everybody, 'to all'));
    });
    if (broadcast) assert.equal(text(await server.receive()), 'to all');
    else await bench.until('the failure', () => bench.unsent.some((what) => what.startsWith('EACCES')));
    await hand.do((self) => self.quit());
    await bench.over();
  }
});
