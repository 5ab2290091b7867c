import { integer, milliseconds, object, oneOf, union } from '../base/options.ts';
import type { Rule } from '../base/options.ts';

/** When to look again whether there is room, before a connection is refused. */
export interface WhenFullRetries {
  /** How many times it is looked again after the first. @default 10 */
  readonly retries?: number | undefined;
  /** Milliseconds from one look to the next. @default 500 */
  readonly every?: number | undefined;
  /** Milliseconds before the first look. @default 100 */
  readonly first?: number | undefined;
}

/**
 * What becomes of a connection that comes while the server has all that it may.
 *
 * - `wait`: it waits until another ends.
 * - `refuse`: it is refused at once.
 * - An object: the first that waits has that long, and is refused when the server is still full after the last look; then the next begins to wait
 *   as long. A place that becomes free is taken at once, looked or not. With its defaults there are eleven looks, the last after 5,100 ms.
 *
 * Waiting clients are connected for the system, and nothing of what they send is read. Where the kernel keeps them (`Server.backlogIsKernel`)
 * they are not accepted, up to `backlog` of them, and those beyond it get no answer until there is room. `node:net` accepts by itself: there at most
 * `backlog` clients (of each address) are held unread, with a descriptor each, and the next are reset by the transport, which is not counted as a refusal.
 */
export type WhenFull = 'wait' | 'refuse' | WhenFullRetries;

/** The rule for {@link WhenFull}. */
export const whenFullRule: Rule<WhenFull> = union(
  oneOf('wait', 'refuse'),
  object({
    retries: integer({ min: 0, max: 1_000_000 }),
    every: milliseconds(),
    first: milliseconds(),
  }),
);

/** {@link WhenFull} in numbers. */
export interface WhenFullTiming {
  /** Milliseconds from the connection's coming to the first look. */
  readonly first: number;
  /** Milliseconds from one look to the next. */
  readonly every: number;
  /** How many looks there are. */
  readonly looks: number;
  /** Milliseconds from the connection's coming to the last look, after which it is refused. `Infinity`: never. */
  readonly total: number;
}

/** When to look and when to give up: `wait` never gives up and needs no looks, `refuse` does at once. */
export function whenFullTiming(whenFull: WhenFull): WhenFullTiming {
  if (whenFull === 'wait') return { first: 0, every: 0, looks: 0, total: Number.POSITIVE_INFINITY };
  if (whenFull === 'refuse') return { first: 0, every: 0, looks: 0, total: 0 };
  const { retries = 10, every = 500, first = 100 } = whenFull;
  return { first, every, looks: retries + 1, total: first + retries * every };
}
