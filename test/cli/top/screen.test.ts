import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  nothingKnown,
  withPage,
  withStatus,
  withTick,
  withWatched,
  withoutServer,
} from '../../../src/cli/top/model.ts';
import type { TopModel } from '../../../src/cli/top/model.ts';
import { bar, sparkline } from '../../../src/cli/top/bars.ts';
import type { ConnectionPageJson, StatusJson, TickJson } from '../../../src/ops/admin-status.ts';
import { KEYS } from '../../../src/cli/top/keys.ts';
import { screenOf } from '../../../src/cli/top/screen.ts';
import { clip, fit, lineWidth, plainText, span, widthOf, wrap } from '../../../src/cli/top/text.ts';
import { firstView } from '../../../src/cli/top/view.ts';
import type { TopView } from '../../../src/cli/top/view.ts';
import { endsItsStands, say, standTwo } from '../../ops/admin-support.ts';

const AT = 1_700_000_000_000;

interface Known {
  readonly model: TopModel;
  readonly tick: TickJson;
}

let once: Promise<Known> | null = null;

/** What a real server over workers tells, with numbers that are always the same. */
function known(): Promise<Known> {
  once ??= look();
  return once;
}

async function look(): Promise<Known> {
  const stand = await standTwo();
  await say(await stand.dial(), 'echo hello');
  const status = JSON.parse((await stand.ask('/api/status')).text) as StatusJson;
  const { connections } = JSON.parse((await stand.ask('/api/connections')).text) as ConnectionPageJson;
  const [one] = connections;
  assert.ok(one !== undefined);
  const still: StatusJson = {
    ...status,
    name: '/srv/chat.ts',
    pid: 4711,
    version: '1.0.0',
    node: '26.10.0',
    transport: 'native',
    addresses: ['0.0.0.0:7000', '[::]:7000'],
    at: AT,
    uptime: 7_512_345,
    active: 3,
    opening: 1,
    maxConnections: 500,
    maxPerClient: 5,
    accepted: 1_207,
    closed: 1_204,
    bytesRead: 20_000_000,
    bytesWritten: 3_000_000_000,
    loop: { ...status.loop, utilization: 0.12, delayP99: 0.42, delayMax: 12.3 },
    memory: { rss: 81_788_928, heapUsed: 20_971_520, heapTotal: 41_943_040, external: 0 },
    cpu: { user: 1, system: 1 },
    limits: { ...status.limits, rate: { connections: 20, per: 1_000 } },
    workers: status.workers.map((worker, i): TickJson['workers'][number] => ({
      ...worker,
      state: i === 0 ? 'serving' : 'booting',
      connections: i === 0 ? 3 : 0,
      utilization: 0.43,
      heap: 18_000_000,
      restarts: 0,
    })),
  };
  let model = withStatus(nothingKnown, still, AT);
  let tick: TickJson = still;
  for (let i = 1; i <= 20; i += 1) {
    tick = {
      ...tick,
      at: AT + i * 1_000,
      uptime: tick.uptime + 1_000,
      accepted: tick.accepted + i,
      refused: { ...tick.refused, full: i < 20 ? 0 : 3, rate: i < 20 ? 0 : 1 },
      bytesRead: tick.bytesRead + 2_048,
      bytesWritten: tick.bytesWritten + 1_048_576 * (i % 4),
      cpu: { user: tick.cpu.user + 0.5, system: 1 },
    };
    model = withTick(model, tick, tick.at);
  }
  const worker = { worker: 0, threadId: 1, local: '0.0.0.0:7000' } as const;
  const rows: ConnectionPageJson['connections'] = [
    {
      ...one,
      ...worker,
      id: 12,
      peer: '10.3.0.9:50122',
      age: 7_512_345,
      doing: 'idle',
      bytesRead: 1_204,
      bytesWritten: 317_440,
      queued: 0,
      tls: { protocol: 'TLSv1.3', alpn: 'chat' },
    },
    {
      ...one,
      ...worker,
      id: 1_310,
      peer: '[2001:db8:0:1::dead:beef]:61007',
      age: 188_000,
      doing: 'busy',
      bytesRead: 640,
      bytesWritten: 12_000,
      queued: 65_536,
      tls: null,
    },
    {
      ...one,
      ...worker,
      id: 1_311,
      peer: '10.3.0.14:61007',
      age: 500,
      doing: 'opening',
      bytesRead: 0,
      bytesWritten: 512,
      queued: 0,
      tls: null,
    },
  ];
  model = withPage(model, { total: 3, matched: 3, offset: 0, connections: rows });
  model = withWatched(model, { event: 'refused', data: { full: 3, rate: 1 } }, tick.at);
  model = withWatched(model, { event: 'error', data: { worker: 0, message: 'a \x1b[2J\tb' } }, tick.at - 90_000);
  return { model, tick };
}

/** A screen as text. Every line fits in its size. */
function shown(model: TopModel, view: TopView, columns: number, rows: number, now: number): string {
  const { lines } = screenOf(model, view, { columns, rows }, now);
  assert.equal(lines.length, rows);
  for (const line of lines) assert.ok(lineWidth(line) <= columns, plainText(line));
  return lines.map((line) => plainText(line)).join('\n');
}

const lines = (...text: readonly string[]): string => text.join('\n');

describe('the screen of portside top', () => {
  endsItsStands();

  test('tells everything in 80 columns and 24 rows', async () => {
    const { model, tick } = await known();
    assert.equal(
      shown(model, firstView, 80, 24, tick.at),
      lines(
        '/srv/chat.ts  running, up 2h 5m',
        '0.0.0.0:7000, [::]:7000  process 4711, portside 1.0.0, node 26.10.0, native',
        'open      3 of 500, 1 opening; 5 a client, 20/1s                     ███████████',
        'accepted  20/s, 1417 in all                                          ▂▃▃▄▅▅▆▇▇██',
        'refused   4/s: rate 1, full 3; 4 in all                              ▁▁▁▁▁▁▁▁▁▁█',
        'bytes in  2.0k/s, 19M in all                                         ███████████',
        'bytes out 0/s, 2.8G in all                                           ▄█▄█▄█▄█▄█▁',
        'loop      12% busy, late 0.4ms, at worst 12ms                        ▂▂▂▂▂▂▂▂▂▂▂',
        'memory    78M, heap 20M of 40M, CPU 50%',
        '  0 [||||||    43%]     3   17M    1 [booting      ]     0   17M',
        ' 1m 30s ago  error: worker 0: a \\x1b[2J b',
        '     1s ago  refused: full 3, rate 1',
        '    id peer              doing      age↓   rate    in   out  queued tls',
        '  0/12 10.3.0.9:50122    idle      2h 5m      -  1.2k  310k       0 TLSv1.3 chat',
        '0/1310 [2001:db8:0:1::d… busy      3m 8s      -   640   12k     64k -',
        '0/1311 10.3.0.14:61007   opening   500ms 1.0k/s     0   512       0 -',
        '',
        '',
        '',
        '',
        '',
        '',
        '',
        '3 open                                                            ? keys  q quit',
      ),
    );
    const drain = {
      since: tick.at,
      deadline: tick.at + 8_000,
      left: 3,
      closed: 12,
      finished: 2,
      idle: 10,
      forced: 0,
      failed: 0,
      detached: 0,
    };
    const draining = withTick(model, { ...tick, at: tick.at + 1_000, state: 'draining', ready: false, drain }, tick.at);
    const text = shown(draining, { ...firstView, filter: 'doing=busy' }, 80, 24, tick.at);
    assert.match(text, /^\/srv\/chat\.ts {2}draining, not ready, up 2h 5m\n/u);
    assert.match(text, /\ndrain {5}3 left, 8s to go; 12 closed \(finished 2, idle 10\)\n/u);
    assert.match(text, /\n3 of 3 open, where doing=busy +\? keys/u);
  });

  test('is whole in 40 columns, and as much of it as there is room for in fewer rows', async () => {
    const { model, tick } = await known();
    assert.equal(
      shown(model, firstView, 40, 16, tick.at),
      lines(
        '/srv/chat.ts  running, up 2h 5m',
        '0.0.0.0:7000, [::]:7000  process 4711, …',
        'open      3 of 500, 1 openin…       ████',
        'accepted  20/s, 1417 in all         ▃▅▇█',
        'refused   4/s: rate 1, full …       ▁▁▁█',
        'bytes in  2.0k/s, 19M in all        ████',
        'bytes out 0/s, 2.8G in all          ████',
        'loop      12% busy, late 0.4…       ▂▂▂▂',
        'memory    78M, heap 20M of 40M, CPU 50%',
        '  0 [||||||    43%]     3   17M',
        '  1 [booting      ]     0   17M',
        '    id peer                  age↓   rate',
        '  0/12 10.3.0.9:50122       2h 5m      -',
        '0/1310 [2001:db8:0:1::de…   3m 8s      -',
        '0/1311 10.3.0.14:61007      500ms 1.0k/s',
        '3 open                    ? keys  q quit',
      ),
    );
    assert.equal(
      shown(model, { ...firstView, sort: 'queued', descending: false }, 30, 6, tick.at),
      lines(
        '/srv/chat.ts  running, up 2h…',
        '    id peer            queued↑',
        '  0/12 10.3.0.9:50122        0',
        '0/1310 [2001:db8:0:1:…     64k',
        '0/1311 10.3.0.14:61007       0',
        '3 open          ? keys  q quit',
      ),
    );
    const help = { ...firstView, pane: 'help' } as const;
    assert.deepEqual(
      shown(model, { ...help, scrolled: KEYS.length - 2 }, 40, 5, tick.at)
        .split('\n')
        .slice(1, 4),
      ['keys', '?, h       this help', 'q, Ctrl-C  quit; the server goes on'],
    );
    const events = { ...firstView, pane: 'events', scrolled: 1 } as const;
    assert.match(shown(model, events, 80, 24, tick.at), /latest first\n +\S+ ago {2}refused: full 3, rate 1\n\n/u);
    for (const [columns, rows] of [
      [1, 1],
      [2, 2],
      [10, 3],
      [500, 100],
    ] as const)
      for (const pane of ['connections', 'events', 'help'] as const)
        shown(model, { ...firstView, pane }, columns, rows, tick.at);
  });

  test('says that the server is gone, or says nothing, and what is held', async () => {
    const { model, tick } = await known();
    const now = tick.at + 12_000;
    const [silent] = shown(model, firstView, 80, 24, now).split('\n');
    assert.equal(silent, '/srv/chat.ts  running, up 2h 5m, no word for 12s');
    const gone = withoutServer(model, 'connect ECONNREFUSED 127.0.0.1:7001', tick.at);
    const [told] = shown(gone, { ...firstView, held: model }, 120, 24, now).split('\n');
    const why = '/srv/chat.ts  gone for 12s, trying again: connect ECONNREFUSED 127.0.0.1:7001';
    assert.equal(told, `${why}${' '.repeat(114 - why.length)} held`);
  });

  test('asks at the bottom, whole however narrow it is', async () => {
    const { model, tick } = await known();
    const prompt = { kind: 'confirm', question: 'close 0/12 of 10.3.0.9:50122? y: in order', deeds: {} } as const;
    const asked = shown(model, { ...firstView, prompt }, 20, 12, tick.at).split('\n');
    assert.deepEqual(asked.slice(-3), ['close 0/12 of', '10.3.0.9:50122? y:', 'in order']);
    const long = { ...prompt, question: 'close 0/12 of unix:///日本語/日本語? y: in order' };
    assert.deepEqual(
      shown(model, { ...firstView, prompt: long }, 12, 12, tick.at)
        .split('\n')
        .slice(-5),
      ['close 0/12', 'of', 'unix:///日本', '語/日本語?', 'y: in order'],
    );
    assert.deepEqual(wrap('日本 x', 1), ['日', '本', 'x']);
    const typed = shown(
      model,
      { ...firstView, prompt: { kind: 'filter', text: 'peer=10.0.0.0/8,doing=idle' } },
      20,
      12,
      0,
    );
    assert.equal(typed.split('\n').at(-1), 'filter: ,doing=idle');
    const wide = { ...firstView, prompt: { kind: 'filter', text: 'peer=unix:///日本語' } } as const;
    assert.equal(shown(model, wide, 16, 12, 0).split('\n').at(-1), 'filter: /日本語');
    assert.equal(shown(model, wide, 9, 12, 0).split('\n').at(-1), 'filter:');
  });

  test('measures text by the columns that it takes, and shows what steers a terminal', () => {
    for (const [text, width] of [
      ['plain', 5],
      ['Grüße', 5],
      ['日本', 4],
      ['\u{1f600}', 2],
      ['e\u0301', 1],
    ] as const)
      assert.equal(widthOf(text), width);
    assert.deepEqual([clip('日本語', 4), clip('日本語', 6), clip('abc', 0)], ['日…', '日本語', '']);
    assert.deepEqual([fit('日本', 6), fit('日本', 6, 'right')], ['日本  ', '  日本']);
    for (const code of [0, 7, 10, 13, 27, 127, 0x9b, 0x200b, 0x202e, 0x2028, 0xfeff])
      assert.match(span(`a${String.fromCodePoint(code)}b`).text, /^a\\[xrnu][^]*b$/u);
    assert.equal(span('a\tb').text, 'a b');
  });

  test('draws columns and bars', () => {
    const points = [0, 1, 2, 4, 8, 0].map((value, i) => ({ at: i * 1_000, value }));
    assert.equal(sparkline(points, 8, 1), '  ▁▂▃▅█▁');
    assert.equal(sparkline(points, 3, 2), '▂▅█');
    assert.equal(sparkline(points, 3, 2, 16), '▂▃▅');
    assert.equal(sparkline([{ at: 0, value: 0 }], 2, 1), ' ▁');
    assert.equal(sparkline([], 2, 1), '  ');
    assert.deepEqual([bar(0, 12), bar(0.5, 12), bar(2, 12)], ['[        0%]', '[|||||  50%]', '[||||||100%]']);
  });
});
