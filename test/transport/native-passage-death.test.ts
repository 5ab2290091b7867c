import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Channel } from '../../src/transport/contract.ts';
import type { PassageTicket } from '../../src/transport/passage.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { closing, dial, loopback, next, plainBind } from './native-support.ts';
import { Front, crowd } from './passage-front.ts';
import { coded, converse, echoing, pair, passages, promise } from './passage-support.ts';
import type { GiverNews } from './workers/giver.ts';

const WAYS = ['terminate', 'exit', 'spin'] as const;

describe('connections on their way to threads that come and go', () => {
  promise('thousands go through two workers, and each is served', async () => {
    const acceptor = await nativeTransport().listen(loopback, { ...plainBind, backlog: 511 });
    const front = new Front(acceptor);
    const stations = await Promise.all([front.start(32, 8), front.start(32, 64)]);
    const answers = await crowd(acceptor, 4000, 200);
    acceptor.close();
    assert.deepEqual(
      answers.filter(({ echoed, why }) => !echoed || why !== 'ended'),
      [],
    );
    let taken = 0;
    for (const station of stations) {
      assert.equal(station.passage.waiting, 0);
      const account = await front.stop(station, 'terminate');
      assert.deepEqual(account.untaken, []);
      assert.ok(account.taken.length > 0);
      taken += account.taken.length;
    }
    assert.equal(taken, 4000);
  });

  promise(
    'whoever was not taken by a thread that was ended in the middle of anything is served by another',
    async () => {
      const acceptor = await nativeTransport().listen(loopback, { ...plainBind, backlog: 511 });
      const front = new Front(acceptor);
      const first = await Promise.all([front.start(16, 1), front.start(64, 8)]);
      const lost = new Set<number>();
      let back = 0;
      let over = false;
      const answers = crowd(acceptor, 6000, 150).finally(() => (over = true));
      const mayhem = async (station: (typeof first)[number], at: number): Promise<void> => {
        let current = station;
        for (let round = at; !over && round < 24; round++) {
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 12));
          const { taken, untaken } = await front.stop(current, WAYS[round % WAYS.length]!);
          for (const port of taken) lost.add(port);
          back += untaken.length;
          current = await front.start(1 + Math.floor(Math.random() * 64), 1 + Math.floor(Math.random() * 16));
        }
        await answers;
        await front.stop(current, 'terminate');
      };
      await Promise.all(first.map(mayhem));
      const all = await answers;
      acceptor.close();
      assert.equal(all.length, 6000);
      // Who was taken by a worker that died may have been served before. All others were, by a worker that lives.
      assert.deepEqual(
        all.filter(({ port, echoed, why }) => !lost.has(port) && (!echoed || why !== 'ended')),
        [],
      );
      assert.ok(back > 0, 'no worker died with connections on their way');
      assert.ok(
        all.some(({ echoed }) => !echoed),
        'no worker died with connections of its own',
      );
    },
  );

  promise('a thread that ends at once leaves everything to its giver, and nobody notices', async () => {
    for (const how of WAYS) {
      const { passage, worker } = await echoing(64, 1);
      const gone = once(worker, 'exit');
      // It is busy, or gone, before it hears of any.
      if (how === 'terminate') void worker.terminate();
      else worker.postMessage(how, []);
      if (how !== 'spin') await gone;
      else await new Promise((resolve) => setTimeout(resolve, 20));
      const pairs = await Promise.all(Array.from({ length: 20 }, () => pair()));
      const given = pairs.filter(({ server }, id) => passage.give(server, id));
      // Nobody is there any more, or it does nothing.
      assert.equal(given.length, how === 'spin' ? 20 : 0);
      if (how === 'spin') await worker.terminate();
      const untaken = passage.end();
      assert.deepEqual(
        untaken.map(({ id }) => id),
        given.map((_, id) => id),
      );
      const next = await echoing(64, 4);
      const channels = pairs.map(({ server }, id) => untaken[id]?.channel ?? server);
      for (const [id, channel] of channels.entries()) assert.equal(next.passage.give(channel, id), true);
      const answers = await Promise.all(pairs.map(({ client }, id) => converse(client, `words ${id}`)));
      assert.deepEqual(
        answers,
        pairs.map((_, id) => ({ text: `words ${id}`, why: 'ended' })),
      );
      await next.worker.terminate();
      assert.deepEqual(next.passage.end(), []);
    }
  });
});

describe('a giver that ends first', () => {
  const start = async (count: number): Promise<{ worker: Worker; ticket: PassageTicket; clients: Channel[] }> => {
    const worker = new Worker(new URL('workers/giver.ts', import.meta.url), { workerData: { count } });
    const [news] = (await once(worker, 'message')) as [GiverNews];
    const given = once(worker, 'message');
    const clients: Channel[] = [];
    for (let id = 0; id < count; id++) clients.push(await dial(nativeTransport(), news.address));
    await given;
    return { worker, ticket: news.ticket as PassageTicket, clients };
  };

  promise('leaves what it gave to be taken; what nobody takes is reset when its taker goes', async () => {
    const { worker, ticket, clients } = await start(3);
    const acceptor = passages().arrivals(ticket, { family: 'ipv4', host: '127.0.0.1', port: 0 }, true);
    await worker.terminate();
    for (const [id, client] of clients.slice(0, 2).entries()) {
      const answer = converse(client, `late ${id}`);
      const channel = await next(acceptor);
      channel.sink = {
        data: (bytes) => void channel.send(bytes),
        end: () => channel.shutdown(),
        writable() {},
        close() {},
      };
      channel.flow(true);
      assert.deepEqual(await answer, { text: `late ${id}`, why: 'ended' });
    }
    const last = closing(clients[2]!);
    clients[2]!.flow(true);
    assert.equal(acceptor.pending(), true);
    acceptor.close();
    assert.equal(await last, 'reset');
  });

  promise('before anybody came: its connections are reset, and its ticket reaches nobody', async () => {
    const { worker, ticket, clients } = await start(2);
    const ends = clients.map((client) => closing(client));
    for (const client of clients) client.flow(true);
    await worker.terminate();
    assert.deepEqual(await Promise.all(ends), ['reset', 'reset']);
    assert.throws(
      () => passages().arrivals(ticket, { family: 'ipv4', host: '127.0.0.1', port: 0 }, true),
      coded('ERR_PORTSIDE_CLOSED'),
    );
    ticket.port.close();
  });
});
