import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { openConnection } from '../../src/net/open-connection.ts';
import { Group } from '../../src/net/group.ts';
import { listen } from '../../src/net/listen.ts';
import { connectionSettings } from '../../src/net/settings.ts';
import type { Channel } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { Net } from '../support/nets.ts';
import { endAll, listenOn, onEachNet, pairOn, portOf, readAll } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';

interface Crowd {
  readonly members: Connection[];
  readonly peers: Connection[];
  readonly end: () => Promise<void>;
}

async function crowd(net: Net, size: number): Promise<Crowd> {
  const listener = await listenOn(net);
  const members: Connection[] = [];
  const peers: Connection[] = [];
  for (let i = 0; i < size; i += 1) {
    const [member, peer] = await Promise.all([
      listener.accept(),
      connect({ host: '127.0.0.1', port: portOf(listener) }, { transport: net.transport }),
    ]);
    members.push(member);
    peers.push(peer);
  }
  await listener.close();
  return { members, peers, end: () => endAll(...members, ...peers) };
}

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());

/** More than a kernel takes for one connection. */
const FLOOD = Buffer.alloc(16 * 1_048_576);

/** Makes a member slow: much is queued for it that its peer does not read. */
function clog(member: Connection): void {
  void member.write(FLOOD);
  assert.ok(member.queuedBytes > 1_048_576);
}

onEachNet('a group', (net) => {
  test('sends to every member, text as UTF-8, and says to how many', async () => {
    const { members, peers, end } = await crowd(net, 3);
    const group = new Group();
    for (const member of members) group.add(member);
    assert.equal(group.size, 3);
    assert.deepEqual([...group], members);
    assert.equal(group.send('grüße, '), 3);
    assert.equal(group.send(Buffer.from('bytes')), 3);
    for (const peer of peers) assert.equal(text(await peer.readExactly(14)), 'grüße, bytes'.normalize());
    await end();
  });

  test('leaves out the one that is excepted', async () => {
    const { members, peers, end } = await crowd(net, 3);
    const group = new Group();
    for (const member of members) group.add(member);
    assert.equal(group.send('not to you; ', { except: members[1] }), 2);
    assert.equal(group.send('to all'), 3);
    assert.equal(text(await peers[0]!.readExactly(18)), 'not to you; to all');
    assert.equal(text(await peers[1]!.readExactly(6)), 'to all');
    await end();
  });

  test('has each member once; one that is deleted stays open, one that is over is not added', async () => {
    const { members, peers, end } = await crowd(net, 2);
    const [first, second] = members as [Connection, Connection];
    const group = new Group();
    group.add(first).add(first).add(second);
    assert.equal(group.size, 2);
    assert.equal(group.has(first), true);
    assert.equal(group.delete(first), true);
    assert.equal(group.delete(first), false);
    assert.equal(group.has(first), false);
    assert.equal(group.send('x'), 1);
    await first.write('still open');
    assert.equal(text(await peers[0]!.readExactly(10)), 'still open');
    await endAll(first);
    group.add(first);
    assert.equal(group.size, 1);
    await end();
  });

  test('members leave when they are over, whatever they ended of', async () => {
    const { members, peers, end } = await crowd(net, 4);
    const group = new Group();
    for (const member of members) group.add(member);
    members[0]!.abort();
    await members[0]!.closed;
    assert.equal(group.size, 3);
    const reading = members[1]!.read();
    peers[1]!.abort();
    await assert.rejects(reading, { code: 'ECONNRESET' });
    assert.equal(group.size, 2);
    await members[2]!.close({ linger: 0 });
    assert.deepEqual([...group], [members[3]]);
    assert.equal(group.send('to the last'), 1);
    await end();
    assert.equal(group.size, 0);
    assert.equal(group.send('to nobody'), 0);
  });

  test('one that was deleted and added again leaves once and for all', async () => {
    const { members, end } = await crowd(net, 1);
    const group = new Group();
    group.add(members[0]!);
    group.delete(members[0]!);
    group.add(members[0]!);
    assert.equal(group.size, 1);
    await end();
    assert.equal(group.size, 0);
  });

  test('a member whose output was ended is passed over', async () => {
    const { members, peers, end } = await crowd(net, 2);
    const group = new Group();
    for (const member of members) group.add(member);
    await members[0]!.closeWrite();
    assert.equal(group.send('open ends only'), 1);
    assert.equal(group.size, 2);
    assert.equal((await readAll(peers[0]!)).length, 0);
    assert.equal(text(await peers[1]!.readExactly(14)), 'open ends only');
    await end();
  });

  test('drop: a slow member misses whole messages, which are counted, and the others are not held up', async () => {
    const { members, peers, end } = await crowd(net, 3);
    const told: [Connection, number][] = [];
    const group = new Group({ onSlow: (member, queued) => void told.push([member, queued]) });
    for (const member of members) group.add(member);
    const slow = members[1]!;
    assert.equal(group.send('first|'), 3);
    clog(slow);
    assert.equal(group.send('second|'), 2);
    assert.equal(group.send('third|'), 2);
    assert.equal(group.dropped, 2);
    assert.equal(group.size, 3);
    assert.deepEqual(
      told.map(([member]) => member),
      [slow, slow],
    );
    assert.ok(told.every(([, queued]) => queued > 1_048_576));
    for (const i of [0, 2]) assert.equal(text(await peers[i]!.readExactly(19)), 'first|second|third|');

    // Once it has taken what was queued, it hears everything again, and nothing of what it missed came in part.
    const reading = peers[1]!.readExactly(6 + FLOOD.length);
    await slow.flushed();
    assert.equal(group.send('fourth|'), 3);
    const before = await reading;
    assert.equal(text(before!.subarray(0, 6)), 'first|');
    assert.equal(text(await peers[1]!.readExactly(7)), 'fourth|');
    await end();
  });

  test('close: a slow member is aborted and leaves, the others are not held up', async () => {
    const { members, peers, end } = await crowd(net, 2);
    const told: Connection[] = [];
    const group = new Group({ slow: 'close', limit: 100_000, onSlow: (member) => void told.push(member) });
    for (const member of members) group.add(member);
    clog(members[0]!);
    assert.equal(group.send('hello'), 1);
    assert.equal(group.size, 1);
    assert.equal(text(await peers[1]!.readExactly(5)), 'hello');
    const reason = await members[0]!.closed;
    assert.ok(reason.kind === 'aborted' && reason.cause instanceof Error);
    assert.match(reason.cause.message, /did not take what the group sent; \d+ bytes were queued/u);
    assert.deepEqual(told, [members[0]]);
    await end();
  });

  test('what onSlow does takes effect after all were sent to: it may delete, add, abort, and send', async () => {
    const { members, peers, end } = await crowd(net, 4);
    let calls = 0;
    const group: Group = new Group({
      onSlow: (member) => {
        calls += 1;
        if (calls > 10) assert.fail('a send from within calls it again');
        group.send(`${calls} too slow|`);
        group.delete(member);
        member.abort();
      },
    });
    for (const member of members) group.add(member);
    clog(members[0]!);
    clog(members[2]!);
    assert.equal(group.send('message|'), 2);
    assert.equal(calls, 2);
    assert.deepEqual([...group], [members[1], members[3]]);
    const all = 'message|1 too slow|2 too slow|';
    for (const i of [1, 3]) assert.equal(text(await peers[i]!.readExactly(all.length)), all);
    assert.equal(group.dropped, 5, 'two of the message, two of the first report, one of the second');
    await end();
  });

  test('what onSlow throws, send throws, after all were sent to; later sends tell it again', async () => {
    const { members, peers, end } = await crowd(net, 2);
    const group = new Group({ onSlow: () => assert.fail('mine') });
    for (const member of members) group.add(member);
    clog(members[0]!);
    for (const message of ['one|', 'two|']) assert.throws(() => group.send(message), /mine/u);
    assert.equal(text(await peers[1]!.readExactly(8)), 'one|two|');
    await end();
  });

  test('members that leave while it is sent to, or are added, neither stop it nor are sent to twice', async () => {
    const { members, peers, end } = await crowd(net, 4);
    const group = new Group();
    for (const member of members.slice(0, 3)) group.add(member);
    for (const member of group) {
      group.send(`${members.indexOf(member)}`);
      group.delete(member);
    }
    group.add(members[3]!);
    group.send('.');
    assert.equal(text(await peers[0]!.readExactly(1)), '0');
    assert.equal(text(await peers[1]!.readExactly(2)), '01');
    assert.equal(text(await peers[2]!.readExactly(3)), '012');
    assert.equal(text(await peers[3]!.readExactly(1)), '.');
    await end();
  });

  test('peers that reset in the middle of many sends leave nothing unhandled', async () => {
    const rejections = unhandled();
    const { members, peers, end } = await crowd(net, 10);
    const group = new Group();
    for (const member of members) group.add(member);
    const message = Buffer.alloc(10_000);
    for (let i = 0; i < 50; i += 1) {
      if (i % 5 === 0) peers[i / 5]!.abort();
      group.send(message);
      await new Promise(setImmediate);
    }
    await Promise.all(members.map((member) => member.closed));
    assert.equal(group.size, 0);
    await end();
    assert.deepEqual(await rejections(), []);
  });

  test('a message that would take a member over its own write limit finds it slow, and does not end it', async () => {
    const { server, client } = await pairOn(net, { server: { highWaterMark: 1_024, writeLimit: 100_000 } });
    const group = new Group({ limit: 1_000 * FLOOD.length });
    group.add(server);
    void server.write(FLOOD);
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    assert.equal(group.send('x'), 0);
    assert.equal(group.dropped, 1);
    assert.equal(server.closeReason, null);
    await endAll(server, client);
  });
});

describe('a group', () => {
  /** A channel that notes what it is given to send. */
  function spied(channel: Channel, sends: Uint8Array[]): Channel {
    return new Proxy(channel, {
      get(target, name) {
        if (name === 'send') {
          return (bytes: Uint8Array) => {
            sends.push(bytes);
            return target.send(bytes);
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
      set: (target, name, value) => Reflect.set(target, name, value, target),
    });
  }

  test('gives one and the same bytes to every channel, and encodes a text once', () => {
    const network = memoryNetwork();
    const sends: Uint8Array[] = [];
    const group = new Group();
    for (let i = 0; i < 5; i += 1) {
      const [channel] = network.pair();
      group.add(openConnection(spied(channel, sends), connectionSettings({}, 'server', null), undefined));
    }
    const bytes = Buffer.from('the very same');
    assert.equal(group.send(bytes), 5);
    assert.equal(sends.length, 5);
    assert.ok(sends.every((sent) => sent === bytes));
    sends.length = 0;
    group.send('text');
    assert.equal(new Set(sends).size, 1);
    network.resetAll();
  });

  test('of a thousand members is sent to in no time, and forgets them all', async () => {
    const network = memoryNetwork();
    const listener = await listen({ endpoint: 'memory://many', transport: network.transport, backlog: 1_000 });
    const peers = await Promise.all(
      Array.from({ length: 1_000 }, () => connect('memory://many', { transport: network.transport })),
    );
    const group = new Group();
    for (let i = 0; i < 1_000; i += 1) group.add(await listener.accept());
    const bytes = Buffer.alloc(16, 'tick ');
    const before = performance.now();
    for (let i = 0; i < 100; i += 1) assert.equal(group.send(bytes), 1_000);
    // 100,000 sends take some 50 ms; a list that is searched for each would take minutes.
    assert.ok(performance.now() - before < 5_000);
    assert.equal((await peers[999]!.readExactly(1_600))?.length, 1_600);
    await endAll(...group, ...peers);
    assert.equal(group.size, 0);
    await listener.close();
    assert.equal(network.open, 0);
  });

  test('is refused what it can’t send, and wrong options all at once', () => {
    const group = new Group();
    assert.throws(() => group.send(7 as never), { code: 'ERR_PORTSIDE_OPTIONS', op: 'send' });
    assert.throws(
      () => new Group({ slow: 'wait', limit: 0, onslow: () => {} } as never),
      (error: Error & { code: string; problems: { path: string }[] }) => {
        assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
        assert.deepEqual(error.problems.map(({ path }) => path).sort(), [
          'options.limit',
          'options.onslow',
          'options.slow',
        ]);
        assert.match(error.message, /did you mean "onSlow"/u);
        return true;
      },
    );
  });
});
