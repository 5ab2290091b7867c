import { PortsideError } from '../base/errors.ts';
import { checkValue, integer } from '../base/options.ts';
import { depart, goOn, holdBack, letterBody, letterOf, mustBeWhole } from '../net/hand-over.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import type { Link } from '../net/link.ts';
import type { ClientPrefixes } from '../server/client-key.ts';
import type { Transport } from '../transport/contract.ts';
import type { Passage } from '../transport/passage.ts';
import type { BorrowedPermits } from './borrowed-permits.ts';
import { homeOf } from './dispatch.ts';
import type { WorkerInit } from './protocol.ts';

/** Milliseconds that a connection waits for room on the way to another worker. */
const PATIENCE = 10_000;

const indexRule = integer({ min: 0, max: 1_023 });

/** What a worker knows of those that it may hand connections over to, as it travels. */
export interface HandOverTicket {
  /**
   * For each index 0 where no worker serves; else 1, and how many wait with the parent for that worker. Written by the parent alone, as Int32.
   */
  readonly shared: SharedArrayBuffer;
  /** Connections that may be on their way out of one worker, or wait with the parent for one. */
  readonly queue: number;
  /** What clients are told apart by, each of whom belongs to one worker, where that is known only behind their PROXY headers; else null. */
  readonly homes: ClientPrefixes | null;
}

/** What is known of a connection that is to go. */
export interface Departing {
  /** The endpoint that it came to, by its number. */
  readonly place: number;
  /** Where its permits are from. */
  readonly permits: readonly BorrowedPermits[];
  /** Milliseconds since it was accepted, when asked. */
  readonly age: () => number;
  /** Under which client it is counted; null where it is not. */
  readonly client: () => string | null;
  /** It is gone: whoever counts it forgets it. */
  readonly left: () => void;
}

/** A worker's way out for connections that it has: to the parent, who passes them on. */
export class Departures {
  /** Null where there is no way. */
  readonly passage: Passage | null;
  readonly #self: number;
  readonly #cells: Int32Array;
  readonly #queue: number;
  readonly #why: string;
  readonly #homes: ClientPrefixes | null;
  /** Who waits for room. */
  readonly #waiting = new Set<() => void>();

  constructor({ index, handOver }: WorkerInit, transport: Transport) {
    this.#self = index;
    this.#queue = handOver?.queue ?? 0;
    this.#homes = handOver?.homes ?? null;
    this.#cells = handOver === null ? new Int32Array(0) : new Int32Array(handOver.shared);
    this.passage = handOver === null ? null : (transport.passages?.passage(handOver.queue) ?? null);
    if (this.passage !== null) this.passage.onRoom = () => this.again();
    this.#why = transport.flags.handOver
      ? "under dispatch: 'kernel' workers accept by themselves, and there is no way between them; say round-robin, least-busy or hash"
      : `the ${transport.name} transport moves no connections that were served; the native core does`;
  }

  /** There may be room for those who wait, or nobody to wait for any more. */
  again(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** The worker that a connection belongs to by its client; null for this one, and where all are the same. */
  homeOf(connection: Connection): number | null {
    // A proxy that speaks for itself, or doesn't say for whom, belongs nowhere.
    if (this.#homes === null || (connection.proxy?.source ?? null) === null) return null;
    const workers: { readonly index: number }[] = [];
    for (let index = 0; index < this.#cells.length; index += 1) if (this.#cells[index]! > 0) workers.push({ index });
    const home = homeOf(connection.remote, this.#homes, workers)?.index ?? null;
    return home === this.#self ? null : home;
  }

  /** What `Connection.handOver` does. */
  async handOver(connection: Connection, worker: number, value: unknown, departing: Departing): Promise<void> {
    const inside = link(connection);
    checkValue('handOver', 'worker', indexRule, worker);
    mustBeWhole(inside);
    const { passage } = this;
    if (passage === null) throw new PortsideError('ERR_PORTSIDE_UNSUPPORTED', this.#why, inside.detail('handOver'));
    this.#mustServe(inside, worker);
    const body = letterBody(inside, value);
    holdBack(inside);
    try {
      await this.#go(inside, passage, worker, body, departing);
    } catch (error) {
      goOn(inside);
      throw error;
    }
  }

  async #go(inside: Link, passage: Passage, worker: number, body: Uint8Array, departing: Departing): Promise<void> {
    const { place, permits, age, left } = departing;
    const until = inside.clock.now() + PATIENCE;
    const give: Parameters<typeof depart>[1] = (channel, unread) => {
      const now = { client: departing.client(), age: age(), left: performance.now() };
      const letter = letterOf({ from: this.#self, to: worker, place, ...now }, body);
      return passage.give(channel, channel.given ?? 0, { letter, unread });
    };
    const gone = (): void => {
      const client = departing.client();
      for (const [i, store] of permits.entries()) store.depart(i === 0 ? client : null);
      left();
    };
    for (;;) {
      await inside.flushed();
      mustBeWhole(inside);
      this.#mustServe(inside, worker);
      // Whoever finds the passage full is told when it is not.
      if (this.#cells[worker]! <= this.#queue && !passage.full) {
        if (depart(inside, give, gone)) return;
        if (!passage.full && inside.queued === 0) throw stuck(inside);
      } else await this.#room(inside, until);
    }
  }

  #mustServe(inside: Link, worker: number): void {
    if (Atomics.load(this.#cells, worker) > 0) return;
    const why = `no worker ${worker} serves now, or the server is stopping, and the connection stays where it is`;
    throw new PortsideError('ERR_PORTSIDE_NO_WORKER', why, inside.detail('handOver'));
  }

  /** Waits until there may be room, or the connection is over. */
  #room(inside: Link, until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(wake);
        timer.cancel();
        off();
      };
      const wake = (): void => {
        end();
        resolve();
      };
      const late = (): void => {
        end();
        const why = `there was no room on the way for ${PATIENCE} ms, and the connection stays where it is`;
        reject(new PortsideError('ERR_PORTSIDE_TIMEOUT', why, inside.detail('handOver')));
      };
      const timer = inside.clock.after(Math.max(0, until - inside.clock.now()), late);
      const off = inside.onClose(wake);
      this.#waiting.add(wake);
    });
  }
}

function stuck(inside: Link): PortsideError {
  // Reading has failed, which nobody has seen yet.
  const why = 'the connection can’t be had whole, as it is about to fail; read it to learn why';
  return new PortsideError('ERR_PORTSIDE_STATE', why, inside.detail('handOver'));
}
