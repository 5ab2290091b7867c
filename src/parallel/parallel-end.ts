import { Countdown } from '../server/countdown.ts';
import type { DrainTimes, StopWanted } from '../server/drain.ts';
import type { Given } from '../server/options.ts';
import type { EndingStatus } from '../server/status.ts';
import type { Clock } from '../sync/clock.ts';
import type { Crew } from './crew.ts';
import type { Front } from './front.ts';
import { addLedgers } from './ledger.ts';
import type { ParallelLedger } from './ledger.ts';

/** Numbers of lost connections that are kept. */
const MOST_LOST = 10_000;

/** What comes to its end, and who is told. */
export interface EndParts {
  readonly front: Front;
  readonly crew: Crew;
  readonly clock: Clock;
  /** It is known what is wanted, and nothing of it is done yet. */
  wanted(): unknown;
  /** All workers are gone: what is left to do before it is over. */
  last(given: Given | undefined): Promise<void>;
  over(ledger: ParallelLedger): void;
}

/** The end of a parallel listener, in the order that `ParallelServer.drain` tells. */
export class ParallelEnd {
  readonly #parts: EndParts;
  readonly #lead: Countdown;
  #wanted: (StopWanted & { readonly began: number }) | null = null;
  /** The port is closed, or about to be. */
  #closing = false;
  /** The workers have heard of it. */
  #told = false;
  /** When connections have to be over, by the clock. */
  #at = Infinity;
  #lost: number[] = [];
  /** Connections of workers that died since it began. */
  #died = 0;

  constructor(parts: EndParts) {
    this.#parts = parts;
    this.#lead = new Countdown(parts.clock, () => void this.#close());
  }

  /** Whether it has begun. */
  get begun(): boolean {
    return this.#wanted !== null;
  }

  /** How long it goes on already, and will go on at most; null before it has begun. */
  get ending(): EndingStatus | null {
    if (this.#wanted === null) return null;
    const { began, lead, grace } = this.#wanted;
    const now = this.#parts.clock.now();
    const at = this.#closing ? this.#at : now + Math.min(this.#lead.left, lead) + grace;
    return { since: now - began, left: Math.max(0, at - now) };
  }

  /** Begins it, or hastens it where the times are shorter. */
  within(times: DrainTimes, given: Given | undefined): void {
    const { clock, crew, front } = this.#parts;
    const before = this.#wanted;
    if (before === null) this.#wanted = { ...times, given, began: clock.now() };
    else {
      const lead = Math.min(before.lead, times.lead);
      const grace = Math.min(before.grace, times.grace);
      this.#wanted = { ...before, lead, grace, spread: Math.min(before.spread, times.spread) };
    }
    this.#parts.wanted();
    if (before !== null) {
      this.#at = Math.min(this.#at, clock.now() + times.grace);
      if (this.#told) void crew.drain(this.#left());
      else if (this.#closing) void front.settle(times.grace);
    }
    if (!this.#closing) this.#lead.within(times.lead);
  }

  /** It could not be started: nothing is left. */
  async abandon(given: Given | undefined): Promise<void> {
    if (this.#wanted !== null) return;
    const { clock, crew, front } = this.#parts;
    this.#wanted = { lead: 0, grace: 0, spread: 0, given, began: clock.now() };
    this.#closing = this.#told = true;
    await front.close();
    await this.#finish(await crew.drain({ grace: 0, spread: 0 }));
  }

  /** A worker took connections with it, those of `ids` before it had them. */
  lose(count: number, ids: readonly number[]): void {
    if (this.#wanted !== null) this.#died += count;
    if (ids.length > 0) this.#lost = [...this.#lost, ...ids].slice(-MOST_LOST);
  }

  #left(): { grace: number; spread: number } {
    const grace = Math.max(0, this.#at - this.#parts.clock.now());
    return { grace, spread: Math.min(grace, this.#wanted!.spread) };
  }

  async #close(): Promise<void> {
    if (this.#closing) return;
    const { clock, crew, front } = this.#parts;
    this.#closing = true;
    this.#lead.cancel();
    this.#at = clock.now() + this.#wanted!.grace;
    await front.close();
    await front.settle(this.#left().grace);
    this.#told = true;
    await this.#finish(await crew.drain(this.#left()));
  }

  async #finish(ends: Parameters<typeof addLedgers>[0]): Promise<void> {
    const { began, given } = this.#wanted!;
    const parts = this.#parts;
    await parts.last(given);
    parts.over(addLedgers(ends, this.#died, this.#lost, parts.clock.now() - began));
  }
}
