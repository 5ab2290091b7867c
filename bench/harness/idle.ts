/** The idle work: what a connection that does nothing costs in memory. */
import { readdirSync, readFileSync } from 'node:fs';
import { Child } from './child.ts';
import { BASELINE, BUN, LIMIT } from './contenders.ts';
import { startServer, type Bench, type Server } from './field.ts';
import { figure } from './statistics.ts';
import { short, table, withRange } from './table.ts';

export interface IdlePlan {
  readonly title: string;
  readonly rounds: number;
  readonly connections: number;
}

/** Bytes. What a server without a JavaScript heap does not have is 0. */
interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
}

export interface IdleRound {
  readonly contender: string;
  readonly round: number;
  /** After {@link WARM_CONNECTIONS} came and went, so that code and pools that come with the first are in it. */
  readonly before: Memory;
  readonly during: Memory;
  /** Bytes for each connection. */
  readonly rssEach: number;
  readonly heapEach: number;
}

export interface IdleResult {
  readonly plan: IdlePlan;
  readonly rounds: readonly IdleRound[];
}

/**
 * Connections that come and go before the first reading. Few, because memory that a process took once it seldom
 * gives back, and what the measured ones then found free would not be counted as theirs.
 */
const WARM_CONNECTIONS = 300;
/** How long opening all connections, a collection, or closing all may take, milliseconds. */
const PATIENCE = 60_000;

/** Files that a runtime may open for itself at the first connections. */
const SPARE_FILES = 8;

/** Resident bytes, summed over the mappings: the counter in /proc/PID/status is a rough one. */
function residentBytes(pid: number): number {
  const kilobytes = /^Rss:\s+(\d+) kB$/mu.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

async function memoryOf(server: Server): Promise<Memory> {
  if (server.tellsMemory) {
    server.child.say('mem');
    const { heapUsed, external, arrayBuffers } = JSON.parse(await server.child.line('MEM ', PATIENCE)) as Memory;
    return { rss: residentBytes(server.child.pid), heapUsed, external, arrayBuffers };
  }
  return { rss: residentBytes(server.child.pid), heapUsed: 0, external: 0, arrayBuffers: 0 };
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Waits until the server has closed its side of all connections. */
async function drained(server: Server, files: number): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  while (openFiles(server.child.pid) > files + SPARE_FILES) {
    if (performance.now() > deadline) throw new Error('the server kept connections open whose peers had closed');
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Opens the connections, runs `during` while they are idle, and closes them. */
async function holding<T>(bench: Bench, server: Server, count: number, during: () => Promise<T>): Promise<T> {
  const command = [bench.programs.load, 'idle', '--port', String(server.port), '--connections', String(count)];
  const load = new Child('load', command, {}, bench.cores.load);
  try {
    await load.line('{', PATIENCE);
    const result = await during();
    load.say('close');
    const { lost } = JSON.parse(`{${await load.line('{', PATIENCE)}`) as { lost: number };
    if (lost > 0) throw new Error(`the server closed ${lost} of ${count} idle connections`);
    return result;
  } finally {
    await load.end();
  }
}

/** Measures every contender `plan.rounds` times, each in a process of its own. */
export async function runIdle(bench: Bench, plan: IdlePlan, progress: (text: string) => void): Promise<IdleResult> {
  const rounds: IdleRound[] = [];
  await bench.field.rounds(plan.rounds, progress, async (contender, round) => {
    const server = await startServer(bench, contender);
    try {
      const files = openFiles(server.child.pid);
      await holding(bench, server, WARM_CONNECTIONS, async () => {});
      await drained(server, files);
      const before = await memoryOf(server);
      const during = await holding(bench, server, plan.connections, () => memoryOf(server));
      await drained(server, files);
      const each = (pick: (memory: Memory) => number): number => (pick(during) - pick(before)) / plan.connections;
      const rssEach = each((memory) => memory.rss);
      const heapEach = each((memory) => memory.heapUsed + memory.external);
      rounds.push({ contender: contender.name, round, before, during, rssEach, heapEach });
    } finally {
      await server.child.end();
    }
  });
  return { plan, rounds };
}

function row(rounds: readonly IdleRound[], name: string): string[] {
  const of = (contender: string, pick: (one: IdleRound) => number) =>
    figure(rounds.filter((one) => one.contender === contender).map(pick));
  const ratio = (pick: (one: IdleRound) => number, to = BASELINE): string =>
    short(of(name, pick).median / of(to, pick).median);
  const heap = name === LIMIT ? '–' : withRange(of(name, (one) => one.heapEach));
  return [
    name,
    heap,
    name === LIMIT ? '–' : ratio((one) => one.heapEach),
    withRange(of(name, (one) => one.rssEach)),
    ratio((one) => one.rssEach),
    ratio((one) => one.rssEach, BUN),
    short(of(name, (one) => one.before.rss / 2 ** 20).median),
    short(of(name, (one) => one.during.rss / 2 ** 20).median),
  ];
}

/** The table of a result. */
export function idleTable(result: IdleResult, names: readonly string[]): string {
  const head = [
    result.plan.title,
    'heap B/connection',
    `× ${BASELINE}`,
    'RSS B/connection',
    `× ${BASELINE}`,
    `× ${BUN}`,
    'RSS MiB before',
    'RSS MiB with all',
  ];
  const measured = new Set(result.rounds.map((one) => one.contender));
  const none = (name: string): string[] => [name, 'not measured', ...head.slice(2).map(() => '–')];
  return table(
    head,
    names.map((name) => (measured.has(name) ? row(result.rounds, name) : none(name))),
  );
}
