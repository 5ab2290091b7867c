import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { Connection } from '../../src/net/connection.ts';
import type { AuditEntry } from '../../src/ops/audit.ts';
import type { Upgraded } from '../../src/ops/subject.ts';
import { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { certificates, files } from '../support/certificates.ts';
import { serve } from '../../src/server/server.ts';
import { endOf } from '../parallel/support.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { endsItsStands, eventually, onEachKind, say, standOn, standOne, standTwo } from './admin-support.ts';
import type { Stand } from './admin-support.ts';

endsItsStands();
leavesNothing();

/** What the log says of the last action. */
function last(at: Stand): Pick<AuditEntry, 'action' | 'result' | 'told'> {
  const { action, result, told } = at.admin.audit.at(-1)!;
  return { action, result, told };
}

onEachKind('an action by the admin endpoint', (stand, parallel) => {
  test('suspends and resumes: nobody is let in meanwhile, and those who wait are let in then', async () => {
    const at = await stand();
    const client = await at.dial();
    assert.equal(await say(client, 'before'), 'before');
    assert.deepEqual((await at.act('suspend')).json, { state: 'suspended', ready: false });
    assert.deepEqual((await at.act('suspend')).json, { state: 'suspended', ready: false }, 'twice is once');
    const waiting = await at.dial();
    await waiting.write('waited\n');
    assert.equal(await say(client, 'goes on'), 'goes on');
    assert.equal(at.server.status().accepted, 1);
    assert.deepEqual((await at.act('resume')).json, { state: 'running', ready: true });
    assert.equal(await waiting.readLine(), 'waited');
    assert.deepEqual(last(at), { action: 'resume', result: 'done', told: 'running' });
  });

  test('drains: at once not ready, let in during the lead, told with its ledger as it goes, forced at the end of the grace', async () => {
    const at = await stand();
    const [idle, busy] = [await at.dial(), await at.dial()];
    assert.equal(await say(idle, 'idle'), 'idle');
    await busy.write('draining\n');
    assert.notEqual(await busy.readLine(), null);
    const answer = await at.act('drain', { lead: 300, grace: 500 });
    assert.deepEqual([answer.status, answer.json], [202, { state: 'draining', ready: false }]);
    const during = (await at.ask('/api/status')).json.drain;
    assert.deepEqual([during.left, during.closed], [2, 0]);
    assert.ok(during.deadline - during.since >= 700 && during.deadline - during.since <= 900, JSON.stringify(during));
    assert.equal(await say(await at.dial(), 'still let in'), 'still let in');
    assert.equal(await endOf(idle), 'end');
    const end = await endOf(busy);
    if (!parallel) assert.equal(end, 'reset');
    await at.server.waitStopped();
    const { drain, state } = (await at.ask('/api/status')).json;
    assert.equal(state, 'stopped');
    assert.deepEqual([drain.left, drain.closed, drain.deadline <= Date.now() + 1], [0, 3, true]);
    // A worker's handler hears of it, and is idle then.
    assert.deepEqual([drain.idle, drain.forced], parallel ? [drain.idle, drain.forced] : [2, 1]);
    assert.equal(drain.idle + drain.forced + drain.finished + drain.failed + drain.detached, 3);
    const late = await at.act('drain');
    assert.deepEqual([late.status, late.json.error.code], [409, 'ERR_PORTSIDE_STATE']);
    for (const action of ['suspend', 'resume', 'stop']) assert.equal((await at.act(action)).status, 409, action);
    assert.deepEqual(last(at).result, 'refused');
  });

  test('stops: within the grace that is given, and a further one hastens it', async () => {
    const at = await stand();
    const client = await at.dial();
    await client.write('draining\n');
    assert.notEqual(await client.readLine(), null);
    assert.equal((await at.act('drain', { lead: 60_000, grace: null })).status, 202);
    assert.equal((await at.ask('/api/status')).json.drain.deadline, null, 'null is no limit');
    assert.equal((await at.act('stop', { grace: 0 })).status, 202);
    await at.server.waitStopped();
    await endOf(client);
    assert.deepEqual(
      at.admin.audit.map(({ action }) => action),
      ['drain', 'stop'],
    );
  });

  test('changes limits, and none where one is wrong', async () => {
    const at = await stand();
    const { status, json } = await at.act('limits', {
      maxConnections: 1,
      whenFull: 'refuse',
      maxPerClient: null,
      rate: { connections: 5, per: 1_000 },
      allow: ['loopback'],
      deadlines: { idle: 60_000, write: null },
      grace: null,
    });
    assert.equal(status, 200);
    const { maxConnections, whenFull, maxPerClient, rate, allow, deadlines, grace } = json.limits;
    assert.deepEqual(
      { maxConnections, whenFull, maxPerClient, rate, allow, idle: deadlines.idle, write: deadlines.write, grace },
      {
        maxConnections: 1,
        whenFull: 'refuse',
        maxPerClient: null,
        rate: { connections: 5, per: 1_000 },
        allow: ['loopback'],
        idle: 60_000,
        write: null,
        grace: null,
      },
    );
    assert.equal(at.server.limits.grace, Infinity);
    const client = await at.dial();
    assert.equal(await say(client, 'one'), 'one');
    const second = await at.dial().catch(() => null);
    if (second !== null) assert.equal(await endOf(second), 'reset');
    await eventually(() => at.server.status().refused.full === 1);

    const wrong = await at.act('limits', { maxConnections: 0, grace: -1, spread: 5, colour: 'red' });
    assert.equal(wrong.status, 400);
    assert.deepEqual(wrong.json.error.problems.map(({ path }: { path: string }) => path).toSorted(), [
      'colour',
      'grace',
      'maxConnections',
    ]);
    assert.equal(at.server.limits.spread, 0);
    assert.deepEqual((await at.act('limits', { allow: null, rate: null })).json.limits.allow, []);
    assert.deepEqual((await at.ask('/api/limits')).json.limits.rate, null);
    assert.equal(last(at).told, 'changed allow, rate');
  });

  test('ends connections, by their names or by what they are like', async () => {
    const at = await stand();
    const clients: Connection[] = [];
    for (const text of ['a', 'bb', 'ccc']) {
      const client = await at.dial();
      assert.equal(await say(client, text), text);
      clients.push(client);
    }
    const { connections } = (await at.ask('/api/connections?sort=read&order=asc')).json;
    const [first, second] = connections;
    const { id, worker, threadId } = first!;
    const named = await at.act('connections/close', {
      ids: [
        { id, worker, threadId },
        { id: 99_999, worker },
      ],
    });
    assert.deepEqual([named.status, named.json], [200, { matched: 2, closed: 1 }]);
    assert.equal(await endOf(clients[0]!), 'end');
    const reset = { ids: [{ id: second!.id, worker: second!.worker }], how: 'reset' };
    assert.deepEqual((await at.act('connections/close', reset)).json, { matched: 1, closed: 1 });
    assert.equal(await endOf(clients[1]!), 'reset');
    await eventually(() => at.server.status().active === 1);
    const nobody = { where: { peer: ['10.0.0.0/8'] } };
    assert.deepEqual((await at.act('connections/close', nobody)).json, { matched: 0, closed: 0 });
    assert.equal(await say(clients[2]!, 'still here'), 'still here');
    const all = { where: { peer: ['loopback'], doing: ['idle', 'busy'] }, how: 'close' };
    assert.deepEqual((await at.act('connections/close', all)).json, { matched: 1, closed: 1 });
    assert.equal(await endOf(clients[2]!), 'end');
    for (const wrong of [
      {},
      { ids: [] },
      { where: {} },
      { ids: [{ id: 1 }], where: { minAge: 0 } },
      { ids: [{ id: 'x' }] },
    ])
      assert.equal((await at.act('connections/close', wrong)).status, 400, JSON.stringify(wrong));
    assert.equal((await at.act('connections/close', { where: { minAge: 0 }, how: 'drop' })).status, 400);
  });

  test('is refused where the server can’t do it', async () => {
    const at = await stand();
    const tls = await at.act('tls/reload');
    assert.deepEqual([tls.status, tls.json.error.code], [409, 'ERR_PORTSIDE_STATE']);
    const upgrade = await at.act('upgrade');
    assert.deepEqual([upgrade.status, upgrade.json.error.code], [409, 'ERR_PORTSIDE_UNSUPPORTED']);
    assert.equal((await at.ask('/api/status')).json.upgradable, false);
    if (parallel) return;
    for (const [action, body] of [
      ['reload', {}],
      ['resize', { workers: 2 }],
    ] as const) {
      const { status, json } = await at.act(action, body);
      assert.deepEqual([status, json.error.code], [409, 'ERR_PORTSIDE_UNSUPPORTED']);
      assert.deepEqual(last(at).result, 'refused');
    }
  });

  test('is in the log: when, who, what was asked for and what came of it', async () => {
    const told: AuditEntry[] = [];
    const at = await stand({ log: (entry) => told.push(entry) });
    await at.act('suspend');
    await at.act('limits', { maxConnections: 'many' });
    await at.act('resume');
    const { total, entries } = (await at.ask('/api/audit')).json;
    assert.equal(total, 3);
    assert.deepEqual(
      entries.map(({ action, asked, result, token }: AuditEntry) => [action, asked, result, token]),
      [
        ['suspend', {}, 'done', false],
        ['limits', { maxConnections: 'many' }, 'refused', false],
        ['resume', {}, 'done', false],
      ],
    );
    assert.deepEqual(told, entries);
    for (const { at: when, peer } of told) {
      assert.match(peer, /^127\.0\.0\.1:\d+$/u);
      assert.ok(Math.abs(when - Date.now()) < 60_000);
    }
  });
});

describe('workers that are exchanged by the admin endpoint', () => {
  const threads = (at: Stand): readonly number[] => {
    assert.ok(at.server instanceof ParallelServer);
    return at.server
      .status()
      .workers.filter(({ state }) => state === 'serving')
      .map(({ threadId }) => threadId);
  };

  test('are new after a reload, one at a time, and as many as asked for after a resize', async () => {
    const at = await standTwo();
    const before = threads(at);
    const [first, second] = await Promise.all([at.act('reload'), at.act('reload')]);
    const done = [first, second].find(({ status }) => status === 200);
    assert.deepEqual(done?.json, { workers: 2, seamless: true, why: null });
    const busy = [first, second].find(({ status }) => status === 409);
    assert.equal(busy?.json.error.code, 'ERR_PORTSIDE_STATE');
    assert.ok(threads(at).every((thread) => !before.includes(thread)));
    assert.deepEqual((await at.act('resize', { workers: 3 })).json, { workers: 3 });
    assert.equal(threads(at).length, 3);
    for (const workers of [0, 'two', 5_000, undefined])
      assert.equal((await at.act('resize', { workers })).status, 400, String(workers));
  });
});

describe('an upgrade by the admin endpoint', () => {
  const upgradable = async (upgrade: () => Promise<Upgraded>): Promise<Stand> =>
    standOn(await serve(() => {}, { port: 0, host: '127.0.0.1' }), {}, upgrade);

  test('is told by the processes that serve now and before', async () => {
    const at = await upgradable(() => Promise.resolve({ pid: 12, before: 11 }));
    assert.equal((await at.ask('/api/status')).json.upgradable, true);
    const { status, json } = await at.act('upgrade');
    assert.deepEqual([status, json], [200, { pid: 12, before: 11 }]);
    assert.deepEqual(last(at).result, 'done');
  });

  test('that fails is told to who asked and to the log, and the server goes on', async () => {
    const at = await upgradable(() => Promise.reject(new Error('no such program\nat all')));
    const { status, json } = await at.act('upgrade');
    const told = 'no such program';
    assert.deepEqual([status, json.error], [500, { code: 'failed', message: told }]);
    assert.deepEqual(last(at), { action: 'upgrade', result: 'refused', told });
    assert.equal(at.server.state, 'running');
  });
});

describe('certificates', () => {
  test('are read anew, and the old ones go on where the new are wrong', async (t) => {
    const { server, renewed } = files(t);
    const at = await standOne({ tls: { cert: server.cert, key: server.key } });
    const shown = async (): Promise<string> => {
      const [address] = at.server.addresses;
      assert.ok(address !== undefined && 'port' in address);
      const socket = connectTls({ host: '127.0.0.1', port: address.port, ca: certificates().ca });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const before = await shown();
    writeFileSync(server.cert, 'no certificate');
    const wrong = await at.act('tls/reload');
    assert.deepEqual([wrong.status, wrong.json.error.code], [409, 'ERR_PORTSIDE_CERTIFICATE']);
    assert.equal(await shown(), before);
    copyFileSync(renewed.cert, server.cert);
    copyFileSync(renewed.key, server.key);
    assert.deepEqual((await at.act('tls/reload')).json, { reloaded: true });
    assert.notEqual(await shown(), before);
  });
});
