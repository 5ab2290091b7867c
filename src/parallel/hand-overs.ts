import { isPortsideError } from '../base/errors.ts';
import type { PortsideError } from '../base/errors.ts';
import { headOf } from '../net/hand-over.ts';
import { Fifo } from '../sync/fifo.ts';
import type { ClientPrefixes } from '../server/client-key.ts';
import type { Address } from '../transport/address.ts';
import type { Acceptor, Channel, Transport } from '../transport/contract.ts';
import type { PassageTicket } from '../transport/passage.ts';
import type { CrewWorker } from './crew-worker.ts';
import type { HandOverTicket } from './departures.ts';

/** Workers that there may be. */
const MOST_WORKERS = 1_024;

/** Where an inbox says that it listens: nobody asks. */
const NOWHERE: Address = { family: 'unix', path: '' };

/** A connection on its way from one worker to another. */
export interface Passing {
  readonly channel: Channel;
  /** Its number, in the order of the accepts. */
  readonly id: number;
  readonly place: number;
  /** The worker that it is meant for. */
  readonly to: number;
  /** Under which client it is counted; null where it is not. */
  readonly client: string | null;
}

/** Who passes connections on. */
export interface HandOversHost {
  readonly serving: readonly CrewWorker[];
  /** It is a worker's no more, with its permits. */
  left(passing: Passing, worker: CrewWorker): void;
  /** Gives it to a worker; false when that has no room, and it is still on its way. */
  pass(passing: Passing, worker: CrewWorker): boolean;
  /** Nobody is left to serve it. */
  refuse(passing: Passing): void;
  trouble(error: PortsideError): void;
}

/** Connections that workers hand over to one another, by way of the parent. */
export class HandOvers {
  readonly ticket: HandOverTicket;
  readonly #host: HandOversHost;
  readonly #transport: Transport;
  readonly #cells: Int32Array;
  /** Where the connections of each worker come out. */
  readonly #inboxes = new Map<CrewWorker, Acceptor>();
  /** Those that wait for room, by the worker that they are to go to now. */
  readonly #waiting = new Map<number, Fifo<Passing>>();
  #held = 0;
  /** Who serves, as the workers know it. */
  #there: ReadonlySet<number> = new Set();
  #closed = false;

  /** @param queue Connections that may wait for one worker before others that want to go there are held up where they are. */
  constructor(transport: Transport, queue: number, homes: ClientPrefixes | null, host: HandOversHost) {
    this.#transport = transport;
    this.#host = host;
    const shared = new SharedArrayBuffer(MOST_WORKERS * Int32Array.BYTES_PER_ELEMENT);
    this.ticket = { shared, queue, homes };
    this.#cells = new Int32Array(shared);
  }

  /** How many wait here for room. */
  get held(): number {
    return this.#held;
  }

  /** Whether any are on their way that no worker has been given yet. */
  get busy(): boolean {
    if (this.#held > 0) return true;
    for (const inbox of this.#inboxes.values()) if (inbox.pending()) return true;
    return false;
  }

  /** Opens a worker's way out; its ticket came from there. */
  meet(worker: CrewWorker, ticket: PassageTicket): void {
    let inbox: Acceptor;
    try {
      inbox = this.#transport.passages!.arrivals(ticket, NOWHERE, true);
    } catch (error) {
      ticket.port.close();
      // It has ended meanwhile, whether this thread has heard of it or not, and nothing came from it.
      if (worker.thread.gone || (isPortsideError(error) && error.code === 'ERR_PORTSIDE_CLOSED')) return;
      throw error;
    }
    this.#inboxes.set(worker, inbox);
    inbox.ref(false);
    inbox.watcher = {
      ready: () => this.#collect(worker, inbox),
      trouble: (error) => this.#host.trouble(error),
    };
    inbox.want(true);
  }

  /** A worker is gone: what it had sent is taken before its account is closed. */
  part(worker: CrewWorker): void {
    const inbox = this.#inboxes.get(worker);
    if (inbox === undefined) return;
    this.#collect(worker, inbox);
    this.#inboxes.delete(worker);
    inbox.close();
  }

  /** A connection is here that somebody is to have: one that a worker handed over, or that came back from one that never took it. */
  pass(passing: Passing): void {
    const worker = this.#meant(passing.to);
    const queue = worker === null ? undefined : this.#waiting.get(worker.index);
    if (worker === null || queue !== undefined || !this.#host.pass(passing, worker))
      this.#wait(worker === null ? passing.to : worker.index, passing);
  }

  /** Workers have come or gone, or have room: tries again, and tells the workers who is there. */
  again(): void {
    for (const [index, queue] of this.#waiting) {
      const worker = this.#meant(index);
      if (worker === null) continue;
      if (worker.index === index) this.#flush(queue, index, worker);
      else {
        // Those before them came first.
        this.#waiting.delete(index);
        this.#held -= queue.length;
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) this.pass(next);
      }
    }
    this.#tell();
  }

  /** Nobody may begin to hand over any more. Those that are on their way arrive. */
  close(): void {
    this.#closed = true;
    this.#tell();
  }

  /** Refuses those that wait: nobody is left, or there is no time. */
  giveUp(): void {
    for (const [worker, inbox] of this.#inboxes) this.#collect(worker, inbox);
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#held = 0;
    for (const queue of all)
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) this.#host.refuse(next);
  }

  #collect(worker: CrewWorker, inbox: Acceptor): void {
    for (let channel = inbox.take(); channel !== null; channel = inbox.take()) {
      const { place, to, client } = headOf(channel.letter!);
      const passing: Passing = { channel, id: channel.given ?? 0, place, to, client };
      this.#host.left(passing, worker);
      this.pass(passing);
    }
  }

  /** Who serves by an index, or the next that lives; null when nobody does. */
  #meant(index: number): CrewWorker | null {
    let first: CrewWorker | null = null;
    for (const worker of this.#host.serving) {
      if (worker.state !== 'serving') continue;
      if (worker.index >= index) return worker;
      first ??= worker;
    }
    return first;
  }

  #wait(index: number, passing: Passing): void {
    let queue = this.#waiting.get(index);
    if (queue === undefined) this.#waiting.set(index, (queue = new Fifo()));
    queue.push(passing);
    this.#held += 1;
    this.#mark(index, queue.length);
  }

  #flush(queue: Fifo<Passing>, index: number, worker: CrewWorker): void {
    for (let next = queue.peek(); next !== undefined; next = queue.peek()) {
      if (!this.#host.pass(next, worker)) break;
      queue.shift();
      this.#held -= 1;
    }
    if (queue.length === 0) this.#waiting.delete(index);
    this.#mark(index, queue.length);
  }

  /** Says how many wait for a worker. Those who were held up by it hear when half of them have gone. */
  #mark(index: number, waiting: number): void {
    const before = this.#cells[index]!;
    if (before === 0) return;
    Atomics.store(this.#cells, index, 1 + waiting);
    const { queue } = this.ticket;
    const half = 1 + (queue >>> 1);
    if (before > half && 1 + waiting <= half) this.#wake();
  }

  #tell(): void {
    const there = new Set<number>();
    if (!this.#closed) for (const { index, state } of this.#host.serving) if (state === 'serving') there.add(index);
    let left = false;
    for (const index of this.#there) {
      if (there.has(index)) continue;
      Atomics.store(this.#cells, index, 0);
      left = true;
    }
    for (const index of there) Atomics.store(this.#cells, index, 1 + (this.#waiting.get(index)?.length ?? 0));
    this.#there = there;
    if (left) this.#wake();
  }

  /** Whoever waits for room looks again. */
  #wake(): void {
    for (const { thread } of this.#inboxes.keys()) thread.tell({ kind: 'room' });
  }
}
