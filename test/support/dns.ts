import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { bindUdp } from '../../src/net/udp.ts';
import { start } from './program.ts';
import type { Program } from './program.ts';

/** Why tests with real DNS are left out; false where dig and unbound are there. With PORTSIDE_REQUIRE_DNS=1 their absence is an error. */
export function withoutDns(): string | false {
  const missing = ['dig', 'unbound'].filter((program) => spawnSync(program, ['-h']).error !== undefined);
  if (missing.length === 0) return false;
  const why = `${missing.join(' and ')} can't be run`;
  if (process.env['PORTSIDE_REQUIRE_DNS'] === '1') throw new Error(why);
  return why;
}

/** A port of this machine that nobody has, by UDP nor TCP, below those that the system gives away by itself. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const tcp = createServer().listen(port, '127.0.0.1');
    const [free, udp] = await Promise.all([
      once(tcp, 'listening').then(
        () => true,
        () => false,
      ),
      bindUdp({ host: '127.0.0.1', port }).catch(() => null),
    ]);
    await udp?.close();
    if (!free) continue;
    tcp.close();
    await once(tcp, 'close');
    if (udp !== null) return port;
  }
}

/** The server unbound, with one zone. */
export class Unbound {
  readonly port: number;
  readonly #program: Program;

  constructor(port: number, program: Program) {
    this.port = port;
    this.#program = program;
  }

  /** How often it was asked, by UDP and TCP. */
  asked(name: string, type = 'A'): number {
    return this.#program.err.split(` 127.0.0.1 ${name}. ${type} IN\n`).length - 1;
  }
}

/** Runs unbound with a zone as files have it, when it is ready. */
export async function startUnbound(t: TestContext, zone: string, records: readonly string[]): Promise<Unbound> {
  const folder = mkdtempSync(join(tmpdir(), 'portside-unbound-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const [zoneFile, configFile] = [join(folder, 'zone'), join(folder, 'unbound.conf')];
  writeFileSync(zoneFile, [`$ORIGIN ${zone}.`, ...records, ''].join('\n'));
  const config = [
    'server:',
    `  interface: 127.0.0.1@${port}`,
    `  directory: "${folder}"`,
    '  chroot: ""',
    '  username: ""',
    '  pidfile: ""',
    '  logfile: ""',
    '  use-syslog: no',
    '  do-daemonize: no',
    '  log-queries: yes',
    '  num-threads: 1',
    '  module-config: "iterator"',
    '  outgoing-range: 64',
    'remote-control:',
    '  control-enable: no',
    'auth-zone:',
    `  name: "${zone}"`,
    `  zonefile: "${zoneFile}"`,
    '  for-downstream: yes',
    '  for-upstream: no',
    '  fallback-enabled: no',
    '',
  ];
  writeFileSync(configFile, config.join('\n'));
  const program = start(t, 'unbound', ['-d', '-c', configFile]);
  await program.until(/start of service/u, 'err');
  return new Unbound(port, program);
}

/** A record as dig shows it. */
export interface Dug {
  readonly name: string;
  readonly ttl: number;
  readonly type: string;
  readonly data: string;
}

/** What dig got. */
export interface Digging {
  readonly status: string | undefined;
  readonly flags: readonly string[];
  readonly answers: readonly Dug[];
  readonly authorities: readonly Dug[];
  /** All that it printed. */
  readonly text: string;
}

/** Asks as a user does. */
export async function dig(t: TestContext, port: number, ...args: readonly string[]): Promise<Digging> {
  const program = start(t, 'dig', ['@127.0.0.1', '-p', String(port), '+tries=1', '+timeout=10', ...args]);
  const { code } = await program.exit;
  const text = program.out;
  assert.equal(code, 0, text + program.err);
  return {
    text,
    status: /status: (\w+)/u.exec(text)?.[1],
    flags: /^;; flags: ([a-z ]*);/mu.exec(text)?.[1]?.split(' ') ?? [],
    answers: section(text, 'ANSWER'),
    authorities: section(text, 'AUTHORITY'),
  };
}

function section(text: string, name: string): Dug[] {
  const [, lines = ''] = new RegExp(`^;; ${name} SECTION:\n([^]*?)\n\n`, 'mu').exec(text) ?? [];
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, owner = '', ttl = '', type = '', data = ''] = /^(\S+)\s+(\d+)\s+IN\s+(\S+)\s+(.*)$/u.exec(line) ?? [];
      return { name: owner, ttl: Number(ttl), type, data };
    });
}
