import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Command } from 'commander';
import { Notifier } from '../../../src/cli/systemd/notifier.ts';
import { Backoff } from '../../../src/cli/upgrade/backoff.ts';
import { addFlags } from '../../../src/cli/flag.ts';
import { gatherOptions } from '../../../src/cli/gather-options.ts';
import { serverFlags } from '../../../src/cli/server-flags.ts';
import { guessFrom } from '../../../src/cli/upgrade/guess.ts';
import { isForSupervisor } from '../../../src/cli/upgrade/is-upgradable.ts';
import { lastSaid } from '../../../src/cli/upgrade/voice.ts';
import { wantedSockets } from '../../../src/cli/upgrade/wanted-sockets.ts';
import { socketKey } from '../../../src/net/handed.ts';
import { workerFlags } from '../../../src/cli/worker-flags.ts';

/** What the program asks for. */
async function wanted(args: readonly string[]): Promise<readonly string[]> {
  const command = new Command('serve').exitOverride();
  addFlags(command, [...serverFlags, workerFlags]);
  command.argument('[module]').parse(['chat.ts', '--no-config', ...args], { from: 'user' });
  const gathered = await gatherOptions(command, { out: () => {}, err: () => {} }, { parallel: true });
  return wantedSockets(gathered).map(({ key }) => key);
}

describe('what the supervisor takes from a command line', () => {
  const lines: readonly (readonly string[])[] = [
    ['--port', '7000'],
    ['-p', '0', '--host', '::', '--grace', '10s', '--admin', ':0'],
    ['-p7000', '-e', 'tcp://localhost:7001', '-e', '/run/x.sock', '--mode', '660', '--workers', 'cores'],
    ['--endpoint=tls://:5000', '--tls-self-signed', '--shutdown', ':5001', '--admin', '/run/admin.sock'],
    ['-e', 'systemd://chat', '-e', 'fd://5', '-e', 'unix:@abstract', '--verbose', '--admin', 'systemd://admin'],
    ['-p', '0', '-p', '1', '--deny', '10.0.0.1,private', '--shutdown', 'unix:///run/end.sock'],
  ];
  for (const line of lines) {
    test(`is what the program asks for, so that it is started once: ${line.join(' ')}`, async () => {
      const { sockets } = guessFrom(['serve', 'chat.ts', '--upgradable', ...line]);
      assert.deepEqual(
        sockets.map(({ key }) => key),
        await wanted(line),
      );
    });
  }

  test('is nothing where something is wrong, which the program tells', () => {
    for (const line of [['--port', 'none-such'], ['-p', '70000'], ['--endpoint'], ['-e', 'nonsense://x'], ['--port']])
      assert.deepEqual(guessFrom(['serve', ...line]).sockets, []);
  });

  test('is how long a new version may take', () => {
    const time = (...words: readonly string[]): number => guessFrom(['serve', ...words]).timeout;
    assert.deepEqual(
      [time(), time('--upgrade-timeout', '5s'), time('--upgrade-timeout', 'x')],
      [60_000, 5_000, 60_000],
    );
  });

  test('is whether it speaks in JSON lines, by a flag or by the environment', () => {
    const env = { PORTSIDE_LOG_FORMAT: 'json' };
    assert.deepEqual(
      [guessFrom(['serve']), guessFrom(['serve', '--log-format=json']), guessFrom(['serve'], env)].map(
        ({ json }) => json,
      ),
      [false, true, true],
    );
    assert.equal(guessFrom(['serve', '--log-format', 'auto'], env).json, false);
  });
});

test('a supervisor is for serve and exec with the flag, but not for what a program is given, nor below another one', () => {
  const yes = (words: string, env: NodeJS.ProcessEnv = {}): boolean => isForSupervisor(words.split(' '), env);
  assert.ok(yes('serve chat.ts -p 0 --upgradable') && yes('exec -p 0 --upgradable -- cat'));
  assert.ok(!yes('serve chat.ts -p 0') && !yes('exec -p 0 -- cat --upgradable') && !yes('status --upgradable'));
  // The command knows whose it is.
  assert.ok(!yes('exec -p 0 cat --upgradable'));
  assert.ok(!yes('serve chat.ts --upgradable', { PORTSIDE_SUPERVISED: '{}' }));
});

test('an endpoint that is served, and one alike for the admin endpoint, have sockets of their own', () => {
  const endpoint = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  assert.notEqual(socketKey('serve', { endpoint }), socketKey('admin', { endpoint }));
  assert.equal(socketKey('serve', { endpoint }), socketKey('serve', { endpoint: { ...endpoint, kind: 'tls' } }));
  const [four, both] = [['ipv4'] as const, ['ipv6', 'ipv4'] as const];
  assert.notEqual(socketKey('serve', { endpoint, families: four }), socketKey('serve', { endpoint }));
  assert.equal(socketKey('serve', { endpoint, families: both }), socketKey('serve', { endpoint }));
});

test('what a program has said last is told by its words', () => {
  assert.equal(lastSaid(''), '');
  assert.equal(lastSaid('portside: one\nportside: two\n'), 'two');
  assert.equal(lastSaid('{"level":"fatal","msg":"chat.ts is not there"}\n'), 'chat.ts is not there');
  assert.equal(lastSaid('5\n'), '5');
});

describe('a program that dies', () => {
  test('is started after a pause that doubles, and that is short again after a time of service', () => {
    let now = 0;
    const backoff = new Backoff(() => now);
    const dies = (after: number): number | null => {
      backoff.serves();
      now += after;
      return backoff.pause();
    };
    assert.deepEqual([dies(10), dies(10), dies(10), dies(29_999)], [100, 200, 400, 800]);
    assert.deepEqual([dies(30_000), dies(1)], [100, 200]);
  });

  test('is not started any more when it dies again and again', () => {
    let now = 0;
    const backoff = new Backoff(() => now);
    const pauses = Array.from({ length: 11 }, () => {
      now += 1_000;
      return backoff.pause();
    });
    assert.equal(pauses[9], 10_000);
    assert.equal(pauses[10], null);
    now += 119_000;
    assert.notEqual(backoff.pause(), null);
  });
});

describe('what is told to the service manager', () => {
  const take = (env: NodeJS.ProcessEnv, pid = 5): { readonly left: NodeJS.ProcessEnv; readonly beat: unknown } => {
    const left = { NOTIFY_SOCKET: '/run/nobody', ...env };
    return { beat: Notifier.take(left, () => {}, pid)?.beat, left };
  };

  test('is by the environment, of which nothing is left for programs that are started', () => {
    const { beat, left } = take({ WATCHDOG_USEC: '600000', WATCHDOG_PID: '5', PATH: '/bin' });
    assert.equal(beat, 300);
    assert.deepEqual(left, { PATH: '/bin' });
    // A watchdog for another process, or none.
    for (const env of [
      { WATCHDOG_USEC: '600000', WATCHDOG_PID: '6' },
      { WATCHDOG_USEC: '0' },
      { WATCHDOG_USEC: 'x' },
      {},
    ])
      assert.equal(take(env).beat, null);
    assert.equal(take({ NOTIFY_SOCKET: '', WATCHDOG_USEC: '600000' }).beat, undefined);
  });

  test('is told in time, and no oftener than there are milliseconds', () => {
    assert.deepEqual(
      ['1', '9999999999999999'].map((usec) => take({ WATCHDOG_USEC: usec }).beat),
      [1, 2_147_483_647],
    );
  });

  test('that can not be told harms nobody, and is said once', async () => {
    const said: string[] = [];
    const notifier = Notifier.take({ NOTIFY_SOCKET: '/run/nobody' }, (why) => void said.push(why))!;
    // What can't be an argument of a program stands for what keeps one from being started.
    notifier.ready('a\0b');
    notifier.stopping('a\0b');
    await notifier.flushed();
    assert.equal(said.length, 1);
    assert.match(said[0]!, /null bytes/u);
  });
});
