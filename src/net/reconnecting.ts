import { check, integer, milliseconds, number, table } from '../base/options.ts';
import { PortsideError } from '../base/errors.ts';
import { after, sync } from '../sync/evt.ts';
import { currentClock, currentRandom } from '../sync/scope.ts';
import { connect } from './connect.ts';
import type { ConnectOptions } from './connect.ts';
import type { Connection } from './connection.ts';
import type { EndpointLike } from './endpoint.ts';

export interface Backoff {
  /** Milliseconds before the second attempt. @default 100 */
  first?: number | undefined;
  /** The longest wait, in milliseconds. @default 30000 */
  max?: number | undefined;
  /** By how much each wait is longer than the one before. @default 2 */
  factor?: number | undefined;
  /** Attempts in a row that may fail; then the last error is thrown. @default Infinity */
  attempts?: number | undefined;
  /** A connection that lived this long, in milliseconds, lets the next wait begin at `first` again. @default 5000 */
  stable?: number | undefined;
}

export interface ReconnectOptions extends ConnectOptions {
  backoff?: Backoff | undefined;
  /** Hears of each attempt that failed, and how long the next one waits. */
  onFailure?: ((error: unknown, wait: number) => void) | undefined;
}

const backoffTable = table('reconnecting', {
  first: milliseconds({ min: 1 }),
  max: milliseconds({ min: 1 }),
  factor: number({ min: 1 }),
  attempts: integer({ min: 1, infinite: true }),
  stable: milliseconds(),
});

/**
 * Connections to one endpoint, one after another: the next is made when the one before is over and it is asked for. Failed attempts wait longer each time,
 * by a random share (between half and all of the wait), so that many clients don't come back together.
 *
 * ```ts
 * for await (const conn of reconnecting('tcp://db.internal:5999', { signal })) await talk(conn);
 * ```
 *
 * When the loop's body is done with a connection that is still open, it is closed. Ends when `signal` is aborted, or by `break`; throws the last error
 * after `backoff.attempts` failures in a row, and errors that another attempt can't mend (wrong options, a guard) at once.
 */
export async function* reconnecting(
  to: EndpointLike,
  options: ReconnectOptions = {},
): AsyncGenerator<Connection, void, undefined> {
  const { backoff: givenBackoff, onFailure, ...connectOptions } = options;
  const {
    first = 100,
    max = 30_000,
    factor = 2,
    attempts = Infinity,
    stable = 5_000,
  }: Backoff = check(backoffTable, givenBackoff, {
    at: 'options.backoff',
  });
  const { signal } = connectOptions;
  const clock = currentClock();
  const random = currentRandom();
  let wait = first;
  let failures = 0;
  const calledOff = (): boolean => signal?.aborted === true;
  while (!calledOff()) {
    let connection: Connection;
    try {
      connection = await connect(to, connectOptions);
    } catch (error) {
      if (calledOff()) return;
      failures += 1;
      if (!retriable(error) || failures >= attempts) throw error;
      const pause = wait * (0.5 + random.next() / 2);
      wait = Math.min(max, wait * factor);
      onFailure?.(error, pause);
      if (!(await rested(pause, signal))) return;
      continue;
    }
    failures = 0;
    const since = clock.now();
    try {
      yield connection;
    } finally {
      await connection.close();
    }
    if (clock.now() - since >= stable) wait = first;
    else if (!(await rested(wait * (0.5 + random.next() / 2), signal))) return;
    else wait = Math.min(max, wait * factor);
  }
}

function retriable(error: unknown): boolean {
  if (!(error instanceof PortsideError)) return false;
  return error.code === 'ERR_PORTSIDE_TIMEOUT' || !error.code.startsWith('ERR_PORTSIDE_');
}

/** Waits; false when it was called off. */
async function rested(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await sync(after(ms), { signal });
    return true;
  } catch {
    return false;
  }
}
