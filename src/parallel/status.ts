import type { LoopDelays } from '../server/loop-delay.ts';
import type { RefusalKind } from '../server/refusal.ts';
import type { ConnectionStatus, ServerStatus } from '../server/status.ts';
import type { Crew } from './crew.ts';
import type { CrewWorker, WorkerState } from './crew-worker.ts';
import type { Front } from './front.ts';
import type { PermitPool } from './permit-pool.ts';
import { addCounts, noCounts } from './tally.ts';

/** What one worker does now and did so far. */
export interface WorkerStatus {
  readonly index: number;
  /** Of its thread, as `worker_threads` tells it. */
  readonly threadId: number;
  readonly state: WorkerState;
  /** Connections that it has. */
  readonly connections: number;
  /** Connections that are on their way to it. */
  readonly waiting: number;
  /** Those that it took, also from other workers. */
  readonly accepted: number;
  /** Connections that it handed over to other workers. */
  readonly handedOver: number;
  /** Bytes that its connections read and wrote, as of a quarter of a second ago. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** How busy its event loop was in the last quarter of a second, from 0 to 1. */
  readonly utilization: number;
  /** Bytes of its heap in use; null where Node can't tell. */
  readonly heap: number | null;
  /** By how much its event loop was late; null before it was looked at for a moment. */
  readonly delay: LoopDelays | null;
  /** How often a worker of this index was started in the place of one that died. */
  readonly restarts: number;
}

/** One connection of a worker. */
export interface WorkerConnection extends ConnectionStatus {
  /** The worker that has it. */
  readonly worker: number;
  /** That worker's thread. */
  readonly threadId: number;
}

/** What a parallel listener does now and did so far: over all workers, those too that are gone. */
export interface ParallelStatus extends Omit<ServerStatus, 'connections' | 'opening' | 'refused' | 'handedOver'> {
  /** How often a connection went from one worker to another. It stays active: each is accepted, and over, once. */
  readonly handedOver: number;
  readonly refused: Readonly<Record<RefusalKind, number>>;
  /** Connections that were let in and that no worker has taken yet. Part of `active`. */
  readonly queued: number;
  /** How often workers were started in the place of others that died. */
  readonly restarts: number;
  /** Those whose threads have not ended, by index; after a reload those that leave among them. */
  readonly workers: readonly WorkerStatus[];
}

/** What a status is made of. */
export interface StatusParts {
  readonly front: Front;
  readonly crew: Crew;
  readonly pool: PermitPool;
  /** What the parent itself counted. */
  readonly errors: number;
  readonly troubles: number;
}

/** What is counted over all workers, those too that are gone. */
export function countsOf({
  front,
  crew,
  pool,
  errors,
  troubles,
}: StatusParts): Omit<ParallelStatus, 'state' | 'ready' | 'uptime' | 'shutdownAddress' | 'ending'> {
  const counts = noCounts();
  addCounts(counts, crew.past);
  for (const { sheet } of crew.all) addCounts(counts, sheet.read());
  const { admission, ends, held, accepted: letIn, addresses, measures } = front;
  if (measures !== null) counts.measures.add(measures);
  for (const [name, count] of Object.entries(ends)) counts.reasons[name] = (counts.reasons[name] ?? 0) + count;
  const { store } = pool;
  const accepted = letIn ?? counts.accepted;
  const active = letIn === null ? accepted - counts.closed - counts.detached : store.used;
  const first = admission.counts.snapshot();
  for (const kind of Object.keys(first) as (keyof typeof first)[]) counts.refused[kind] += first[kind];
  const workers = crew.all.map((worker) => statusOf(worker, crew));
  const { detached, refused, reasons, bytesRead, bytesWritten } = counts;
  return {
    transport: front.endpoints.transport,
    addresses,
    active,
    queued: held + workers.reduce((total, { waiting }) => total + waiting, 0),
    maxConnections: store.limit,
    maxPerClient: store.perClient,
    accepted,
    closed: accepted - active - detached,
    detached,
    handedOver: front.handedOver,
    errors: counts.errors + errors,
    troubles: counts.troubles + troubles,
    refused,
    reasons,
    measures: counts.measures.read(),
    bytesRead,
    bytesWritten,
    restarts: crew.restarts,
    workers,
  };
}

function statusOf(worker: CrewWorker, crew: Crew): WorkerStatus {
  const { index, thread, state, waiting, connections, handedOver, utilization, heap, sheet } = worker;
  const { accepted, bytesRead, bytesWritten } = sheet;
  return {
    index,
    threadId: thread.threadId,
    state,
    connections: connections - waiting,
    waiting,
    accepted,
    handedOver,
    bytesRead,
    bytesWritten,
    utilization,
    heap,
    delay: sheet.loop.read(),
    restarts: crew.restartsOf(index),
  };
}
