import { check, fn, integer, milliseconds, number, object, table } from '../base/options.ts';
import { PortsideError } from '../base/errors.ts';
import type { Clock } from '../sync/clock.ts';
import type { Random } from '../sync/random.ts';
import { currentClock, currentRandom, currentScope } from '../sync/scope.ts';
import { connect, connectFields } from './connect.ts';
import type { ConnectOptions } from './connect.ts';
import type { Connection } from './connection.ts';
import { parseEndpoint } from './endpoint.ts';
import type { EndpointLike } from './endpoint.ts';

/** How long {@link reconnecting} waits between attempts. */
export interface Backoff {
  /** Milliseconds before the second attempt. @default 100 */
  first?: number | undefined;
  /** The longest wait, in milliseconds. @default 30000 */
  max?: number | undefined;
  /** By how much each wait is longer than the one before. @default 2 */
  factor?: number | undefined;
  /** Attempts in a row that may fail; then the last error is thrown. @default Infinity */
  attempts?: number | undefined;
  /**
   * Milliseconds. After a connection that lived this long the next attempt is made at once, and the waits begin at `first` again; one that lived shorter counts
   * for the waits as a failed attempt does. @default 5000
   */
  stable?: number | undefined;
}

/** Options of {@link reconnecting}. */
export interface ReconnectOptions extends ConnectOptions {
  /** How long it waits between attempts. */
  backoff?: Backoff | undefined;
  /** Hears of each attempt that failed and is followed by another, and how many milliseconds that one waits. What it throws ends the iteration. */
  onFailure?: ((error: unknown, wait: number) => void) | undefined;
}

const reconnectTable = table('reconnecting', {
  ...connectFields,
  backoff: object({
    first: milliseconds({ min: 1 }),
    max: milliseconds({ min: 1 }),
    factor: number({ min: 1 }),
    attempts: integer({ min: 1, infinite: true }),
    stable: milliseconds(),
  }),
  onFailure: fn<(error: unknown, wait: number) => void>(),
});

/**
 * Connections to one endpoint, one after another: the next is made when the one before is over and it is asked for. Failed attempts wait longer each time,
 * by a random share (between half and all of the wait), so that many clients don't come back together.
 *
 * ```ts
 * for await (const conn of reconnecting('tcp://db.internal:5999', { signal })) await talk(conn);
 * ```
 *
 * When the loop's body is done with a connection that is still open, it is closed. Ends when `signal` is aborted, or by `break`; the signal doesn't touch a
 * connection that the body has. Throws the last error after `backoff.attempts` failures in a row, and errors that another attempt can't mend (a guard, a
 * closed scope) at once. Wrong options and endpoints (ERR_PORTSIDE_OPTIONS, ERR_PORTSIDE_ENDPOINT) are thrown by the call itself. Connections belong to the
 * scope that is current at the call, and its clock and randomness are used.
 */
export function reconnecting(
  to: EndpointLike,
  options?: ReconnectOptions,
): AsyncGenerator<Connection, void, undefined> {
  const checked: ReconnectOptions = check(reconnectTable, options);
  const endpoint = parseEndpoint(to, 'client');
  const { backoff, onFailure, ...connectOptions } = checked;
  const scope = currentScope();
  const dial = (): Promise<Connection> => connect(endpoint, connectOptions);
  return attempts({
    connect: scope === undefined ? dial : () => scope.run(dial),
    signal: connectOptions.signal,
    onFailure,
    most: backoff?.attempts ?? Infinity,
    stable: backoff?.stable ?? 5_000,
    waits: new Waits(backoff ?? {}, currentClock(), currentRandom()),
  });
}

interface Course {
  connect(this: void): Promise<Connection>;
  readonly signal: AbortSignal | undefined;
  readonly onFailure: ReconnectOptions['onFailure'];
  readonly most: number;
  readonly stable: number;
  readonly waits: Waits;
}

async function* attempts(course: Course): AsyncGenerator<Connection, void, undefined> {
  const { signal, waits } = course;
  let failures = 0;
  const calledOff = (): boolean => signal?.aborted === true;
  while (!calledOff()) {
    let connection: Connection;
    try {
      connection = await course.connect();
    } catch (error) {
      if (calledOff()) return;
      failures += 1;
      if (!retriable(error) || failures >= course.most) throw error;
      const pause = waits.next();
      course.onFailure?.(error, pause);
      await waits.rest(pause, signal);
      continue;
    }
    failures = 0;
    const since = waits.clock.now();
    try {
      yield connection;
    } finally {
      await connection.close();
    }
    if (waits.clock.now() - since >= course.stable) waits.reset();
    else await waits.rest(waits.next(), signal);
  }
}

function retriable(error: unknown): boolean {
  if (!(error instanceof PortsideError)) return false;
  return error.code === 'ERR_PORTSIDE_TIMEOUT' || !error.code.startsWith('ERR_PORTSIDE_');
}

/** How long to wait, and the waiting. */
class Waits {
  readonly clock: Clock;
  readonly #random: Random;
  readonly #first: number;
  readonly #max: number;
  readonly #factor: number;
  #wait: number;

  constructor({ first = 100, max = 30_000, factor = 2 }: Backoff, clock: Clock, random: Random) {
    this.clock = clock;
    this.#random = random;
    this.#max = max;
    this.#first = Math.min(first, max);
    this.#factor = factor;
    this.#wait = this.#first;
  }

  /** Milliseconds to wait now; those after it will be more. */
  next(): number {
    const wait = this.#wait * (0.5 + this.#random.next() / 2);
    this.#wait = Math.min(this.#max, this.#wait * this.#factor);
    return wait;
  }

  reset(): void {
    this.#wait = this.#first;
  }

  /** Resolves after `ms` milliseconds, or when it is called off. */
  rest(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.clock.after(ms, done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }
}
