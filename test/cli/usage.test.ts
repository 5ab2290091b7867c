import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { longName } from '../../src/cli/flag.ts';
import { main, packageVersion } from '../../src/cli/main.ts';
import { serverFlags } from '../../src/cli/server-flags.ts';
import { workerFlags } from '../../src/cli/worker-flags.ts';
import { start, inCheckout } from '../support/program.ts';

/** Runs the command in this process. */
async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await main(args, { out: (text) => (out += text), err: (text) => (err += text) });
  return { code, out, err };
}

const echo = inCheckout('examples/echo.ts');

describe('help and version', () => {
  for (const args of [['--help'], ['-h'], ['help']]) {
    test(`portside ${args.join(' ')} tells the commands and exits 0`, async () => {
      const { code, out, err } = await run(...args);
      assert.equal(code, 0);
      assert.match(
        out,
        /Usage: portside .*\n[^]*--version[^]*serve \[options\] \[module\][^]*exec \[options\] <program>/u,
      );
      assert.equal(err, '');
    });
  }

  const common = serverFlags.flatMap(({ flags }) => flags).map(longName);
  const own: Readonly<Record<string, readonly string[]>> = {
    serve: [...workerFlags.flags.map(longName), '--help'],
    exec: ['--shell', '--cwd', '--env', '--kill-after', '--on-drain', '--help'],
  };
  for (const [command, flags] of Object.entries(own)) {
    for (const args of [
      [command, '--help'],
      [command, '-h'],
      ['help', command],
    ]) {
      test(`portside ${args.join(' ')} tells every option, in lines of a terminal`, async () => {
        const { code, out, err } = await run(...args);
        assert.equal(code, 0);
        for (const flag of [...common, ...flags]) assert.match(out, new RegExp(`^  .*${flag}\\b.*  +\\S`, 'mu'));
        for (const heading of ['Where to listen', 'Who is let in', 'TLS', 'Behind a proxy', 'The end', 'Options'])
          assert.match(out, new RegExp(`^${heading}:$`, 'mu'));
        assert.match(out, new RegExp(`Examples:\\n {2}portside ${command} `, 'u'));
        for (const line of out.split('\n')) assert.ok(line.length <= 80, line);
        assert.equal(err, '');
      });
    }
  }

  test('--version is the version of the package', async () => {
    assert.match(packageVersion(), /^\d+\.\d+\.\d+/u);
    for (const option of ['--version', '-V'])
      assert.deepEqual(await run(option), { code: 0, out: `${packageVersion()}\n`, err: '' });
  });
});

describe('wrong usage', () => {
  const served = ['serve', echo, '-p', '0'];
  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no command', [], /Usage: portside/u],
    ['an unknown command', ['srve', 'x.ts'], /unknown command 'srve'\n\(Did you mean serve\?\)/u],
    ['an unknown option', ['serve', echo, '--prot', '0'], /unknown option '--prot'\n\(Did you mean --port\?\)/u],
    ['no module', ['serve', '--port', '0'], /missing required argument 'module'/u],
    ['two modules', ['serve', echo, echo, '--port', '0'], /too many arguments/u],
    ['no place', ['serve', echo], /say where to listen: --port or --endpoint/u],
    ['a host without a port', ['serve', echo, '-e', '/tmp/x.sock', '--host', '::1'], /--host goes with --port/u],
    ['a port without a number', ['serve', echo, '--port'], /--port <port>' argument missing/u],
    ['a backlog of none', ['serve', echo, '-p', '0', '--backlog', '0'], /a whole number from 1 on/u],
    ['no connections', ['serve', echo, '-p', '0', '--max-connections', '-1'], /a whole number from 1 on/u],
    ['a mode that is none', ['serve', echo, '-p', '0', '--mode', '888'], /three octal digits/u],
    ['a transport that is none', [...served, '--transport', 'x'], /It can be auto, node or native/u],
    [
      'a port that is too high',
      ['serve', echo, '-p', '70000'],
      /--port: .*0 to 65535 or the name of a service, not "70000"/u,
    ],
    ['an unknown service', ['serve', echo, '-p', 'smpt'], /--port: .*did you mean "smtp"/u],
    [
      'a wrong endpoint',
      ['serve', echo, '-e', 'tpc://:5000'],
      /--endpoint: "tpc:\/\/:5000" can't be used as an endpoint: /u,
    ],
    [
      'a shutdown that is nowhere',
      [...served, '--shutdown', 'x:y:z'],
      /--shutdown: "x:y:z" can't be used as an endpoint: /u,
    ],
    [
      'a time in a unit that is none',
      [...served, '--grace', '1sec'],
      /--grace <time>' argument '1sec' is invalid\. It has to be a time.*Did you mean 1s\?/u,
    ],
    [
      'no time for a deadline',
      [...served, '--idle-timeout', '0'],
      /--idle-timeout.*It has to be 1ms or more, or none/u,
    ],
    ['a handshake without a limit', [...served, '--handshake-timeout', 'none'], /It can not be without a limit/u],
    ['no clients', [...served, '--per-client', '0'], /a whole number from 1 on, or none/u],
    ['a rate without a time', [...served, '--rate', '20'], /a number and a time, as in 20\/1s; or none/u],
    [
      'a rate in no time',
      [...served, '--rate', '20/0s'],
      /The time after the slash is wrong\. It has to be 1ms or more/u,
    ],
    [
      'something else to do when full',
      [...served, '--when-full', 'panic'],
      /It can be wait, refuse, or how often.*10@500ms/u,
    ],
    ['looks without a distance', [...served, '--when-full', '10@soon'], /The time after the @ is wrong/u],
    [
      'an address that is none',
      [...served, '--allow', '10.0.0.0/8,10.0.0.300'],
      /error: --allow must .*, got "10\.0\.0\.300"/u,
    ],
    ['a network that is none', [...served, '--deny', '10.0.0.1/8'], /error: --deny .*10\.0\.0\.0\/8/u],
    ['a PROXY mode that is none', [...served, '--proxy', 'maybe'], /It can be optional or require/u],
    ['a PROXY mode without proxies', [...served, '--proxy', 'require'], /error: --proxy-from is required/u],
    [
      'TLS without a certificate',
      [...served, '--tls-alpn', 'x'],
      /error: --tls-alpn needs a certificate: give --tls-cert and --tls-key, or --tls-self-signed/u,
    ],
    [
      'a certificate without a key',
      [...served, '--tls-cert', 'x.pem'],
      /error: --tls-key is required, and must be PEM/u,
    ],
    [
      'two certificates',
      [...served, '--tls-cert', 'x.pem', '--tls-self-signed'],
      /'--tls-cert <file>' cannot be used with option '--tls-self-signed/u,
    ],
    [
      'clients that nobody vouches for',
      [...served, '--tls-self-signed', '--tls-client-cert', 'require'],
      /error: --tls-ca must be given when clientCertificate is "require"/u,
    ],
    ['a version of TLS that is broken', [...served, '--tls-min', '1.1'], /It can be 1\.2 or 1\.3/u],
    [
      'nothing to watch',
      [...served, '--tls-self-signed', '--tls-watch'],
      /--tls-watch needs files to watch; name a folder/u,
    ],
    ['a lead of a year', [...served, '--drain-lead', '8760h'], /error: --drain-lead must be a number of milliseconds/u],
    [
      'several at once',
      [...served, '--drain-lead', '25h', '--allow', 'x'],
      /error: --allow must .*; --drain-lead must /u,
    ],
    ['exec without a program', ['exec', '-p', '0'], /missing required argument 'program'/u],
    ['exec without a place', ['exec', '--', 'date'], /say where to listen: --port or --endpoint/u],
    [
      'exec in no directory',
      ['exec', '-p', '0', '--cwd', '/no/such', 'date'],
      /error: --cwd must be a directory: \/no\/such is none/u,
    ],
    [
      'a variable without a value',
      ['exec', '-p', '0', '--env', 'X', 'date'],
      /It has to be a name and its value, as in NAME=VALUE/u,
    ],
    [
      'an end that nobody knows',
      ['exec', '-p', '0', '--on-drain', 'x', 'date'],
      /It can be wait, end-input or terminate/u,
    ],
    ['flags of exec at serve', [...served, '--shell'], /unknown option '--shell'/u],
    ['flags of serve at exec', ['exec', '-p', '0', '--workers', '2', 'date'], /unknown option '--workers'/u],
    ['no workers', [...served, '--workers', '0'], /--workers <n>.*It has to be a whole number from 1 on, or cores/u],
    ['workers of another kind', [...served, '--workers', 'all'], /It has to be a whole number from 1 on, or cores/u],
    [
      'a dispatch that is none',
      [...served, '--workers', '2', '--dispatch', 'best'],
      /It can be round-robin, least-busy, hash or kernel/u,
    ],
    [
      'what is done about a death that is nothing',
      [...served, '--workers', '2', '--on-worker-death', 'mourn'],
      /It can be restart, shrink or stop/u,
    ],
    [
      'how there are workers where there are none',
      [...served, '--dispatch', 'hash', '--watchdog', '1s', '--boot-timeout', '1s'],
      /error: --dispatch, --boot-timeout, --watchdog need --workers: a number, or cores/u,
    ],
    ['one of them', [...served, '--on-worker-death', 'stop'], /error: --on-worker-death needs --workers: /u],
    [
      'several that are wrong about workers',
      [...served, '--workers', '4000', '--watchdog', '5ms', '--boot-timeout', '0'],
      /error: (?=.*--workers must )(?=.*--watchdog must )(?=.*--boot-timeout must )/u,
    ],
  ];
  for (const [what, args, says] of wrong) {
    test(`${what} is told, with exit code 2`, async () => {
      const { code, out, err } = await run(...args);
      assert.equal(code, 2);
      assert.match(err, says);
      assert.match(err, /portside (\[options\]|--help|serve --help|exec --help)/u);
      assert.doesNotMatch(err, /\n {4}at /u);
      assert.equal(out, '');
    });
  }
});

describe('what can not be served', () => {
  let folder = '';
  const file = (name: string): string => join(folder, name);
  const modules: Readonly<Record<string, string>> = {
    'handler.mjs': 'export default () => {};',
    'throws.mjs': 'function inner() { throw new Error("no database\\nand more"); }\ninner();',
    'throws-text.mjs': 'throw "just text";',
    'syntax.mjs': 'export default (conn => {',
    'imports.mjs': 'import "not-installed-anywhere"; export default () => {};',
    'nothing.mjs': 'const x = 1;',
    'named.mjs': 'export const handler = () => {}; export const other = 1;',
    'number.mjs': 'export default 5;',
    'object.mjs': 'export default { dta() {} };',
  };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portside-'));
    for (const [name, text] of Object.entries(modules)) await writeFile(file(name), text);
  });
  after(() => rm(folder, { recursive: true }));

  const faults: readonly (readonly [string, () => readonly string[], RegExp])[] = [
    [
      'a missing module',
      () => ['missing.ts', '-p', '0'],
      /There is no file missing\.ts; check the path, which is relative to \//u,
    ],
    [
      'a missing module by its whole path',
      () => [file('missing.ts'), '-p', '0'],
      /There is no file \S+missing\.ts; check the path\.$/u,
    ],
    ['a directory', () => [folder, '-p', '0'], / is a directory; name the file of the module/u],
    ['a module that throws', () => [file('throws.mjs'), '-p', '0'], /throws\.mjs can't be loaded: no database$/u],
    ['a module that throws a text', () => [file('throws-text.mjs'), '-p', '0'], /can't be loaded: "just text"$/u],
    [
      'a module with a mistake',
      () => [file('syntax.mjs'), '-p', '0'],
      /syntax\.mjs can't be loaded: Unexpected end of input$/u,
    ],
    [
      'a module that imports what is not there',
      () => [file('imports.mjs'), '-p', '0'],
      /'not-installed-anywhere'.*\(what it imports is not there; install it, or check the path\)$/u,
    ],
    [
      'a module that exports nothing',
      () => [file('nothing.mjs'), '-p', '0'],
      /nothing\.mjs exports nothing; export the handler as its default: export default/u,
    ],
    [
      'a module without a default',
      () => [file('named.mjs'), '-p', '0'],
      /named\.mjs exports only handler, other; export the handler as its default/u,
    ],
    [
      'a number',
      () => [file('number.mjs'), '-p', '0'],
      /is not a handler; it has to be a function, or an object with some of open, data, end, drain and close\.$/u,
    ],
    ['an object without callbacks', () => [file('object.mjs'), '-p', '0'], /is not a handler/u],
    [
      'an unknown host',
      () => [file('handler.mjs'), '-p', '0', '--host', 'nobody.invalid'],
      /listen on "?nobody\.invalid"?.*Check how it is spelt/u,
    ],
    [
      'an address of another machine',
      () => [file('handler.mjs'), '-p', '0', '--host', '192.0.2.1'],
      /192\.0\.2\.1:0 is not an address of this machine; listen on one that is/u,
    ],
  ];
  for (const [what, args, says] of faults) {
    test(`${what} is told in one line, with exit code 1; --verbose shows where it comes from`, async () => {
      const { code, out, err } = await run('serve', ...args());
      assert.equal(code, 1);
      assert.equal(out, '');
      assert.match(err, /^portside: [^\n]+\n$/u);
      assert.match(err.trimEnd(), says);
      const verbose = await run('serve', ...args(), '--verbose');
      assert.equal(verbose.code, 1);
      assert.match(verbose.err, /\n {4}at /u);
    });
  }

  test('--verbose shows the stack of a module that throws, which is not taken for a prefix', async () => {
    const { err } = await run('serve', '--verbose', file('throws.mjs'), '-p', '0');
    assert.match(err, /caused by: Error: no database[^]*at inner \(.*throws\.mjs:1/u);
  });

  test('a port in use is told, and what to do', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      assert.deepEqual(await run('serve', file('handler.mjs'), '-p', String(port)), {
        code: 1,
        out: '',
        err: `portside: 127.0.0.1:${port} is in use by another program; choose another port or stop it\n`,
      });
    } finally {
      other.close();
    }
  });

  test('a port without permission is told, and what to do', { skip: process.platform !== 'linux' }, async (t) => {
    const node = [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      '--import',
      inCheckout('scripts/on-source.ts'),
    ];
    const command = [...node, inCheckout('src/cli/bin.ts'), 'serve', file('handler.mjs'), '-p', '1'];
    // Root may have any port, unless it gave up that one privilege.
    const root = process.getuid?.() === 0;
    const [first = '', ...rest] = root
      ? ['setpriv', '--bounding-set=-net_bind_service', '--inh-caps=-net_bind_service', ...command]
      : command;
    const program = start(t, first, rest);
    assert.deepEqual(await program.exit, { code: 1, signal: null });
    assert.match(program.err, /^portside: port 1 needs permission: choose one from 1024 up, [^\n]+\n$/u);
  });
});
