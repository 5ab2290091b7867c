import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { LimitsJson, TickJson } from '../../src/ops/admin-status.ts';
import type { HistoryJson } from '../../src/ops/history.ts';
import { statusPage } from '../../src/ops/page.ts';
import {
  bytesText,
  countText,
  delayText,
  rateText,
  readSize,
  readTime,
  shareText,
  spanText,
  timeText,
} from '../../src/ops/page/format.ts';
import { changesOf, limitFields } from '../../src/ops/page/limit-fields.ts';
import { Samples } from '../../src/ops/page/samples.ts';
import { endsItsStands, standOne } from './admin-support.ts';

endsItsStands();

const limits: LimitsJson = {
  maxConnections: 100,
  maxPerClient: null,
  clientPrefix: { ipv4: 32, ipv6: 64 },
  whenFull: { retries: 10, every: 500, first: 50 },
  allow: [],
  deny: ['10.0.0.0/8', 'private'],
  rate: { connections: 20, per: 1_000, burst: 40, maxTracked: 1_000 },
  lead: 0,
  grace: null,
  spread: 1_500,
  deadlines: { firstByte: 90_000, idle: Infinity, read: Infinity, write: 60_000, life: Infinity },
};

/** The limits as they come by JSON. */
const told = JSON.parse(JSON.stringify(limits)) as LimitsJson;

describe('the page of the admin endpoint', () => {
  test('is one text, with its styles and scripts in it', async () => {
    const page = await statusPage();
    assert.equal(await statusPage(), page);
    assert.match(page, /^<!doctype html>/u);
    assert.equal(page.match(/<script/gu)?.length, 2);
    assert.equal(page.match(/<style/gu)?.length, 1);
    assert.doesNotMatch(page, /<!-- (styles|scripts) -->|^import |^export | style="| on[a-z]+="/mu);
    assert.match(page, /class ConnectionTable/u);
  });

  test('may be one’s own, which is held to what stands in it', async () => {
    let asked = 0;
    const script = 'document.title = "mine";';
    const page = (): string => {
      asked += 1;
      if (asked === 1) throw new Error('not yet');
      return `<!doctype html><script>${script}</script><p onclick="never()">hi`;
    };
    const at = await standOne({}, { page, onError: () => {} });
    assert.equal(asked, 0, 'it is made when it is asked for');
    assert.equal((await at.ask('/')).status, 500);
    const { status, headers, text } = await at.ask('/');
    assert.deepEqual([status, asked], [200, 2]);
    assert.ok(text.includes(script));
    const hash = createHash('sha256').update(script).digest('base64');
    const policy = String(headers['content-security-policy']);
    assert.ok(policy.includes(`script-src 'sha256-${hash}'; style-src 'none';`), policy);
    assert.equal((await at.ask('/')).status, 200);
    assert.equal(asked, 2, 'and kept');
  });
});

describe('what the page says', () => {
  test('is short, in units that fit', () => {
    assert.deepEqual([0, 999, 12_345, 12_345_678, 5e10].map(countText), ['0', '999', '12,345', '12.3 M', '50.0 G']);
    assert.deepEqual([0, 0.01, 0.4, 12.54, 1_204.6].map(rateText), ['0', '< 0.1', '0.4', '12.5', '1,205']);
    assert.deepEqual([0, 999, 1_000, 34_500_000, 1e15].map(bytesText), [
      '0 B',
      '999 B',
      '1.00 kB',
      '34.5 MB',
      '1,000 TB',
    ]);
    assert.deepEqual([0, 0.31, 12.5, 999.7].map(delayText), ['0 ms', '0.31 ms', '12.5 ms', '1.00 s']);
    assert.deepEqual([0, 0.004, 0.43, 1].map(shareText), ['0 %', '0.4 %', '43 %', '100 %']);
    assert.deepEqual([-5, 8_999, 188_000, 7_500_000, 273_600_000].map(spanText), [
      '0 s',
      '8 s',
      '3 m 8 s',
      '2 h 5 m',
      '3 d 4 h',
    ]);
  });

  test('of a time is what it reads as one', () => {
    fc.assert(fc.property(fc.nat(), (ms) => assert.equal(readTime(timeText(ms)), ms)));
    assert.deepEqual(['1.5m', '250', '2h', 'soon', '-1', ''].map(readTime), [
      90_000,
      250,
      7_200_000,
      undefined,
      undefined,
      undefined,
    ]);
    assert.deepEqual(['512', '64k', '1.5M', '2kb', 'x'].map(readSize), [512, 65_536, 1_572_864, 2_048, undefined]);
    assert.deepEqual([null, 0, 1_500].map(timeText), ['none', '0s', '1500ms']);
  });

  test('of limits is what the server takes for the same limits', () => {
    const texts = new Map(limitFields.map(({ path, text }) => [path, text(told)] as const));
    assert.deepEqual(
      ['maxPerClient', 'whenFull', 'rate', 'allow', 'deny', 'grace', 'deadlines.idle'].map((path) => texts.get(path)),
      ['none', '10@500ms', '20/1s burst 40', 'none', '10.0.0.0/8, private', 'none', 'none'],
    );
    const { clientPrefix: _, ...same } = told;
    assert.deepEqual(changesOf(texts, told), same);
    const changes = changesOf(
      new Map([
        ['rate', '5/m'],
        ['whenFull', 'refuse'],
        ['lead', 'soon'],
        ['deadlines.life', '1h'],
      ]),
      told,
    );
    assert.deepEqual(changes, {
      rate: { connections: 5, per: 60_000, maxTracked: 1_000 },
      whenFull: 'refuse',
      lead: 'soon',
      deadlines: { life: 3_600_000 },
    });
  });
});

describe('the samples of the page', () => {
  const columns = { active: [1, 2, 3], errors: [0, 0, 0], delay: [1, 1, 1], utilization: [0.1, 0.1, 0.1] };
  const history = {
    ...columns,
    at: [1_000, 2_000, 4_000],
    accepted: [10, 12, 20],
    bytesRead: [0, 500, 500],
    bytesWritten: [0, 0, 0],
    busiest: [0.1, 0.1, 0.1],
    cpu: [1, 1.5, 2],
    rss: [1, 1, 1],
    heapUsed: [1, 1, 1],
    refused: { full: [0, 0, 6] },
  } as HistoryJson;

  const tick = (at: number, accepted: number): TickJson =>
    ({
      ...{ at, accepted, active: 4, bytesRead: 500, bytesWritten: 0, errors: 0, refused: { full: 6, rate: 2 } },
      ...{ loop: { utilization: 0.2, delayNow: 2 }, cpu: { user: 2, system: 1 }, workers: [] },
      memory: { rss: 1, heapUsed: 1 },
    }) as unknown as TickJson;

  test('are rates between what was counted, over what is remembered and what is told', () => {
    const samples = new Samples();
    samples.restore(history);
    assert.deepEqual(
      samples.all.map(({ accepted }) => accepted),
      [null, 2, 4],
    );
    assert.deepEqual(
      samples.all.map(({ refused }) => refused['full']),
      [undefined, 0, 3],
    );
    samples.add(tick(4_100, 20));
    assert.equal(samples.all.length, 3, 'too close to tell a rate');
    samples.add(tick(5_000, 25));
    const { accepted, cpu, refused } = samples.latest!;
    assert.deepEqual([accepted, cpu, refused], [5, 1, { full: 0, rate: 2 }]);
  });

  test('have a gap where nothing was told, and where counts began anew', () => {
    const samples = new Samples();
    samples.restore(history);
    samples.add(tick(14_000, 25));
    assert.deepEqual(
      samples.all.slice(-2).map(({ at, active, accepted }) => [at, active, accepted]),
      [
        [13, null, null],
        [14, 4, null],
      ],
    );
    samples.add(tick(15_000, 3));
    assert.equal(samples.latest?.accepted, null);
    for (let i = 16; i < 800; i += 1) samples.add(tick(i * 1_000, 3));
    assert.equal(samples.all.length, 600);
  });
});
