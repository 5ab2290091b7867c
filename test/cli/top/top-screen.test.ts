import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, test } from 'node:test';
import { AdminClient } from '../../../src/cli/admin/client.ts';
import { plainText } from '../../../src/cli/top/text.ts';
import type { Line } from '../../../src/cli/top/text.ts';
import { TopScreen } from '../../../src/cli/top/top-screen.ts';
import { atEnd, endsItsStands, eventually, say, standOne } from '../../ops/admin-support.ts';
import type { Stand } from '../../ops/admin-support.ts';

interface Waiting {
  readonly path: string;
  readonly query: string;
  /** Lets the answer through, with so many connections in all as tell it from others. */
  readonly pass: (total: number) => void;
}

/** A way to an admin endpoint on which answers wait until they are let through. */
class SlowWay {
  readonly #stand: Stand;
  readonly #waiting: Waiting[] = [];
  readonly #server = createServer((request, response) => {
    const { url = '' } = request;
    void this.#stand.ask(url).then(({ status, json }) => {
      const [path = '', query = ''] = url.split('?');
      response.statusCode = status;
      this.#waiting.push({ path, query, pass: (total) => void response.end(JSON.stringify({ ...json, total })) });
    });
  });

  constructor(stand: Stand) {
    this.#stand = stand;
  }

  async client(): Promise<AdminClient> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    atEnd(async () => {
      this.#server.closeAllConnections();
      await once(this.#server.close(), 'close');
    });
    const address = this.#server.address();
    assert.ok(typeof address === 'object' && address !== null);
    return new AdminClient({ kind: 'tcp', host: '127.0.0.1', port: address.port }, null);
  }

  /** The only one that is asked there. */
  async asked(path = '/api/connections'): Promise<Waiting> {
    const there = (): readonly Waiting[] => this.#waiting.filter((one) => one.path === path);
    await eventually(() => there().length > 0);
    const [one, ...more] = there();
    assert.deepEqual(more, [], 'one after the other');
    this.#waiting.splice(this.#waiting.indexOf(one!), 1);
    return one!;
  }
}

describe('the screen of portside top over a slow way', () => {
  endsItsStands();

  test('does not take connections of another filter or order for those that are asked for now', async () => {
    const stand = await standOne();
    const way = new SlowWay(stand);
    const drawn: (readonly Line[])[] = [];
    const surface = { size: { columns: 80, rows: 24 }, draw: (lines: readonly Line[]) => void drawn.push(lines) };
    const shown = (): string => (drawn.at(-1) ?? []).map((line) => plainText(line)).join('\n');
    const ending = new AbortController();
    atEnd(async () => ending.abort());
    const screen = new TopScreen(await way.client(), ending.signal, () => {});
    const type = (text: string): void => {
      for (const one of text) screen.key({ text: one, name: one === '\r' ? 'return' : one });
    };
    await say(await stand.dial(), 'hello');
    screen.reached((await stand.ask('/api/status')).json);
    screen.on(surface);
    const first = await way.asked();
    assert.match(first.query, /^sort=age&order=desc/u);
    first.pass(500);
    await eventually(() => shown().includes('\n500 open '));
    // What comes later of the past takes nothing of that away.
    const { length } = drawn;
    (await way.asked('/api/history')).pass(0);
    await eventually(() => drawn.length > length);
    assert.match(shown(), /\n500 open /u);

    let total = 500;
    for (const [keys, now] of [
      ['/doing=closing\r', /^doing=closing&sort=age&order=desc/u],
      ['r', /^doing=closing&sort=age&order=asc/u],
      ['s', /^doing=closing&sort=read&order=asc/u],
    ] as const) {
      // It is asked for, and comes when others are wanted.
      screen.happened({ event: 'tick', data: (await stand.ask('/api/status')).json });
      const late = await way.asked();
      type(keys);
      late.pass(404);
      const right = await way.asked();
      assert.match(right.query, now);
      assert.match(shown(), new RegExp(`of ${total} open, where doing=closing`, 'u'));
      total += 1;
      right.pass(total);
      await eventually(() => shown().includes(`\n0 of ${total} open, where doing=closing `));
    }
  });
});
