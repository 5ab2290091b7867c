import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { isPortsideError } from '../../src/base/errors.ts';
import { applyUnixMode, claimUnixPath, identify, prepareUnixPath, removeUnixPath } from '../../src/net/unix-path.ts';
import type { Acceptor, BindOptions, Transport } from '../../src/transport/contract.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';

const transport: Transport = nodeTransport;
const options: BindOptions = { backlog: 16, reusePort: false, reuseAddress: undefined };

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'portside-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The file of a socket whose server was killed. */
async function deadSocket(path: string): Promise<void> {
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.send('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const exited = once(child, 'exit');
  await once(child, 'message');
  child.kill('SIGKILL');
  await exited;
  assert.ok(lstatSync(path).isSocket());
}

function refusal(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  return promise.then(
    () => assert.fail('it resolved'),
    (error: unknown) => {
      assert.ok(isPortsideError(error), String(error));
      return error;
    },
  );
}

const prepare = (path: string): Promise<void> => prepareUnixPath(path, (target) => transport.dial(target));

describe('a path of a Unix socket', { skip: process.platform === 'win32', timeout: 60_000 }, () => {
  test('is cleared of the file of a server that was killed', async (t) => {
    const path = join(folder(t), 's');
    await deadSocket(path);
    await prepare(path);
    assert.equal(existsSync(path), false);
  });

  test('is left alone when a server listens there, and binding says so', async (t) => {
    const path = join(folder(t), 's');
    const living = await transport.listen({ kind: 'unix', path }, options);
    t.after(() => living.close());
    const before = identify(path);
    const { code, message } = await refusal(claimUnixPath(path, undefined, transport, options));
    assert.equal(code, 'EADDRINUSE');
    assert.match(message, /taken/u);
    assert.deepEqual(identify(path), before);
    // It still serves.
    const channel = await transport.dial({ kind: 'unix', path }).result;
    channel.destroy('drop');
  });

  test('is left alone when a server listens there whose socket is of another type', async (t) => {
    const path = join(folder(t), 's');
    const child = spawn(
      'python3',
      [
        '-c',
        'import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nprint("up", flush=True)\nsys.stdin.read()',
        path,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const started = await Promise.race([
      once(child.stdout, 'data').then(() => true),
      once(child, 'error').then(() => false),
    ]);
    if (!started) return t.skip('no python3');
    t.after(() => child.kill());
    await prepare(path);
    assert.ok(lstatSync(path).isSocket());
  });

  test('is never cleared of what is not a socket', async (t) => {
    const dir = folder(t);
    const file = join(dir, 'file');
    writeFileSync(file, 'precious');
    const link = join(dir, 'link');
    symlinkSync(join(dir, 'nowhere'), link);
    const inner = join(dir, 'inner');
    mkdirSync(inner);
    for (const [path, says] of [
      [file, /is a file, not a socket/u],
      [link, /is a symbolic link/u],
      [inner, /is a directory/u],
    ] as const) {
      const { code, message } = await refusal(prepare(path));
      assert.equal(code, 'EADDRINUSE');
      assert.match(message, says);
      assert.ok(lstatSync(path));
    }
  });

  test('needs nothing when there is no file, and says so when there is no folder', async (t) => {
    const dir = folder(t);
    await prepare(join(dir, 'none'));
    await assert.rejects(prepare(join(dir, 'none', 'none')), {
      code: 'ENOENT',
      message: /there is no directory .*none/u,
    });
    writeFileSync(join(dir, 'file'), '');
    await prepare(join(dir, 'file', 'none'));
  });

  test('of two servers that start at once over a dead file, one serves and the other is told', async (t) => {
    const path = join(folder(t), 's');
    await deadSocket(path);
    const all = await Promise.allSettled([1, 2, 3].map(() => claimUnixPath(path, 0o600, transport, options)));
    const up = all.filter((one) => one.status === 'fulfilled');
    t.after(() => up.forEach(({ value }) => value.acceptors.forEach((acceptor) => acceptor.close())));
    assert.equal(up.length, 1);
    for (const one of all)
      if (one.status === 'rejected') assert.equal((one.reason as { code: string }).code, 'EADDRINUSE');
    const channel = await transport.dial({ kind: 'unix', path }).result;
    channel.destroy('drop');
  });

  test('is removed at close', async (t) => {
    const path = join(folder(t), 's');
    const { acceptors, cleanup } = await claimUnixPath(path, undefined, transport, options);
    assert.ok(lstatSync(path).isSocket());
    for (const acceptor of acceptors) acceptor.close();
    cleanup();
    assert.equal(existsSync(path), false);
    cleanup();
  });

  test('is removed at close in whatever folder the process is by then', async (t) => {
    const dir = folder(t);
    const home = process.cwd();
    t.after(() => process.chdir(home));
    process.chdir(dir);
    const { acceptors, cleanup } = await claimUnixPath('elsewhere', undefined, transport, options);
    process.chdir(home);
    for (const acceptor of acceptors) acceptor.close();
    cleanup();
    assert.equal(existsSync(join(dir, 'elsewhere')), false);
  });

  test('is not removed when another file is there by now', async (t) => {
    const path = join(folder(t), 's');
    const first = await transport.listen({ kind: 'unix', path }, options);
    const identity = identify(path);
    renameSync(path, `${path}.old`);
    const second = await transport.listen({ kind: 'unix', path }, options);
    t.after(() => second.close());
    removeUnixPath(path, identity);
    assert.ok(lstatSync(path).isSocket());
    unlinkSync(path);
    writeFileSync(path, 'a file');
    removeUnixPath(path, identity);
    assert.ok(lstatSync(path).isFile());
    removeUnixPath(`${path}.old`, identity);
    assert.equal(existsSync(`${path}.old`), false);
    first.close();
  });

  test('has no file when it is abstract', { skip: process.platform !== 'linux' }, async () => {
    const path = `\0portside-${process.pid}-${Date.now()}`;
    await prepare(path);
    removeUnixPath(path, identify(path));
    assert.equal(identify(path), undefined);
    const { acceptors, cleanup } = await claimUnixPath(path, undefined, transport, options);
    const channel = await transport.dial({ kind: 'unix', path }).result;
    channel.destroy('drop');
    for (const acceptor of acceptors) acceptor.close();
    cleanup();
    const { code, message } = await refusal(claimUnixPath(path, 0o600, transport, options));
    assert.equal(code, 'ERR_PORTSIDE_OPTIONS');
    assert.match(message, /abstract name, which has no file/u);
  });
});

describe('the permissions of a Unix socket', { skip: process.platform === 'win32', timeout: 60_000 }, () => {
  test('are what was asked for, narrower or wider than the umask', async (t) => {
    const dir = folder(t);
    for (const mode of [0o600, 0o660, 0o666, 0o777, 0o700]) {
      const path = join(dir, mode.toString(8));
      const { acceptors, cleanup } = await claimUnixPath(path, mode, transport, options);
      assert.equal(statSync(path).mode & 0o777, mode);
      for (const acceptor of acceptors) acceptor.close();
      cleanup();
    }
  });

  test('can be set in a worker thread, where the umask can’t', async (t) => {
    const path = join(folder(t), 's');
    const source = `
      import { statSync } from 'node:fs';
      import { parentPort, workerData } from 'node:worker_threads';
      const { claimUnixPath } = await import(workerData.unixPath);
      const { nodeTransport } = await import(workerData.transport);
      const { acceptors } = await claimUnixPath(workerData.path, 0o600, nodeTransport, { backlog: 1, reusePort: false, reuseAddress: undefined });
      parentPort.postMessage(statSync(workerData.path).mode & 0o777);
      for (const acceptor of acceptors) acceptor.close();
    `;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
      workerData: {
        path,
        unixPath: new URL('../../src/net/unix-path.ts', import.meta.url).href,
        transport: new URL('../../src/transport/node/transport.ts', import.meta.url).href,
      },
    });
    // Both are waited for from the start: the exit may come in the same turn as the message.
    const exited = once(worker, 'exit');
    const [mode] = (await once(worker, 'message')) as [number];
    assert.equal(mode, 0o600);
    await exited;
  });

  test('that can’t be set are an error with the system’s code', (t) => {
    const path = join(folder(t), 'none');
    assert.throws(
      () => applyUnixMode(path, 0o600),
      (error) => isPortsideError(error) && error.code === 'ENOENT' && error.local === `unix://${path}`,
    );
  });

  // In a process of its own, because the umask is the whole process's.
  test('keep out whoever slipped in before they were set, when the umask is lax', (t) => {
    const path = join(folder(t), 's');
    const script = `
      import { once } from 'node:events';
      import { createConnection } from 'node:net';
      import { claimUnixPath } from ${JSON.stringify(new URL('../../src/net/unix-path.ts', import.meta.url).href)};
      import { nodeTransport } from ${JSON.stringify(new URL('../../src/transport/node/transport.ts', import.meta.url).href)};
      process.umask(Number(process.argv[2]));
      let early;
      const slipping = {
        ...nodeTransport,
        flags: nodeTransport.flags,
        dial: (target) => nodeTransport.dial(target),
        async listen(target, options) {
          const acceptor = await nodeTransport.listen(target, options);
          early = createConnection(target.path);
          early.on('error', () => {});
          await once(early, 'connect');
          return acceptor;
        },
      };
      const options = { backlog: 4, reusePort: false, reuseAddress: undefined };
      const { acceptors: [acceptor], cleanup } = await claimUnixPath(process.argv[1], 0o600, slipping, options);
      const late = createConnection(process.argv[1]);
      await once(late, 'connect');
      const taken = [];
      acceptor.watcher = { ready() { for (let c = acceptor.take(); c !== null; c = acceptor.take()) taken.push(c); }, trouble() {} };
      acceptor.want(true);
      while (taken.length < Number(process.argv[3])) await new Promise(setImmediate);
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
      console.log(taken.length);
      for (const channel of taken) channel.destroy('drop');
      early.destroy();
      late.destroy();
      acceptor.close();
      cleanup();
    `;
    const run = (umask: number, expected: number): string =>
      execFileSync(process.execPath, ['--input-type=module', '-e', script, path, String(umask), String(expected)], {
        encoding: 'utf8',
        timeout: 30_000,
      }).trim();
    assert.equal(run(0o000, 1), '1');
    // Under a strict umask nobody could slip in whom the mode keeps out, and nobody is sent away.
    assert.equal(run(0o177, 2), '2');
  });

  test('close the socket again when they can’t be set', async (t) => {
    const path = join(folder(t), 's');
    let closed = 0;
    const failing: Transport = {
      ...transport,
      flags: transport.flags,
      dial: (target) => transport.dial(target),
      async listen(target, how): Promise<Acceptor> {
        const acceptor = await transport.listen(target, how);
        const close = acceptor.close.bind(acceptor);
        acceptor.close = () => {
          closed += 1;
          close();
        };
        unlinkSync(path);
        return acceptor;
      },
    };
    assert.equal((await refusal(claimUnixPath(path, 0o600, failing, options))).code, 'ENOENT');
    assert.equal(closed, 1);
  });

  test('decide who may connect', async (t) => {
    const dir = folder(t);
    chmodSync(dir, 0o755);
    const path = join(dir, 's');
    const root = process.getuid?.() === 0;
    const { acceptors, cleanup } = await claimUnixPath(path, root ? 0o600 : 0o000, transport, options);
    t.after(() => {
      for (const acceptor of acceptors) acceptor.close();
      cleanup();
    });
    // Root may connect to anything, so somebody else has to try.
    const script =
      'import socket, sys\ntry:\n  socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n  print("in")\nexcept OSError as e:\n  print(e.errno)';
    const connecting = (): string =>
      execFileSync('python3', ['-c', script, path], {
        encoding: 'utf8',
        cwd: '/',
        ...(root && { uid: 65_534, gid: 65_534 }),
      }).trim();
    if (spawnSync('python3', ['--version']).status !== 0) return t.skip('no python3');
    assert.equal(connecting(), String(constants.errno.EACCES));
    applyUnixMode(path, 0o666);
    assert.equal(connecting(), 'in');
  });
});
