import { PortsideError } from '../base/errors.ts';
import { LocalPermits } from '../server/permits.ts';
import type { PermitLimits, PermitStore } from '../server/permits.ts';
import type { Clock } from '../sync/clock.ts';
import { Lent } from './permit-loan.ts';
import type { Lender, Loan } from './permit-loan.ts';
import { KEEP, RETURN, TELL } from './permit-ticket.ts';
import type { PermitMode } from './permit-ticket.ts';

export type { Loan } from './permit-loan.ts';
export type { PermitMode, PermitTicket } from './permit-ticket.ts';

/** Leased permits that go to a worker in one go, at most. It asks for more when it has half of them, so that a burst finds some. */
const MOST_AT_ONCE = 256;

/**
 * The permits of a parent and all its workers: no more are out than the limit, whatever the workers do, and what a dead one had comes back.
 *
 * The parent's book says how many each worker has. A worker says in shared memory which of those are not in use; the parent looks there when it needs some,
 * and takes them. It is told only while somebody waits. Those that wait, here and in all workers, are served in the order in which they came: a worker that has
 * been granted permits and does not use them gives them to the next.
 */
export class PermitPool implements PermitStore {
  readonly #book: LocalPermits;
  readonly #loans = new Set<Lent>();
  readonly #lender: Lender;
  #leased = 0;
  /** More are out than there may be. */
  #over = false;

  /** As `LocalPermits`: no limit by default. Throws ERR_PORTSIDE_OPTIONS for a limit that is no whole number of 0 or more, nor `Infinity`. */
  constructor(limits: PermitLimits, clock: Clock) {
    this.#book = new LocalPermits(limits, clock);
    this.#lender = {
      book: this.#book,
      own: 0,
      settle: () => this.#settle(),
      portion: (wanted) => this.#portion(wanted),
      ended: (loan) => this.#ended(loan),
    };
  }

  /** What the parent's own intake takes from, and where limits are changed: `used` and the limits are of all workers together. */
  get store(): PermitStore {
    return this;
  }

  /** The loans that have not ended. */
  get loans(): ReadonlySet<Loan> {
    return this.#loans;
  }

  /** How many are out in all, those that leased workers hold ready included. */
  get used(): number {
    this.#collect();
    return this.#book.used;
  }

  /** How many of those are held ready by leased workers, for connections to come. */
  get unused(): number {
    let unused = 0;
    for (const loan of this.#loans) unused += loan.unused;
    return unused;
  }

  get limit(): number {
    return this.#book.limit;
  }

  get perClient(): number {
    return this.#book.perClient;
  }

  /** How many wait for permits: here, and workers. */
  get waiting(): number {
    return this.#book.waiting;
  }

  /** How many clients have connections that are counted. */
  get clients(): number {
    return this.#book.clients;
  }

  /** A loan for one worker, which is posted its ticket. */
  lend(mode: PermitMode): Loan {
    const loan = new Lent(mode, this.#lender);
    if (mode === 'leased') {
      this.#leased += 1;
      // Others will be lent to as well. Small limits stay here, for whoever asks first.
      if (this.#book.waiting === 0)
        loan.add(Math.max(0, Math.min(MOST_AT_ONCE, Math.floor((this.limit - this.used) / 4))));
    }
    this.#loans.add(loan);
    this.#settle();
    return loan;
  }

  take(): boolean {
    if (!this.#book.take() && !this.#takeBack()) return false;
    this.#lender.own += 1;
    // It may have been the one for whoever waits; then another has to be found.
    if (this.#book.waiting > 0) this.#settle();
    return true;
  }

  /** Gives back one that the parent took. Throws ERR_PORTSIDE_STATE when it has none itself. */
  give(): void {
    if (this.#lender.own === 0)
      throw new PortsideError('ERR_PORTSIDE_STATE', 'a permit was given back that was not taken', { op: 'give' });
    this.#lender.own -= 1;
    this.#book.give();
    if (this.#over) this.#settle();
  }

  /** As {@link PermitStore.wait}; throws ERR_PORTSIDE_LIMIT when 10,000 wait already. */
  wait(wake: () => void): () => void {
    const cancel = this.#book.wait(() => {
      try {
        wake();
      } finally {
        this.#settle();
      }
    });
    this.#settle();
    return () => {
      cancel();
      this.#settle();
    };
  }

  takeFor(client: string): boolean {
    return this.#book.takeFor(client);
  }

  giveFor(client: string): void {
    this.#book.giveFor(client);
  }

  /** How many connections a client has that are counted, in all workers. */
  usedBy(client: string): number {
    return this.#book.usedBy(client);
  }

  /**
   * As {@link PermitStore.resize}. Where the limit goes down, leased permits that are not in use are taken from the workers at once: from when this returns no `take()`
   * of theirs goes above it. Throws ERR_PORTSIDE_OPTIONS, and changes nothing then.
   */
  resize(limits: PermitLimits): void {
    this.#book.resize(limits);
    this.#settle();
    for (const loan of this.#loans) loan.tellLimits();
  }

  #collect(): void {
    for (const loan of this.#loans) loan.collect();
    if (this.#over && this.#book.used <= this.#book.limit) this.#settle();
  }

  /** Takes one that a worker has returned, or does not use. */
  #takeBack(): boolean {
    this.#collect();
    const book = this.#book;
    if (book.take()) return true;
    if (this.#leased === 0 || book.used > book.limit) return false;
    for (const loan of this.#loans) if (loan.takeUnused(1) === 1) return true;
    return false;
  }

  #portion(wanted: boolean): number {
    const { limit, used, waiting } = this.#book;
    if (!wanted && waiting > 0) return 0;
    const share = Math.floor((limit - used) / (waiting > 0 ? waiting + 1 : this.#leased));
    return Math.min(MOST_AT_ONCE, Math.max(wanted ? 1 : 0, share));
  }

  /** Makes all workers do what is right for who waits now, and takes from them what is lacking. */
  #settle(): void {
    const book = this.#book;
    for (const loan of this.#loans) loan.collect();
    this.#over = book.used > book.limit;
    this.#recall();
    if (this.#over) this.#cutDown();
    if (!this.#over && this.#leased > 0) this.#share();
  }

  #recall(): void {
    const { waiting } = this.#book;
    for (const loan of this.#loans) {
      // A worker that waits alone need not send its permits round by the parent, unless there are too many.
      const others = waiting - (loan.waits ? 1 : 0) > 0;
      if (others || (this.#over && waiting > 0)) loan.recall(TELL);
      else loan.recall(this.#over ? RETURN : KEEP);
    }
  }

  #cutDown(): void {
    const book = this.#book;
    for (const loan of this.#loans) if (book.used > book.limit) loan.revoke(book.used - book.limit);
    if (book.used > book.limit) return;
    this.#over = false;
    this.#recall();
  }

  /** Takes from each half of what it does not use, and again, until there is one for everybody who waits or nothing left. */
  #share(): void {
    const book = this.#book;
    let some = true;
    while (some && book.limit - book.used < book.waiting) {
      some = false;
      for (const loan of this.#loans) if (loan.halve() > 0) some = true;
    }
  }

  #ended(loan: Lent): void {
    this.#loans.delete(loan);
    if (loan.mode === 'leased') this.#leased -= 1;
    this.#settle();
  }
}
