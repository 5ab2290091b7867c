/** The load of the Redis suites: one run of `redis-benchmark`, with the server's CPU time beside it. */
import { readdirSync, readFileSync } from 'node:fs';
import { Child } from './child.ts';
import type { Bench, Server } from './field.ts';
import type { LoadPlan, Report } from './load.ts';

/** Requests that say how many fit into a second. */
const PROBE = 20_000;
/** Keys that the commands are about. */
const KEYS = 10_000;
/** Time beyond what a run should take after which it is taken for hung, milliseconds. */
const PATIENCE = 60_000;

/** Nanoseconds of CPU of all threads that run. /proc/PID/stat would count in ticks of 10 ms. */
function cpuOf(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    }
  }
  return sum;
}

interface Run {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

async function run(bench: Bench, plan: LoadPlan, port: number, requests: number, seconds: number): Promise<Run> {
  const options = { p: port, t: plan.command ?? 'get', c: plan.connections, P: plan.depth, n: requests, d: plan.size };
  const pairs = Object.entries(options).flatMap(([name, value]) => [`-${name}`, String(value)]);
  const command = ['redis-benchmark', '-h', '127.0.0.1', '-r', String(KEYS), '--csv', ...pairs];
  const child = new Child('redis-benchmark', command, {}, bench.cores.load);
  try {
    const line = await child.line(`"${(plan.command ?? 'get').toUpperCase()}",`, seconds * 1000 + PATIENCE);
    // "rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
    const figures = line.split(',').map((figure) => Number(figure.replaceAll('"', '')));
    const [perSecond = NaN, , , p50 = NaN, , p99 = NaN, most = NaN] = figures;
    return { perSecond, p50, p99, most };
  } finally {
    child.kill();
    await child.ended;
  }
}

/** Puts the load of a plan on a server, and says what came of it. */
export async function runRedis(bench: Bench, plan: LoadPlan, { port, pids }: Server): Promise<Report> {
  const { perSecond: about } = await run(bench, plan, port, PROBE, 1);
  if (plan.warmup > 0) await run(bench, plan, port, Math.max(PROBE, Math.round(about * plan.warmup)), plan.warmup);
  const requests = Math.max(PROBE, Math.round(about * plan.seconds));
  const began = performance.now();
  const before = cpuOf(pids);
  const { perSecond, p50, p99, most } = await run(bench, plan, port, requests, plan.seconds);
  const serverCpuNs = cpuOf(pids) - before;
  const seconds = (performance.now() - began) / 1000;
  return {
    seconds,
    messages: requests,
    connections: plan.connections,
    perSecond,
    p50: p50 * 1000,
    p99: p99 * 1000,
    p999: most * 1000,
    serverCpuNs,
    loadCpuNs: NaN,
  };
}
