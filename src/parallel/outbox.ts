import type { MessagePort } from 'node:worker_threads';

const { setImmediate } = globalThis;

/** Messages that go out together at most. */
const BATCH = 64;
/** The places of one message in a {@link Batch}. */
export const PLACES = 4;

/** To, or from, the parent. */
export const PARENT = -1;
/** To every other member. */
export const EVERYBODY = -2;

/** The counters in a ticket's shared memory. Each is written by one thread only. */
export const counters = {
  /** By the worker: messages that it took, or that could not be read. */
  workerTook: 0,
  /** By the worker: those of them that could not be read. */
  workerMissed: 1,
  /** By the worker: messages that it sent. */
  workerSent: 2,
  /** By the parent: messages that it took, or that could not be read. */
  parentTook: 3,
} as const;

export const COUNTERS_BYTES: number = 4 * Int32Array.BYTES_PER_ELEMENT;

/**
 * What crosses in one piece: the number of its first message, then {@link PLACES} for each message: who, incarnation, channel, value.
 *
 * To the parent, `who` is {@link EVERYBODY}, {@link PARENT} or a worker's index, and the incarnation is that worker's. From the parent, `who` is the sender.
 * A channel of null makes it a notice, which has no number: the worker `who` has joined, in this incarnation, or gone, when that is 0.
 */
export type Batch = readonly unknown[];

/**
 * The way out to one other thread. Messages of one turn go together, which costs a quarter of sending them one by one. They are numbered, and the other side
 * says in shared memory how far it has come, so that no more than `limit` are ever on their way.
 */
export class Outbox {
  readonly #port: MessagePort;
  readonly #shared: Int32Array;
  readonly #took: number;
  readonly #limit: number;
  #batch: unknown[] = [];
  /** Messages and notices in the batch. */
  #size = 0;
  #scheduled = false;
  #sent = 0;
  readonly #turn: () => void = () => {
    this.#scheduled = false;
    this.flush();
  };

  /** `took` is where the other side says how many it took. */
  constructor(port: MessagePort, shared: Int32Array, took: number, limit: number) {
    this.#port = port;
    this.#shared = shared;
    this.#took = took;
    this.#limit = limit;
  }

  /** Messages that were put in, ever. */
  get sent(): number {
    return this.#sent;
  }

  /** Messages that the other side has not taken. */
  get waiting(): number {
    // The counter goes round after 2 ** 32.
    return (this.#sent - Atomics.load(this.#shared, this.#took)) | 0;
  }

  get full(): boolean {
    return this.waiting >= this.#limit;
  }

  /** Sends a message, whatever the limit. Its value must not change afterwards. */
  put(who: number, incarnation: number, channel: string, value: unknown): void {
    this.#add(who, incarnation, channel, value);
    this.#sent += 1;
  }

  /** Tells of a member. There are as many notices as workers that come and go, so they are never left out. */
  notice(who: number, incarnation: number): void {
    this.#add(who, incarnation, null, undefined);
  }

  /** Posts what is there now; a batch without messages too when `always`, as a sign of life. */
  flush(always = false): void {
    if (this.#size === 0 && !always) return;
    const batch = this.#size === 0 ? [this.#sent] : this.#batch;
    this.#batch = [];
    this.#size = 0;
    try {
      this.#port.postMessage(batch);
    } catch {
      this.#postOneByOne(batch);
    }
  }

  #add(who: number, incarnation: number, channel: string | null, value: unknown): void {
    if (this.#size === BATCH) this.flush();
    if (this.#size === 0) this.#batch.push(this.#sent);
    this.#batch.push(who, incarnation, channel, value);
    this.#size += 1;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  /**
   * One of them could be read here and can't be written, as a value that is nested so deeply that it needs all of the stack. It is left out, and the other side
   * sees by the numbers that it is missing.
   */
  #postOneByOne(batch: Batch): void {
    let number = batch[0] as number;
    for (let i = 1; i < batch.length; i += PLACES) {
      try {
        this.#port.postMessage([number, ...batch.slice(i, i + PLACES)]);
      } catch {
        // Counted by the other side.
      }
      if (batch[i + 2] !== null) number += 1;
    }
  }
}
