import { reasonNames } from '../parallel/tally.ts';
import type { HistogramStatus } from '../server/histogram.ts';
import { refusalKinds } from '../server/refusal.ts';
import type { MetricsLook, ThreadLook } from './metrics-look.ts';

/** What tells the values of one metric apart. */
export type MetricAttributes = Readonly<Record<string, string>>;

/** One value of a metric. */
export interface MetricPoint {
  readonly value: number;
  readonly attributes: MetricAttributes;
}

/** One histogram of a metric, in the unit of what was counted. */
export interface MetricDistribution {
  readonly histogram: HistogramStatus;
  readonly attributes: MetricAttributes;
}

interface MetricHead {
  /** Its name in OpenTelemetry. */
  readonly name: string;
  /** By UCUM, as OpenTelemetry has it: seconds, bytes, or what is counted, in braces. Empty for what is 0 or 1. */
  readonly unit: 's' | 'By' | '1' | '' | `{${string}}`;
  readonly help: string;
}

/** A metric with a number for each of its attributes. `counter`: it only grows; `sum`: what adds up over several servers; `gauge`: what does not. */
export interface NumberMetric extends MetricHead {
  readonly kind: 'counter' | 'sum' | 'gauge';
  readonly points: (look: MetricsLook) => readonly MetricPoint[];
}

/** A metric with a histogram for each of its attributes. */
export interface HistogramMetric extends MetricHead {
  readonly kind: 'histogram';
  /** What the numbers of the histograms are divided by to be in its unit. */
  readonly per: number;
  readonly distributions: (look: MetricsLook) => readonly MetricDistribution[];
}

/** Everything that there is to know of one metric. */
export type Metric = NumberMetric | HistogramMetric;

/** The buckets of a histogram by their bounds in the unit of its metric, each with those below it, as Prometheus has them. */
export function bucketsOf(
  { bounds, counts }: HistogramStatus,
  { per }: HistogramMetric,
): readonly { readonly le: string; readonly count: number }[] {
  let total = 0;
  return counts.map((count, i) => {
    total += count;
    const bound = bounds[i];
    return { le: bound === undefined ? '+Inf' : String(bound / per), count: total };
  });
}

const STATES = ['idle', 'starting', 'running', 'suspended', 'draining', 'stopped'] as const;
const ENDINGS = ['finished', 'idle', 'forced', 'failed', 'detached'] as const;

const one = (value: number, attributes: MetricAttributes = {}): readonly MetricPoint[] => [{ value, attributes }];
const seconds = (ms: number): readonly MetricPoint[] => one(ms / 1_000);
const times = (histogram: HistogramStatus): readonly MetricDistribution[] => [{ histogram, attributes: {} }];
const directions = <T>(receive: T, transmit: T, point: (of: T, attributes: MetricAttributes) => MetricPoint) => [
  point(receive, { 'network.io.direction': 'receive' }),
  point(transmit, { 'network.io.direction': 'transmit' }),
];

function ofThreads(value: (thread: ThreadLook) => number | null): (look: MetricsLook) => readonly MetricPoint[] {
  return ({ threads }) =>
    threads.flatMap((thread) => {
      const known = value(thread);
      return known === null ? [] : one(known, { 'thread.name': thread.name });
    });
}

const CONNECTION = '{connection}';

const ofServer: readonly Metric[] = [
  {
    name: 'portside.info',
    kind: 'gauge',
    unit: '',
    help: 'Always 1: what the server is called, and what it runs on',
    points: ({ subject, status, version }) =>
      one(1, {
        'portside.name': subject.name,
        'portside.version': version,
        'portside.transport': status.transport,
        'process.runtime.version': process.versions.node,
      }),
  },
  {
    name: 'portside.state',
    kind: 'gauge',
    unit: '',
    help: 'Where the server is in its life: 1 for that state, 0 for the others',
    points: ({ status }) => STATES.flatMap((state) => one(status.state === state ? 1 : 0, { 'portside.state': state })),
  },
  {
    name: 'portside.ready',
    kind: 'gauge',
    unit: '',
    help: 'Whether clients should be sent here: 1 or 0',
    points: ({ status }) => one(status.ready ? 1 : 0),
  },
  {
    name: 'portside.uptime',
    kind: 'gauge',
    unit: 's',
    help: 'Time since the server started',
    points: ({ status }) => seconds(status.uptime),
  },
  {
    name: 'portside.connection.accepted',
    kind: 'counter',
    unit: CONNECTION,
    help: 'Connections that were let in; each is active, closed or detached now',
    points: ({ status }) => one(status.accepted),
  },
  {
    name: 'portside.connection.closed',
    kind: 'counter',
    unit: CONNECTION,
    help: 'Connections that are over, by how they ended',
    points: ({ status: { reasons } }) =>
      [...new Set([...reasonNames, ...Object.keys(reasons)])].flatMap((reason) =>
        one(reasons[reason] ?? 0, { 'portside.reason': reason }),
      ),
  },
  {
    name: 'portside.connection.refused',
    kind: 'counter',
    unit: CONNECTION,
    help: 'Connections that were not let in, by why',
    points: ({ status: { refused } }) =>
      refusalKinds.flatMap((reason) => one(refused[reason], { 'portside.reason': reason })),
  },
  {
    name: 'portside.connection.detached',
    kind: 'counter',
    unit: CONNECTION,
    help: 'Connections that handlers gave away',
    points: ({ status }) => one(status.detached),
  },
  {
    name: 'portside.connection.handed_over',
    kind: 'counter',
    unit: CONNECTION,
    help: 'How often a connection went from one worker to another',
    points: ({ status }) => one(status.handedOver),
  },
  {
    name: 'portside.connection.active',
    kind: 'sum',
    unit: CONNECTION,
    help: 'Connections that are open',
    points: ({ status }) => one(status.active),
  },
  {
    name: 'portside.connection.opening',
    kind: 'sum',
    unit: CONNECTION,
    help: 'Connections whose handshakes are under way; where one thread serves',
    points: ({ subject, status }) => (subject.parallel ? [] : one(status.opening)),
  },
  {
    name: 'portside.connection.queued',
    kind: 'sum',
    unit: CONNECTION,
    help: 'Connections that were let in and that no worker has taken yet',
    points: ({ status }) => one(status.queued),
  },
  {
    name: 'portside.connection.limit',
    kind: 'sum',
    unit: CONNECTION,
    help: 'Connections that may be open at a time',
    points: ({ status }) => one(status.maxConnections),
  },
  {
    name: 'portside.connection.duration',
    kind: 'histogram',
    unit: 's',
    per: 1_000,
    help: 'How long connections lasted that are over',
    distributions: ({ status }) => times(status.measures.duration),
  },
  {
    name: 'portside.connection.io.size',
    kind: 'histogram',
    unit: 'By',
    per: 1,
    help: 'Bytes of each connection that is over',
    distributions: ({ status: { measures } }) => [
      { histogram: measures.bytesRead, attributes: { 'network.io.direction': 'receive' } },
      { histogram: measures.bytesWritten, attributes: { 'network.io.direction': 'transmit' } },
    ],
  },
  {
    name: 'portside.connection.handshake.duration',
    kind: 'histogram',
    unit: 's',
    per: 1_000,
    help: 'From the accept to the end of the handshakes: PROXY header and TLS',
    distributions: ({ status }) => times(status.measures.handshake),
  },
  {
    name: 'portside.connection.queue.duration',
    kind: 'histogram',
    unit: 's',
    per: 1_000,
    help: 'From the accept until there was a worker with room',
    distributions: ({ status }) => times(status.measures.queue),
  },
  {
    name: 'portside.connection.dispatch.duration',
    kind: 'histogram',
    unit: 's',
    per: 1_000,
    help: 'From the accept to the worker that took the connection',
    distributions: ({ status }) => times(status.measures.dispatch),
  },
  {
    name: 'portside.connection.handover.duration',
    kind: 'histogram',
    unit: 's',
    per: 1_000,
    help: 'From one worker to another',
    distributions: ({ status }) => times(status.measures.handOver),
  },
  {
    name: 'portside.network.io',
    kind: 'counter',
    unit: 'By',
    help: 'Bytes of all connections, without those of handshakes and of TLS itself',
    points: ({ status: { bytesRead, bytesWritten } }) =>
      directions(bytesRead, bytesWritten, (value, attributes) => ({ value, attributes })),
  },
  {
    name: 'portside.handler.errors',
    kind: 'counter',
    unit: '{error}',
    help: 'Errors of handlers and hooks',
    points: ({ status }) => one(status.errors),
  },
  {
    name: 'portside.accept.errors',
    kind: 'counter',
    unit: '{error}',
    help: 'Times that the process or the system stood in the way of accepting',
    points: ({ status }) => one(status.troubles),
  },
  {
    name: 'portside.worker.running',
    kind: 'sum',
    unit: '{worker}',
    help: 'Worker threads that have not ended; 0 where one thread serves',
    points: ({ status }) => one(status.workers.length),
  },
  {
    name: 'portside.worker.restarts',
    kind: 'counter',
    unit: '{restart}',
    help: 'Workers that were started in the place of others that died',
    points: ({ status }) => one(status.restarts),
  },
  {
    name: 'portside.worker.connections',
    kind: 'sum',
    unit: CONNECTION,
    help: 'Connections that each worker has',
    points: ofThreads(({ connections }) => connections),
  },
  {
    name: 'portside.drain.elapsed',
    kind: 'gauge',
    unit: 's',
    help: 'Time since the end of the server began; nothing before',
    points: ({ status: { ending } }) => (ending === null ? [] : seconds(ending.since)),
  },
  {
    name: 'portside.drain.left',
    kind: 'gauge',
    unit: 's',
    help: 'Time until connections that are left are ended; nothing before, and where they never are',
    points: ({ status: { ending } }) => (ending === null || ending.left === Infinity ? [] : seconds(ending.left)),
  },
  {
    name: 'portside.drain.connections',
    kind: 'sum',
    unit: CONNECTION,
    help: 'Connections that are still open since the end of the server began; 0 before',
    points: ({ drain }) => one(drain?.left ?? 0),
  },
  {
    name: 'portside.drain.closed',
    kind: 'counter',
    unit: CONNECTION,
    help: 'Connections that are over since the end of the server began, by how they ended',
    points: ({ drain }) => ENDINGS.flatMap((ending) => one(drain?.[ending] ?? 0, { 'portside.ending': ending })),
  },
];

const ofProcess: readonly Metric[] = [
  {
    name: 'portside.thread.heap.used',
    kind: 'sum',
    unit: 'By',
    help: 'Memory in use in the heap of each thread',
    points: ofThreads(({ heap }) => heap),
  },
  {
    name: 'nodejs.eventloop.utilization',
    kind: 'gauge',
    unit: '1',
    help: 'How busy the event loop of each thread was, from 0 to 1',
    points: ofThreads(({ utilization }) => utilization),
  },
  {
    name: 'nodejs.eventloop.delay.p50',
    kind: 'gauge',
    unit: 's',
    help: 'By how much timers of each thread were late in the last minute: half of them',
    points: ofThreads(({ delay }) => (delay === null ? null : delay.p50 / 1_000)),
  },
  {
    name: 'nodejs.eventloop.delay.p99',
    kind: 'gauge',
    unit: 's',
    help: 'By how much timers of each thread were late in the last minute: 99 of 100',
    points: ofThreads(({ delay }) => (delay === null ? null : delay.p99 / 1_000)),
  },
  {
    name: 'nodejs.eventloop.delay.max',
    kind: 'gauge',
    unit: 's',
    help: 'By how much timers of each thread were late in the last minute: the worst',
    points: ofThreads(({ delay }) => (delay === null ? null : delay.max / 1_000)),
  },
  {
    name: 'process.cpu.time',
    kind: 'counter',
    unit: 's',
    help: 'CPU time of the process',
    points: ({ cpu }) => [
      { value: cpu.user, attributes: { 'cpu.mode': 'user' } },
      { value: cpu.system, attributes: { 'cpu.mode': 'system' } },
    ],
  },
  {
    name: 'process.memory.usage',
    kind: 'sum',
    unit: 'By',
    help: 'Memory of the process that is in RAM',
    points: ({ rss }) => one(rss),
  },
];

/** All metrics, in the order in which they are given. */
export const catalog: readonly Metric[] = Object.freeze([...ofServer, ...ofProcess]);
