import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Where } from '../../../src/cli/admin/where.ts';
import { KEYS, pressed } from '../../../src/cli/top/keys.ts';
import type { Key, Wanted } from '../../../src/cli/top/keys.ts';
import {
  nothingKnown,
  withPage,
  withPast,
  withStatus,
  withTick,
  withWatched,
  withoutServer,
} from '../../../src/cli/top/model.ts';
import type { TopModel } from '../../../src/cli/top/model.ts';
import { PlainLines } from '../../../src/cli/top/plain.ts';
import { perSecond, ratesOf } from '../../../src/cli/top/rates.ts';
import { inOrder, rowsOf } from '../../../src/cli/top/rows.ts';
import type { ConnectionPageJson, StatusJson, TickJson } from '../../../src/ops/admin-status.ts';
import { chosenRow, firstView, settled } from '../../../src/cli/top/view.ts';
import type { TopView } from '../../../src/cli/top/view.ts';
import type { HistoryJson } from '../../../src/ops/history.ts';
import { endsItsStands, eventually, say, standOne } from '../../ops/admin-support.ts';
import type { Stand } from '../../ops/admin-support.ts';

async function status(stand: Stand): Promise<StatusJson> {
  return JSON.parse((await stand.ask('/api/status')).text) as StatusJson;
}

async function page(stand: Stand, query = ''): Promise<ConnectionPageJson> {
  return JSON.parse((await stand.ask(`/api/connections?sort=id&order=asc${query}`)).text) as ConnectionPageJson;
}

/** What a person sees after some keys. */
function after(view: TopView, model: TopModel, ...keys: readonly (string | Key)[]): { view: TopView; wanted: Wanted } {
  let wanted: Wanted = { kind: 'nothing' };
  for (const key of keys)
    ({ view, wanted } = pressed(view, model, typeof key === 'string' ? { text: key, name: key } : key, 10));
  return { view, wanted };
}

const ENTER: Key = { text: '\r', name: 'return' };

describe('what portside top knows', () => {
  endsItsStands();

  test('rates are what happened between two looks, in a second', async () => {
    const stand = await standOne({ deny: ['192.0.2.0/24'], maxPerClient: 2 });
    const before = await status(stand);
    const clients = [await stand.dial(), await stand.dial()];
    for (const client of clients) assert.equal(await say(client, '1234567'), '1234567');
    await Promise.allSettled([stand.dial()]);
    await eventually(async () => (await status(stand)).refused['client-full'] === 1);
    const now = await status(stand);
    const seconds = (now.at - before.at) / 1_000;
    const rates = ratesOf(before, now)!;
    const { accepted, refused, refusedBy, bytesRead, bytesWritten } = rates;
    const counts = { accepted, refused, full: refusedBy['client-full'], bytesRead, bytesWritten };
    assert.deepEqual(
      Object.values(counts).map((rate) => Math.round((rate ?? 0) * seconds)),
      [now.accepted - before.accepted, 1, 1, 16, 16],
    );
    assert.deepEqual(Object.keys(refusedBy), ['client-full']);
    assert.equal(ratesOf(now, before), null, 'time does not go back');
    assert.equal(ratesOf(now, { ...now, at: now.at + 1_000, uptime: 0 }), null, 'that is another server');
    // Twice the time is half the rate.
    assert.equal(ratesOf(before, { ...now, at: before.at + 2_000 * seconds })!.accepted, accepted / 2);
  });

  test('the past is a minute, with what the server kept of it; another process begins anew', async () => {
    const stand = await standOne();
    const first = await status(stand);
    let model = withStatus(nothingKnown, first, 0);
    assert.deepEqual([model.rates, model.past], [null, []]);
    // A watcher's first tick comes at once.
    assert.deepEqual(withTick(model, { ...first, at: first.at + 5 }, 5).past, []);
    for (let i = 1; i <= 70; i += 1) {
      const tick = { ...first, at: first.at + i * 1_000, uptime: first.uptime + i, accepted: first.accepted + i };
      model = withTick(model, tick, i);
    }
    assert.deepEqual([model.past.length, model.past[0]!.at, model.past.at(-1)!.accepted], [60, first.at + 11_000, 1]);

    const history = JSON.parse((await stand.ask('/api/history')).text) as HistoryJson;
    const times = [first.at - 2_000, first.at - 1_000, first.at + 60_000];
    const kept = { ...history, at: times, accepted: [0, 4, 9], refused: { full: [0, 1, 1], rate: [0, 1, 1] } };
    const past = withPast({ ...model, past: model.past.slice(-2) }, kept).past;
    assert.deepEqual(
      past.map(({ at, accepted, refused }) => [at - first.at, accepted, refused]),
      [
        [-1_000, 4, 2],
        [60_000, 5 / 61, 0],
        [69_000, 1, 0],
        [70_000, 1, 0],
      ],
    );

    // What was missed here, the server has seen.
    const missed = withPast({ ...model, past: [model.past[0]!, model.past.at(-1)!] }, kept).past;
    assert.deepEqual(
      missed.map(({ at }) => at - first.at),
      [-1_000, 60_000, 70_000],
    );

    const gone = withoutServer(model, 'connect ECONNREFUSED', 80_000);
    const still = withoutServer(gone, 'another reason', 90_000);
    assert.deepEqual(still.contact, { kind: 'gone', since: 80_000, why: 'another reason' });
    assert.equal(still.happenings.length, gone.happenings.length);
    const back = { ...first, uptime: first.uptime + 70 };
    assert.equal(withStatus(still, back, 91_000).past.length, 60);
    // In a container it may have the id of the one before.
    const anew = withStatus(still, { ...first, uptime: 5 }, 91_000);
    assert.deepEqual([anew.past.length, anew.happenings[0]!.text], [0, 'the server was started anew']);
    const other = withStatus(still, { ...first, pid: first.pid + 1 }, 91_000);
    assert.deepEqual([other.past.length, other.contact.kind], [0, 'live']);
    assert.match(other.happenings[0]!.text, /^process \d+ is there instead of \d+$/u);
  });

  test('events change what is known at once; refusals of one time are told together', async () => {
    const stand = await standOne();
    let model = withStatus(nothingKnown, await status(stand), 0);
    model = withWatched(model, { event: 'refused', data: { full: 2 } }, 1_000);
    model = withWatched(model, { event: 'refused', data: { full: 1, rate: 4 } }, 2_000);
    model = withWatched(model, { event: 'state', data: { state: 'suspended', before: 'running' } }, 3_000);
    model = withWatched(model, { event: 'error', data: { more: 980 } }, 4_000);
    model = withWatched(model, { event: 'worker', data: { what: 'died', worker: 1, detail: 'out of luck' } }, 5_000);
    model = withWatched(model, { event: 'something new', data: {} }, 6_000);
    assert.deepEqual(
      model.happenings.map(({ at, text }) => [at, text]),
      [
        [5_000, 'worker 1 died: out of luck'],
        [4_000, '980 more of error'],
        [3_000, 'running → suspended'],
        [2_000, 'refused: full 3, rate 4'],
      ],
    );
    assert.deepEqual([model.tick!.state, model.tick!.ready], ['suspended', false]);
    for (let i = 0; i < 300; i += 1) model = withWatched(model, { event: 'error', data: { message: `${i}` } }, i);
    assert.equal(model.happenings.length, 200);
    // They are gone through by the keys of the table, which stays as it is.
    const down = { name: 'down' };
    const { view } = after(firstView, model, 'e', down, { name: 'pagedown' }, 'j', 'k');
    assert.deepEqual([view.scrolled, view.index], [11, 0]);
    assert.equal(after(view, model, { name: 'end' }, down).view.scrolled, 190);
    assert.equal(after(view, model, { name: 'pageup' }, { name: 'pageup' }).view.scrolled, 0);
    assert.equal(after(view, model, 'e', 'e').view.scrolled, 0);
    // So is the help, where it has no room.
    assert.equal(after(firstView, model, '?', { name: 'end' }).view.scrolled, KEYS.length - 10);
  });

  test('connections have rates by their own ages, and an order by them', async () => {
    const stand = await standOne();
    const clients = [await stand.dial(), await stand.dial(), await stand.dial()];
    for (const client of clients) await say(client, 'hello');
    const first = rowsOf((await page(stand)).connections, []);
    assert.deepEqual(
      first.map(({ id }) => id),
      [1, 2, 3],
    );
    for (const { rate, age, bytesRead, bytesWritten } of first)
      assert.equal(rate, ((bytesRead + bytesWritten) * 1_000) / age, 'the rate of its whole life, as it is young');
    await say(clients[1]!, 'x'.repeat(999));
    await say(clients[2]!, 'x'.repeat(99));
    await eventually(async () => (await page(stand, '&peer=loopback')).connections[2]!.bytesRead === 106);
    const second = rowsOf((await page(stand)).connections, first);
    const time = (i: number): number => (second[i]!.age - first[i]!.age) / 1_000;
    assert.deepEqual(
      second.map(({ rate }, i) => Math.round(rate! * time(i))),
      [0, 2_000, 200],
    );
    assert.deepEqual(rowsOf(second, second), second, 'a look at the same moment changes no rate');
    const old = { ...second[0]!, age: 60_000 };
    assert.equal(rowsOf([old], [])[0]!.rate, null, 'of one that is old nothing is known at first');
    assert.deepEqual(
      inOrder([old, ...second], 'rate', true).map(({ id }) => id),
      [2, 3, 1, 1],
    );
    assert.deepEqual(
      inOrder(second, 'rate', false).map(({ id }) => id),
      [1, 3, 2],
    );
    assert.equal(inOrder(second, 'age', true), second, 'other orders are the server’s');
  });

  test('what is chosen stays so while rows come and go, and is what a key closes', async () => {
    const stand = await standOne();
    for (let i = 0; i < 3; i += 1) await say(await stand.dial(), 'hello');
    const all = await page(stand);
    const model = withPage(withStatus(nothingKnown, await status(stand), 0), all);
    const { view } = after(firstView, model, 'j');
    assert.equal(chosenRow(view, model.rows)!.id, 2);
    const [one, two, three] = model.rows;
    assert.equal(chosenRow(settled(view, [three!, one!, two!]), [three!, one!, two!])!.id, 2);
    assert.equal(chosenRow(settled(view, [one!, three!]), [one!, three!])!.id, 3, 'the one in its place');
    assert.equal(chosenRow(settled(view, []), []), null);
    // At the top it is whoever comes first.
    const { view: top } = after(view, model, 'k');
    assert.equal(chosenRow(settled(top, [three!, one!]), [three!, one!])!.id, 3);
    assert.equal(after(view, model, { name: 'end' }).view.index, 2);
    assert.equal(after(view, model, { name: 'pagedown' }, { name: 'home' }).view.index, 0);

    const asked = after(view, model, 'c');
    assert.match(
      asked.view.prompt!.kind === 'confirm' ? asked.view.prompt!.question : '',
      /^close 2 of 127\.0\.0\.1:\d+\?/u,
    );
    assert.deepEqual(asked.wanted, { kind: 'nothing' });
    assert.deepEqual(after(asked.view, model, 'x').wanted, { kind: 'nothing' });
    for (const [key, how] of [
      ['y', 'close'],
      ['r', 'reset'],
    ] as const) {
      const { wanted } = after(asked.view, model, key);
      assert.ok(wanted.kind === 'do');
      const { path, body, told } = wanted.deed;
      assert.deepEqual([path, body], ['connections/close', { ids: [{ id: 2, worker: null, threadId: null }], how }]);
      assert.equal(told({ matched: 1, closed: 0 }), '2 was gone, or closing');
    }
    assert.equal(
      after(firstView, withPage(model, { ...all, connections: [] }), 'c').view.note!.text,
      'there is no connection to close',
    );
    assert.equal(after(firstView, withoutServer(model, 'gone', 0), 'd').view.note!.text, 'the server is not there');
  });

  test('a filter is typed as for --where, and one that is wrong is told and can be mended', async () => {
    const stand = await standOne();
    const model = withStatus(nothingKnown, await status(stand), 0);
    const type = (view: TopView, text: string): TopView => after(view, model, ...Array.from(text)).view;
    const wrong = after(type(firstView, '/minAge=5 parsecs'), model, ENTER);
    assert.match(wrong.view.note!.text, /^minAge: /u);
    assert.deepEqual(wrong.wanted, { kind: 'nothing' });
    const erased = after(wrong.view, model, ...Array.from({ length: 10 }, () => ({ name: 'backspace' })));
    const right = after(type(erased.view, '=1m,worker=0'), model, ENTER);
    const where: Where = { minAge: 60_000, worker: 0 };
    assert.deepEqual([right.view.where, right.view.filter, right.view.prompt], [where, 'minAge=1m,worker=0', null]);
    assert.deepEqual(right.wanted, { kind: 'look' });
    assert.equal(after(type(right.view, '/x'), model, { name: 'escape' }).view.filter, 'minAge=1m,worker=0');
    assert.deepEqual(after(right.view, model, '/', { name: 'u', ctrl: true }, ENTER).view.where, {});
    // Keys that steer are none of its text, and it does not grow without an end.
    const long = type(type(firstView, '/\x1b[2J\x00'), 'x'.repeat(2_000)).prompt!;
    assert.equal(long.kind === 'filter' ? long.text : '', `[2J${'x'.repeat(497)}`);
  });

  test('a display that is held goes on with another order or filter, which what it holds is not of', async () => {
    const stand = await standOne();
    const model = withStatus(nothingKnown, await status(stand), 0);
    const { view } = after(firstView, model, 'p');
    assert.equal(view.held, model);
    assert.equal(after(view, model, 'e', 'j').view.held, model);
    for (const keys of ['s', 'S', 'r', 'p', '/x'].map((text) => Array.from(text)))
      assert.equal(after(view, model, ...keys, { name: 'u', ctrl: true }, ENTER).view.held, null, keys.join(''));
  });

  test('lines count from one look to the next, whatever is told in between', async () => {
    const stand = await standOne();
    const first = await status(stand);
    const rated = (lines: PlainLines, tick: TickJson): unknown =>
      (JSON.parse(lines.line(tick)) as { rates: { accepted: number } | null }).rates?.accepted;
    const later = (seconds: number, accepted: number): StatusJson => {
      const time = seconds * 1_000;
      return { ...first, at: first.at + time, uptime: first.uptime + time, accepted: first.accepted + accepted };
    };
    const lines = new PlainLines(true);
    lines.begin(first);
    // Its limits were changed.
    lines.begin(later(9, 20));
    assert.equal(rated(lines, later(10, 20)), 2);
    // Another, in its place.
    lines.begin({ ...later(12, 0), uptime: 1 });
    assert.equal(rated(lines, { ...later(13, 5), uptime: 1_001 }), 5);
  });

  test('numbers in a second are short', () => {
    for (const [rate, text] of [
      [0, '0'],
      [0.04, '<0.1'],
      [0.44, '0.4'],
      [2, '2'],
      [9.96, '10'],
      [12.4, '12'],
      [999.6, '1.0k'],
      [1_234, '1.2k'],
      [45_678_901, '46M'],
    ] as const)
      assert.equal(perSecond(rate), text);
  });
});
