import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { udpAddress, udpHandle, udpListener, udpPacket } from '../../src/dataspace/drivers/udp-topics.ts';
import type { UdpLocal } from '../../src/dataspace/drivers/udp-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import { start } from '../support/program.ts';
import { arrived, LOCAL, text, udpSockets } from '../support/udp.ts';
import { udpBenches } from './udp-bench.ts';

const makeBench = udpBenches();
const bound = udpSockets();
const anyPort = udpListener(0, { host: LOCAL });

/** Sends back what comes. */
const echo =
  (local: UdpLocal): Boot =>
  (self) =>
    self.subscribe(udpPacket(_, local, _), {
      onMessage: ({ topic: { source, destination, body } }) => self.send(udpPacket(destination, source, body)),
    });

describe('who subscribes to what comes to a local side', () => {
  test('gets a socket, whose real address is told, and what comes to it as it is', async () => {
    const bench = makeBench();
    const hand = await bench.hand(echo(anyPort));
    const port = await bench.port(anyPort);
    const client = await bound();
    const packets = ['', 'hello', 'x'.repeat(9_000), '\0\xff'].map((body) => Buffer.from(body, 'latin1'));
    for (const packet of packets) {
      await client.send(packet, { host: LOCAL, port });
      const { data, remote } = await client.receive();
      assert.deepEqual(Buffer.from(data), packet);
      assert.deepEqual([remote.host, remote.port], [LOCAL, port]);
    }
    await hand.do((self) => self.quit());
    await bench.gone(anyPort);
    assert.deepEqual(await bench.over(), { state: 'idle', failed: 0, failures: [] });
  });

  for (const [program, args] of [
    ['nc', (port: number) => ['-u', LOCAL, String(port)]],
    ['socat', (port: number) => ['-', `UDP:${LOCAL}:${port}`]],
  ] as const) {
    test(`can be reached by ${program}`, async (t: TestContext) => {
      if (spawnSync(program, ['-h']).error !== undefined) return t.skip(`no ${program}`);
      const bench = makeBench();
      const hand = await bench.hand(echo(udpListener(0)));
      const client = start(t, program, args(await bench.port(udpListener(0))));
      client.write('hello\n');
      await client.until(/^hello\n$/u);
      client.write('again\n');
      await client.until(/^hello\nagain\n$/u);
      client.signal('SIGKILL');
      await client.exit;
      await hand.do((self) => self.quit());
      await bench.over();
    });
  }

  test('sees who is on the other side come with the socket and go with it', async () => {
    const bench = makeBench();
    const seen: string[] = [];
    const local = udpHandle(['a', 1]);
    const hand = await bench.hand((self) => {
      const note = (what: string) => ({
        onPresence: () => {
          seen.push(`${what} there`);
          bench.change();
        },
        onAbsence: () => {
          seen.push(`${what} gone`);
          bench.change();
        },
      });
      self.publish(udpPacket(local, _, _), note('subscriber'));
      self.observePublishers(udpPacket(udpAddress(_, _), local, _), note('publisher'));
    });
    await bench.port(local);
    assert.deepEqual(seen.toSorted(), ['publisher there', 'subscriber there']);
    bench.space.spawn((self) => self.quit(bench.driver, 'enough'));
    await bench.until('both to be gone', () => seen.length === 4);
    await hand.do((self) => self.quit());
    await bench.over();
  });
});

describe('who publishes what goes out from a local side', () => {
  test('gets a socket too, and what is sent with its first word waits for it and goes out', async () => {
    const bench = makeBench();
    const server = await bound();
    const { port } = server.local;
    const local = udpHandle('pure sender');
    const hand = await bench.hand((self) => {
      self.publish(udpPacket(local, _, _));
      self.send(udpPacket(local, udpAddress(LOCAL, port), Uint8Array.of(1, 2, 3)));
      self.send(udpPacket(local, udpAddress(LOCAL, port), 'grüße'));
      self.send(udpPacket(local, udpAddress('localhost', port), 'by name'));
    });
    const got = [await server.receive(), await server.receive(), await server.receive()];
    assert.deepEqual(
      got.map((one) => text(one)),
      ['\u0001\u0002\u0003', 'grüße', 'by name'],
    );
    const own = await bench.port(local);
    assert.deepEqual(new Set(got.map(({ remote }) => remote.port)), new Set([own]));
    assert.deepEqual(bench.unsent, []);
    await hand.do((self) => self.quit());
    await bench.over();
  });

  test('may go at once after its last word: that is sent before the socket is closed', async () => {
    const bench = makeBench();
    const server = await bound();
    const remote = udpAddress(LOCAL, server.local.port);
    const local = udpHandle('x');
    for (let i = 0; i < 20; i++) {
      const hand = await bench.hand((self) => self.publish(udpPacket(local, _, _)));
      if (i % 2 === 0) await bench.port(local);
      await hand.do((self) => {
        self.send(udpPacket(local, remote, `last ${i}`));
        self.send(udpPacket(local, udpAddress('localhost', remote.port), `words ${i}`));
        if (i % 2 === 0) self.quit();
      });
      if (i % 2 === 1) await hand.do((self) => self.quit());
      const got = [await server.receive(), await server.receive()].map((one) => text(one));
      assert.deepEqual(got.toSorted(), [`last ${i}`, `words ${i}`]);
      await bench.gone(local);
    }
    assert.equal((await bench.over()).failed, 0);
  });

  test('is told by a message what could not be sent and why, and the socket goes on', async () => {
    const bench = makeBench();
    const server = await bound();
    const good = udpAddress(LOCAL, server.local.port);
    const local = anyPort;
    const hand = await bench.hand((self) => self.publish(udpPacket(local, _, _)));
    await bench.port(local);
    const cases = [
      [good, 'x'.repeat(70_000), 'EMSGSIZE'],
      [good, 5, 'ERR_PORTSIDE_OPTIONS'],
      [good, null, 'ERR_PORTSIDE_OPTIONS'],
      [good, ['a'], 'ERR_PORTSIDE_OPTIONS'],
      [udpAddress(5 as never, 5), 'x', 'ERR_PORTSIDE_ENDPOINT'],
      [udpAddress(LOCAL, 0), 'x', 'ERR_PORTSIDE_ENDPOINT'],
      [udpAddress(LOCAL, 1.5), 'x', 'ERR_PORTSIDE_ENDPOINT'],
      [udpAddress(LOCAL, null as never), 'x', 'ERR_PORTSIDE_ENDPOINT'],
      [udpAddress([1, good] as never, good as never), 'x', 'ERR_PORTSIDE_ENDPOINT'],
      [udpAddress('no such host', 5), 'x', 'ERR_PORTSIDE_ENDPOINT'],
      [udpAddress('nowhere.invalid', 5), 'x', 'ENOTFOUND'],
      [udpAddress('::1', 5), 'x', 'EAFNOSUPPORT'],
    ] as const;
    for (const [remote, body, code] of cases) {
      await hand.do((self) => self.send(udpPacket(local, remote, body as string)));
      await bench.until(code, () => bench.unsent.length > 0);
      assert.equal(bench.unsent.splice(0).join().split(' ')[0], code);
    }
    await hand.do((self) => self.send(udpPacket(local, good, 'still there')));
    assert.equal(text(await server.receive()), 'still there');
    assert.equal(bench.opened, 1);
    await hand.do((self) => self.quit());
    assert.equal((await bench.over()).failed, 0);
  });

  test('is needed: what is sent from where nobody takes part is not sent, and that is told', async () => {
    const bench = makeBench();
    const hand = await bench.hand((self) => {
      self.send(udpPacket(udpHandle('nobody'), udpAddress(LOCAL, 9), 'x'));
      self.observePublishers(udpPacket(_, udpHandle('nobody'), _), {});
      self.subscribe(udpPacket(_, _, _));
      self.publish(udpPacket(_, _, _));
    });
    await bench.until('the failure', () => bench.unsent.length > 0);
    assert.deepEqual(bench.unsent, ['ERR_PORTSIDE_STATE udp-address("127.0.0.1", 9)']);
    assert.equal(bench.opened, 0, 'who only looks on, or wants everything, wants no socket');
    await hand.do((self) => self.quit());
    await bench.over();
  });
});

describe('a socket', () => {
  test('is shared by all who take part, closed with the last of them, and opened anew for the next', async () => {
    const bench = makeBench();
    const first = await bench.hear(anyPort);
    const port = await bench.port(anyPort);
    const second = await bench.hear(anyPort);
    const third = await bench.hand((self) => self.publish(udpPacket(anyPort, _, _)));
    const client = await bound();
    await client.send('to both', { host: LOCAL, port });
    await bench.until('both to hear', () => first.heard.length + second.heard.length === 2);
    await third.do((self) => self.send(udpPacket(anyPort, udpAddress(LOCAL, client.local.port), 'from the third')));
    assert.equal((await client.receive()).remote.port, port);
    await first.hand.do(() => first.handle.withdraw());
    await second.hand.do((self) => self.quit());
    await bench.round();
    await client.send('to nobody', { host: LOCAL, port });
    await third.do((self) => self.send(udpPacket(anyPort, udpAddress(LOCAL, client.local.port), 'still there')));
    assert.equal(text(await client.receive()), 'still there');
    await third.do((self) => self.quit());
    await bench.gone(anyPort);
    assert.equal(bench.opened, 1);
    // The port is free: somebody else can have it.
    const other = await bound(port, { host: LOCAL });
    await other.close();
    const again = await bench.hear(anyPort);
    await bench.port(anyPort);
    assert.equal(bench.opened, 2);
    await again.hand.do((self) => self.quit());
    await first.hand.do((self) => self.quit());
    assert.deepEqual([first.heard, second.heard, again.heard], [['to both'], ['to both'], []]);
    await bench.over();
  });

  test('is another one for each local side that differs, and two of one space can talk', async () => {
    const bench = makeBench();
    const listener = udpListener(0, { host: LOCAL, reuse: true });
    const server = await bench.hand(echo(listener));
    const port = await bench.port(listener);
    const answers: string[] = [];
    const client = await bench.hand((self) => {
      self.subscribe(udpPacket(udpAddress(LOCAL, port), udpHandle('a'), _), {
        onMessage: ({ topic }) => {
          answers.push(`${topic.source.port} ${Buffer.from(topic.body).toString()}`);
          bench.change();
        },
      });
      self.send(udpPacket(udpHandle('a'), udpAddress(LOCAL, port), 'marco'));
    });
    await bench.until('the answer', () => answers.length > 0);
    assert.deepEqual(answers, [`${port} marco`]);
    assert.equal(bench.opened, 2);
    for (const hand of [server, client]) await hand.do((self) => self.quit());
    await bench.over();
  });

  test('keeps the space running while it is open, and no longer', async () => {
    const bench = makeBench();
    const { hand } = await bench.hear(udpHandle('x'));
    await bench.port(udpHandle('x'));
    hand.letGo();
    let over = false;
    const done = bench.over().then((summary) => {
      over = true;
      return summary;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(over, false);
    bench.space.spawn((self) => self.quit(hand.self.id, undefined));
    assert.equal((await done).state, 'idle');
  });

  test('is closed with the driver, and with the space', async () => {
    const bench = makeBench();
    const { hand } = await bench.hear(anyPort);
    const port = await bench.port(anyPort);
    await hand.do((self) => self.quit(bench.driver, 'enough'));
    await bench.gone(anyPort);
    await (await bound(port, { host: LOCAL })).close();

    const other = makeBench();
    await other.hear(udpHandle('open'));
    await other.port(udpHandle('open'));
    // This one may still be being bound when the space ends.
    await other.hear(udpHandle('binding'));
    other.space.end();
    assert.equal((await other.done).state, 'ended');
    await hand.do((self) => self.quit());
    await bench.over();
  });

  test('hands over no more than is dealt with; the rest waits, and beyond that is dropped', async () => {
    const bench = makeBench({ untakenPackets: 2, socket: { inboxDatagrams: 3 } });
    const work: (() => void)[] = [];
    const heard: string[] = [];
    const hand = await bench.hand((self) =>
      self.subscribe(udpPacket(_, anyPort, _), {
        onMessage: ({ topic }) => {
          heard.push(Buffer.from(topic.body).toString());
          bench.change();
          return new Promise<void>((resolve) => work.push(resolve));
        },
      }),
    );
    const port = await bench.port(anyPort);
    const client = await bound();
    for (let i = 0; i < 10; i++) await client.send(`${i}`, { host: LOCAL, port });
    await bench.until('two to be heard', () => heard.length === 2);
    // Time for what would be one too many.
    await client.send('x', { host: LOCAL, port: client.local.port });
    await arrived(client, () => client.pending, 1);
    await bench.round();
    assert.deepEqual(heard, ['0', '1']);
    work.shift()?.();
    await bench.until('one more to be heard', () => heard.length === 3);
    await bench.round();
    assert.deepEqual(heard, ['0', '1', '2']);
    const pump = setInterval(() => work.shift()?.(), 1);
    await bench.until('five to be heard', () => heard.length >= 5);
    await client.send('the end', { host: LOCAL, port });
    await bench.until('the last to be heard', () => heard.includes('the end'));
    clearInterval(pump);
    assert.deepEqual(heard, ['0', '1', '2', '3', '4', 'the end']);
    await hand.do((self) => self.quit());
    await bench.over();
  });

  test('hands over no more bytes than are dealt with, but one packet of any length', async () => {
    const bench = makeBench({ untakenBytes: 100 });
    const work: (() => void)[] = [];
    const heard: number[] = [];
    const hand = await bench.hand((self) =>
      self.subscribe(udpPacket(_, anyPort, _), {
        onMessage: ({ topic }) => {
          heard.push(topic.body.length);
          bench.change();
          return new Promise<void>((resolve) => work.push(resolve));
        },
      }),
    );
    const port = await bench.port(anyPort);
    const client = await bound();
    for (const length of [60, 60, 200, 5]) await client.send('x'.repeat(length), { host: LOCAL, port });
    await bench.until('two to be heard', () => heard.length === 2);
    await client.send('x', { host: LOCAL, port: client.local.port });
    await arrived(client, () => client.pending, 1);
    await bench.round();
    assert.deepEqual(heard, [60, 60]);
    for (let i = 0; i < 2; i++) work.shift()?.();
    await bench.until('the long one to be heard', () => heard.length === 3);
    await bench.round();
    assert.deepEqual(heard, [60, 60, 200]);
    work.shift()?.();
    await bench.until('the last to be heard', () => heard.length === 4);
    await hand.do((self) => self.quit());
    await bench.over();
  });
});
