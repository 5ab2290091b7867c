import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Handler } from '../../src/server/handler.ts';
import { createServer } from '../../src/server/server.ts';
import { seededRandom } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { Guest, doings, idling, stubborn, summary, toiling } from './guests.ts';
import { Play } from './play.ts';
import { Stage } from './virtual.ts';

describe('the times of a drain', () => {
  test('lead and grace come one after the other, to the millisecond', async () => {
    const play = await Play.begin(stubborn, 2, { lead: 300, grace: 700 });
    play.drain({});
    assert.equal(await play.at(299), false);
    const late = await play.guest();
    await play.at(300);
    await assert.rejects(play.guest(), { code: 'ECONNREFUSED' });
    assert.deepEqual(await play.stopsAt(1_000), { forced: 3 });
    assert.deepEqual([late.end, late.at, play.ledger?.took], ['ECONNRESET', 1_000, 1_000]);
    assert.deepEqual(
      play.ledger?.entries.map(({ after }) => after),
      [1_000, 1_000, 1_000],
    );
  });

  test('of a call are those of the options where it names none, and those that were set later', async () => {
    const play = await Play.begin(stubborn, 1, { lead: 300, grace: 700 });
    play.server.set({ lead: 50, grace: 500 });
    play.drain({ grace: 100 });
    assert.deepEqual(await play.stopsAt(150), { forced: 1 });
  });

  test('stop has no lead, and waits for its grace at most', async () => {
    const play = await Play.begin(stubborn, 1, { lead: 300, grace: 700 });
    void play.server.stop().then((ledger) => (play.ledger = ledger));
    assert.deepEqual(await play.stopsAt(700), { forced: 1 });
  });

  test('an idle connection ends the drain as soon as its client leaves, however long the grace is', async () => {
    const play = await Play.begin(idling, 3);
    play.drain({ grace: Infinity });
    await play.stage.clock.advance(1);
    assert.equal(play.server.stopped, true);
    assert.deepEqual(summary(play.ledger!), { idle: 3 });
    assert.equal(play.stage.clock.armed, 0);
  });

  test('a grace without end is one: who is at work is never forced', async () => {
    const play = await Play.begin(toiling, 1);
    play.drain({ grace: Infinity });
    assert.equal(await play.at(30 * 86_400_000), false);
    assert.equal(play.stage.clock.armed, 0);
    play.guests[0]?.client.abort();
    await play.stage.clock.settle();
    assert.deepEqual(summary(play.ledger!), { failed: 1 });
  });

  test('an idle client that does not leave is forced at the deadline at the latest, and still was idle', async () => {
    const stage = new Stage();
    const server = await stage.serve(idling);
    // It reads nothing, so it never learns that it should leave.
    const client = await stage.dial(server);
    const done = server.drain({ grace: 400 });
    await stage.clock.advance(399);
    assert.deepEqual(doings(server), ['closing']);
    await stage.clock.advance(1);
    assert.equal(server.stopped, true);
    assert.deepEqual(summary(await done), { idle: 1 });
    await stage.end(server, client);
    assert.equal(stage.clock.armed, 0);
  });

  test('jumps of the wall clock change nothing', async () => {
    const play = await Play.begin(stubborn, 1, { lead: 100, grace: 200, spread: 50 });
    play.drain({});
    for (const jump of [86_400_000, -10 * 86_400_000, 31_536_000_000]) {
      play.stage.clock.jumpWall(jump);
      await play.stage.clock.advance(60);
      assert.equal(play.server.stopped, false);
    }
    assert.deepEqual(await play.stopsAt(300), { forced: 1 });
  });
});

describe('the spread of a drain', () => {
  /** When the guests were sent away, by their numbers. */
  async function times(seed: number, guests: number, spread: number, handler: Handler = idling): Promise<number[]> {
    const stage = new Stage({ seed: 7 });
    const scope = new Scope({ parent: null, clock: stage.clock, random: seededRandom(seed) });
    const options = { host: '10.0.0.1', port: 4_000, transport: stage.network.transport };
    const server = scope.run(() => createServer(handler, options));
    await stage.now(() => scope.run(() => server.start()));
    const clients = await stage.now(() => Promise.all(Array.from({ length: guests }, () => stage.connect(server))));
    await stage.clock.settle();
    const ledger = await stage.clock.run(
      (async () => {
        const all = clients.map((client) => new Guest(client, stage.clock));
        const done = await server.drain({ spread, grace: spread * 2 });
        await Promise.all(all.map(({ gone }) => gone));
        return done;
      })(),
    );
    assert.equal(summary(ledger)['idle'], guests);
    return ledger.entries.toSorted((a, b) => a.id - b.id).map(({ after }) => after);
  }

  test('closes one in each share of the window, anywhere in it', async () => {
    const [guests, spread] = [500, 10_000];
    const share = spread / guests;
    const sorted = (await times(1, guests, spread)).toSorted((a, b) => a - b);
    const places = sorted.map((at, i) => (at - i * share) / share);
    for (const place of places) assert.ok(place >= 0 && place <= 1, `a turn outside of its share: ${place}`);
    const mean = places.reduce((sum, place) => sum + place, 0) / guests;
    assert.ok(Math.abs(mean - 0.5) < 0.06, `the mean place is ${mean}`);
    for (const quarter of [0, 0.25, 0.5, 0.75]) {
      const count = places.filter((place) => place >= quarter && place < quarter + 0.25).length;
      assert.ok(count > guests / 4 / 1.5 && count < (guests / 4) * 1.5, `${count} in a quarter of their shares`);
    }
  });

  test('goes by the scope’s source of chance: a seed gives the same turns again', async () => {
    const first = await times(5, 40, 2_000);
    assert.deepEqual(await times(5, 40, 2_000), first);
    assert.notDeepEqual(await times(6, 40, 2_000), first);
  });

  test('takes those first that are idle when it begins', async () => {
    // Every second guest is at work for a moment: it was not idle, and its turn comes in the second half.
    const handler: Handler = (conn, { id }) => {
      conn.busy = id % 2 === 0;
      conn.draining.addEventListener('abort', () => {
        conn.busy = false;
      });
      return conn.read().then(() => {});
    };
    const ends = await times(3, 20, 1_000, handler);
    for (const [i, after] of ends.entries()) assert.equal(after > 500, i % 2 === 1, `guest ${i + 1} at ${after} ms`);
  });

  test('who becomes idle before its turn waits for it, and who does so after its turn goes at once', async () => {
    const work: (() => void)[] = [];
    const play = await Play.begin((conn) => {
      conn.busy = true;
      work.push(() => {
        conn.busy = false;
      });
      return conn.read().then(() => {});
    }, 2);
    play.drain({ spread: 1_000, grace: 60_000 });
    await play.at(10);
    // The turn of one of the two is in the first half, that of the other in the second.
    work[0]?.();
    assert.equal(await play.at(1_000), false);
    const [first, second] = play.guests;
    assert.ok(first !== undefined && first.at > 10 && first.at <= 1_000);
    assert.equal(second?.end, null);
    await play.at(5_000);
    work[1]?.();
    await play.stage.clock.settle();
    assert.equal(second?.at, 5_000);
    assert.deepEqual(summary(play.ledger!), { idle: 2 });
  });

  test('is over when everybody has left by itself', async () => {
    const play = await Play.begin(idling, 10);
    play.drain({ spread: 10_000, grace: 20_000 });
    await play.at(100);
    play.drain({ spread: 9_000, grace: 20_000 });
    for (const { client } of play.guests) void client.close();
    await play.stage.clock.settle();
    assert.deepEqual([play.server.stopped, play.stage.clock.armed], [true, 0]);
  });

  test('is never longer than the grace', async () => {
    const play = await Play.begin(idling, 10);
    play.drain({ spread: 10_000, grace: 200 });
    await play.at(200);
    assert.deepEqual(summary(play.ledger!), { idle: 10 });
    assert.ok(play.guests.some(({ at }) => at > 100));
  });
});

describe('a drain in every state', () => {
  test('before the start there is nothing to end, and it can be started afterwards', async () => {
    const stage = new Stage();
    const server = stage.run(() => createServer(idling, { port: 1, transport: stage.network.transport }));
    const ledger = await server.drain({ lead: 1_000 });
    assert.deepEqual([summary(ledger), ledger.took, server.state], [{}, 0, 'idle']);
    await stage.now(() => server.start());
    await stage.end(server);
    assert.equal(stage.clock.armed, 0);
  });

  test('while it is starting it comes after the start, with the times of the call', async () => {
    const stage = new Stage();
    const ready = Promise.withResolvers<void>();
    const server = stage.run(() =>
      createServer(stubborn, {
        port: 1,
        host: '10.0.0.1',
        transport: stage.network.transport,
        onStart: () => ready.promise,
      }),
    );
    const starting = server.start();
    await stage.clock.settle();
    const done = server.drain({ lead: 400, grace: 600 });
    await stage.clock.advance(100);
    assert.equal(server.state, 'starting');
    ready.resolve();
    await stage.now(() => starting);
    assert.equal(server.state, 'draining');
    const guest = new Guest(await stage.dial(server), stage.clock);
    assert.deepEqual(summary(await stage.clock.run(done)), { forced: 1 });
    assert.equal(guest.at, 1_100);
  });

  test('suspended, it stays so during the lead, and ends as another does', async () => {
    const play = await Play.begin(toiling, 1);
    play.server.suspend();
    play.drain({ lead: 300, grace: 200 });
    play.server.resume();
    const waiting = await play.guest();
    await play.at(299);
    assert.equal(play.server.status().accepted, 1);
    assert.deepEqual(await play.stopsAt(500), { forced: 1 });
    assert.deepEqual([waiting.end, waiting.at], ['ECONNRESET', 300]);
  });

  test('after its end it gives the same ledger again', async () => {
    const play = await Play.begin(idling, 1);
    const done = play.server.stop();
    await play.stage.clock.run(done);
    assert.equal(await play.server.drain({ lead: 1_000 }), await done);
    assert.equal(play.stage.clock.armed, 0);
  });

  test('a listener that its scope closes ends the server, with the grace of its options', async () => {
    const stage = new Stage();
    const outer = stage.run(() => new Scope());
    const server = outer.run(() =>
      createServer(stubborn, { port: 1, host: '10.0.0.1', transport: stage.network.transport }),
    );
    await stage.now(() => outer.run(() => server.start()));
    const guest = new Guest(await stage.dial(server), stage.clock);
    await stage.clock.settle();
    await stage.clock.run(outer.close());
    await stage.clock.run(server.waitStopped());
    assert.equal(server.state, 'stopped');
    assert.notEqual(guest.end, null);
    assert.equal(server.status().active, 0);
  });
});

test(
  'a drain of eight times the connections takes not much more than eight times as long',
  { timeout: 60_000 },
  async () => {
    const took = async (count: number): Promise<number> => {
      const play = await Play.begin((conn, { id }) => {
        conn.busy = id % 2 === 0;
        return conn.read().then(() => {});
      }, 0);
      const { stage, server } = play;
      await stage.now(() => Promise.all(Array.from({ length: count }, () => stage.connect(server))));
      await stage.clock.settle();
      assert.equal(server.status().active, count);
      // Not what other programs take meanwhile.
      const began = process.cpuUsage();
      play.drain({ spread: 1_000, grace: 2_000 });
      await stage.clock.advance(2_000);
      const { user, system } = process.cpuUsage(began);
      assert.equal(play.ledger?.connections, count);
      return (user + system) / 1_000;
    };
    await took(100);
    const few = Math.min(await took(625), await took(625));
    const many = Math.min(await took(5_000), await took(5_000));
    assert.ok(many < few * 8 * 4, `625 took ${few} ms and 5,000 took ${many} ms`);
  },
);
