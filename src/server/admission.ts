import type { Clock } from '../sync/clock.ts';
import { AddressList } from '../net/address-list.ts';
import type { Address } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import { clientKey, defaultClientPrefixes } from './client-key.ts';
import type { ClientPrefixes } from './client-key.ts';
import type { AdmissionOptions } from './options.ts';
import { LocalPermits } from './permits.ts';
import type { PermitStore } from './permits.ts';
import { RateLimiter } from './rate.ts';
import { Goodbyes, RefusalCounts, refuse } from './refusal.ts';
import type { Refusal, RefuseWith } from './refusal.ts';
import { whenFullTiming } from './when-full.ts';

/** Who is told of refusals. */
export interface AdmissionHost {
  refused(remote: Address, refusal: Refusal): void;
  /** A hook of the user's threw. */
  failed(error: unknown): void;
}

/** Decides who is let into a server, and counts who is not. */
export class Admission {
  readonly permits: PermitStore;
  readonly counts: RefusalCounts = new RefusalCounts();
  /** Milliseconds that a client waits for a place. */
  patience: number;
  readonly #clock: Clock;
  readonly #host: AdmissionHost;
  readonly #goodbyes = new Goodbyes();
  #prefixes: ClientPrefixes;
  #allow: AddressList | null = null;
  #deny: AddressList | null = null;
  #rate: RateLimiter | null = null;
  #refuseWith: RefuseWith;

  constructor(options: AdmissionOptions & { permits?: PermitStore | undefined }, clock: Clock, host: AdmissionHost) {
    this.#clock = clock;
    this.#host = host;
    const { maxConnections = 10_000, maxPerClient = Infinity } = options;
    this.permits = options.permits ?? new LocalPermits({ connections: maxConnections, perClient: maxPerClient }, clock);
    this.patience = whenFullTiming(options.whenFull ?? 'wait').total;
    this.#prefixes = prefixesOf(defaultClientPrefixes, options.clientPrefix);
    this.#refuseWith = options.refuseWith ?? 'reset';
    this.#lists(options);
  }

  /** Changes what is given; the rest stays. Connections that are in stay in. */
  set(options: AdmissionOptions): void {
    const { maxConnections, maxPerClient, whenFull, clientPrefix, refuseWith } = options;
    if (maxConnections !== undefined || maxPerClient !== undefined)
      this.permits.resize({ connections: maxConnections, perClient: maxPerClient });
    if (whenFull !== undefined) this.patience = whenFullTiming(whenFull).total;
    if (clientPrefix !== undefined) this.#prefixes = prefixesOf(this.#prefixes, clientPrefix);
    if (refuseWith !== undefined) this.#refuseWith = refuseWith;
    this.#lists(options);
  }

  /** Whether anything is held against a peer's address. */
  get screens(): boolean {
    return this.#deny !== null || this.#allow !== null || this.#rate !== null;
  }

  /** Why a peer is not let in, by its address alone; null when it is. Counts towards its rate. */
  screen(remote: Address): Refusal | null {
    if (this.#deny !== null && this.#deny.hasAddress(remote)) return { kind: 'denied' };
    if (this.#allow !== null && !this.#allow.hasAddress(remote)) return { kind: 'not-allowed' };
    if (this.#rate === null) return null;
    const client = this.clientOf(remote);
    if (this.#rate.allow(client)) return null;
    return { kind: 'rate', client, retryAfter: this.#rate.waitOf(client) };
  }

  clientOf(remote: Address): string {
    return clientKey(remote, this.#prefixes);
  }

  /** Whether clients are counted one by one. */
  get countsClients(): boolean {
    return this.permits.perClient !== Infinity;
  }

  /** Counts and tells a refusal, and ends the channel as refusals are ended. `clear`: bytes may be sent on it. */
  refuse(channel: Channel, refusal: Refusal, remote: Address, clear: boolean): void {
    this.note(remote, refusal);
    const how = clear ? this.#refuseWith : silent(this.#refuseWith);
    refuse(channel, refusal, how, this.#clock, this.#goodbyes).catch((error: unknown) => this.#host.failed(error));
  }

  note(remote: Address, refusal: Refusal): void {
    this.counts.add(refusal);
    this.#host.refused(remote, refusal);
  }

  /** Resets those that are still being told why. */
  close(): void {
    this.#goodbyes.cut();
  }

  #lists({ allow, deny, rate }: AdmissionOptions): void {
    if (allow !== undefined) this.#allow = allow.length === 0 ? null : new AddressList(allow);
    if (deny !== undefined) this.#deny = deny.length === 0 ? null : new AddressList(deny);
    if (rate === null) this.#rate = null;
    else if (rate !== undefined) {
      if (this.#rate === null) this.#rate = new RateLimiter(rate, this.#clock);
      else this.#rate.set(rate);
    }
  }
}

function prefixesOf(before: ClientPrefixes, given: AdmissionOptions['clientPrefix']): ClientPrefixes {
  return { ipv4: given?.ipv4 ?? before.ipv4, ipv6: given?.ipv6 ?? before.ipv6 };
}

/** Where a client expects TLS, words in the clear are noise. */
function silent(how: RefuseWith): RefuseWith {
  return how === 'close' ? 'close' : 'reset';
}
