import { headOf } from '../net/hand-over.ts';
import type { Measures } from '../server/measures.ts';
import type { Address } from '../transport/address.ts';
import type { Acceptor, AcceptorWatcher, Channel } from '../transport/contract.ts';
import type { BorrowedPermits } from './borrowed-permits.ts';
import type { Arriving } from './setting-out.ts';

/** How long connections were on their way. */
export interface Journeys {
  readonly arriving: Arriving;
  /** Where it is measured. */
  readonly measures: Measures;
}

/**
 * Connections that come with their permits: tells the stores that these are from of each one that is taken, which {@link BorrowedPermits.arrived} is for. Those that nobody has taken when it
 * closes, and that can't go back where they came from, are refused, and have given their permits back.
 */
export class CountedArrivals implements Acceptor {
  readonly address: Address;
  readonly kernelQueue: boolean;
  readonly #inner: Acceptor;
  readonly #permits: readonly BorrowedPermits[];
  readonly #turnedAway: (() => void) | null;
  readonly #journeys: Journeys | null;
  #open = true;

  /** `permits`: the server's, and the endpoint's own where it has a limit. `turnedAway` is told of each that was refused; null where they go back. `journeys`: what measures. */
  constructor(
    inner: Acceptor,
    permits: readonly BorrowedPermits[],
    turnedAway: (() => void) | null = null,
    journeys: Journeys | null = null,
  ) {
    this.#journeys = journeys;
    this.#turnedAway = turnedAway;
    this.#inner = inner;
    this.#permits = permits;
    this.address = inner.address;
    this.kernelQueue = inner.kernelQueue;
  }

  get watcher(): AcceptorWatcher | null {
    return this.#inner.watcher;
  }

  set watcher(watcher: AcceptorWatcher | null) {
    this.#inner.watcher = watcher;
  }

  take(): Channel | null {
    const channel = this.#inner.take();
    if (channel === null) return null;
    for (const permits of this.#permits) permits.arrived();
    const letter = channel.letter ?? null;
    const sinceAccept = this.#journeys?.arriving.took() ?? 0;
    if (letter === null) {
      this.#journeys?.measures.dispatch.add(sinceAccept);
      return channel;
    }
    const { client, left } = headOf(letter);
    this.#journeys?.measures.handOver.add(Math.max(0, performance.now() - left));
    if (client !== null) this.#permits[0]?.arrivedFor(client);
    return channel;
  }

  pending(): boolean {
    return this.#inner.pending();
  }

  want(on: boolean): void {
    this.#inner.want(on);
  }

  close(): void {
    if (this.#open && this.#turnedAway !== null) this.#refuseAll(this.#turnedAway);
    this.#open = false;
    this.#inner.close();
  }

  #refuseAll(turnedAway: () => void): void {
    for (let channel = this.take(); channel !== null; channel = this.take()) {
      channel.destroy('reset');
      turnedAway();
      for (const permits of this.#permits) {
        permits.take();
        permits.give();
      }
    }
  }

  ref(on: boolean): void {
    this.#inner.ref(on);
  }
}
