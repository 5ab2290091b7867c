import assert from 'node:assert/strict';
import { pbkdf2 } from 'node:crypto';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { udpAddress, udpHandle, udpListener, udpPacket } from '../../src/dataspace/drivers/udp-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { LOCAL, text, udpSockets } from '../support/udp.ts';
import { udpBenches } from './udp-bench.ts';

const makeBench = udpBenches();
const bound = udpSockets();
/** Turns in which the driver starts what is wanted, and in which no socket is bound yet. */
const WHILE = 40;
const local = udpHandle('x');
const derive = promisify(pbkdf2);

describe('a socket that is still being bound', () => {
  test('is called off when nobody wants it any more', async () => {
    const bench = makeBench();
    const hand = await bench.hand();
    // Names are looked up by threads, which have other things to do for now.
    let free = 0;
    const work = Array.from({ length: 6 }, async () => {
      await derive('x', 'y', 500_000, 64, 'sha512');
      free += 1;
    });
    const slow = udpListener(0, { host: 'localhost' });
    void hand.do((self) => self.subscribe(udpPacket(_, slow, _)));
    await hand.later(WHILE, (self) => self.quit());
    await bench.until('the end of its actor', () => bench.ends.length > 0);
    assert.ok(free < 3, 'the name was looked up first');
    assert.deepEqual([bench.ends, bench.log], [['udp listener quit'], []]);
    await bench.over();
    await Promise.all(work);
  });

  test('is not left behind when its actor ends', async () => {
    const bench = makeBench();
    const hand = await bench.hand();
    void hand.do((self) => self.subscribe(udpPacket(_, local, _)));
    await hand.later(WHILE, (self) => self.quit(bench.driver, 'enough'));
    await bench.until('the end of its actor', () => bench.ends.length > 0);
    assert.deepEqual([bench.ends, bench.log], [['udp handle linked'], []]);
    await hand.do((self) => self.quit());
    await bench.over();
  });

  test('is bound all the same to send what was sent, and then closed', async () => {
    const bench = makeBench();
    const server = await bound();
    const hand = await bench.hand();
    const remote = udpAddress(LOCAL, server.local.port);
    void hand.do((self) => {
      self.publish(udpPacket(local, _, _));
      self.send(udpPacket(local, remote, 'first'));
    });
    await hand.later(WHILE, (self) => {
      self.send(udpPacket(local, remote, 'last'));
      self.quit();
    });
    assert.deepEqual([text(await server.receive()), text(await server.receive())], ['first', 'last']);
    await bench.until('the end of its actor', () => bench.ends.length > 0);
    assert.deepEqual([bench.ends, bench.log, bench.unsent], [['udp handle quit'], [], []]);
    await bench.over();
  });

  test('is not opened twice when it is wanted again before it was', async () => {
    const bench = makeBench();
    const other = await bound();
    const { port } = other.local;
    await other.close();
    const fixed = udpListener(port, { host: LOCAL });
    for (const turns of [1, 2, 3, 4, 5, 6, 8, 10, 20, 40]) {
      const [one, next] = [await bench.hand(), await bench.hand()];
      void one.do((self) => self.subscribe(udpPacket(_, fixed, _)));
      void one.later(turns, (self) => self.quit());
      await next.later(turns * 2, (self) => self.subscribe(udpPacket(_, fixed, _)));
      assert.equal(await bench.port(fixed), port);
      await next.do((self) => self.quit());
      await bench.gone(fixed);
      assert.deepEqual([...bench.failed], []);
    }
    await bench.over();
  });
});

describe('a socket that is being closed', () => {
  test('is not there for anybody any more while it still sends, and what is sent meanwhile waits for the next', async () => {
    const bench = makeBench({ socket: { outboxBytes: 100 } });
    const server = await bound();
    const [one, next] = [await bench.hand(), await bench.hand()];
    await one.do((self) => {
      self.publish(udpPacket(local, _, _));
      self.send(udpPacket(local, udpAddress(LOCAL, server.local.port), 'a'.repeat(60)));
    });
    await bench.port(local);
    assert.equal((await server.receive()).data[0], 97);
    // To look the name up takes a while.
    void one.do((self) => {
      self.send(udpPacket(local, udpAddress('localhost', server.local.port), 'b'.repeat(60)));
      self.quit();
    });
    void next.later(WHILE, (self) => {
      self.publish(udpPacket(local, _, _));
      self.send(udpPacket(local, udpAddress(LOCAL, server.local.port), 'c'.repeat(60)));
    });
    const got = [await server.receive(), await server.receive()];
    assert.deepEqual(
      got.map(({ data }) => data[0]),
      [98, 99],
    );
    assert.notEqual(got[0]?.remote.port, got[1]?.remote.port);
    await bench.port(local);
    assert.deepEqual(bench.log, ['bound', 'gone, 0 ended', 'bound']);
    assert.deepEqual([bench.ends, bench.unsent], [['udp handle quit'], []]);
    await next.do((self) => self.quit());
    await bench.over();
  });

  test('is forgotten: what is sent after that is sent by nobody', async () => {
    const bench = makeBench();
    const hand = await bench.hand();
    const handle = await hand.do((self) => self.subscribe(udpPacket(_, local, _)));
    await bench.port(local);
    await hand.do(() => handle.withdraw());
    await bench.until('the end of its actor', () => bench.ends.length > 0);
    await hand.do((self) => self.send(udpPacket(local, udpAddress(LOCAL, 9), 'x')));
    await bench.until('the failure', () => bench.unsent.length > 0);
    assert.deepEqual(bench.unsent, ['ERR_PORTSIDE_STATE udp-address("127.0.0.1", 9)']);
    await hand.do((self) => self.quit());
    await bench.over();
  });
});

describe('a last user that goes as the next one comes', () => {
  test('leaves it the socket', async () => {
    const bench = makeBench();
    const server = await bound();
    const [one, next] = [await bench.hand(), await bench.hand()];
    await one.do((self) => self.publish(udpPacket(local, _, _)));
    await bench.port(local);
    void one.do((self) => self.quit());
    await next.do((self) => self.publish(udpPacket(local, _, _)));
    await bench.round();
    await next.do((self) => self.send(udpPacket(local, udpAddress(LOCAL, server.local.port), 'mine')));
    assert.equal(text(await server.receive()), 'mine');
    assert.deepEqual(bench.log, ['bound']);
    await next.do((self) => self.quit());
    await bench.over();
  });

  test('leaves it the failure, and it is forgotten with the next', async () => {
    const bench = makeBench();
    const other = await bound();
    const taken = udpListener(other.local.port, { host: LOCAL });
    const [one, next] = [await bench.hand(), await bench.hand()];
    await one.do((self) => self.publish(udpPacket(taken, _, _)));
    await bench.until('the failure', () => bench.failed.size === 1);
    void one.do((self) => self.quit());
    await next.do((self) => self.publish(udpPacket(taken, _, _)));
    await bench.round();
    assert.equal(bench.failed.size, 1);
    await next.do((self) => self.send(udpPacket(taken, udpAddress(LOCAL, 9), 'x')));
    await bench.until('to be told', () => bench.unsent.length === 1);
    await next.do((self) => self.quit());
    await bench.until('the failure to be forgotten', () => bench.failed.size === 0);
    const last = await bench.hand();
    await last.do((self) => self.send(udpPacket(taken, udpAddress(LOCAL, 9), 'x')));
    await bench.until('to be told again', () => bench.unsent.length === 2);
    assert.deepEqual(
      bench.unsent.map((what) => what.split(' ')[0]),
      ['EADDRINUSE', 'ERR_PORTSIDE_STATE'],
    );
    await last.do((self) => self.quit());
    await bench.over();
  });
});

describe('what waits for a socket', () => {
  for (const [what, socket, bodies] of [
    ['packets', { outboxDatagrams: 2 }, ['a', 'b', 'c']],
    ['bytes', { outboxBytes: 100 }, ['a'.repeat(60), 'b'.repeat(60), 'c'.repeat(40)]],
  ] as const) {
    test(`is bounded in ${what} before there is one, be there ever one or not`, async () => {
      const bench = makeBench({ socket });
      const other = await bound();
      const taken = udpListener(other.local.port, { host: LOCAL });
      const hand = await bench.hand((self) => {
        self.publish(udpPacket(taken, _, _));
        for (const body of bodies) self.send(udpPacket(taken, udpAddress(LOCAL, 9), body));
      });
      await bench.until('all to be told', () => bench.unsent.length === 3);
      assert.deepEqual(
        bench.unsent.map((one) => one.split(' ')[0]),
        ['ERR_PORTSIDE_LIMIT', 'EADDRINUSE', 'EADDRINUSE'],
      );
      await hand.do((self) => self.quit());
      await bench.over();
    });
  }
});
