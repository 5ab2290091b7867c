import { deadlinesOf } from '../net/deadlines.ts';
import type { Deadlines } from '../net/deadlines.ts';
import { defaultClientPrefixes } from './client-key.ts';
import type { ClientPrefixes } from './client-key.ts';
import type { DrainTimes } from './drain.ts';
import type { EndOptions, ServerChanges } from './options.ts';
import type { PermitStore } from './permits.ts';
import type { RateOptions } from './rate.ts';
import type { WhenFull } from './when-full.ts';

/** What of a server can be changed while it runs, as it is now; all but `refuseWith`. */
export interface ServerLimits extends DrainTimes {
  /** Of the whole server; endpoints may have less. */
  readonly maxConnections: number;
  readonly maxPerClient: number;
  readonly clientPrefix: ClientPrefixes;
  readonly whenFull: WhenFull;
  /** Empty: everybody. */
  readonly allow: readonly string[];
  /** Empty: nobody. */
  readonly deny: readonly string[];
  readonly rate: RateOptions | null;
  /** Of connections of endpoints that have none of their own. */
  readonly deadlines: Readonly<Deadlines>;
}

/** Keeps the limits of a server as they are now. */
export class Limits {
  #now: Omit<ServerLimits, 'maxConnections' | 'maxPerClient'>;

  constructor(options: ServerChanges) {
    this.#now = {
      clientPrefix: defaultClientPrefixes,
      whenFull: 'wait',
      allow: [],
      deny: [],
      rate: null,
      lead: 0,
      grace: 10_000,
      spread: 0,
      deadlines: deadlinesOf(),
    };
    this.set(options);
  }

  /** Milliseconds over which idle connections are closed in a drain. */
  get spread(): number {
    return this.#now.spread;
  }

  /** Times of a drain, with those that it does not name. */
  timesOf(given: EndOptions): DrainTimes {
    const { lead = this.#now.lead, grace = this.#now.grace, spread = this.#now.spread } = given;
    return { lead, grace, spread: Math.min(spread, grace) };
  }

  /** Takes what is given; the rest stays. */
  set(changes: ServerChanges): void {
    const { clientPrefix, whenFull, allow, deny, rate, lead, grace, spread, deadlines } = changes;
    const before = this.#now;
    this.#now = {
      clientPrefix: {
        ipv4: clientPrefix?.ipv4 ?? before.clientPrefix.ipv4,
        ipv6: clientPrefix?.ipv6 ?? before.clientPrefix.ipv6,
      },
      whenFull: whenFull ?? before.whenFull,
      allow: allow ?? before.allow,
      deny: deny ?? before.deny,
      rate: rate === undefined ? before.rate : rate,
      lead: lead ?? before.lead,
      grace: grace ?? before.grace,
      spread: spread ?? before.spread,
      deadlines: deadlinesOf(deadlines, before.deadlines),
    };
  }

  /** All of them; how many may come is known where the permits are. */
  read({ limit, perClient }: PermitStore): ServerLimits {
    return { maxConnections: limit, maxPerClient: perClient, ...this.#now };
  }
}
