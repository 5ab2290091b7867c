/**
 * What a user gets: the tarball of `npm pack`, installed into an empty project outside the checkout. A server is started from it
 * by `npx portside serve` and answers `nc`, on node:net and on the native core that the tarball brings along; a strict consumer type-checks; a Node that is too old is told so.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { libcOf } from '../src/transport/native/libc.ts';
import { entries } from './entries.ts';
import { environment, fileIn, manifest, must, run, start, stop, until } from './tools.ts';

const { name, version, bin, exports, devDependencies } = manifest();
const project = mkdtempSync(join(tmpdir(), 'portside-pack-'));
try {
  const tarball = await pack();
  await install(tarball);
  await typeCheck();
  await native();
  await serve('node');
  if (process.platform === 'linux') await serve('native');
  await tooOld();
  console.log('The package is whole.');
} finally {
  rmSync(project, { recursive: true, force: true });
}

/** Packs the checkout and looks at what is in the tarball. */
async function pack(): Promise<string> {
  const folder = join(project, 'tarball');
  mkdirSync(folder);
  await must('npm', ['pack', '--silent', '--pack-destination', folder], { limit: 300_000 });
  const [file] = readdirSync(folder);
  if (file === undefined) throw new Error('npm pack left no tarball');
  const { stdout } = await must('tar', ['-tzf', join(folder, file)]);
  const packed = new Set(
    stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.replace(/^package\//, '')),
  );

  const wanted = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', ...Object.values(bin)];
  for (const target of Object.values(exports))
    wanted.push(...(typeof target === 'string' ? [target] : Object.values(target)));
  // Every source is there, built, with its types; else a map or a worker's file leads nowhere.
  for (const path of readdirSync(fileIn('src'), { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts')) continue;
    wanted.push(`src/${path}`, ...['.js', '.d.ts', '.js.map'].map((ending) => `dist/${path.replace(/\.ts$/, ending)}`));
  }
  if (process.platform === 'linux')
    wanted.push(`prebuilds/${process.platform}-${process.arch}-${libcOf(process.execPath)}/portside.node`);
  const missing = wanted
    .map((path) => path.replace(/^\.\//, '').replaceAll('\\', '/'))
    .filter((path) => !packed.has(path));
  const top = [...packed].filter(
    (path) =>
      !/^(dist|src|prebuilds|examples\/systemd)\/|^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(path),
  );
  const tests = [...packed].filter((path) => /(^|\/)(test|bench|node_modules|\.ci)\/|\.test\./.test(path));
  const strangers = [...new Set([...top, ...tests])];
  if (missing.length > 0) throw new Error(`the tarball lacks ${missing.join(', ')}`);
  if (strangers.length > 0) throw new Error(`the tarball should not hold ${strangers.join(', ')}`);
  const kilobytes = Math.round(statSync(join(folder, file)).size / 1024);
  console.log(`${file}: ${packed.size} files, ${kilobytes} KB`);
  return join(folder, file);
}

/** Installs the tarball, as npm does by default, into a project that has nothing else but the types of Node. */
async function install(tarball: string): Promise<void> {
  const own = { name: 'consumer', private: true, type: 'module' };
  writeFileSync(join(project, 'package.json'), `${JSON.stringify(own)}\n`);
  const types = `@types/node@${devDependencies['@types/node'] ?? 'latest'}`;
  await must('npm', ['install', '--no-audit', '--no-fund', tarball, types], { cwd: project, limit: 300_000 });
  const { stdout } = await must('npx', ['--no-install', name, '--version'], { cwd: project });
  if (!stdout.includes(version)) throw new Error(`npx ${name} --version says ${stdout}`);
  console.log(`installed; npx ${name} --version says ${stdout.trim()}`);
}

/** Type-checks a consumer in strict mode, the declarations of the package included. */
async function typeCheck(): Promise<void> {
  const imports = [...entries().keys()].map(
    (entry, index) => `import * as entry${index} from '${entry}';\nvoid entry${index};`,
  );
  writeFileSync(join(project, 'entries.ts'), `${imports.join('\n')}\n`);
  writeFileSync(
    join(project, 'echo.ts'),
    `import type { Connection } from '${name}';\n\nexport default async function echo(conn: Connection): Promise<void> {\n` +
      '  for await (const chunk of conn) await conn.write(chunk);\n}\n',
  );
  writeFileSync(
    join(project, 'wrong.ts'),
    `import type { Connection } from '${name}';\n\nexport const wrong = (conn: Connection): unknown => conn.noSuchThing;\n`,
  );
  for (const settings of [{ module: 'nodenext' }, { module: 'preserve', moduleResolution: 'bundler' }]) {
    const compilerOptions = {
      ...settings,
      target: 'es2023',
      lib: ['es2023', 'esnext.disposable'],
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    };
    const config = (files: string[]): string => JSON.stringify({ compilerOptions, files });
    writeFileSync(join(project, 'tsconfig.json'), config(['entries.ts', 'echo.ts']));
    await must(fileIn('node_modules', '.bin', 'tsc'), ['-p', project], { cwd: project });
    writeFileSync(join(project, 'tsconfig.wrong.json'), config(['wrong.ts']));
    const wrong = await run(fileIn('node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.wrong.json'], { cwd: project });
    if (wrong.ok || !wrong.output.includes('noSuchThing')) throw new Error(`a wrong use type-checks\n${wrong.output}`);
  }
  console.log('a strict consumer type-checks');
}

/** The native core comes along and loads as it is: nothing is compiled, nor run when the package is installed. */
async function native(): Promise<void> {
  const home = join(project, 'node_modules', name);
  const { scripts = {} } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as {
    scripts?: Record<string, string>;
  };
  const run = ['preinstall', 'install', 'postinstall'].filter((script) => script in scripts);
  if (run.length > 0 || existsSync(join(home, 'binding.gyp')))
    throw new Error(`the package runs something when it is installed: ${[...run, 'binding.gyp'].join(', ')}`);
  if (process.platform !== 'linux') {
    console.log('the native core is for Linux: not tried');
    return;
  }
  const load = new URL(`file://${home}/dist/transport/native/load.js`).href;
  const code = `import(${JSON.stringify(load)}).then(({ loadNative }) => { const { path, reason } = loadNative(); console.log(path ?? reason); });`;
  const { stdout } = await must(process.execPath, ['--eval', code], { cwd: project, env: withoutCompiler() });
  const own = join('prebuilds', `${process.platform}-${process.arch}-${libcOf(process.execPath)}`, 'portside.node');
  const path = stdout.trim();
  if (!path.endsWith(join('node_modules', name, own)))
    throw new Error(`the native core is not that of the tarball: ${path}`);
  const others = readdirSync(join(home, 'prebuilds')).join(', ');
  console.log(`the native core is there for ${others}, and loads without a compiler`);
}

/** The environment of a machine without a C compiler, where nobody has said which core to take. */
function withoutCompiler(): NodeJS.ProcessEnv {
  return environment({ CC: '/nonexistent/cc', PORTSIDE_NATIVE: '' });
}

/** Serves a TypeScript module of the project and talks to it with nc. */
async function serve(transport: 'node' | 'native'): Promise<void> {
  const port = await freePort();
  const admin = `127.0.0.1:${await freePort()}`;
  let output = '';
  const place = ['--host', '127.0.0.1', '--port', String(port), '--transport', transport, '--admin', admin];
  const args = ['--no-install', name, 'serve', './echo.ts', ...place];
  const server = start('npx', args, ['ignore', 'pipe', 'pipe'], { cwd: project, env: withoutCompiler() });
  for (const stream of [server.stdout, server.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<number | null>((resolve) => server.once('close', (code) => resolve(code)));
  try {
    await until('the server to say that it listens', 30_000, () => output.includes(`127.0.0.1:${port}`));
    const reply = execFileSync('nc', ['-N', '127.0.0.1', String(port)], {
      input: 'over the wire\n',
      timeout: 10_000,
      encoding: 'utf8',
    });
    if (reply !== 'over the wire\n') throw new Error(`nc got ${JSON.stringify(reply)}`);
    // The page, its charts and the format of metrics come from the package and what it depends on.
    const page = await (await fetch(`http://${admin}/`)).text();
    const metrics = await (await fetch(`http://${admin}/metrics`)).text();
    if (!page.includes('uPlot') || !metrics.includes('# TYPE'))
      throw new Error('the admin endpoint gives no page, or no metrics');
    // To the server alone: the shell between it and npx would die of the signal, and its status hide the server's.
    process.kill(lastDescendant(server.pid ?? 0), 'SIGINT');
    const late = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), 20_000).unref());
    const code = await Promise.race([ended, late]);
    if (code !== 0) throw new Error(`after SIGINT npx ended with ${code ?? 'a signal'}`);
  } catch (error) {
    throw new Error(`the server of the tarball failed; it printed\n${output}`, { cause: error });
  } finally {
    stop(server, 'SIGKILL');
  }
  console.log(
    `npx ${name} serve --transport ${transport} answered nc on port ${port}, showed its page and metrics, and ended with 0 on SIGINT`,
  );
}

/** The command, started by a Node that is too old, says so in a sentence. */
async function tooOld(): Promise<void> {
  const outside = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
  const old = outside.map((folder) => join(folder, 'node')).find((path) => existsSync(path));
  const found = old === undefined ? '' : (await must(old, ['--version'])).stdout.trim();
  const [major = 0, minor = 0] = found.slice(1).split('.').map(Number);
  if (old === undefined || major > 22 || (major === 22 && minor >= 18)) {
    console.log(`the machine has no Node that is too old (${found === '' ? 'none at all' : found}): not tried`);
    return;
  }
  const command = join(project, 'node_modules', name, bin[name] ?? '');
  const env = { ...environment(), PATH: outside.join(delimiter) };
  const { code, output } = await run(old, [command, '--version'], { cwd: project, env });
  const plain =
    /node/i.test(output) &&
    output.includes(found.slice(1)) &&
    !/^\s+at /m.test(output) &&
    output.trim().split('\n').length <= 3;
  if (code !== 1 || !plain)
    throw new Error(`on Node ${found} the command ended with ${code ?? 'a signal'} and said\n${output}`);
  console.log(`on Node ${found} the command says: ${output.trim()}`);
}

/** The process at the end of a chain of processes that each started one. */
function lastDescendant(pid: number): number {
  const listed = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  const children = new Map(
    listed
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number).toReversed() as [number, number]),
  );
  let last = pid;
  for (let next = children.get(last); next !== undefined; next = children.get(last)) last = next;
  return last;
}

function freePort(): Promise<number> {
  const probe = createServer();
  return new Promise((resolve, reject) => {
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
