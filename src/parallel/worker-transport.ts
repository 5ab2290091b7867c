import { ClosedError } from '../base/errors.ts';
import type { Measures } from '../server/measures.ts';
import type { Address } from '../transport/address.ts';
import type {
  Acceptor,
  BindOptions,
  BindTarget,
  Channel,
  Dial,
  DialTarget,
  Released,
  Transport,
  TransportFlags,
} from '../transport/contract.ts';
import type { BorrowedPermits } from './borrowed-permits.ts';
import { CountedArrivals } from './counted-arrivals.ts';
import { Arriving } from './setting-out.ts';
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
  readonly #measures: Measures;

  /** `permits`: the stores that connections which arrive have permits of. `turnedAway` is told of each that arrived and was not taken in time; `measures`: where it is measured how long they were on their way. */
  constructor(
    base: Transport,
    source: Source,
    address: Address,
    permits: readonly BorrowedPermits[],
    turnedAway: () => void,
    measures: Measures,
    opened: (acceptor: Acceptor) => void = () => {},
  ) {
    this.#base = base;
    this.#source = source;
    this.#address = address;
    this.#opened = opened;
    this.#permits = permits;
    this.#turnedAway = turnedAway;
    this.#measures = measures;
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
            { arriving: new Arriving(source.setOut), measures: this.#measures },
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
