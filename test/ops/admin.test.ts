import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import { startAdmin } from '../../src/ops/admin.ts';
import type { AdminOptions } from '../../src/ops/admin.ts';
import { subjectOf } from '../../src/ops/subject.ts';
import { serve } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { anyWay } from '../parallel/support.ts';
import { temporaryFolder } from '../support/folder.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Watching, endsItsStands, eventually, onEachKind, say, standOne } from './admin-support.ts';

endsItsStands();
leavesNothing();

onEachKind('an admin endpoint', (stand, parallel) => {
  test('says that it lives, and whether clients should come', async () => {
    const at = await stand();
    assert.deepEqual([(await at.ask('/livez')).status, (await at.ask('/livez')).text], [200, 'live\n']);
    assert.deepEqual([(await at.ask('/readyz')).status, (await at.ask('/readyz')).text], [200, 'ready\n']);
    at.server.suspend();
    const suspended = await at.ask('/readyz');
    assert.deepEqual([suspended.status, suspended.text], [503, 'not ready: suspended\n']);
    assert.equal((await at.ask('/livez')).status, 200);
    at.server.resume();
    assert.equal((await at.ask('/readyz')).status, 200);
  });

  test('is not ready from the moment in which a drain begins, while clients are still let in', async () => {
    const at = await stand();
    const over = at.server.drain({ lead: 60_000 });
    assert.equal((await at.ask('/readyz')).text, 'not ready: draining\n');
    const late = await at.dial();
    assert.equal(await say(late, 'let in'), 'let in');
    assert.equal((await at.ask('/readyz')).status, 503);
    await at.server.stop({ grace: 0 });
    await over;
    assert.equal((await at.ask('/readyz')).text, 'not ready: stopped\n');
  });

  test('tells what the server does, in exact numbers', async () => {
    const at = await stand();
    const client = await at.dial();
    assert.equal(await say(client, 'four'), 'four');
    // Workers tell bytes four times a second.
    await eventually(async () => (await at.ask('/api/status')).json.bytesRead === 5);
    const { json, headers } = await at.ask('/api/status');
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-store');
    const { name, pid, node, transport, state, ready, active, opening, queued, accepted, closed, errors } = json;
    assert.deepEqual(
      { name, pid, node, transport, state, ready, active, opening, queued, accepted, closed, errors },
      {
        name: 'echo.ts',
        pid: process.pid,
        node: process.versions.node,
        transport: parallel ? anyWay.options.transport : 'node',
        state: 'running',
        ready: true,
        active: 1,
        opening: 0,
        queued: 0,
        accepted: 1,
        closed: 0,
        errors: 0,
      },
    );
    assert.deepEqual([json.bytesRead, json.bytesWritten], [5, 5]);
    assert.match(json.version, /^\d+\.\d+\.\d+/u);
    const [address] = at.server.addresses;
    assert.ok(address !== undefined && 'port' in address);
    assert.deepEqual(json.addresses, [`127.0.0.1:${address.port}`]);
    assert.deepEqual([json.maxConnections, json.maxPerClient, json.limits.maxPerClient], [10_000, null, null]);
    assert.equal(json.drain, null);
    assert.equal(json.workers.length, parallel ? 2 : 0);
    assert.ok(json.memory.rss > 0 && json.cpu.user > 0 && json.uptime >= 0);
    assert.ok(json.loop.utilization >= 0 && json.loop.utilization <= 1 && json.loop.delayMax >= 0);
  });

  test('lists the connections that are asked for, in the order that is asked for, a page at a time', async () => {
    const at = await stand();
    const clients = [];
    for (let i = 0; i < 4; i += 1) {
      const client = await at.dial();
      assert.equal(await say(client, 'x'.repeat(i + 1)), 'x'.repeat(i + 1));
      clients.push(client);
    }
    const { json } = await at.ask('/api/connections?sort=read&order=asc');
    assert.deepEqual([json.total, json.matched, json.offset], [4, 4, 0]);
    assert.deepEqual(
      json.connections.map(({ bytesRead }: { bytesRead: number }) => bytesRead),
      [2, 3, 4, 5],
    );
    const [first] = json.connections;
    const { local } = clients[0]!;
    assert.ok('port' in local);
    assert.equal(first!.peer, `127.0.0.1:${local.port}`);
    assert.deepEqual([first!.doing, first!.tls, typeof first!.worker], ['idle', null, parallel ? 'number' : 'object']);
    const page = await at.ask('/api/connections?sort=read&offset=1&limit=2&doing=idle,busy&peer=loopback');
    assert.deepEqual(
      page.json.connections.map(({ bytesRead }: { bytesRead: number }) => bytesRead),
      [4, 3],
    );
    assert.equal((await at.ask('/api/connections?peer=10.0.0.0/8')).json.matched, 0);
    assert.equal((await at.ask('/api/connections?minAge=3600000')).json.matched, 0);
    const wrong = await at.ask('/api/connections?limit=1001&sort=size&color=red');
    assert.equal(wrong.status, 400);
    assert.equal(wrong.json.error.code, 'ERR_PORTSIDE_OPTIONS');
    assert.deepEqual(wrong.json.error.problems.map(({ path }: { path: string }) => path).toSorted(), [
      'color',
      'limit',
      'sort',
    ]);
  });

  test('tells those who watch what happens, and lets them go in the end', async () => {
    const at = await stand();
    const watching = await Watching.of(at);
    const first = await watching.until('tick');
    assert.deepEqual([first.state, first.active], ['running', 0]);
    const client = await at.dial();
    assert.equal(await say(client, 'hi'), 'hi');
    await watching.until('tick', ({ active }) => active === 1);
    await client.write('fail\n');
    const failed = await watching.until('error');
    assert.equal(failed.message, 'asked to fail');
    await at.act('suspend');
    assert.deepEqual(await watching.until('state'), { state: 'suspended', before: 'running' });
    const audit = await watching.until('audit');
    assert.deepEqual([audit.action, audit.result], ['suspend', 'done']);
    await at.act('drain');
    const drain = await watching.until('drain', ({ left }) => left === 0);
    const began = watching.seen.findIndex(({ event, data }) => event === 'state' && data.state === 'draining');
    assert.equal(watching.seen[began + 1]?.event, 'drain', 'at once, with the next tick a second away');
    assert.equal(drain.deadline === null || drain.deadline >= drain.since, true);
    await watching.until('state', ({ state }) => state === 'stopped');
    assert.equal(watching.ended, false);
    await at.admin.close();
    await eventually(() => watching.ended);
    assert.equal(watching.response.complete, true, 'in order');
  });

  test('answers what there is not with 404, and other methods with 405', async () => {
    const at = await stand();
    for (const path of [
      '/',
      '/metrics',
      '/api',
      '/api/',
      '/api/nothing',
      '/api/__proto__',
      '/api/constructor',
      '/livez/',
    ])
      assert.equal((await at.ask(path)).status, 404, path);
    for (const [method, path, allow] of [
      ['POST', '/livez', 'GET, HEAD'],
      ['DELETE', '/api/status', 'GET, HEAD'],
      ['GET', '/api/drain', 'POST'],
      ['PUT', '/api/limits', 'GET, HEAD, POST'],
      ['POST', '/api/events', 'GET'],
      ['OPTIONS', '/api/status', 'GET, HEAD'],
    ] as const) {
      const answer = await at.ask(path, { method });
      assert.deepEqual([answer.status, answer.headers['allow']], [405, allow], `${method} ${path}`);
    }
    const head = await at.ask('/api/status', { method: 'HEAD' });
    assert.deepEqual([head.status, head.text], [200, '']);
  });
});

describe('what an admin endpoint is given', () => {
  test('is the page and the metrics that it answers with', async () => {
    const page = '<!doctype html><title>hi</title>';
    const metrics = { contentType: 'text/plain; version=0.0.4', text: () => Promise.resolve('up 1\n') };
    const at = await standOne({}, { page, metrics });
    const shown = await at.ask('/');
    assert.deepEqual(
      [shown.status, shown.text, shown.headers['content-type']],
      [200, page, 'text/html; charset=utf-8'],
    );
    assert.match(shown.headers['content-security-policy'] as string, /default-src 'none'.*frame-ancestors 'none'/u);
    const told = await at.ask('/metrics');
    assert.deepEqual([told.status, told.text, told.headers['content-type']], [200, 'up 1\n', metrics.contentType]);
  });

  test('may fail: that is told, and answered with 500', async () => {
    const errors: unknown[] = [];
    const broken = new Error('no metrics today');
    const metrics = { contentType: 'text/plain', text: () => Promise.reject(broken) };
    const at = await standOne({}, { metrics, onError: (error) => errors.push(error) });
    assert.equal((await at.ask('/metrics')).status, 500);
    assert.deepEqual(errors, [broken]);
    assert.equal((await at.ask('/livez')).status, 200);
  });

  test('may throw when it is told of an action, which is done all the same', async () => {
    const errors: unknown[] = [];
    const broken = new Error('no room in the log');
    const log = (): never => {
      throw broken;
    };
    const at = await standOne({}, { log, onError: (error) => errors.push(error) });
    assert.equal((await at.act('suspend')).status, 200);
    assert.deepEqual(errors, [broken]);
    assert.deepEqual(
      at.admin.audit.map(({ result }) => result),
      ['done'],
    );
  });

  test('is told all that is wrong at once', async () => {
    const server = await serve(() => {}, { port: 0, host: '127.0.0.1' });
    const wrong = { token: 'short', maxConnections: 0, names: ['a b'], colour: 'red' } as unknown as AdminOptions;
    await assert.rejects(startAdmin(subjectOf(server), wrong), (error) => {
      assert.ok(isPortsideError(error) && error.code === 'ERR_PORTSIDE_OPTIONS');
      assert.match(error.message, /listen.*token.*names.*maxConnections.*colour|colour/u);
      assert.doesNotMatch(error.message, /short/u, 'the token is not shown');
      return true;
    });
    await server.stop({ grace: 0 });
  });
});

describe('where an admin endpoint listens', () => {
  test('may be a path, which is its user’s alone, and is gone afterwards', async (t) => {
    const path = join(temporaryFolder(t), 'admin.sock');
    const at = await standOne({}, { listen: path });
    assert.deepEqual(at.admin.address, { family: 'unix', path });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal((await at.ask('/api/status', { headers: { host: 'whatever.example' } })).status, 200);
    await at.act('suspend');
    assert.equal(at.admin.audit[0]?.peer, 'unix');
    await at.admin.close();
    assert.equal(existsSync(path), false);
  });

  test('may be a path that a dead server left behind, and no other file', async (t) => {
    const at = temporaryFolder(t);
    const dead = createServer().listen(join(at, 'dying.sock'));
    await once(dead, 'listening');
    renameSync(join(at, 'dying.sock'), join(at, 'dead.sock'));
    dead.close();
    const heir = await standOne({}, { listen: join(at, 'dead.sock') });
    assert.equal((await heir.ask('/livez')).status, 200);
    const first = await standOne({}, { listen: join(at, 'a.sock') });
    await assert.rejects(standOne({}, { listen: join(at, 'a.sock') }), { code: 'EADDRINUSE' });
    assert.equal((await first.ask('/livez')).status, 200);
    writeFileSync(join(at, 'file'), 'x');
    chmodSync(join(at, 'file'), 0o644);
    await assert.rejects(standOne({}, { listen: join(at, 'file') }), { code: 'EADDRINUSE' });
    assert.equal(statSync(join(at, 'file')).mode & 0o777, 0o644);
  });

  test('is refused where others than this machine may come, unless there is a token', async () => {
    for (const listen of ['0.0.0.0:0', '[::]:0'])
      await assert.rejects(standOne({}, { listen }), { code: 'ERR_PORTSIDE_OPTIONS' });
    const at = await standOne({}, { listen: '0.0.0.0:0', token: 'a'.repeat(16) });
    assert.equal((await at.ask('/livez')).status, 200);
  });

  test('can’t be what is no place for HTTP', async () => {
    for (const listen of ['tls://127.0.0.1:0', 'memory://x', 'unix:@abstract'])
      await assert.rejects(standOne({}, { listen }), { code: 'ERR_PORTSIDE_UNSUPPORTED' }, listen);
    await assert.rejects(standOne({}, { listen: '127.0.0.1:99999' }), { code: 'ERR_PORTSIDE_ENDPOINT' });
  });

  test('is told when it is taken', async () => {
    const at = await standOne();
    await assert.rejects(standOne({}, { listen: `127.0.0.1:${at.port}` }), (error) => {
      assert.ok(isPortsideError(error));
      assert.deepEqual([error.code, error.local], ['EADDRINUSE', `127.0.0.1:${at.port}`]);
      return true;
    });
  });

  test('ends with its scope', async () => {
    const scope = new Scope({ parent: null });
    const server = await serve(() => {}, { port: 0, host: '127.0.0.1' });
    const admin = await scope.run(() => startAdmin(subjectOf(server), { listen: ':0' }));
    const { address } = admin;
    assert.ok('port' in address);
    await scope.close();
    const gone = connect({ host: '127.0.0.1', port: address.port }, { transport: nodeTransport });
    await assert.rejects(gone, { code: 'ECONNREFUSED' });
    await server.stop({ grace: 0 });
  });

  test('is given up when its scope is closed before it listens', async () => {
    const scope = new Scope({ parent: null });
    const server = await serve(() => {}, { port: 0, host: '127.0.0.1' });
    const listeners = server.listenerCount('state');
    const opening = scope.run(() => startAdmin(subjectOf(server), { listen: ':0' }));
    void scope.close();
    await assert.rejects(opening, { code: 'ERR_PORTSIDE_SCOPE_CLOSED' });
    assert.equal(server.listenerCount('state'), listeners);
    await server.stop({ grace: 0 });
  });
});
