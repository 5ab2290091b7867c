import { rethrowSoon } from '../../sync/rethrow.ts';
import type { Address } from '../address.ts';
import type { Acceptor, AcceptorWatcher, Channel } from '../contract.ts';

/** An acceptor that holds, in this thread and unread, who has come and was not taken. */
export abstract class HoldingAcceptor<T> implements Acceptor {
  readonly address: Address;
  readonly kernelQueue: boolean;
  watcher: AcceptorWatcher | null = null;
  #held: T[] = [];
  /** Index of the next in `#held`. */
  #first = 0;
  #wanted = false;
  #closed = false;
  #refed = true;
  #turn: NodeJS.Immediate | null = null;

  constructor(address: Address, kernelQueue: boolean) {
    this.address = address;
    this.kernelQueue = kernelQueue;
  }

  abstract take(): Channel | null;

  pending(): boolean {
    return this.#held.length > 0;
  }

  want(on: boolean): void {
    if (this.#closed) return;
    this.#wanted = on;
    if (on) this.#again();
    else this.#rest();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wanted = false;
    this.#rest();
    this.shut(this.empty());
  }

  ref(on: boolean): void {
    if (this.#closed) return;
    this.#refed = on;
    this.hang(on);
    if (on) this.#turn?.ref();
    else this.#turn?.unref();
  }

  protected get closed(): boolean {
    return this.#closed;
  }

  /** How many are held. */
  protected get held(): number {
    return this.#held.length - this.#first;
  }

  /** Holds one more, and tells of it where that is wanted. */
  protected hold(one: T): void {
    this.#held.push(one);
    if (this.#wanted) this.#ready();
  }

  /** The one that came first. */
  protected next(): T | undefined {
    const one = this.#held[this.#first];
    if (one === undefined) return undefined;
    this.#first += 1;
    if (this.#first === this.#held.length) {
      this.#held.length = 0;
      this.#first = 0;
    } else if (this.#first >= 64 && this.#first * 2 >= this.#held.length) {
      this.#held = this.#held.slice(this.#first);
      this.#first = 0;
    }
    return one;
  }

  /** All that are held, which are held no more. */
  protected empty(): T[] {
    const left = this.#held.slice(this.#first);
    this.#held = [];
    this.#first = 0;
    return left;
  }

  /** Whether that from which they come keeps the process alive. */
  protected abstract hang(on: boolean): void;

  /** Closes that from which they come, and resets those that were held. */
  protected abstract shut(left: readonly T[]): void;

  #ready(): void {
    try {
      this.watcher?.ready();
    } catch (error) {
      rethrowSoon(error);
    }
    if (this.#wanted) this.#again();
  }

  /** Another call in the next turn of the loop, while something is left. */
  #again(): void {
    if (this.#turn !== null || this.#held.length === 0) return;
    this.#turn = setImmediate(() => {
      this.#turn = null;
      if (this.#wanted && this.#held.length > 0) this.#ready();
    });
    if (!this.#refed) this.#turn.unref();
  }

  #rest(): void {
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
  }
}
