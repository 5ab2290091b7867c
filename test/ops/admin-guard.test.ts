import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AuditEntry } from '../../src/ops/audit.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { v6 } from '../support/udp.ts';
import { Watching, endsItsStands, standOne } from './admin-support.ts';
import type { Stand } from './admin-support.ts';

endsItsStands();
leavesNothing();

const TOKEN = 'correct-horse-battery-staple';
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

/** All that is asked for by reading, and one action. */
const READS = ['/metrics', '/api/status', '/api/limits', '/api/connections', '/api/events', '/api/audit'];

async function status(at: Stand, path: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const response = await at.begin(path, { headers });
  response.destroy();
  return response.statusCode ?? 0;
}

describe('a token', () => {
  test('has to be shown for all but the page and the probes', async () => {
    const metrics = { contentType: 'text/plain', text: () => Promise.resolve('up 1\n') };
    const at = await standOne({}, { token: TOKEN, page: '<p>hi', metrics });
    for (const path of READS) {
      assert.equal(await status(at, path, {}), 401, path);
      assert.equal(await status(at, path, bearer(TOKEN)), 200, path);
      for (const wrong of [TOKEN.slice(1), `${TOKEN}x`, TOKEN.toUpperCase(), '', ' ', 'x'.repeat(2_000)])
        assert.equal(await status(at, path, bearer(wrong)), 401, `${path} ${wrong.slice(0, 20)}`);
      assert.equal(await status(at, path, { authorization: `Basic ${btoa(`x:${TOKEN}`)}` }), 401, path);
    }
    for (const path of ['/', '/livez', '/readyz']) assert.equal(await status(at, path, {}), 200, path);
    const denied = await at.act('stop');
    assert.deepEqual([denied.status, denied.headers['www-authenticate']], [401, 'Bearer']);
    assert.equal(at.server.state, 'running');
    assert.equal((await at.act('suspend', {}, bearer(TOKEN))).status, 200);
    assert.equal((await at.act('nothing')).status, 401, 'what there is, is nobody’s business either');
  });

  test('is in no answer, no event, no log and no error', async () => {
    const log: AuditEntry[] = [];
    const at = await standOne({}, { token: TOKEN, log: (entry) => log.push(entry) });
    const watching = await Watching.of(at, bearer(TOKEN));
    const answers = [
      await at.act('suspend', {}, bearer(TOKEN)),
      await at.act('limits', { [TOKEN.slice(0, 4)]: 1 }, bearer(TOKEN)),
      await at.act('resume', {}, bearer(`${TOKEN}!`)),
      ...(await Promise.all(
        READS.filter((path) => path !== '/api/events').map((path) => at.ask(path, { headers: bearer(TOKEN) })),
      )),
    ];
    await watching.until('audit');
    const all = JSON.stringify([
      answers.map(({ text, headers }) => [text, headers]),
      watching.seen,
      log,
      at.admin.audit,
    ]);
    assert.doesNotMatch(all, new RegExp(TOKEN, 'u'));
    assert.deepEqual(
      log.map(({ action, token }) => [action, token]),
      [
        ['suspend', true],
        ['limits', true],
      ],
    );
  });
});

describe('the name that an admin endpoint is asked by', () => {
  test('is one of its own: a name that was made to lead here is refused', async () => {
    const at = await standOne({}, { page: '<p>hi', names: ['Admin.Example.org'] });
    const { port } = at;
    for (const host of [
      `localhost:${port}`,
      'localhost',
      `127.0.0.1:${port}`,
      '127.0.0.2:9',
      `[::1]:${port}`,
      'portside.localhost:80',
      `admin.example.org:${port}`,
    ])
      for (const path of ['/', '/api/status']) assert.equal(await status(at, path, { host }), 200, host);
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'example.org',
      'x.admin.example.org',
      'localhost:80:80',
      'localhost@evil.example',
      '10.0.0.1',
      '[::2]',
    ]) {
      for (const path of ['/', ...READS]) assert.equal(await status(at, path, { host }), 403, `${host} ${path}`);
      const acted = await at.act('stop', {}, { host });
      assert.deepEqual([acted.status, acted.json.error.code], [403, 'forbidden-host'], host);
    }
    assert.equal(at.server.state, 'running');
    assert.equal(await status(at, '/readyz', { host: 'evil.example' }), 200, 'probes come by whatever name');
  });
});

describe('who asks', () => {
  test('is told as what he is, also where IPv4 comes by IPv6', { skip: !v6 && 'no IPv6' }, async () => {
    const at = await standOne({}, { listen: '[::]:0', token: TOKEN });
    await at.act('suspend', {}, bearer(TOKEN));
    assert.match(at.admin.audit[0]!.peer, /^127\.0\.0\.1:\d+$/u);
  });
});

describe('pages of other sites', () => {
  test('may neither look nor act', async () => {
    const at = await standOne();
    const own = `http://127.0.0.1:${at.port}`;
    const host = `127.0.0.1:${at.port}`;
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `http://localhost:${at.port}`, host },
      { origin: `http://127.0.0.1:${at.port + 1}`, host },
      { origin: `${own}.evil.example`, host },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ];
    for (const headers of foreign) {
      const acted = await at.act('stop', {}, headers);
      assert.deepEqual([acted.status, acted.json.error.code], [403, 'forbidden-origin'], JSON.stringify(headers));
      for (const path of READS.slice(1)) assert.equal(await status(at, path, headers), 403, path);
    }
    for (const headers of [{ origin: own, host }, { 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }])
      assert.equal((await at.act('suspend', {}, headers as Record<string, string>)).status, 200);
    assert.equal(at.server.state, 'suspended');
  });

  test('can’t act by a form: actions are JSON', async () => {
    const at = await standOne();
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonx',
    ]) {
      const acted = await at.act('stop', {}, { 'content-type': type });
      assert.deepEqual([acted.status, acted.json.error.code], [415, 'unsupported-media-type'], type);
    }
    assert.equal((await at.ask('/api/stop', { method: 'POST' })).status, 415);
    assert.equal((await at.act('suspend', '', { 'content-type': 'Application/JSON; charset=utf-8' })).status, 200);
    assert.equal(at.server.state, 'suspended');
    assert.equal(at.admin.audit.length, 1);
  });

  test('are told nothing of what may be asked from elsewhere', async () => {
    const at = await standOne();
    const { headers } = await at.ask('/api/status');
    assert.equal(headers['access-control-allow-origin'], undefined);
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
  });
});
