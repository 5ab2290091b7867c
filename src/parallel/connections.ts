import { check, checkValue, integer, list, milliseconds, object, required, table } from '../base/options.ts';
import type { Rule, Table } from '../base/options.ts';
import { endByHandRule } from '../server/end-by-hand.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { Clock } from '../sync/clock.ts';
import type { Crew } from './crew.ts';
import type { CrewWorker } from './crew-worker.ts';
import type { WorkerConnection } from './status.ts';
import { within } from './within.ts';

/** Which connection is meant: each worker numbers its own. */
export interface WorkerConnectionName {
  readonly id: number;
  /** The worker's index. */
  readonly worker: number;
  /** Its thread, which tells the workers apart that have one index during a reload. @default the one that is given connections */
  readonly threadId?: number | undefined;
}

/** How long workers have to answer. */
export interface AskOptions {
  /** Milliseconds. @default 1000 */
  timeout?: number | undefined;
}

const askTable: Table<AskOptions> = table('connections', { timeout: milliseconds({ infinite: true }) });

const namesRule: Rule<readonly WorkerConnectionName[]> = list(
  object({
    id: required(integer({ min: 1 })),
    worker: required(integer({ min: 0 })),
    threadId: integer({ min: 0 }),
  }),
  { max: 1_000_000 },
);

/** Those who may have connections: after a reload also those that leave. */
export function holders({ all }: Crew): readonly CrewWorker[] {
  return all.filter(({ state }) => state === 'serving' || state === 'leaving');
}

/** The connections of all workers, as these tell them; of one that does not answer in time there are none. */
export async function connectionsOf(
  crew: Crew,
  clock: Clock,
  options: AskOptions | undefined,
): Promise<readonly WorkerConnection[]> {
  const { timeout = 1_000 }: AskOptions = check(askTable, options);
  const lists = await Promise.all(
    holders(crew).map(async ({ index, thread }) => {
      const { threadId } = thread;
      const asked = thread.ask('connections', null).catch(() => []);
      const told = await within(clock, timeout, asked, []);
      return told.map((one) => ({ worker: index, threadId, ...one }));
    }),
  );
  return lists.flat();
}

/** Has workers end connections, and gives how many there were; of one that does not answer in time none. */
export async function endConnections(
  crew: Crew,
  names: readonly WorkerConnectionName[],
  how: EndByHand | undefined,
  clock: Clock,
  options: AskOptions | undefined,
): Promise<number> {
  const { timeout = 1_000 }: AskOptions = check(askTable, options);
  checkValue('closeConnections', 'names', namesRule, names);
  if (how !== undefined) checkValue('closeConnections', 'how', endByHandRule, how);
  const counts = await Promise.all(
    holders(crew).map(async ({ index, thread, state }) => {
      const { threadId } = thread;
      const mine = (name: WorkerConnectionName): boolean =>
        name.worker === index && (name.threadId === undefined ? state === 'serving' : name.threadId === threadId);
      const ids = names.filter(mine).map(({ id }) => id);
      if (ids.length === 0) return 0;
      return within(
        clock,
        timeout,
        thread.ask('endConnections', { ids, how: how ?? 'close' }).catch(() => 0),
        0,
      );
    }),
  );
  return counts.reduce((total, count) => total + count, 0);
}
