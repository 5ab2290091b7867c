import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { inCheckout } from '../support/program.ts';

/** Where the examples' servers and their readiness ports are. */
export interface Backend {
  readonly port: number;
  readonly ready: number;
}

/** A balancer at work, until the test is over. */
export interface Balancer {
  /** Where clients come in. */
  readonly port: number;
  readonly log: () => string;
  /** Writes a file of its configuration anew, changed, and gives the signal to read it. */
  change(name: string, change: (text: string) => string): void;
}

/** Why tests with nginx are left out; false where it is there, with its stream module. With PORTSIDE_REQUIRE_NGINX=1 its absence is an error. */
export function withoutNginx(): string | false {
  const folder = mkdtempSync(join(tmpdir(), 'portside-nginx-'));
  try {
    const args = [
      '-t',
      '-c',
      inCheckout('examples/load-balancers/nginx.conf'),
      '-e',
      'stderr',
      '-g',
      `pid ${folder}/pid;`,
    ];
    const { status, stderr } = spawnSync('nginx', args, { encoding: 'utf8' });
    if (status === 0) return false;
    const why = status === null ? 'nginx is not installed' : `nginx does not take its configuration: ${stderr}`;
    // A configuration that is wrong must not go unseen.
    if (
      process.env['PORTSIDE_REQUIRE_NGINX'] === '1' ||
      (status !== null && !/unknown directive "stream"/u.test(stderr))
    )
      throw new Error(why);
    return status === null ? why : 'nginx has no stream module';
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** HAProxy with the example's configuration before these servers. */
export function startHaproxyBefore(t: TestContext, backends: readonly Backend[]): Promise<Balancer> {
  return startBefore(t, backends, {
    files: ['haproxy.cfg'],
    // What it listens on is inherited.
    door: () => 'fd@3',
    command: (folder) => ['haproxy', '-V', '-db', '-f', join(folder, 'haproxy.cfg')],
    env: {},
    up: /as the polling mechanism/u,
    again: 'SIGUSR2',
  });
}

/** nginx with the example's configuration before these servers. */
export function startNginxBefore(t: TestContext, backends: readonly Backend[]): Promise<Balancer> {
  return startBefore(t, backends, {
    files: ['nginx.conf', 'backends.conf'],
    door: (port) => `127.0.0.1:${port}`,
    command: (folder) => {
      const own = `daemon off; pid ${folder}/pid; error_log stderr notice;`;
      return ['nginx', '-c', join(folder, 'nginx.conf'), '-e', 'stderr', '-g', own];
    },
    // By this it knows which of its descriptors is a socket that it listens on already.
    env: { NGINX: '3;' },
    up: /start worker process \d+[^]*start worker process \d+/u,
    again: 'SIGHUP',
  });
}

interface Kind {
  readonly files: readonly string[];
  readonly door: (port: number) => string;
  readonly command: (folder: string) => readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly up: RegExp;
  readonly again: NodeJS.Signals;
}

async function startBefore(t: TestContext, backends: readonly Backend[], kind: Kind): Promise<Balancer> {
  const folder = mkdtempSync(join(tmpdir(), 'portside-balancer-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const socket = createServer().listen(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address() as AddressInfo;
  writeFiles(folder, kind, kind.door(port), backends);
  const [program = '', ...args] = kind.command(folder);
  const env = { ...process.env, ...kind.env };
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe', descriptorOf(socket)] });
  socket.close();
  const log = await logUntil(t, child, kind.up);
  return {
    port,
    log,
    change(name, change) {
      const file = join(folder, name);
      const before = readFileSync(file, 'utf8');
      const after = change(before);
      if (after === before) throw new Error(`${name} has nothing to change`);
      writeFileSync(file, after);
      child.kill(kind.again);
    },
  };
}

/** The example's files, with addresses of the test's own in the places of theirs: nothing else is changed. */
function writeFiles(folder: string, { files }: Kind, door: string, backends: readonly Backend[]): void {
  const text = files.map((name) => readFileSync(inCheckout(`examples/load-balancers/${name}`), 'utf8')).join('\0');
  const swaps: (readonly [RegExp, string])[] = [[/(?<=(?:bind|listen) )127\.0\.0\.1:7000\b/u, door]];
  for (const [i, { port, ready }] of backends.entries()) {
    swaps.push([new RegExp(`(?<=\\bserver \\D*)127\\.0\\.0\\.1:700${i + 1}\\b(?! down)`, 'gu'), `127.0.0.1:${port}`]);
    if (/ port 7101/u.test(text)) swaps.push([new RegExp(`(?<= port )710${i + 1}\\b`, 'u'), String(ready)]);
  }
  let changed = text;
  for (const [what, by] of swaps) {
    if (changed.search(what) === -1) throw new Error(`the example has no ${String(what)}`);
    changed = changed.replace(what, by);
  }
  for (const [i, part] of changed.split('\0').entries()) writeFileSync(join(folder, files[i] ?? ''), part);
}

function descriptorOf(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

/** Resolves when a program has said this; it is ended with the test. */
async function logUntil(t: TestContext, child: ChildProcess, up: RegExp): Promise<() => string> {
  let log = '';
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const over = new Promise<void>((done) => {
    child.on('error', (error) => {
      reject(error);
      done();
    });
    child.on('close', () => {
      reject(new Error(`it ended:\n${log}`));
      done();
    });
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (up.test(log)) resolve();
    });
  }
  t.after(async () => {
    // SIGKILL would leave nginx' workers behind.
    child.kill('SIGTERM');
    await over;
  });
  await promise;
  return () => log;
}
