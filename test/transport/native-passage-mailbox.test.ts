import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { tcpAddress } from '../../src/transport/address.ts';
import type { Channel } from '../../src/transport/contract.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { closing, inChild, next, prelude, readAll } from './native-support.ts';
import { Taker, coded, converse, pair, passages, promise, read, skip, turns, watched } from './passage-support.ts';

const nowhere = tcpAddress('127.0.0.1', 0);

describe('a passage of the native core', () => {
  promise('holds as many as it was made for, and tells once when there is room again', async () => {
    const taker = await Taker.start(2);
    const { passage } = taker;
    assert.equal(passage.capacity, 2);
    const pairs = [await pair(), await pair(), await pair(), await pair()];
    let told = 0;
    let tell: (() => void) | undefined;
    passage.onRoom = () => {
      told += 1;
      tell?.();
    };
    const room = (): Promise<void> => new Promise((resolve) => (tell = resolve));
    const give = (id: number): boolean => passage.give(pairs[id]!.server, id);
    assert.deepEqual([give(0), give(1), give(2), give(2)], [true, true, false, false]);
    assert.equal(pairs[2]!.server.closed, false);
    let again = room();
    await taker.take();
    await again;
    assert.deepEqual([passage.waiting, passage.taken, told], [1, 1, 1]);
    assert.deepEqual([give(2), give(3)], [true, false]);
    again = room();
    await taker.take();
    await again;
    assert.equal(told, 2);
    // Nobody found it full since: nobody is told.
    await taker.take();
    assert.deepEqual([passage.waiting, told], [0, 2]);
    assert.equal(give(3), true);
    await taker.take();
    assert.deepEqual([passage.waiting, passage.taken, told], [0, 4, 2]);
    assert.deepEqual(passage.end(), []);
    await taker.terminate();
    for (const { client } of pairs) client.destroy('reset');
  });

  promise('tells of no room that was used up before it could be told', async () => {
    const passage = passages().passage(1);
    const acceptor = passages().arrivals(passage.ticket, nowhere, true);
    const pairs = [await pair(), await pair(), await pair()];
    const give = (id: number): boolean => passage.give(pairs[id]!.server, id);
    let told = 0;
    passage.onRoom = () => void (told += 1);
    assert.deepEqual([give(0), give(1)], [true, false]);
    const first = acceptor.take();
    assert.equal(give(1), true);
    await turns();
    assert.equal(told, 0);
    const second = acceptor.take();
    await turns();
    assert.equal(told, 1, 'the refusal was not forgotten');
    assert.equal(give(2), true);
    acceptor.close();
    const third = passage.end()[0]?.channel;
    for (const channel of [first, second, third, ...pairs.map(({ client }) => client)]) channel?.destroy('reset');
  });

  promise('what was given is told while somebody wants it, as often as something is left', async () => {
    const taker = await Taker.start(8);
    const pairs = [await pair(), await pair(), await pair(), await pair()];
    const ends = pairs.map(({ client }, id) => converse(client, `${id}`));
    for (const id of [0, 1]) taker.passage.give(pairs[id]!.server, id);
    // It takes one each time that it is told.
    taker.tell('want');
    assert.deepEqual((await taker.news('heard')).log[0], 'data:0');
    assert.deepEqual((await taker.news('heard')).log[0], 'data:1');
    taker.passage.give(pairs[2]!.server, 2);
    assert.deepEqual((await taker.news('heard')).log[0], 'data:2');
    for (let i = 0; i < 3; i++) await taker.news('taken');
    taker.tell('leave');
    await taker.news('left');
    taker.passage.give(pairs[3]!.server, 3);
    for (const _ of [1, 2]) {
      taker.tell('leave');
      await taker.news('left');
    }
    assert.equal(taker.passage.waiting, 1);
    taker.tell('want');
    await taker.news('taken');
    await Promise.all(ends);
    taker.passage.end();
    await taker.terminate();
  });

  promise('gives back whom nobody took, in order and as they were; later calls have nothing to tell', async () => {
    const taker = await Taker.start(8);
    const { passage } = taker;
    const pairs = [await pair(), await pair(), await pair(), await pair()];
    const ids = [3.5, -1, 2 ** 53 - 1, 7];
    for (const [at, id] of ids.entries()) {
      const { client, server } = pairs[at]!;
      if (at === 2) {
        client.send(Buffer.from('read before'));
        const bytes = await read(server, () => true);
        const released = server.release();
        assert.ok(released?.kind === 'fd');
        pairs[at] = { client, server: nativeTransport().adopt({ ...released, unread: [Buffer.from(bytes)] }) };
      }
      if (at === 3) server.shutdown();
      assert.equal(passage.give(pairs[at]!.server, id), true);
    }
    await taker.take();
    await taker.terminate();
    pairs[0]!.client.destroy('reset');
    const untaken = passage.end();
    assert.deepEqual(
      untaken.map(({ id }) => id),
      ids.slice(1),
    );
    assert.deepEqual([passage.end(), passage.waiting, passage.taken], [[], 0, 1]);
    const remotes = pairs.slice(1).map(({ client }) => client.local);
    assert.deepEqual(
      untaken.map(({ channel }) => channel?.remote),
      remotes,
    );
    const fresh = await pair();
    assert.equal(passage.give(fresh.server, 1), false);
    assert.equal(fresh.server.closed, false);
    const all = await Promise.all(
      [...pairs.slice(1), fresh].map(({ client, server }, at) => {
        const channel = untaken[at] === undefined ? server : untaken[at].channel;
        assert.ok(channel !== null);
        const both = [converse(client, ` ${at}`), readAll(channel)];
        if (at !== 2) channel.send(Buffer.from('reply'));
        return Promise.all(both);
      }),
    );
    const ended = 'ended';
    assert.deepEqual(all, [
      [
        { text: 'reply', why: ended },
        { text: ' 0', why: ended },
      ],
      [
        { text: 'reply', why: ended },
        { text: 'read before 1', why: ended },
      ],
      [
        { text: '', why: ended },
        { text: ' 2', why: ended },
      ],
      [
        { text: 'reply', why: ended },
        { text: ' 3', why: ended },
      ],
    ]);
  });

  promise('refuses what it can not give, and leaves it as it was', async () => {
    const taker = await Taker.start(8);
    const { passage } = taker;
    const one = await pair();
    const block = Buffer.alloc(1 << 20);
    while (one.server.send(block) === 0);
    const { queued } = one.server;
    assert.equal(passage.give(one.server, 1), false);
    assert.equal(one.server.queued, queued);
    one.server.shutdown();
    assert.equal(passage.give(one.server, 1), false);
    assert.equal(one.server.closed, false);
    const two = await pair();
    const { local, remote } = two.server;
    const foreign: Channel = Object.create(two.server, {
      local: { value: local },
      remote: { value: remote },
    }) as Channel;
    Object.setPrototypeOf(foreign, { local, remote });
    assert.throws(() => passage.give(foreign, 1), coded('ERR_PORTSIDE_UNSUPPORTED'));
    two.server.destroy('drop');
    assert.equal(passage.give(two.server, 1), false);
    assert.equal(passage.waiting, 0);
    // Gathered output that the kernel has room for is no reason.
    const three = await pair();
    three.server.send(Buffer.from('sent first'));
    assert.equal(passage.give(three.server, 1), true);
    assert.equal(passage.give(three.server, 1), false, 'it is given already');
    const end = converse(three.client, '');
    await taker.take();
    assert.deepEqual(await end, { text: 'sent first', why: 'ended' });
    for (const channel of [one.client, one.server, two.client]) channel.destroy('reset');
    for (const capacity of [0, -1, 2 ** 20 + 1, 2 ** 31]) {
      assert.throws(() => passages().passage(capacity), coded('EINVAL'));
    }
    passage.end();
    await taker.terminate();
  });

  promise('a peer’s reset that was read and not told yet is told here', async () => {
    const taker = await Taker.start(8);
    const { client, server } = await pair();
    server.flow(true);
    client.flow(true);
    client.send(Buffer.from('x'));
    await read(server, () => true);
    server.flow(true);
    await turns();
    server.flow(false);
    client.destroy('reset');
    await turns();
    assert.equal(taker.passage.give(server, 1), false);
    const why = closing(server);
    server.flow(true);
    assert.equal(await why, 'reset');
    taker.passage.end();
    await taker.terminate();
  });

  promise('a reset that was read together with bytes is told here, behind them', async () => {
    const passage = passages().passage(4);
    const { client, server } = await pair();
    const log: string[] = [];
    const over = new Promise<void>((resolve) => {
      server.sink = {
        data(bytes) {
          log.push(Buffer.from(bytes).toString(), `given: ${passage.give(server, 1)}`);
        },
        end: () => assert.fail('ended'),
        writable() {},
        close({ kind }) {
          log.push(kind);
          resolve();
        },
      };
    });
    server.flow(true);
    await turns();
    client.send(Buffer.from('last words'));
    client.destroy('reset');
    await over;
    assert.deepEqual(log, ['last words', 'given: false', 'reset']);
    assert.deepEqual(passage.end(), []);
  });

  promise('each side takes itself out of epoll when it goes, whatever the other does', async () => {
    const { client, server } = await pair();
    await turns();
    const before = watched();
    const passage = passages().passage(4);
    const acceptor = passages().arrivals(passage.ticket, nowhere, true);
    acceptor.watcher = { ready() {}, trouble: (error) => assert.fail(error) };
    acceptor.want(true);
    assert.equal(passage.give(server, 1), true);
    assert.equal(watched(), before + 2);
    acceptor.close();
    assert.equal(watched(), before + 1, 'it would be told of what is left for ever');
    for (const { channel } of passage.end()) channel?.destroy('reset');
    client.destroy('reset');
    await turns();
    assert.equal(watched(), before);
    const second = passages().passage(4);
    const arrivals = passages().arrivals(second.ticket, nowhere, true);
    second.end();
    assert.equal(watched(), before);
    arrivals.close();
  });

  promise('an acceptor that closes leaves the untaken to the giver, and takes no more', async () => {
    const taker = await Taker.start(8);
    const { client, server } = await pair();
    assert.equal(taker.passage.give(server, 5), true);
    taker.tell('close');
    await taker.news('closed');
    const late = await pair();
    assert.equal(taker.passage.give(late.server, 6), false);
    taker.tell('take');
    await taker.news('nothing');
    const [untaken, ...others] = taker.passage.end();
    assert.deepEqual([untaken?.id, others], [5, []]);
    const both = [converse(client, 'hello'), readAll(untaken!.channel!)];
    untaken!.channel!.send(Buffer.from('hi'));
    assert.deepEqual(await Promise.all(both), [
      { text: 'hi', why: 'ended' },
      { text: 'hello', why: 'ended' },
    ]);
    for (const channel of [late.client, late.server]) channel.destroy('reset');
    await taker.terminate();
  });

  promise('a ticket leads to one place, of this transport, while its giver is there', async () => {
    const passage = passages().passage(4);
    const acceptor = passages().arrivals(passage.ticket, nowhere, false);
    assert.deepEqual([acceptor.address, acceptor.kernelQueue, acceptor.pending()], [nowhere, false, false]);
    assert.equal('share' in acceptor, false);
    assert.throws(() => passages().arrivals(passage.ticket, nowhere, false), coded('ERR_PORTSIDE_STATE'));
    const foreign = { ...passage.ticket, transport: 'node' };
    assert.throws(() => passages().arrivals(foreign, nowhere, false), coded('ERR_PORTSIDE_UNSUPPORTED'));
    const { port1, port2 } = new MessageChannel();
    port1.close();
    const stale = { transport: 'native', shared: new SharedArrayBuffer(4), port: port2, detail: 12345 };
    assert.throws(() => passages().arrivals(stale, nowhere, false), coded('ERR_PORTSIDE_CLOSED'));
    // Within one thread it works like between two.
    const { client, server } = await pair();
    const taken = next(acceptor);
    assert.equal(passage.give(server, 1), true);
    assert.equal(acceptor.pending(), true);
    const channel = await taken;
    assert.equal(acceptor.pending(), false);
    for (const one of [client, channel]) one.destroy('reset');
    assert.deepEqual(passage.end(), []);
    acceptor.close();
    // Who comes when it has ended finds nobody.
    const late = passages().arrivals(passage.ticket, nowhere, false);
    late.want(true);
    assert.deepEqual([late.take(), late.pending()], [null, false]);
    late.close();
  });
});

test('any numbers from JavaScript are refused or ignored, and mailboxes live on', { skip }, async () => {
  const { code, signal, out, err } = await inChild(`${prelude}
    const { addon } = loadNative();
    const passage = transport.passages.passage(2);
    const { nativeLoop } = await import(${JSON.stringify(new URL('../../src/transport/native/loop.ts', import.meta.url).href)});
    const { ctl } = nativeLoop();
    const acceptor = transport.passages.arrivals(passage.ticket, { family: 'ipv4', host: '127.0.0.1', port: 0 }, true);
    const [one, two] = await new Promise((resolve) => {
      transport.listen(loopback, plainBind).then((listener) => {
        const client = dialTo(listener.address);
        listener.watcher = { trouble() {}, async ready() { const channel = listener.take(); if (channel === null) return; listener.close(); resolve([await client, channel]); } };
        listener.want(true);
      });
    });
    let state = 4711;
    const random = () => (state = (Math.imul(state, 1103515245) + 12345) | 0);
    const odd = () => [random(), random() & 127, -1, 0, 1, 2, 2 ** 31 - 1, -(2 ** 31), NaN, 1.5, undefined, null, 'x', {}, [], new Uint8Array(3), new Float64Array(2)][(random() >>> 8) % 17];
    // The slots that are in use are the first, of generation 0 or 1.
    const clear = (slot, gen) => !((Number(slot) | 0) >= 0 && (Number(slot) | 0) < 8 && (Number(gen) | 0) >= 0 && (Number(gen) | 0) < 2);
    for (let i = 0; i < 20000; i++) {
      const slot = odd(), gen = odd(), box = odd(), boxGen = odd();
      if (clear(slot, gen)) {
        for (const name of ['accept', 'pending', 'want', 'share', 'untaken', 'waiting', 'close']) addon[name](slot, gen, odd());
        addon.give(slot, gen, box, boxGen, odd(), odd(), odd());
      }
      // Into what is no mailbox, and what is read of it from nowhere.
      if (clear(box, boxGen)) addon.give(one.slot, one.gen, box, boxGen, 1, 0, undefined);
      addon.join(odd());
      addon.unread();
      addon.words(odd(), odd());
      const made = addon.mailbox(odd());
      if (made >= 0) addon.close(made, ctl[6]);
    }
    for (let slot = 0; slot < 8; slot++) {
      for (const bad of [undefined, new Float64Array(2), [], 'x']) {
        for (const state of [4, 5, 7, -1]) if (addon.give(one.slot, one.gen, slot, 0, 1, state, bad) >= 0) console.log('given');
      }
      if (addon.give(one.slot, one.gen, slot, 0, {}, 0, undefined) >= 0) console.log('given');
    }
    console.log(passage.give(two, 1), acceptor.pending());
    const taken = acceptor.take();
    taken.sink = { ...deaf, data(bytes) { taken.send(bytes); } };
    taken.flow(true);
    one.sink = { ...deaf, data(bytes) { console.log(String.fromCharCode(...bytes)); one.destroy('drop'); taken.destroy('drop'); acceptor.close(); } };
    one.flow(true);
    one.send(new Uint8Array([111, 107]));
  `);
  assert.deepEqual({ code, signal, out }, { code: 0, signal: null, out: 'true true\nok\n' }, err);
});

test('a passage keeps no process alive; its acceptor does, until it is let go', { skip }, async () => {
  const main = `${prelude}
    const passage = transport.passages.passage(4);
    passage.onRoom = () => {};`;
  const one = await inChild(main);
  assert.deepEqual([one.code, one.err], [0, '']);
  const two = await inChild(`${main}
    const acceptor = transport.passages.arrivals(passage.ticket, { family: 'ipv4', host: '127.0.0.1', port: 0 }, true);
    acceptor.watcher = { ready() {}, trouble() {} };
    acceptor.want(true);
    setTimeout(() => { console.log('alive'); acceptor.ref(false); }, 100).unref();`);
  assert.deepEqual([two.code, two.out, two.err], [0, 'alive\n', '']);
});
