import { ClosedError } from '../base/errors.ts';
import type { PortsideError } from '../base/errors.ts';
import type { Address } from '../transport/address.ts';
import type {
  Acceptor,
  AcceptorWatcher,
  BindOptions,
  BindTarget,
  Channel,
  Dial,
  DialTarget,
  Released,
  Transport,
  TransportFlags,
} from '../transport/contract.ts';
import type { PermitStore } from '../server/permits.ts';
import type { BorrowedPermits } from './borrowed-permits.ts';
import { CountedArrivals } from './counted-arrivals.ts';
import { takeOver } from './protocol.ts';
import type { Source } from './protocol.ts';

/** What a worker listens by at one place: it opens what the parent has bound or accepts on, whatever it is asked to bind. */
export class WorkerTransport implements Transport {
  readonly name: string;
  readonly flags: TransportFlags;
  readonly #base: Transport;
  readonly #source: Source;
  readonly #address: Address;

  readonly #opened: (acceptor: Acceptor) => void;
  readonly #permits: readonly BorrowedPermits[];
  readonly #turnedAway: () => void;

  /** `permits`: the stores that connections which arrive have permits of. `turnedAway` is told of each that arrived and was not taken in time. */
  constructor(
    base: Transport,
    source: Source,
    address: Address,
    permits: readonly BorrowedPermits[],
    turnedAway: () => void,
    opened: (acceptor: Acceptor) => void = () => {},
  ) {
    this.#base = base;
    this.#source = source;
    this.#address = address;
    this.#opened = opened;
    this.#permits = permits;
    this.#turnedAway = turnedAway;
    this.name = base.name;
    // A path is the parent's file: it is not for the worker to claim.
    this.flags = { ...base.flags, memory: true };
  }

  async listen(target: BindTarget, options: BindOptions): Promise<Acceptor> {
    const acceptor = await this.#open(target, options);
    this.#opened(acceptor);
    return acceptor;
  }

  #open(target: BindTarget, options: BindOptions): Promise<Acceptor> {
    const source = this.#source;
    switch (source.kind) {
      case 'arrivals':
        return Promise.resolve(
          new CountedArrivals(
            this.#base.passages!.arrivals(source.ticket, this.#address, source.kernelQueue),
            this.#permits,
            this.#base.flags.handOver ? null : this.#turnedAway,
          ),
        );
      case 'shared':
        if (!takeOver(source)) return Promise.reject(new ClosedError('the parent has closed it', { op: 'listen' }));
        return this.#base.listen({ kind: 'fd', fd: source.fd }, options);
      case 'bound':
        return this.#base.listen(target, { ...options, reusePort: true });
    }
  }

  dial(target: DialTarget): Dial {
    return this.#base.dial(target);
  }

  adopt(released: Released): Channel {
    return this.#base.adopt(released);
  }
}

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
