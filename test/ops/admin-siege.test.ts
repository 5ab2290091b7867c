import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../../src/net/connection.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Watching, atEnd, endsItsStands, eventually, say, standOne } from './admin-support.ts';
import type { Stand } from './admin-support.ts';

endsItsStands();
leavesNothing();

/** A connection to the admin endpoint that says whatever it likes, and what it heard. */
class Raw {
  readonly socket: Socket;
  text = '';
  closed = false;

  constructor(at: Stand) {
    this.socket = connectTcp({ host: '127.0.0.1', port: at.port });
    this.socket.setEncoding('utf8');
    this.socket.on('data', (part: string) => {
      this.text += part;
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
    atEnd(async () => this.socket.destroy());
  }

  say(text: string): this {
    this.socket.write(text);
    return this;
  }

  /** The status that it was answered with; 0: it was ended without. */
  async status(): Promise<number> {
    await eventually(() => this.closed || /^HTTP\/1\.1 \d+ [^\r]*\r\n/u.test(this.text));
    return Number(/^HTTP\/1\.1 (\d+)/u.exec(this.text)?.[1] ?? 0);
  }
}

/** Someone who is served all the while: how many lines went to and fro, and how long the slowest took. */
class Served {
  lines = 0;
  slowest = 0;
  #goes = true;
  readonly #over: Promise<void>;

  constructor(client: Connection) {
    this.#over = this.#run(client);
  }

  async end(): Promise<void> {
    this.#goes = false;
    await this.#over;
  }

  async #run(client: Connection): Promise<void> {
    while (this.#goes) {
      const began = performance.now();
      const text = `line ${this.lines}`;
      assert.equal(await say(client, text), text);
      this.slowest = Math.max(this.slowest, performance.now() - began);
      this.lines += 1;
      await sleep(2);
    }
  }
}

/** Milliseconds for which nobody who is served may wait, on a machine that does other things too. */
const BEARABLE = 1_000;

async function undisturbed(at: Stand, siege: () => Promise<void>): Promise<Served> {
  const served = new Served(await at.dial());
  await eventually(() => served.lines > 5);
  try {
    await siege();
  } catch (error) {
    await served.end();
    throw error;
  }
  const before = served.lines;
  await eventually(() => served.lines > before + 5);
  await served.end();
  assert.ok(served.slowest < BEARABLE, `somebody waited ${served.slowest} ms for an echo`);
  assert.equal(at.server.status().errors, 0);
  assert.equal(at.server.state, 'running');
  assert.equal((await at.ask('/livez')).status, 200);
  return served;
}

const POST = 'POST /api/limits HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';

describe('what is wrong with requests', () => {
  test('is answered, and changes nothing: bodies that are no JSON, too large, endless, or where none belongs', async () => {
    const at = await standOne();
    await undisturbed(at, async () => {
      for (const body of ['{', '[]', '1', '"x"', 'null', '{"a":1}{', '\u0000', '[['.repeat(10_000)]) {
        const { status, json } = await at.act('limits', body);
        assert.deepEqual([status, json.error.code], [400, 'bad-json'], body.slice(0, 10));
      }
      assert.equal((await at.act('limits', `{"__proto__":{"maxConnections":1},"constructor":1}`)).status, 400);
      const large = await at.act('limits', { allow: ['x'.repeat(70_000)] });
      assert.deepEqual([large.status, large.json.error.code], [413, 'too-large']);
      // Deeper than some versions of Node can write it.
      const deep = `${'['.repeat(32_000)}${']'.repeat(32_000)}`;
      for (const body of [`{"a":${deep}}`, `{"deadlines":${deep}}`, `{"allow":${deep}}`])
        assert.equal((await at.act('limits', body)).json.error.code, 'ERR_PORTSIDE_OPTIONS');
      assert.equal((await at.ask('/api/audit')).status, 200);
      const claimed = new Raw(at).say(`${POST}content-length: 99999999999\r\n\r\n{`);
      assert.equal(await claimed.status(), 413);
      await eventually(() => claimed.closed);
      const endless = new Raw(at).say(`${POST}transfer-encoding: chunked\r\n\r\n`);
      for (let i = 0; i < 20; i += 1) endless.say(`2000\r\n${' '.repeat(8_192)}\r\n`);
      assert.equal(await endless.status(), 413);
      const body = new Raw(at).say('GET /api/status HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello');
      assert.equal(await body.status(), 413);
      await eventually(() => endless.closed && body.closed);
    });
    assert.equal((await at.ask('/api/limits')).json.limits.maxConnections, 10_000);
  });

  test('is answered, or ends the connection: headers that are too large or too many, lines that are no HTTP', async () => {
    const at = await standOne();
    await undisturbed(at, async () => {
      const cases: [string, readonly number[]][] = [
        [`GET /api/status HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, [431]],
        [`GET /${'y'.repeat(20_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, [431]],
        ['GET /api/status HTTP/1.1\r\n\r\n', [400]],
        ['GET http://evil.example/api/status HTTP/1.1\r\nhost: localhost\r\n\r\n', [400]],
        ['GET * HTTP/1.1\r\nhost: localhost\r\n\r\n', [400]],
        ['GET /api/status HTTP/1.0\r\n\r\n', [403]],
        ['CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n', [0, 400, 405]],
        ['\u0016\u0003\u0001\u0002\u0000', [400]],
        ['hello\r\n\r\n', [400]],
        [`${POST}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}`, [400]],
        [`${POST}content-length: -1\r\n\r\n`, [400]],
      ];
      for (const [text, wanted] of cases) {
        const raw = new Raw(at).say(text);
        assert.ok(wanted.includes(await raw.status()), `${text.slice(0, 60)}: ${raw.text.slice(0, 60)}`);
        raw.socket.destroy();
      }
    });
  });

  test('is answered: a hundred wrong queries and names', async () => {
    const at = await standOne();
    for (const query of [
      'peer=x',
      'minAge=-1',
      'minAge=1e9',
      'limit=0',
      'offset=-1',
      'worker=a',
      'doing=sleeping',
      'sort=__proto__',
      'order=up',
      'a=1',
    ])
      assert.equal((await at.ask(`/api/connections?${query}`)).status, 400, query);
    const many = Array.from({ length: 200 }, (_, i) => `x${i}=1`).join('&');
    const { status, json } = await at.ask(`/api/connections?${many}`);
    assert.equal(status, 400);
    assert.ok(json.error.problems.length <= 32);
    assert.equal(
      (await at.act('connections/close', { ids: Array.from({ length: 1_001 }, (_, i) => ({ id: i + 1 })) })).status,
      400,
    );
    assert.ok(JSON.stringify(at.admin.audit).length < 3_000, 'the log keeps it short');
  });
});

describe('those who come to the admin endpoint in numbers', () => {
  test('and say nothing, or one byte at a time, keep nobody else out, and are sent away in the end', async () => {
    const at = await standOne({}, { maxConnections: 50 });
    await undisturbed(at, async () => {
      const silent: Raw[] = [];
      for (let i = 0; i < 300; i += 1)
        silent.push(new Raw(at).say(i % 2 === 0 ? '' : 'GET /api/status HTTP/1.1\r\nx: '));
      await eventually(() => silent.filter(({ closed }) => closed).length >= 250);
      assert.ok(
        silent.filter(({ closed, text }) => closed && text === '').length >= 250,
        'long before their time is over',
      );
      // All places are theirs, and one more is let in.
      for (let i = 0; i < 20; i += 1) assert.equal((await at.ask('/api/status')).status, 200);
      const drip = setInterval(() => silent.forEach((raw) => raw.closed || raw.say('y')), 100);
      await eventually(() => silent.every(({ closed }) => closed));
      clearInterval(drip);
    });
  });

  test('to ask without a pause are told that it is too much, and probes are answered all the same', async () => {
    const at = await standOne({}, { maxRequests: 20 });
    await undisturbed(at, async () => {
      const statuses = await Promise.all(
        Array.from({ length: 100 }, () => at.ask('/api/status').then(({ status }) => status)),
      );
      assert.ok(statuses.filter((status) => status === 429).length >= 60, statuses.join());
      assert.ok(statuses.filter((status) => status === 200).length >= 20);
      for (let i = 0; i < 50; i += 1) assert.equal((await at.ask('/readyz')).status, 200);
    });
    await sleep(1_050);
    assert.equal((await at.ask('/api/status')).status, 200);
  });

  test('without the token leave those who have it their requests', async () => {
    const token = 'x'.repeat(32);
    const at = await standOne({}, { maxRequests: 20, token });
    const authorization = `Bearer ${token}`;
    const ask = (headers: Readonly<Record<string, string>>): Promise<number> =>
      at.ask('/api/status', { headers }).then(({ status }) => status);
    const wrong = await Promise.all(
      Array.from({ length: 100 }, () => ask({ authorization: `Bearer ${'y'.repeat(32)}` })),
    );
    assert.ok(wrong.includes(401) && wrong.includes(429), wrong.join());
    assert.equal(await ask({ authorization }), 200);
  });

  test('and take none of the answers they asked for keep nobody else out', async () => {
    const at = await standOne({}, { maxConnections: 20, page: 'x'.repeat(8_000_000) });
    await undisturbed(at, async () => {
      // The page is more than the kernel holds, and what is asked for after it waits for it.
      const request = ['/', '/livez'].map((path) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`).join('');
      for (let i = 0; i < 20; i += 1) {
        const deaf = connectTcp({ host: '127.0.0.1', port: at.port }).on('error', () => {});
        atEnd(async () => deaf.destroy());
        deaf.write(request);
        await once(deaf, 'readable');
      }
      for (let i = 0; i < 5; i += 1) assert.equal((await at.ask('/readyz')).status, 200);
    });
  });

  test('to watch, two thousand of them, are let in as far as there is room', async () => {
    const at = await standOne({}, { maxWatchers: 30, maxConnections: 100, maxRequests: 100_000 });
    await undisturbed(at, async () => {
      const first = await Watching.of(at);
      const request = 'GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n';
      const statuses: number[] = [];
      for (let round = 0; round < 20; round += 1) {
        const watchers = Array.from({ length: 100 }, () => new Raw(at).say(request));
        statuses.push(...(await Promise.all(watchers.map((raw) => raw.status()))));
      }
      assert.equal(statuses.length, 2_000);
      assert.equal(statuses.filter((status) => status === 200).length, 29);
      assert.equal(at.admin.watchers, 30);
      const ticks = first.of('tick').length;
      await eventually(() => first.of('tick').length > ticks);
      assert.equal((await at.ask('/api/status')).status, 200);
    });
  });

  test('to watch, and go before it is their turn, are forgotten', async () => {
    let asked = 0;
    const never = (): Promise<string> => {
      asked += 1;
      return new Promise(() => {});
    };
    const at = await standOne({}, { metrics: { contentType: 'text/plain', text: never } });
    await undisturbed(at, async () => {
      const raw = new Raw(at);
      for (const path of ['/metrics', '/api/events', '/api/events'])
        raw.say(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      await eventually(() => at.admin.watchers === 2);
      assert.equal(asked, 1);
      raw.socket.destroy();
      await eventually(() => at.admin.watchers === 0);
    });
  });
});
