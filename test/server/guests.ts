import { systemCode } from '../../src/base/errors.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { Ledger } from '../../src/server/drain.ts';
import type { Server } from '../../src/server/server.ts';
import type { Clock } from '../../src/sync/clock.ts';
import { systemClock } from '../../src/sync/clock.ts';

/** A client that reads until it is sent away, and then leaves in order. */
export class Guest {
  readonly client: Connection;
  text = '';
  /** `eof`, the code of an error, or null while it is there. */
  end: string | null = null;
  /** When it was sent away, by the clock. */
  at = -1;
  readonly gone: Promise<void>;
  readonly #clock: Clock;

  constructor(client: Connection, clock: Clock = systemClock) {
    this.client = client;
    this.#clock = clock;
    this.gone = this.#stay();
  }

  async #stay(): Promise<void> {
    try {
      for await (const bytes of this.client) this.text += Buffer.from(bytes).toString();
      this.end = 'eof';
    } catch (error) {
      this.end = systemCode(error) ?? String(error);
    }
    this.at = this.#clock.now();
    await this.client.close();
  }
}

/** Waits for its client, and is idle all the time. */
export const idling: Handler = { data() {} };

/** Is at work for ever. */
export const toiling: Handler = {
  open(conn) {
    conn.busy = true;
  },
};

/** A handler that never returns, whatever happens to its connection. */
export const stubborn: Handler = () => new Promise<void>(() => {});

/** The counts of a ledger that are not 0, once it was seen to add up. */
export function summary(ledger: Ledger): Record<string, number> {
  const { connections, entries, finished, idle, forced, failed, detached } = ledger;
  const counts: Record<string, number> = { finished, idle, forced, failed, detached };
  const listed: Record<string, number> = { finished: 0, idle: 0, forced: 0, failed: 0, detached: 0 };
  let before = 0;
  for (const { ending, after, reason } of entries) {
    listed[ending] = (listed[ending] ?? 0) + 1;
    if (after < before || after > ledger.took) throw new Error('the entries are not in the order of their ends');
    if ((reason === null) !== (ending === 'detached')) throw new Error('an entry without a reason');
    before = after;
  }
  const sum = finished + idle + forced + failed + detached;
  if (sum !== connections || entries.length !== connections || JSON.stringify(listed) !== JSON.stringify(counts))
    throw new Error(`the ledger does not add up: ${JSON.stringify({ ...ledger, entries: listed })}`);
  if (new Set(entries.map(({ id }) => id)).size !== connections) throw new Error('a connection is listed twice');
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** What a server's connections do, in the order of their numbers. */
export function doings(server: Server): string[] {
  return (server.status({ connections: true }).connections ?? []).map(({ doing }) => doing);
}
