import { threadId, workerData } from 'node:worker_threads';
import type { Connection } from '../../../src/net/connection.ts';
import { beginTogether } from './rank.ts';
import type { Muster } from './rank.ts';

/** What each worker does at its start, by its index. */
export interface BootPlan extends Muster {
  readonly plan: readonly ('serve' | 'throw' | 'exit' | 'hang' | 'spin' | 'late')[];
}

const { plan, muster } = workerData as BootPlan;

// It goes on only when all have begun, so that workers that were started one after another would never get ready.
switch (plan[beginTogether({ muster }, plan.length)]) {
  case 'throw':
    throw new TypeError('does not want to', { cause: new Error('is tired') });
  case 'exit':
    process.exit(7);
    break;
  case 'hang':
    await new Promise(() => {});
    break;
  case 'spin':
    for (;;);
  case 'late':
    // Others are still booting.
    setTimeout(() => {
      throw new TypeError('has changed its mind');
    }, 100);
    break;
  default:
}

export default async function serve(conn: Connection): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine())
    await conn.write(`${threadId} ${line}\n`);
}
