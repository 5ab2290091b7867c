/* oxlint-disable typescript/no-explicit-any -- what JSON holds is looked at field by field, and a wrong look fails the test */
import assert from 'node:assert/strict';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { main } from '../../src/cli/main.ts';
import { autoTransport } from '../../src/net/transports.ts';
import { startNc, startPortside } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { folderWith, startCommand } from './command.ts';
import type { Commanded } from './command.ts';
import { call, sayings } from './workers.ts';

const TOKEN = 'correct-horse-battery-staple';

interface Administered extends Commanded {
  /** The admin endpoint. */
  readonly admin: string;
}

/** `portside serve` with an admin endpoint of its own. */
async function administered(t: TestContext, ...args: readonly string[]): Promise<Administered> {
  const words = args.includes('--admin') ? args : ['--admin', '127.0.0.1:0', ...args];
  const module = words.includes('--workers') ? sayings(t)('say.ts') : folderWith(t)('tell.ts');
  const started = await startCommand(t, ['serve', module, '--port', '0', ...words]);
  const [, admin = ''] = await started.server.until(/^portside: admin on (?:http|unix):\/\/(.*); look with: /mu);
  return { ...started, admin };
}

interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function said(program: Program): Promise<Said> {
  program.end();
  const { code } = await program.exit;
  return { code, out: program.out, err: program.err };
}

/** Runs a command of `portside` that asks the server. */
function ask(t: TestContext, admin: string, ...words: readonly string[]): Promise<Said> {
  return said(startPortside(t, words, { PORTSIDE_ADMIN: admin }));
}

/** The same with `--json`. */
async function json(t: TestContext, admin: string, ...words: readonly string[]): Promise<any> {
  const { code, out, err } = await ask(t, admin, ...words, '--json');
  assert.deepEqual([code, err], [0, '']);
  return JSON.parse(out);
}

/** Somebody who is connected and was answered. */
async function caller(t: TestContext, port: number): Promise<Program> {
  const client = startNc(t, port);
  await client.until(/^#\d+ 127\.0\.0\.1\n/u);
  return client;
}

describe('a server with --admin', () => {
  test('says where it is looked at, and tells there what it does: in words, and as JSON', async (t) => {
    const { admin, port, server } = await administered(t);
    assert.match(
      server.out,
      /^portside: admin on http:\/\/(127\.0\.0\.1:\d+); look with: portside status --admin \1\n/u,
    );
    await caller(t, port);
    const { code, out, err } = await ask(t, admin, 'status');
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /^server +.*tell\.ts, process \d+, portside \d+\.\d+\.\d+, node \d+\.\d+\.\d+, \w+\n/u);
    assert.match(out, new RegExp(`, ${autoTransport().name}\n`, 'u'));
    assert.match(out, /^state +running, up \d+/mu);
    assert.match(out, new RegExp(`^listening on +127\\.0\\.0\\.1:${port}\n`, 'mu'));
    assert.match(out, /^connections +1 of 10000\n/mu);
    const status = await json(t, admin, 'status');
    assert.deepEqual([status.state, status.active, status.accepted], ['running', 1, 1]);
    assert.equal(status.addresses[0], `127.0.0.1:${port}`);
  });

  test('is suspended and resumed, and keeps what was done', async (t) => {
    const { admin, server } = await administered(t);
    assert.deepEqual(await ask(t, admin, 'suspend'), { code: 0, out: 'the server is suspended, not ready\n', err: '' });
    await server.until(/^portside: suspend by 127\.0\.0\.1:\d+: suspended\n/mu, 'err');
    assert.deepEqual(await ask(t, admin, 'resume'), { code: 0, out: 'the server is running\n', err: '' });
    const reload = await ask(t, admin, 'reload');
    assert.deepEqual([reload.code, reload.err], [1, 'portside: the server runs on one thread: it has no workers\n']);
    const { out } = await ask(t, admin, 'audit');
    assert.deepEqual(
      out
        .trimEnd()
        .split('\n')
        .map((line) => line.replace(/ +/gu, ' ').split(' ').slice(2, 4)),
      [
        ['suspend', 'done'],
        ['resume', 'done'],
        ['reload', 'refused'],
      ],
    );
  });

  test('lists its connections by what they are like, and ends them', async (t) => {
    const { admin, port } = await administered(t);
    const clients = [await caller(t, port), await caller(t, port), await caller(t, port)];
    clients[1]!.write('busy\n');
    await clients[1]!.until(/^busy!\n/mu);
    const { out } = await ask(t, admin, 'connections', '--sort', 'id', '--order', 'asc');
    const lines = out.trimEnd().split('\n');
    assert.match(lines[0]!, /^id +peer +doing +age +in +out +queued +tls +at$/u);
    assert.match(lines[2]!, /^2 +127\.0\.0\.1:\d+ +busy +\S+ +5 +/u);
    assert.equal(lines.at(-1), '3 of 3 connections');
    const idle = await ask(t, admin, 'connections', '--where', 'peer=10.0.0.0/8,peer=loopback,doing=idle,minAge=1ms');
    assert.match(idle.out, /\n2 of 3 connections\n$/u);
    assert.equal((await ask(t, admin, 'connections', '--where', 'minQueued=1k')).out, '0 of 3 connections\n');

    assert.deepEqual(await ask(t, admin, 'connections', '1', '--close'), {
      code: 0,
      out: '1 connection closed\n',
      err: '',
    });
    clients[0]!.end();
    await clients[0]!.exit;
    const reset = await ask(t, admin, 'connections', '--where', 'doing=busy', '--reset');
    assert.deepEqual([reset.code, reset.out], [0, '1 connection reset\n']);
    clients[1]!.end();
    await clients[1]!.exit;
    const gone = await ask(t, admin, 'connections', '2', '77', '--close');
    assert.equal(gone.out, '0 connections closed; of 2 that were meant the others were gone, or closing\n');
    clients[2]!.write('still here\n');
    await clients[2]!.until(/still here!/u);
  });

  test('shows its limits in the words of its flags, and takes new ones', async (t) => {
    const { admin } = await administered(t, '--idle-timeout', '90s', '--rate', '20/1s');
    const before = (await ask(t, admin, 'limit')).out;
    assert.match(before, /^--idle-timeout +90s\n/mu);
    assert.match(before, /^--rate +20\/1s\n/mu);
    const flags = [
      '--idle-timeout',
      'none',
      '--rate',
      'none',
      '--max-connections',
      '5',
      '--grace',
      '2m',
      '--when-full',
      '3@1s',
    ];
    const { code, out } = await ask(t, admin, 'limit', ...flags, '--allow', 'loopback,10.0.0.0/8');
    assert.equal(code, 0);
    for (const [flag = '', value = ''] of [
      ['idle-timeout', 'none'],
      ['rate', 'none'],
      ['max-connections', '5'],
      ['grace', '2m'],
      ['when-full', '3@1s'],
      ['allow', 'loopback,10\\.0\\.0\\.0/8'],
    ])
      assert.match(out, new RegExp(`^--${flag} +${value}\n`, 'mu'));
    const { limits } = { limits: await json(t, admin, 'limit') };
    assert.deepEqual([limits.maxConnections, limits.deadlines.idle, limits.grace], [5, null, 120_000]);
  });

  test('is drained, and tells how it goes until it is over', async (t) => {
    const { admin, port, server } = await administered(t);
    await caller(t, port);
    const busy = await caller(t, port);
    busy.write('busy\n');
    await busy.until(/busy!/u);
    const draining = startPortside(t, ['drain', '--wait', '--grace', '1m'], { PORTSIDE_ADMIN: admin });
    await draining.until(/^1 left, \d+s to go; 1 closed \(idle 1\)\n/mu);
    const stop = await ask(t, admin, 'stop', '--grace', '0');
    assert.equal(stop.out, 'the server is draining, not ready\n');
    const { code, out } = await said(draining);
    assert.equal(code, 0);
    assert.match(out, /^0 left; 2 closed \((idle 1, forced 1|forced 1, idle 1)\)\n(the server has stopped\n)$/mu);
    assert.deepEqual((await server.exit).code, 0);
    assert.match(server.err, /portside: stopped; 2 connections: 1 idle, 1 forced\n/u);
  });

  test('over workers names connections by their worker, and exchanges and counts workers', async (t) => {
    const { admin, port } = await administered(t, '--workers', '1', '--grace', '1m');
    const { thread, client } = await call(t, port);
    assert.match((await ask(t, admin, 'connections')).out, /^0\/1 +127\.0\.0\.1:\d+ +busy/mu);
    assert.deepEqual(await ask(t, admin, 'resize', '2'), { code: 0, out: '2 workers serve\n', err: '' });
    assert.match((await ask(t, admin, 'status')).out, /^worker +state[^\n]*\n0 +serving +1 [^\n]*\n1 +serving +0 /mu);
    assert.deepEqual(await ask(t, admin, 'connections', '0/1', '--close'), {
      code: 0,
      out: '1 connection closed\n',
      err: '',
    });
    client.end();
    await client.exit;
    assert.deepEqual(await ask(t, admin, 'reload'), { code: 0, out: '2 new workers serve\n', err: '' });
    assert.notEqual((await call(t, port)).thread, thread);
  });
});

describe('an admin endpoint with a token', () => {
  test('answers who shows it, and it is shown nowhere', async (t) => {
    const at = folderWith(t, { token: `${TOKEN}\n`, wrong: 'x'.repeat(20) });
    const { admin, server } = await administered(t, '--admin-token-file', at('token'));
    assert.match(server.out, /look with: portside status --admin \S+ --token-file \S+token\n/u);
    const none = await ask(t, admin, 'status');
    assert.deepEqual([none.code, none.out], [1, '']);
    assert.match(none.err, /^portside: the token is missing: .*; --token-file names the file/u);
    const wrong = await ask(t, admin, 'status', '--token-file', at('wrong'));
    assert.match(wrong.err, /^portside: the token is wrong/u);
    assert.equal((await ask(t, admin, 'suspend', '--token-file', at('token'))).code, 0);
    const env = { PORTSIDE_ADMIN: admin, PORTSIDE_ADMIN_TOKEN_FILE: at('token') };
    const audit = await said(startPortside(t, ['audit'], env));
    assert.match(audit.out, /127\.0\.0\.1:\d+ \(token\) +suspend +done/u);
    for (const text of [server.out, server.err, none.err, wrong.err, audit.out])
      assert.ok(!text.includes(TOKEN), 'the token is shown');
  });

  test('may be open to others, and without one may not', async (t) => {
    const at = folderWith(t, { token: TOKEN });
    const refused = await said(startPortside(t, ['serve', at('tell.ts'), '--port', '0', '--admin', '0.0.0.0:0']));
    assert.equal(refused.code, 1);
    assert.match(refused.err, /can't be on 0\.0\.0\.0:0 without a token/u);
    const { admin } = await administered(t, '--admin', '0.0.0.0:0', '--admin-token-file', at('token'));
    const port = admin.split(':').at(-1)!;
    assert.equal((await ask(t, `:${port}`, 'status', '--token-file', at('token'))).code, 0);
  });

  test('may be at a path, which is its user’s alone', async (t) => {
    const path = folderWith(t)('admin.sock');
    const { admin } = await administered(t, '--admin', path);
    assert.equal(admin, path);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal((await ask(t, path, 'status')).code, 0);
  });
});

describe('commands that ask a server', () => {
  test('say with 3 that there is none, and what to do', async (t) => {
    const path = folderWith(t)('nobody.sock');
    for (const admin of [path, '127.0.0.1:1']) {
      for (const command of [['status'], ['drain', '--wait']]) {
        const { code, out, err } = await ask(t, admin, ...command);
        assert.deepEqual([code, out], [3, ''], admin);
        assert.match(
          err,
          /^portside: .*; a server has an admin endpoint when it was started with --admin, and --admin here/u,
        );
      }
    }
  });

  test('say with 1 that something else answers', async (t) => {
    const { port } = await startCommand(t, ['serve', folderWith(t)('tell.ts'), '--port', '0']);
    const { code, err } = await ask(t, `127.0.0.1:${port}`, 'status');
    assert.equal(code, 1);
    assert.match(err, /is no admin endpoint of Portside: it does not speak HTTP/u);
  });

  test('say with 2 what is wrong with how they are used', async () => {
    for (const [words, told] of [
      [['status', '--admin', 'tls://x:1'], /--admin: tls:\/\/x:1 is no admin endpoint/u],
      [['status', '--admin', '127.0.0.1:99999'], /--admin/u],
      [['resize'], /missing required argument 'workers'/u],
      [['resize', '0'], /whole number from 1 on/u],
      [['drain', '--grace', '5 parsecs'], /It has to be a time/u],
      [['connections', '--where', 'color=red'], /peer, worker, doing, minAge and minQueued/u],
      [['connections', '--where', 'doing=sleeping'], /doing can be/u],
      [['connections', '--sort', 'size'], /It can be age/u],
      [['connections', '12'], /add --close or --reset/u],
      [['connections', '--close'], /say which connections to end/u],
      [['connections', 'x', '--close'], /x is no connection/u],
      [['connections', '1', '--close', '--reset'], /cannot be used with/u],
      [['limit', '--max-connections', 'many'], /whole number/u],
      [['limit', '--port', '1'], /unknown option '--port'/u],
      [['serve', 'x.ts', '--port', '0', '--admin-token-file', 'x'], /--admin-token-file needs --admin/u],
      [['serve', 'x.ts', '--port', '0', '--admin', 'nowhere'], /--admin/u],
    ] as const) {
      let err = '';
      const tell = (text: string): void => void (err += text);
      assert.equal(await main(words, { out: tell, err: tell }), 2, words.join(' '));
      assert.match(err, told);
    }
  });

  test('and servers say which token won’t do, and never show it', async (t) => {
    const at = folderWith(t, { short: 'secret', locked: TOKEN });
    chmodSync(at('locked'), 0o000);
    writeFileSync(at('blank'), `${TOKEN} ${TOKEN}`);
    for (const [name, why] of [
      ['short', /16 to 1024 printable characters/u],
      ['blank', /without blanks/u],
      ['missing', /there is no such file/u],
    ] as const) {
      const asked = await ask(t, '127.0.0.1:1', 'status', '--token-file', at(name));
      const words = ['serve', at('tell.ts'), '--port', '0', '--admin', ':0', '--admin-token-file', at(name)];
      const serving = await said(startPortside(t, words));
      for (const { code, err } of [asked, serving]) {
        assert.equal(code, 1);
        assert.match(err, why);
        assert.ok(!err.includes('secret') && !err.includes(TOKEN));
      }
    }
  });
});
