import { MessageChannel } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { PortsideError } from '../base/errors.ts';
import type { LocalPermits } from '../server/permits.ts';
import {
  AHEAD,
  CELLS_BYTES,
  FREE,
  GRANTED,
  LOW,
  MORE,
  NOTHING,
  RECALL,
  RETURNED,
  WANTS,
  takeOut,
} from './permit-ticket.ts';
import type { PermitAnswers, PermitMode, PermitTicket, PermitWords, Recall } from './permit-ticket.ts';

/** More than a cell holds would be 2 ** 31. */
const FULL_CELL = 2 ** 30;

/** Permits of a {@link PermitPool} that one worker has. */
export interface Loan {
  readonly mode: PermitMode;
  /** The worker's end, to be posted to it once. */
  readonly ticket: PermitTicket;
  /** What is transferred when the ticket is posted. */
  readonly transfer: readonly MessagePort[];
  /** Permits that this worker has now: those of its connections, those on their way to it, and those that it holds ready. 0 after the end. */
  readonly out: number;
  /** Those of them that it holds ready for connections to come; always 0 where they are handed. */
  readonly unused: number;
  /**
   * A permit that the parent's `take()` gave goes with a connection to this worker. To be called in the turn in which the connection is given away.
   * Throws ERR_PORTSIDE_STATE when the parent has taken none, the permits are leased, or the loan has ended; the permit stays the parent's then. `client`: under which it is counted already.
   */
  handed(client?: string | null): void;
  /**
   * A connection that was handed comes back, as the worker never took it: its permit is the parent's again, as if just taken. To be called before {@link Loan.end}, which
   * frees what is left. Throws ERR_PORTSIDE_STATE when none is handed, or the loan has ended. `client`: under which it stays counted.
   */
  takeBack(client?: string | null): void;
  /** The worker is gone: all its permits come back, and its clients have as many connections less. How many permits those were; 0 at the second call. */
  end(): number;
}

/** Whose permits are lent. */
export interface Lender {
  readonly book: LocalPermits;
  /** Permits that the parent took and has itself. */
  own: number;
  /** Permits came back, or somebody wants some. */
  settle(): void;
  /** How many a leased worker should get now, if it wants some; 0 for none, as others wait. `wanted`: it waits. */
  portion(wanted: boolean): number;
  ended(loan: Lent): void;
}

/** The parent's side of a loan. */
export class Lent implements Loan {
  readonly mode: PermitMode;
  readonly ticket: PermitTicket;
  readonly transfer: readonly MessagePort[];
  readonly #lender: Lender;
  readonly #cells: Int32Array;
  readonly #port: MessagePort;
  readonly #clients = new Map<string, number>();
  /** What it has by the book, which {@link FREE} is part of; what lies in {@link RETURNED} is not taken off yet. */
  #out = 0;
  #ended = false;
  /** The worker hears nothing any more. */
  #deaf = false;
  /** Takes its waiting back. */
  #waits: (() => void) | null = null;

  constructor(mode: PermitMode, lender: Lender) {
    const { port1, port2 } = new MessageChannel();
    const shared = new SharedArrayBuffer(CELLS_BYTES);
    const { limit, perClient } = lender.book;
    this.mode = mode;
    this.ticket = { mode, shared, port: port2, connections: limit, perClient };
    this.transfer = [port2];
    this.#lender = lender;
    this.#cells = new Int32Array(shared);
    this.#port = port1;
    port1.on('message', (words: PermitWords) => this.#hear(words));
    port1.on('close', () => this.#lost());
    port1.unref();
  }

  get out(): number {
    this.collect();
    return this.#out;
  }

  get unused(): number {
    return Atomics.load(this.#cells, FREE);
  }

  /** Whether it is among those who wait. */
  get waits(): boolean {
    return this.#waits !== null;
  }

  handed(client: string | null = null): void {
    if (this.#ended || this.mode === 'leased') throw unfit('permits are not handed to this worker');
    if (this.#lender.own === 0) throw unfit('a permit was handed that was not taken');
    this.#lender.own -= 1;
    this.#out += 1;
    if (client !== null) this.#clients.set(client, (this.#clients.get(client) ?? 0) + 1);
    if (this.#out > FULL_CELL) this.collect();
  }

  takeBack(client: string | null = null): void {
    this.collect();
    if (this.#ended || this.mode === 'leased' || this.#out === 0) throw unfit('no permit is handed to this worker');
    this.#out -= 1;
    this.#lender.own += 1;
    if (client !== null) this.#uncount(client);
  }

  /** Says what becomes of permits that are given, and then looks what was given before it was heard. */
  recall(how: Recall): void {
    if (Atomics.load(this.#cells, RECALL) !== how) Atomics.store(this.#cells, RECALL, how);
    this.collect();
  }

  /** Takes what was returned. */
  collect(): void {
    if (Atomics.load(this.#cells, RETURNED) === 0) return;
    this.#free(Atomics.exchange(this.#cells, RETURNED, 0));
  }

  /** Takes up to `most` unused ones away for the parent itself. */
  takeUnused(most: number): number {
    if (Atomics.load(this.#cells, WANTS) === GRANTED) return 0;
    const taken = takeOut(this.#cells, FREE, most);
    this.#out -= taken;
    return taken;
  }

  /** Takes half of what is unused away, to be free, and more than nothing. */
  halve(): number {
    const taken = this.takeUnused(Math.ceil(this.unused / 2));
    for (let count = 0; count < taken; count += 1) this.#lender.book.give();
    return taken;
  }

  /** Takes up to `most` unused ones away, to be free, from those that were just granted too. */
  revoke(most: number): number {
    const taken = takeOut(this.#cells, FREE, most);
    this.#free(taken);
    return taken;
  }

  /** Lends up to so many more, if they are to be had. */
  add(most: number): void {
    const { book } = this.#lender;
    let count = 0;
    while (count < most && book.take()) count += 1;
    if (count === 0) return;
    this.#out += count;
    const before = Atomics.add(this.#cells, FREE, count);
    Atomics.store(this.#cells, LOW, Math.floor((before + count) / 2));
  }

  /** The limits have changed. */
  tellLimits(): void {
    const { limit, perClient } = this.#lender.book;
    this.#post({ kind: 'limits', connections: limit, perClient });
  }

  end(): number {
    if (this.#ended) return 0;
    this.#ended = true;
    this.#stopWaiting();
    this.#port.close();
    this.collect();
    const left = this.#out;
    // A worker that lives on has nothing more to take.
    Atomics.store(this.#cells, FREE, 0);
    this.#free(left);
    for (const [client, count] of this.#clients)
      for (let given = 0; given < count; given += 1) this.#lender.book.giveFor(client);
    this.#clients.clear();
    this.#lender.ended(this);
    return left;
  }

  #hear(words: PermitWords): void {
    // What was posted before the end arrives after it.
    if (this.#ended) return;
    switch (words.kind) {
      case 'wants':
        this.#wants();
        break;
      case 'back':
        this.#lender.settle();
        break;
      case 'takeFor':
        this.#takeFor(words.id, words.client);
        break;
      case 'giveFor':
        this.#giveFor(words.client);
    }
  }

  #wants(): void {
    const { book } = this.#lender;
    const wants = Atomics.load(this.#cells, WANTS);
    if (wants === MORE) this.#waits ??= book.wait(() => this.#grant());
    this.#lender.settle();
    if (wants !== AHEAD) return;
    const portion = this.#lender.portion(false);
    // Left as it is without any, so that it does not ask for each.
    if (portion > 0 && Atomics.compareExchange(this.#cells, WANTS, AHEAD, NOTHING) === AHEAD) this.add(portion);
  }

  /** Its turn among those who wait has come, and there is something to be had. */
  #grant(): void {
    this.#waits = null;
    // They may have been called off meanwhile; then the next in turn gets it.
    if (Atomics.compareExchange(this.#cells, WANTS, MORE, GRANTED) === MORE) {
      this.add(this.#lender.portion(true));
      this.#post({ kind: 'granted' });
    }
    this.#lender.settle();
  }

  #takeFor(id: number, client: string): void {
    const granted = this.#lender.book.takeFor(client);
    if (granted) this.#clients.set(client, (this.#clients.get(client) ?? 0) + 1);
    this.#post({ kind: 'answer', id, granted });
  }

  #giveFor(client: string): void {
    this.#uncount(client);
    this.#lender.book.giveFor(client);
  }

  #uncount(client: string): void {
    const has = this.#clients.get(client) ?? 0;
    if (has > 1) this.#clients.set(client, has - 1);
    else this.#clients.delete(client);
  }

  /** Its worker has closed its end, or is going: what it has not in use can be had, and nothing more is granted. The rest is told by the end. */
  #lost(): void {
    if (this.#ended) return;
    this.#deaf = true;
    this.#stopWaiting();
    this.revoke(FULL_CELL);
    this.#lender.settle();
  }

  #stopWaiting(): void {
    this.#waits?.();
    this.#waits = null;
  }

  /** So many are out no more. */
  #free(count: number): void {
    this.#out -= count;
    for (let freed = 0; freed < count; freed += 1) this.#lender.book.give();
  }

  #post(answer: PermitAnswers): void {
    if (!this.#deaf) this.#port.postMessage(answer);
  }
}

function unfit(message: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_STATE', message, { op: 'lend' });
}
