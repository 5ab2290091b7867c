import type { Ending } from '../server/drain.ts';
import type { WorkerLedger, WorkerLedgerEntry } from './protocol.ts';

/** One connection in a {@link ParallelLedger}. */
export interface ParallelLedgerEntry extends WorkerLedgerEntry {
  /** The worker that had it. */
  readonly worker: number;
}

/** How every connection ended that there was when a drain began, over all workers: the counts add up to `connections`. */
export interface ParallelLedger extends Readonly<Record<Ending, number>> {
  readonly connections: number;
  /** Milliseconds that the drain took. */
  readonly took: number;
  /** One for each connection whose end a worker told; the first 100,000 of each. */
  readonly entries: readonly ParallelLedgerEntry[];
  /** Connections that had been given to a worker that died before it took them: by their numbers in the order of the accepts, since the start, the last 10,000. They can't be told otherwise. */
  readonly lost: readonly number[];
}

/** What a worker's connections came to; null where it died before it could tell, and had `left`. */
export interface WorkerEnd {
  readonly worker: number;
  readonly ledger: WorkerLedger | null;
}

/** Adds up how the connections of all workers ended. `died`: those of workers that died meanwhile. */
export function addLedgers(
  ends: readonly WorkerEnd[],
  died: number,
  lost: readonly number[],
  took: number,
): ParallelLedger {
  const counts: Record<Ending, number> = { finished: 0, idle: 0, forced: 0, failed: died, detached: 0 };
  const entries: ParallelLedgerEntry[] = [];
  let connections = died;
  for (const { worker, ledger } of ends) {
    if (ledger === null) continue;
    connections += ledger.connections;
    for (const ending of ['finished', 'idle', 'forced', 'failed', 'detached'] as const)
      counts[ending] += ledger[ending];
    for (const entry of ledger.entries) entries.push({ worker, ...entry });
  }
  return { connections, ...counts, took, entries, lost: [...lost] };
}
