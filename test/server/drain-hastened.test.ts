import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { doings, idling, stubborn, summary, toiling } from './guests.ts';
import { Play } from './play.ts';
import { Stage } from './virtual.ts';

describe('hastening a drain', () => {
  const long = { lead: 1_000, grace: 5_000, spread: 2_000 };

  test('in its lead: by a shorter lead, by stop, and by no grace', async () => {
    for (const [hastened, end] of [
      [{ lead: 100 }, 5_500],
      [{ lead: 0, grace: 50 }, 450],
      [{ lead: 100, grace: 50 }, 550],
      [{ grace: 0, lead: 0 }, 400],
      [{ grace: 0 }, 1_000],
    ] as const) {
      const play = await Play.begin(stubborn, 2, long);
      play.drain({});
      await play.at(400);
      play.drain(hastened);
      // What is longer again changes nothing.
      play.drain({ lead: 86_400_000, grace: Infinity, spread: 86_400_000 });
      if (end === 400) await play.stage.clock.settle();
      else assert.deepEqual(await play.stopsAt(end), { forced: 2 }, JSON.stringify(hastened));
      assert.deepEqual(summary(play.ledger!), { forced: 2 });
    }
  });

  test('in its lead, by a shorter spread too', async () => {
    const play = await Play.begin(idling, 10, long);
    play.drain({});
    await play.at(400);
    play.drain({ spread: 100 });
    await play.at(1_100);
    assert.deepEqual(summary(play.ledger!), { idle: 10 });
    assert.ok(play.guests.every(({ at }) => at > 1_000));
  });

  test('in its spread: the turns that are left come closer together, in the same order', async () => {
    const play = await Play.begin(idling, 100, { grace: 60_000 });
    play.drain({ spread: 10_000 });
    await play.at(2_000);
    const gone = play.guests.filter(({ end }) => end !== null).length;
    assert.ok(gone >= 18 && gone <= 21, `${gone} of 100 in a fifth of the window`);
    play.drain({ spread: 800 });
    play.drain({ spread: 10_000 });
    await play.at(2_400);
    const half = play.guests.filter(({ end }) => end !== null).length;
    assert.ok(half >= 55 && half <= 65, `${half} of 100 in half of the shorter window`);
    await play.at(2_800);
    assert.deepEqual(summary(play.ledger!), { idle: 100 });
    const ids = play.ledger!.entries.map(({ id }) => id);
    const ends = play.guests.map(({ at }) => at);
    assert.deepEqual(
      ids.map((id) => ends[id - 1]),
      ends.toSorted((a, b) => a - b),
    );
  });

  test('in its spread, by stop: everybody who is idle goes at once', async () => {
    const play = await Play.begin(idling, 20);
    play.drain({ spread: 10_000, grace: 60_000 });
    await play.at(100);
    void play.server.stop();
    await play.stage.clock.advance(0);
    await play.stage.clock.settle();
    assert.deepEqual(summary(play.ledger!), { idle: 20 });
    assert.equal(play.ledger?.took, 100);
  });

  test('in its grace: the shorter one counts from its call', async () => {
    const play = await Play.begin(stubborn, 1);
    play.drain({ grace: 5_000 });
    await play.at(1_000);
    play.drain({ grace: 300 });
    play.drain({ grace: 4_000 });
    await play.at(1_200);
    play.drain({ grace: 200 });
    assert.deepEqual(await play.stopsAt(1_300), { forced: 1 });
  });

  test('in its grace, by a longer one: that changes nothing', async () => {
    const play = await Play.begin(stubborn, 1);
    play.drain({ grace: 500 });
    await play.at(499);
    play.drain({ grace: 500 });
    assert.deepEqual(await play.stopsAt(500), { forced: 1 });
  });

  test('ends those at once, too, that prepareHardClose closed in order and that do not leave', async () => {
    const stage = new Stage();
    let asked = 0;
    const server = await stage.serve(stubborn, {
      prepareHardClose(conn) {
        asked += 1;
        void conn.close();
        // What a hook asks for is no reason to begin anew with it.
        void server.stop({ grace: 0 });
      },
    });
    const client = await stage.dial(server);
    const done = server.drain({ grace: 100 });
    await stage.clock.advance(600);
    assert.deepEqual([asked, doings(server)], [1, ['closing']]);
    void server.drain({ grace: 100 });
    await stage.clock.advance(99);
    assert.equal(server.stopped, false);
    await stage.clock.advance(1);
    assert.deepEqual([asked, server.stopped], [1, true]);
    assert.deepEqual(summary(await done), { forced: 1 });
    await stage.end(server, client);
    assert.equal(stage.clock.armed, 0);
  });

  test('by its signal, in each phase', async () => {
    for (const moment of [0, 500, 1_500, 4_000]) {
      const play = await Play.begin(toiling, 2, long);
      const stop = new AbortController();
      play.drain({ signal: stop.signal });
      await play.at(moment);
      stop.abort();
      await play.stage.clock.settle();
      assert.deepEqual(summary(play.ledger!), { forced: 2 });
      assert.equal(play.ledger?.took, moment);
    }
  });
});
