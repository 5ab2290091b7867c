import { borrowedPermits } from '../../src/parallel/borrowed-permits.ts';
import type { BorrowedPermits } from '../../src/parallel/borrowed-permits.ts';
import { PermitPool } from '../../src/parallel/permit-pool.ts';
import type { Loan, PermitMode } from '../../src/parallel/permit-pool.ts';
import type { PermitLimits } from '../../src/server/permits.ts';
import { systemClock } from '../../src/sync/clock.ts';

/** A loan, and the worker's end of it, in one thread. */
export interface Pair {
  readonly loan: Loan;
  readonly permits: BorrowedPermits;
}

/** A parent, and a worker of each mode. */
export function town(limits: PermitLimits, ...modes: PermitMode[]): { pool: PermitPool; workers: Pair[] } {
  const pool = new PermitPool(limits, systemClock);
  const workers = modes.map((mode) => {
    const loan = pool.lend(mode);
    return { loan, permits: borrowedPermits(loan.ticket) };
  });
  return { pool, workers };
}

/** Turns of the loop: as many as messages to and fro need. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

/** Waits for one, and takes it. */
export function taken(permits: Pick<BorrowedPermits, 'wait' | 'take'>): Promise<void> {
  return new Promise<void>((resolve) => {
    const again = (): void => {
      permits.wait(() => {
        if (permits.take()) resolve();
        else again();
      });
    };
    again();
  });
}
