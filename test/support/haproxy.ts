import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Why tests with HAProxy are left out; false where it is there. With PORTSIDE_REQUIRE_HAPROXY=1 its absence is an error. */
export function withoutHaproxy(): string | false {
  if (spawnSync('haproxy', ['-v']).status === 0) return false;
  if (process.env['PORTSIDE_REQUIRE_HAPROXY'] === '1') throw new Error('haproxy is not installed');
  return 'haproxy is not installed';
}

/** A port on which HAProxy listens. */
export interface Door {
  readonly host: string;
  readonly port: number;
  /** What stands after the word `bind` in the configuration. Options may follow it. */
  readonly bind: string;
}

/** What HAProxy is to be. */
export interface HaproxyOptions<Name extends string> {
  /** Its ports by name, each with the address that it is bound to; the system chooses the number. */
  readonly doors: Readonly<Record<Name, string>>;
  /**
   * The sections after `global` and `defaults` (mode tcp, a log on stdout): `frontend`, `backend`, `listen`. `folder` is one for
   * files of the test's own, and goes with it.
   */
  config(doors: Readonly<Record<Name, Door>>, folder: string): string;
  /** Lines that are added to `defaults`. */
  readonly defaults?: readonly string[] | undefined;
}

/** HAProxy at work, until the test is over. */
export interface Haproxy<Name extends string> {
  readonly doors: Readonly<Record<Name, Door>>;
  /** Everything that it has logged. */
  readonly log: string;
  /** Waits until it has logged this, and gives the match; fails when it ends before. */
  until(what: RegExp): Promise<RegExpMatchArray>;
}

const prelude = ['global', '  log stdout format raw daemon', '  maxconn 200', 'defaults', '  log global', '  mode tcp'];
const times = ['  timeout connect 5s', '  timeout client 20s', '  timeout server 20s'];

/**
 * Runs the real HAProxy with a configuration of the test's own, when it is ready. Its ports are bound here and inherited by
 * it, so that no port is guessed. A configuration that it refuses fails the test with what HAProxy says.
 */
export async function startHaproxy<Name extends string>(
  t: TestContext,
  options: HaproxyOptions<Name>,
): Promise<Haproxy<Name>> {
  const folder = mkdtempSync(join(tmpdir(), 'portside-haproxy-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const names = Object.keys(options.doors) as Name[];
  const servers: Server[] = [];
  const doors = {} as Record<Name, Door>;
  for (const [i, name] of names.entries()) {
    const server = createServer().listen(0, options.doors[name]);
    servers.push(server);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    // Behind stdin, stdout and stderr.
    doors[name] = { host: options.doors[name], port, bind: `fd@${3 + i}` };
  }
  const file = join(folder, 'haproxy.cfg');
  const defaults = (options.defaults ?? []).map((line) => `  ${line}`);
  writeFileSync(file, [...prelude, ...times, ...defaults, options.config(doors, folder), ''].join('\n'));
  const descriptors = servers.map((server) => (server as unknown as { _handle: { fd: number } })._handle.fd);
  const child = spawn('haproxy', ['-V', '-db', '-f', file], { stdio: ['ignore', 'pipe', 'pipe', ...descriptors] });
  for (const server of servers) server.close();
  const haproxy = new Watched(t, child, doors);
  await haproxy.until(/as the polling mechanism/u);
  return haproxy;
}

class Watched<Name extends string> implements Haproxy<Name> {
  readonly doors: Readonly<Record<Name, Door>>;
  log = '';
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(t: TestContext, child: ChildProcess, doors: Readonly<Record<Name, Door>>) {
    this.doors = doors;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.log += text;
        this.#wake();
      });
    }
    const over = new Promise<void>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', () => {
        this.#ended = true;
        this.#wake();
        resolve();
      });
    });
    t.after(async () => {
      child.kill('SIGKILL');
      await over;
    });
  }

  async until(what: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.log.match(what);
      if (match !== null) return match;
      if (this.#ended) throw new Error(`haproxy ended without ${String(what)}:\n${this.log}`);
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
