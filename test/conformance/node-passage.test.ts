import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import type { Channel } from '../../src/transport/contract.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { tcpBackend, unixBackend } from './backends.ts';
import { crossing, portOf } from './crossing.ts';
import { passages } from './passage.ts';
import { bytesOf } from './recorder.ts';
import { Stage } from './stage.ts';

const on = { transport: nodeTransport, name: 'node' } as const;
const DESCRIPTORS = 64;

passages('node:net', on);

/** Runs a module in a process of its own with few descriptors, and gives what it printed. */
async function run(body: string): Promise<string> {
  const source = `${tcpBackend(nodeTransport, 'node').child?.() ?? ''}\n${body}`;
  const node = [process.execPath, '--input-type=module-typescript', '--no-warnings', '-e', source];
  const child = spawn('sh', ['-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'sh', ...node], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (out += text));
  const code = await new Promise((resolve) => {
    child.on('close', resolve);
  });
  assert.equal(code, 0, out);
  return out.trim();
}

describe('the node transport has passages', () => {
  test('where Node moves sockets: from 24.21 on the 24 line and from 26.6 on, and nowhere else', () => {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    const moves = (major === 24 && minor >= 21) || (major === 26 && minor >= 6) || major > 26;
    assert.equal(nodeTransport.flags.transfer, moves);
    assert.equal(nodeTransport.passages !== undefined, moves);
    assert.equal(nodeTransport.flags.handOver, false, 'it never moves what was read');
    assert.equal(nodeTransport.passages, nodeTransport.passages, 'the answer stays');
  });

  test('and finding out leaves nothing behind', async () => {
    const out = await run(`
      const before = process.getActiveResourcesInfo().length;
      void transport.flags.transfer;
      console.log(process.getActiveResourcesInfo().length - before);`);
    assert.equal(out, '0');
  });
});

const skip = nodeTransport.passages === undefined ? `Node ${process.versions.node} can't move sockets` : false;

describe('a passage of the node transport', { skip }, () => {
  test('refuses unix sockets with ERR_PORTSIDE_UNSUPPORTED, dialled and accepted, and they go on', async () => {
    const stage = new Stage(() => unixBackend(nodeTransport, 'node'));
    const passage = nodeTransport.passages!.passage(4);
    try {
      const acceptor = await stage.listen();
      const client = await nodeTransport.dial(stage.backend.dialTarget(acceptor.address)).result;
      await stage.until(() => acceptor.pending(), 'the connection');
      const server = acceptor.take()!;
      for (const channel of [client, server]) {
        assert.throws(() => passage.give(channel, 0), { code: 'ERR_PORTSIDE_UNSUPPORTED', op: 'give' });
      }
      const heard = stage.record(client);
      stage.record(server);
      client.flow(true);
      server.send(bytesOf('as before'));
      await stage.received(heard, 9);
      assert.equal(passage.waiting, 0);
    } finally {
      passage.end();
      await stage.close();
    }
  });

  test(
    'refuses what was written to with ERR_PORTSIDE_UNSUPPORTED, and it goes on',
    crossing(on, async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      channel.send(bytesOf('one '));
      await stage.until(() => channel.queued === 0, 'the output to leave');
      assert.throws(() => far.passage.give(channel, 0), { code: 'ERR_PORTSIDE_UNSUPPORTED', op: 'give' });
      channel.send(bytesOf('two'));
      client.channel.flow(true);
      await stage.received(client, 7);
      channel.shutdown();
      client.channel.shutdown();
      channel.flow(true);
      await stage.closed(client);
      assert.deepEqual(client.log, ['data:one two', 'end', 'close:ended']);
      assert.equal(far.passage.waiting, 0);
    }),
  );

  test(
    'refuses one whose flow was on for a moment, though nothing came',
    crossing(on, async (cross) => {
      const far = await cross.farEnd(4);
      const { channel } = await cross.fresh();
      channel.flow(true);
      channel.flow(false);
      assert.throws(() => far.passage.give(channel, 0), { code: 'ERR_PORTSIDE_UNSUPPORTED' });
    }),
  );

  test(
    'takes what was released and adopted here before, while it is fresh',
    crossing(on, async (cross) => {
      const far = await cross.farEnd(4);
      const { client, channel } = await cross.fresh();
      const again = nodeTransport.adopt(channel.release()!);
      const { remote } = again;
      assert.ok(far.passage.give(again, 0));
      assert.deepEqual((await far.ask('takeAll', 1))[0]?.remote, remote);
      client.channel.flow(true);
      await far.ask('send', 0, 'hello');
      await cross.stage.received(client, 5);
    }),
  );

  test(
    'counts whom the arrivals reset when they closed as taken',
    crossing(on, async (cross) => {
      const { stage } = cross;
      const far = await cross.farEnd(8);
      const all = await cross.many(3);
      all.forEach(({ channel }, id) => assert.ok(far.passage.give(channel, id)));
      await far.comes();
      await stage.still();
      await far.ask('close');
      // Those that have not come across are told.
      const { taken } = far.passage;
      assert.ok(taken > 0);
      assert.deepEqual(
        far.passage.end().map(({ id }) => id),
        [0, 1, 2].slice(taken),
      );
      const reset = all.slice(0, taken).map(({ client }) => client);
      for (const { client } of all) client.channel.flow(true);
      await stage.closed(...reset);
      for (const { log } of reset) assert.deepEqual(log, ['close:reset']);
    }),
  );

  test(
    'loses no wake when the last one is taken between looking for room and asking for it',
    crossing(on, async (cross) => {
      const { stage } = cross;
      const passage = cross.passage(1);
      const { address } = await cross.listensOn();
      const arrivals = cross.passages.arrivals(passage.ticket, address, false);
      const [one, two] = await cross.many(2);
      assert.ok(one !== undefined && two !== undefined);
      assert.ok(passage.give(one.channel, 1));
      await stage.until(() => arrivals.pending(), 'the first');
      const { store } = Atomics;
      let taken: Channel | null = null;
      // The other end is in this thread, and has its turn at the one moment that counts.
      Atomics.store = ((array: never, index: number, value: never) => {
        taken ??= arrivals.take();
        return store(array, index, value);
      }) as typeof store;
      let given: boolean;
      try {
        given = passage.give(two.channel, 2);
      } finally {
        Atomics.store = store;
      }
      assert.ok(taken !== null);
      (taken as Channel).destroy('drop');
      assert.equal(given, true);
      // It had asked, and was answered: what comes of that now is not told to who was not refused.
      let rooms = 0;
      passage.onRoom = () => void (rooms += 1);
      await stage.until(() => arrivals.pending(), 'the second');
      arrivals.take()!.destroy('drop');
      await stage.still();
      assert.equal(rooms, 0);
      arrivals.close();
    }),
  );

  test('has arrivals only for its own tickets', () => {
    const { port1, port2 } = new MessageChannel();
    const ticket = { transport: 'native', shared: new SharedArrayBuffer(8), port: port2, detail: 1 };
    assert.throws(
      () => nodeTransport.passages!.arrivals(ticket, { family: 'ipv4', host: '127.0.0.1', port: 1 }, false),
      { code: 'ERR_PORTSIDE_UNSUPPORTED', op: 'arrivals' },
    );
    port1.close();
  });

  test(
    'counts what got lost on the way as taken, with the next one that comes',
    crossing(on, async (cross) => {
      const { stage } = cross;
      const [first, third] = await cross.many(2);
      assert.ok(first !== undefined && third !== undefined);
      const { port1, port2 } = new MessageChannel();
      const shared = new SharedArrayBuffer(8);
      const count = (): number => new Int32Array(shared)[0]! >>> 1;
      const { address } = await cross.listensOn();
      const arrivals = cross.passages.arrivals({ transport: 'node', shared, port: port2, detail: 4 }, address, false);
      const post = (number: number, channel: Channel): void => {
        const released = channel.release();
        assert.ok(released?.kind === 'socket' && released.socket instanceof Socket);
        const parcel = [number, released.socket, '127.0.0.1', portOf(channel.remote)];
        port1.postMessage(parcel, [released.socket as unknown as MessagePort]);
      };
      post(0, first.channel);
      post(2, third.channel);
      await stage.until(() => arrivals.pending(), 'the first');
      const one = stage.record(arrivals.take()!);
      assert.equal(count(), 1);
      await stage.until(() => arrivals.pending(), 'the third');
      const two = stage.record(arrivals.take()!);
      assert.equal(count(), 3);
      assert.deepEqual(two.channel.remote, third.client.channel.local);
      arrivals.close();
      port1.close();
      one.channel.destroy('drop');
      two.channel.destroy('drop');
    }),
  );

  test('without a descriptor to spare keeps the connection here, as it was, and tells when to try again', async () => {
    const out = await run(`
      import { closeSync, openSync } from 'node:fs';
      const turn = () => new Promise((resolve) => setImmediate(resolve));
      const bind = { backlog: 16, reusePort: false, reuseAddress: undefined };
      const acceptor = await transport.listen(target, bind);
      const passage = transport.passages.passage(4);
      // The other end is in the same thread here: another thread needs descriptors of its own.
      const arrivals = transport.passages.arrivals(passage.ticket, acceptor.address, false);
      const dial = async () => {
        const client = await transport.dial(dialTarget(acceptor.address)).result;
        while (!acceptor.pending()) await turn();
        return { client, server: acceptor.take() };
      };
      const listen = (channel) => {
        const heard = { text: '', end: false, close: null };
        channel.sink = {
          data(bytes) { heard.text += Buffer.from(bytes).toString(); },
          end() { heard.end = true; },
          writable() {},
          close({ kind }) { heard.close = kind; },
        };
        channel.flow(true);
        return heard;
      };
      const kept = await dial();
      const half = await dial();
      const moved = await dial();
      half.server.shutdown();
      moved.server.set({ kind: 'noDelay', on: true });
      moved.client.send(Buffer.from('early'));
      for (let i = 0; i < 20; i++) await turn();
      const addresses = JSON.stringify([moved.server.local, moved.server.remote]);
      const hold = [];
      try { for (;;) hold.push(openSync('/dev/null')); } catch (error) { if (error.code !== 'EMFILE') throw error; }
      let rooms = 0;
      passage.onRoom = () => { rooms += 1; };
      const given = [kept, half, moved].map(({ server }, id) => passage.give(server, id));
      const waiting = passage.waiting;
      const heard = [kept.server, kept.client, half.server, half.client].map(listen);
      kept.client.send(Buffer.from('ping'));
      kept.server.send(Buffer.from('pong'));
      half.client.send(Buffer.from('one way'));
      const ghost = half.server.send(Buffer.from('ghost'));
      while (!heard[0].text || !heard[1].text || !heard[2].text || !heard[3].end) await turn();
      half.client.shutdown();
      kept.server.shutdown();
      kept.client.shutdown();
      while (heard.some(({ close }) => close === null)) await turn();
      const same = JSON.stringify([moved.server.local, moved.server.remote]) === addresses;
      for (const fd of hold) closeSync(fd);
      while (rooms === 0) await turn();
      const again = passage.give(moved.server, 3);
      while (!arrivals.pending()) await turn();
      const there = arrivals.take();
      const answer = listen(moved.client);
      const early = listen(there);
      there.send(Buffer.from('there'));
      while (answer.text === '' || early.text === '') await turn();
      for (const { client } of [kept, half, moved]) client.destroy('reset');
      there.destroy('reset');
      arrivals.close();
      acceptor.close();
      console.log(JSON.stringify({ given, waiting, heard, ghost, same, rooms, again, answer: answer.text, early: early.text, left: passage.end() }));`);
    const { heard, ...rest } = JSON.parse(out) as { heard: object[] };
    assert.deepEqual(rest, {
      given: [false, false, false],
      waiting: 0,
      ghost: 0,
      same: true,
      rooms: 1,
      again: true,
      answer: 'there',
      early: 'early',
      left: [],
    });
    assert.deepEqual(heard, [
      { text: 'ping', end: true, close: 'ended' },
      { text: 'pong', end: true, close: 'ended' },
      { text: 'one way', end: true, close: 'ended' },
      { text: '', end: true, close: 'ended' },
    ]);
  });
});
