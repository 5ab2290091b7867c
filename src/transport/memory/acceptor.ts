import { rethrowSoon } from '../../sync/rethrow.ts';
import type { TimerHandle } from '../../sync/clock.ts';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Acceptor, AcceptorWatcher, Channel } from '../contract.ts';
import { systemError } from '../system-error.ts';
import { MemoryChannel } from './channel.ts';
import type { End } from './end.ts';
import type { Network } from './network.ts';
import { outside } from './outside.ts';

// How long to wait when no descriptors are left, at first and at most.
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1_000;

/** A listening name or port of a network in memory, with a queue as a kernel's. */
export class MemoryAcceptor implements Acceptor {
  readonly address: Address;
  readonly kernelQueue = true;
  watcher: AcceptorWatcher | null = null;
  readonly #network: Network;
  readonly #backlog: number;
  readonly #queue: End[] = [];
  /** Dials that found the queue full. */
  readonly #waiting: Set<() => void> = new Set();
  #wanted = false;
  #scheduled = false;
  #paused = false;
  #pause = FIRST_PAUSE;
  #timer: TimerHandle | null = null;
  #closed = false;

  constructor(network: Network, address: Address, backlog: number) {
    this.#network = network;
    this.address = address;
    this.#backlog = Math.max(1, backlog);
  }

  /** Whether no more connections may wait. */
  get full(): boolean {
    return this.#queue.length >= this.#backlog;
  }

  take(): Channel | null {
    if (!this.pending()) return null;
    if (this.#network.lacksDescriptors(this.address)) {
      this.#holdOff();
      return null;
    }
    this.#pause = FIRST_PAUSE;
    const end = this.#queue.shift() as End;
    for (const retry of this.#waiting) {
      this.#waiting.delete(retry);
      this.#network.clock.soon(retry);
      break;
    }
    return new MemoryChannel(end);
  }

  pending(): boolean {
    return !this.#closed && !this.#paused && this.#queue.length > 0;
  }

  want(on: boolean): void {
    this.#wanted = on;
    this.#ask();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#network.unlisten(this);
    for (const end of this.#queue) end.close(true);
    this.#queue.length = 0;
    for (const retry of this.#waiting) this.#network.clock.soon(retry);
    this.#waiting.clear();
  }

  ref(_on: boolean): void {
    // Nothing outside of the process can reach a listener in memory, so it never keeps the process alive.
  }

  /** A connection was made. */
  arrive(end: End): void {
    this.#queue.push(end);
    this.#ask();
  }

  /** Calls `retry` once there is room, or nobody listens any more. */
  waitForRoom(retry: () => void): void {
    this.#waiting.add(retry);
  }

  /** Whoever waited gave up. */
  stopWaiting(retry: () => void): void {
    this.#waiting.delete(retry);
  }

  #ask(): void {
    if (!this.#wanted || this.#scheduled || !this.pending()) return;
    this.#scheduled = true;
    this.#network.clock.soon(this.#tell);
  }

  readonly #tell = (): void => {
    this.#scheduled = false;
    if (!this.#wanted || !this.pending()) return;
    this.#call((watcher) => watcher.ready());
    this.#ask();
  };

  #holdOff(): void {
    this.#paused = true;
    const { clock } = this.#network;
    const error = systemError('accept', 'EMFILE', { local: formatAddress(this.address) });
    clock.soon(() => {
      if (!this.#closed) this.#call((watcher) => watcher.trouble(error));
    });
    this.#timer = clock.after(this.#pause, () => {
      this.#timer = null;
      this.#paused = false;
      this.#ask();
    });
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #call(tell: (watcher: AcceptorWatcher) => void): void {
    const { watcher } = this;
    if (watcher === null) return;
    try {
      outside.runInAsyncScope(tell, undefined, watcher);
    } catch (error) {
      rethrowSoon(error);
    }
  }
}
