import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { main, packageVersion } from '../../src/cli/main.ts';
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
      assert.match(out, /Usage: portside .*\n[^]*--version[^]*serve \[options\] <module>/u);
      assert.equal(err, '');
    });
  }

  for (const args of [
    ['serve', '--help'],
    ['serve', '-h'],
    ['help', 'serve'],
  ]) {
    test(`portside ${args.join(' ')} tells every option, in lines of a terminal`, async () => {
      const { code, out, err } = await run(...args);
      assert.equal(code, 0);
      const options = 'port host endpoint backlog max-connections mode grace transport verbose help'.split(' ');
      for (const option of options) assert.match(out, new RegExp(`^  .*--${option}\\b.*  +\\S`, 'mu'));
      assert.match(out, /Examples:\n {2}portside serve /u);
      for (const line of out.split('\n')) assert.ok(line.length <= 80, line);
      assert.equal(err, '');
    });
  }

  test('--version is the version of the package', async () => {
    assert.match(packageVersion(), /^\d+\.\d+\.\d+/u);
    for (const option of ['--version', '-V'])
      assert.deepEqual(await run(option), { code: 0, out: `${packageVersion()}\n`, err: '' });
  });
});

describe('wrong usage', () => {
  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no command', [], /Usage: portside/u],
    ['an unknown command', ['srve', 'x.ts'], /unknown command 'srve'\n\(Did you mean serve\?\)/u],
    ['an unknown option', ['serve', echo, '--prot', '0'], /unknown option '--prot'\n\(Did you mean --port\?\)/u],
    ['no module', ['serve', '--port', '0'], /missing required argument 'module'/u],
    ['two modules', ['serve', echo, echo, '--port', '0'], /too many arguments/u],
    ['no place', ['serve', echo], /say where to listen: --port or --endpoint/u],
    ['a host without a port', ['serve', echo, '-e', '/tmp/x.sock', '--host', '::1'], /--host goes with --port/u],
    ['a port without a number', ['serve', echo, '--port'], /--port <port>' argument missing/u],
    ['a grace that is no time', ['serve', echo, '-p', '0', '--grace', '1s'], /--grace <ms>' argument '1s' is invalid/u],
    ['a backlog of none', ['serve', echo, '-p', '0', '--backlog', '0'], /a whole number from 1 on/u],
    ['no connections', ['serve', echo, '-p', '0', '--max-connections', '-1'], /a whole number from 1 on/u],
    ['a mode that is none', ['serve', echo, '-p', '0', '--mode', '888'], /three octal digits/u],
    ['a transport that is none', ['serve', echo, '-p', '0', '--transport', 'x'], /It can be auto, node or native/u],
  ];
  for (const [what, args, says] of wrong) {
    test(`${what} is told, with exit code 2`, async () => {
      const { code, out, err } = await run(...args);
      assert.equal(code, 2);
      assert.match(err, says);
      assert.match(err, /portside (\[options\]|--help)/u);
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
      'a port that is too high',
      () => [file('handler.mjs'), '-p', '70000'],
      /--port: .*from 0 to 65535 or the name of a service, not "70000"/u,
    ],
    ['an unknown service', () => [file('handler.mjs'), '-p', 'smpt'], /--port: .*did you mean "smtp"/u],
    [
      'a wrong endpoint',
      () => [file('handler.mjs'), '-e', 'tpc://:5000'],
      /--endpoint: "tpc:\/\/:5000" can't be used as an endpoint: /u,
    ],
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
      const verbose = await run('serve', '--verbose', ...args());
      assert.equal(verbose.code, 1);
      assert.match(verbose.err, /\n {4}at /u);
    });
  }

  test('--verbose shows the stack of a module that throws', async () => {
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
