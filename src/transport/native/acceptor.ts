import { constants } from 'node:os';
import type { Address } from '../address.ts';
import type { Acceptor, AcceptorWatcher, Channel } from '../contract.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { failure } from './failure.ts';
import type { NativeLoop, SocketEvents, Task } from './loop.ts';
import { takenChannel } from './taken.ts';

const { EAGAIN } = constants.errno;
/** Milliseconds before accepting is tried again when the process or the system is in trouble. */
const SHORTEST = 100;
const LONGEST = 1000;

/** What connections are taken from: a listening socket, or the inbox of a mailbox. They wait there until they are taken. */
export class NativeAcceptor implements Acceptor, SocketEvents, Task {
  readonly address: Address;
  readonly kernelQueue: boolean;
  watcher: AcceptorWatcher | null = null;
  readonly gen: number;
  protected readonly loop: NativeLoop;
  protected readonly slot: number;
  /** Connections have what the listening socket has. */
  protected tuned = false;
  #wanted = false;
  /** The core tells of connections. */
  #armed = false;
  #open = true;
  #refed = true;
  #trouble = 0;
  #delay = SHORTEST;
  #retry: NodeJS.Timeout | null = null;

  constructor(loop: NativeLoop, slot: number, gen: number, address: Address, kernelQueue: boolean) {
    this.loop = loop;
    this.slot = slot;
    this.gen = gen;
    this.address = address;
    this.kernelQueue = kernelQueue;
    loop.sockets.set(slot, this);
    loop.ref();
  }

  protected get open(): boolean {
    return this.#open;
  }

  take(): Channel | null {
    if (!this.#open) return null;
    const loop = this.loop;
    const slot = loop.addon.accept(this.slot, this.gen);
    if (slot < 0) {
      if (slot !== -EAGAIN) this.#stall(-slot);
      return null;
    }
    this.#delay = SHORTEST;
    return takenChannel(loop, slot, this.tuned);
  }

  pending(): boolean {
    return this.#open && this.loop.addon.pending(this.slot, this.gen) > 0;
  }

  want(on: boolean): void {
    if (!this.#open) return;
    this.#wanted = on;
    // Turned off, the core is told when it next has something to say; most of the time it is wanted again by then.
    if (on && !this.#armed && this.#retry === null) this.#arm(true);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = this.#wanted = false;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.loop.sockets.delete(this.slot);
    this.loop.addon.close(this.slot, this.gen);
    if (this.#refed) this.loop.unref();
  }

  ref(on: boolean): void {
    if (!this.#open || on === this.#refed) return;
    this.#refed = on;
    if (on) this.loop.ref();
    else this.loop.unref();
  }

  onReady(): void {
    if (!this.#wanted || this.#retry !== null) return this.#arm(false);
    try {
      this.watcher?.ready();
    } catch (error) {
      rethrowSoon(error);
    }
  }

  /** Tells of trouble, from a fresh stack. */
  run(): void {
    const errno = this.#trouble;
    this.#trouble = 0;
    if (errno === 0 || !this.#open) return;
    try {
      this.watcher?.trouble(failure('accept', errno));
    } catch (error) {
      rethrowSoon(error);
    }
  }

  #arm(on: boolean): void {
    const failed = this.loop.addon.want(this.slot, this.gen, on ? 1 : 0);
    this.#armed = on && failed === 0;
    if (failed < 0) this.#stall(-failed);
  }

  #stall(errno: number): void {
    if (this.#retry !== null) return;
    if (this.#trouble === 0) this.loop.defer(this);
    this.#trouble = errno;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      if (this.#wanted && !this.#armed) this.#arm(true);
    }, this.#delay);
    this.#retry.unref();
    this.#delay = Math.min(LONGEST, this.#delay * 2);
  }
}
