import type { PortsideError } from '../base/errors.ts';
import type { PermitStore } from '../server/permits.ts';
import type { Address } from '../transport/address.ts';
import type { Acceptor, AcceptorWatcher, Channel } from '../transport/contract.ts';

/** Takes from another acceptor no more than there are permits for; for listeners that nobody else limits. Whoever takes a channel gives its permit back. */
export class LimitedAcceptor implements Acceptor {
  readonly address: Address;
  readonly kernelQueue: boolean;
  watcher: AcceptorWatcher | null = null;
  readonly #inner: Acceptor;
  readonly #permits: PermitStore;
  #wanted = false;
  #waits: (() => void) | null = null;

  constructor(inner: Acceptor, permits: PermitStore) {
    this.#inner = inner;
    this.#permits = permits;
    this.address = inner.address;
    this.kernelQueue = inner.kernelQueue;
    inner.watcher = {
      ready: () => this.watcher?.ready(),
      trouble: (error: PortsideError) => this.watcher?.trouble(error),
    };
  }

  take(): Channel | null {
    if (!this.#permits.take()) {
      this.#wait();
      return null;
    }
    const channel = this.#inner.take();
    if (channel === null) this.#permits.give();
    return channel;
  }

  pending(): boolean {
    return this.#permits.used < this.#permits.limit && this.#inner.pending();
  }

  want(on: boolean): void {
    this.#wanted = on;
    this.#inner.want(on && this.#waits === null);
  }

  close(): void {
    this.#waits?.();
    this.#waits = null;
    this.#inner.close();
  }

  ref(on: boolean): void {
    this.#inner.ref(on);
  }

  #wait(): void {
    if (this.#waits !== null) return;
    this.#inner.want(false);
    this.#waits = this.#permits.wait(() => {
      this.#waits = null;
      this.#inner.want(this.#wanted);
      if (this.#wanted) this.watcher?.ready();
    });
  }
}
