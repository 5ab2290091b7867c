import { PortsideError } from '../base/errors.ts';
import { wakeSoon } from '../sync/evt-core.ts';
import { Fifo } from '../sync/fifo.ts';
import { Watchers } from '../sync/watchers.ts';
import type { UdpAddress } from './udp-address.ts';

/** A datagram that came. */
export interface Datagram {
  /** Its bytes, perhaps none; the taker's for ever. */
  readonly data: Uint8Array;
  /** Who says to have sent it. */
  readonly remote: UdpAddress;
}

/** Receives that may wait at a time. */
const MOST_WAITING = 10_000;

interface Waiter {
  resolve(datagram: Datagram): void;
  reject(error: unknown): void;
}

/** Datagrams that wait for receivers, or receivers that wait for datagrams. Full, it drops the newest. */
export class UdpInbox {
  readonly #waiting = new Fifo<Datagram>();
  readonly #waiters = new Set<Waiter>();
  readonly #watchers = new Watchers();
  readonly #more = (): boolean => this.#waiting.length > 0;
  readonly #mostDatagrams: number;
  readonly #mostBytes: number;
  #bytes = 0;
  #dropped = 0;
  #closed = false;

  constructor(mostDatagrams: number, mostBytes: number) {
    this.#mostDatagrams = mostDatagrams;
    this.#mostBytes = mostBytes;
  }

  get length(): number {
    return this.#waiting.length;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** Gives a datagram to the first who waits, or keeps it. */
  put(datagram: Datagram): void {
    if (this.#closed) return;
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.resolve(datagram);
      return;
    }
    const { length } = datagram.data;
    if (this.#waiting.length >= this.#mostDatagrams || this.#bytes + length > this.#mostBytes) {
      this.#dropped += 1;
      return;
    }
    this.#bytes += length;
    this.#waiting.push(datagram);
    this.#watchers.wake(this.#more);
  }

  /** The oldest datagram; undefined when there is none. */
  poll(): Datagram | undefined {
    const datagram = this.#waiting.shift();
    if (datagram !== undefined) this.#bytes -= datagram.data.length;
    return datagram;
  }

  /** The oldest datagram, or the next that comes. */
  take(signal: AbortSignal | undefined): Promise<Datagram> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const datagram = this.poll();
    if (datagram !== undefined) return Promise.resolve(datagram);
    if (this.#waiters.size >= MOST_WAITING) {
      return Promise.reject(
        new PortsideError('ERR_PORTSIDE_LIMIT', `${MOST_WAITING} receives are waiting already`, { op: 'receive' }),
      );
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = signal === undefined ? { resolve, reject } : this.#abortable(resolve, reject, signal);
      this.#waiters.add(waiter);
    });
  }

  /** Calls `wake` when there is something to take or the inbox is closed. Returns what ends it. */
  watch(wake: () => void): () => void {
    if (!this.#closed && this.#waiting.length === 0) return this.#watchers.add(wake);
    const awake = wakeSoon(wake);
    const unwatch = this.#watchers.add(wake);
    return () => {
      awake();
      unwatch();
    };
  }

  /** Drops what waits and rejects who waits. */
  close(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting.clear();
    this.#bytes = 0;
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
    this.#watchers.wakeAll();
  }

  #abortable(resolve: (datagram: Datagram) => void, reject: (error: unknown) => void, signal: AbortSignal): Waiter {
    const abort = (): void => {
      this.#waiters.delete(waiter);
      reject(signal.reason);
    };
    const waiter: Waiter = {
      resolve(datagram) {
        signal.removeEventListener('abort', abort);
        resolve(datagram);
      },
      reject(error) {
        signal.removeEventListener('abort', abort);
        reject(error);
      },
    };
    signal.addEventListener('abort', abort, { once: true });
    return waiter;
  }
}
