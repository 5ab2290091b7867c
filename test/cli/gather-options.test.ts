import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Command, CommanderError } from 'commander';
import { addFlags, longName } from '../../src/cli/flag.ts';
import { ADMIN_OPTIONS } from '../../src/cli/admin/admin-settings.ts';
import { gatherOptions } from '../../src/cli/gather-options.ts';
import type { Gathered } from '../../src/cli/gather-options.ts';
import { serverFlags } from '../../src/cli/server-flags.ts';
import { workerFlags } from '../../src/cli/worker-flags.ts';

const folder = mkdtempSync(join(tmpdir(), 'portside-gather-'));
after(() => rmSync(folder, { recursive: true }));
let made = 0;

/** A config file with this text. */
function configFile(text: string): string {
  made += 1;
  const path = join(folder, `c${made}.ts`);
  writeFileSync(path, text);
  return path;
}

/** What a command line comes to, and what was said. */
async function gather(
  args: readonly string[],
  defaults?: Readonly<Record<string, unknown>>,
  parallel = false,
): Promise<Gathered> {
  const command = new Command('test').exitOverride().configureOutput({ writeErr: () => {} });
  addFlags(command, parallel ? [...serverFlags, workerFlags] : serverFlags);
  command.parse([...args], { from: 'user' });
  return gatherOptions(command, { out: () => {}, err: () => {} }, { defaults, parallel });
}

/** The options of a command line, but for `log` and `logger`, which the command always gives. */
async function optionsOf(...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const { log, logger, ...options } = (await gather(args)).options;
  assert.deepEqual([typeof log, typeof logger], ['function', 'object']);
  return options;
}

/** What a config file says, as a command line that names it. */
async function withConfig(config: string, ...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  return optionsOf('--config', configFile(`export default ${config};`), ...args);
}

const tls = { cert: 'c', key: 'k' };
const withTls = ['--tls-cert', 'c', '--tls-key', 'k'];

describe('every flag gives one option', () => {
  const flags: Readonly<Record<string, readonly [readonly string[], Readonly<Record<string, unknown>>]>> = {
    '--port': [['--port', '7000'], { port: '7000', host: '127.0.0.1' }],
    '--host': [['-p', 'smtp', '--host', '::'], { port: 'smtp', host: '::' }],
    '--endpoint': [['-e', 'tcp://:1', '-e', '/run/a,b.sock'], { listen: ['tcp://:1', '/run/a,b.sock'] }],
    '--backlog': [['--backlog', '7'], { backlog: 7 }],
    '--mode': [['--mode', '660'], { mode: 0o660 }],
    '--transport': [['--transport', 'native'], { transport: 'native' }],
    '--max-connections': [['--max-connections', '5'], { maxConnections: 5 }],
    '--when-full': [['--when-full', '10@500ms'], { whenFull: { retries: 10, every: 500 } }],
    '--per-client': [['--per-client', '2'], { maxPerClient: 2 }],
    '--rate': [['--rate', '20/1s'], { rate: { connections: 20, per: 1_000 } }],
    '--allow': [['--allow', '10.0.0.0/8, ::1', '--allow', 'loopback'], { allow: ['10.0.0.0/8', '::1', 'loopback'] }],
    '--deny': [['--deny', '192.0.2.1'], { deny: ['192.0.2.1'] }],
    '--handshake-timeout': [[...withTls, '--handshake-timeout', '3s'], { tls: { ...tls, handshakeTimeout: 3_000 } }],
    '--first-byte-timeout': [['--first-byte-timeout', '5s'], { deadlines: { firstByte: 5_000 } }],
    '--idle-timeout': [['--idle-timeout', '1m'], { deadlines: { idle: 60_000 } }],
    '--read-timeout': [['--read-timeout', '250'], { deadlines: { read: 250 } }],
    '--write-timeout': [['--write-timeout', 'none'], { deadlines: { write: Infinity } }],
    '--life-timeout': [['--life-timeout', '2h'], { deadlines: { life: 7_200_000 } }],
    '--tls-cert': [withTls, { tls }],
    '--tls-key': [withTls, { tls }],
    '--tls-ca': [[...withTls, '--tls-ca', 'a', '--tls-ca', 'b'], { tls: { ...tls, ca: ['a', 'b'] } }],
    '--tls-client-cert': [
      [...withTls, '--tls-ca', 'a', '--tls-client-cert', 'require'],
      { tls: { ...tls, ca: ['a'], clientCertificate: 'require' } },
    ],
    '--tls-alpn': [[...withTls, '--tls-alpn', 'x,y'], { tls: { ...tls, alpn: ['x', 'y'] } }],
    '--tls-min': [[...withTls, '--tls-min', '1.3'], { tls: { ...tls, minVersion: 'TLSv1.3' } }],
    '--tls-watch': [[...withTls, '--tls-watch'], { tls: { ...tls, watch: true } }],
    '--proxy-from': [['--proxy-from', 'loopback,unix'], { proxy: { from: ['loopback', 'unix'] } }],
    '--proxy': [['--proxy-from', '::1', '--proxy', 'optional'], { proxy: { from: ['::1'], mode: 'optional' } }],
    '--grace': [['--grace', 'none'], { grace: Infinity }],
    '--drain-lead': [['--drain-lead', '5s'], { lead: 5_000 }],
    '--drain-spread': [['--drain-spread', '1500ms'], { spread: 1_500 }],
    '--shutdown': [['--shutdown', ':5999'], { shutdown: ':5999' }],
    '--verbose': [['--verbose', 'chat'], { verbose: 'chat' }],
    '--access-log': [['--access-log'], { accessLog: true }],
    '--no-access-log': [['--no-access-log'], { accessLog: false }],
  };

  for (const [flag, [args, options]] of Object.entries(flags)) {
    test(args.join(' '), async () => {
      const place = 'port' in options || 'listen' in options ? {} : { port: '0', host: '127.0.0.1' };
      const where = 'port' in place ? ['-p', '0'] : [];
      assert.ok(args.some((word) => word === flag || word === flag.replace('--', '-').slice(0, 2)));
      assert.deepEqual(await optionsOf(...where, ...args), { ...place, ...options });
    });
  }

  test('and none is forgotten here', () => {
    // Those of the admin endpoint and of the log have tests of their own.
    const apart = [...ADMIN_OPTIONS, 'logLevel', 'logFormat'];
    const all = serverFlags
      .flatMap((group) => group.flags)
      .filter(({ option }) => option !== null && !apart.includes(option));
    assert.deepEqual(all.map(longName).sort(), Object.keys(flags).sort());
  });

  test('of the flags of workers too, apart from the options of the server', async () => {
    const words = ['--workers', '3', '--dispatch', 'hash', '--on-worker-death', 'shrink', '--boot-timeout', 'none'];
    const { options, workers, watch } = await gather(['-p', '0', ...words, '--watchdog', '1s'], undefined, true);
    assert.deepEqual(workers, {
      workers: 3,
      dispatch: 'hash',
      onWorkerDeath: 'shrink',
      bootTimeout: Infinity,
      watchdog: 1_000,
    });
    assert.deepEqual(Object.keys(options).sort(), ['host', 'log', 'logger', 'port']);
    assert.equal(watch, false);
    assert.deepEqual((await gather(['-p', '0', '--workers', 'cores'], undefined, true)).workers, { workers: 'cores' });
    assert.equal((await gather(['-p', '0'], undefined, true)).workers, null);
    const watched = await gather(['-p', '0', '--watch'], undefined, true);
    assert.deepEqual([watched.workers, watched.watch], [{ workers: 1 }, true]);
    assert.deepEqual(workerFlags.flags.map(longName).sort(), [
      '--boot-timeout',
      '--dispatch',
      '--on-worker-death',
      '--watch',
      '--watchdog',
      '--workers',
    ]);
  });

  test('the words of --when-full, --rate, --per-client and --verbose', async () => {
    for (const what of ['wait', 'refuse'])
      assert.equal((await optionsOf('-p', '0', '--when-full', what))['whenFull'], what);
    assert.equal((await optionsOf('-p', '0', '--rate', 'none'))['rate'], null);
    assert.deepEqual((await optionsOf('-p', '0', '--rate', '3/m'))['rate'], { connections: 3, per: 60_000 });
    assert.equal((await optionsOf('-p', '0', '--per-client', 'none'))['maxPerClient'], Infinity);
    assert.equal((await optionsOf('-p', '0', '--verbose'))['verbose'], true);
    assert.equal((await optionsOf('-p', '0', '--verbose='))['verbose'], true);
  });

  test('--tls-self-signed is told apart from its folder, and goes with the other flags of TLS', async () => {
    for (const [args, selfSigned] of [
      [[], false],
      [['--tls-self-signed'], true],
      [['--tls-self-signed='], true],
      [['--tls-self-signed', 'certs'], 'certs'],
    ] as const)
      assert.equal((await gather(['-p', '0', ...args])).selfSigned, selfSigned);
    const { options } = await gather(['-p', '0', '--tls-self-signed', '--tls-alpn', 'x']);
    assert.deepEqual((options.tls as { alpn: unknown }).alpn, ['x']);
  });
});

describe('the command line goes over the config file, and that over the defaults', () => {
  test('option by option, within options too', async () => {
    const config = `{ port: 1, backlog: 5, deadlines: { idle: 1, read: 2 }, allow: ['::1'], verbose: 'file' }`;
    assert.deepEqual(await withConfig(config, '--backlog', '6', '--read-timeout', '3ms', '--deny', '::2'), {
      port: 1,
      host: '127.0.0.1',
      backlog: 6,
      deadlines: { idle: 1, read: 3 },
      allow: ['::1'],
      deny: ['::2'],
      verbose: 'file',
    });
    const file = configFile('export default { maxConnections: 7 };');
    const most = async (...args: readonly string[]): Promise<unknown> =>
      (await gather(['-p', '0', ...args], { maxConnections: 40 })).options.maxConnections;
    assert.equal(await most(), 40);
    assert.equal(await most('-c', file), 7);
    assert.equal(await most('-c', file, '--max-connections', '3'), 3);
    assert.equal(await most('-c', file, '--no-config'), 40);
  });

  test('a place on the command line stands instead of those of the file', async () => {
    assert.deepEqual(await withConfig(`{ listen: ['tcp://:1'] }`, '-p', '2'), { port: '2', host: '127.0.0.1' });
    assert.deepEqual(await withConfig(`{ port: 1, host: '::1' }`, '-e', '/x.sock'), { listen: ['/x.sock'] });
    assert.deepEqual(await withConfig(`{ path: '/y.sock' }`, '-e', '/x.sock'), { listen: ['/x.sock'] });
  });

  test('a port goes to the host that is nearest: the flag, the file, loopback', async () => {
    assert.deepEqual(await withConfig(`{ host: '::1' }`, '-p', '2'), { port: '2', host: '::1' });
    assert.deepEqual(await withConfig(`{ port: 1 }`), { port: 1, host: '127.0.0.1' });
    assert.deepEqual(await withConfig(`{ port: 1, host: '::' }`, '--host', '::1'), { port: 1, host: '::1' });
    assert.deepEqual(await withConfig(`{ listen: [{ port: 1 }, { port: 2, host: '::' }, 3, 'tcp://:4'] }`), {
      listen: [{ port: 1, host: '127.0.0.1' }, { port: 2, host: '::' }, 3, 'tcp://:4'],
    });
    assert.deepEqual(await withConfig(`{ host: '::1' }`, '-p', '2', '-e', '/x.sock'), {
      listen: [{ port: '2', host: '::1' }, '/x.sock'],
    });
  });

  test('a certificate on the command line comes with its own key', async () => {
    const config = `{ port: 1, tls: { cert: 'a', key: 'b', passphrase: 'p', alpn: ['x'] } }`;
    assert.deepEqual((await withConfig(config, ...withTls))['tls'], { ...tls, alpn: ['x'] });
    await assert.rejects(withConfig(config, '--tls-cert', 'c'), /--tls-key is required/u);
    assert.deepEqual((await withConfig(config, '--tls-min', '1.3'))['tls'], {
      cert: 'a',
      key: 'b',
      passphrase: 'p',
      alpn: ['x'],
      minVersion: 'TLSv1.3',
    });
    const { cert, passphrase } = (await withConfig(config, '--tls-self-signed'))['tls'] as Record<string, unknown>;
    assert.notEqual(cert, 'a');
    assert.equal(passphrase, undefined);
  });

  test('the context of the file stays the same object', async () => {
    const file = configFile('export const context = { users: 0 };\nexport default { port: 1, context };');
    const { options } = await gather(['-c', file]);
    const { context } = (await import(file)) as { context: unknown };
    assert.equal(options.context, context);
  });
});

describe('what is wrong is told by the name under which it was given', () => {
  test('in the config file, all at once, in the words of the library', async () => {
    const file = configFile(
      `export default { port: 1, maxConnections: 0, hots: 'x', deadlines: { idle: -1 }, tls: { cert: 5 } };`,
    );
    await assert.rejects(gather(['-c', file]), {
      code: 'ERR_PORTSIDE_OPTIONS',
      message: `${file}: hots is not an option; did you mean "host"?; deadlines.idle must be a number of milliseconds, 1 or more, or Infinity, got -1; tls.cert must be PEM as text or bytes, or the path of a file, got 5; tls.key is required, and must be PEM as text or bytes, or the path of a file; maxConnections must be a whole number, 1 or more, got 0`,
    });
  });

  test('in both, which is wrong usage', async () => {
    const file = configFile(`export default { port: 1, backlog: 0, proxy: { mode: 'x' } };`);
    await assert.rejects(gather(['-c', file, '--proxy', 'require', '--allow', 'x']), (error: unknown) => {
      assert.ok(error instanceof CommanderError);
      assert.equal(error.exitCode, 2);
      assert.match(
        error.message,
        /^error: --proxy-from is required, and must be .*; --allow must .*, got "x".*; \S+\.ts: backlog must be a whole/u,
      );
      return true;
    });
  });

  test('a value of the file that the command line stands instead of is not asked for', async () => {
    assert.equal((await withConfig(`{ port: 1, backlog: 'many' }`, '--backlog', '5'))['backlog'], 5);
  });

  test('what only programs may say', async () => {
    await assert.rejects(withConfig(`{ port: 1, log() {}, permits: {}, signal: null, backlog: 0 }`), {
      message:
        /c\d+\.ts: log is not an option of a config file; .*; permits is not .*; signal is not .*; backlog must be/u,
    });
  });

  test('a file that says nowhere where to listen', async () => {
    await assert.rejects(
      withConfig('{ backlog: 5 }'),
      /say where to listen: --port or --endpoint, or port or listen in /u,
    );
    await assert.rejects(withConfig(`{ listen: ['/x.sock'] }`, '--host', '::1'), /--host goes with --port/u);
  });
});
