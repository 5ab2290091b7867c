import { byteCount, check, fn, integer, list, milliseconds, string, table, that } from '../../base/options.ts';
import type { Clock } from '../../sync/clock.ts';
import { systemClock } from '../../sync/clock.ts';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Acceptor, Channel, Transport, TransportFlags } from '../contract.ts';
import { faultsRule, faultsTable } from './faults.ts';
import type { Faults } from './faults.ts';
import { Network } from './network.ts';

export type { Faults, Side } from './faults.ts';

/** What a network in memory is made of. */
export interface MemoryNetworkOptions {
  /** The time it lives in; a `VirtualClock` makes it exact and immediate. @default the machine's own */
  readonly clock?: Clock | undefined;
  /** What all chances are drawn from, 0 to 4294967295. @default a random one, to be read from `network.seed` */
  readonly seed?: number | undefined;
  /** Bytes of each direction that were sent and not read yet, in flight or in the receiver's buffer. @default 65536 */
  readonly bufferSize?: number | undefined;
  /** Milliseconds that sent bytes wait for an acknowledgement before the connection fails with ETIMEDOUT (TCP_USER_TIMEOUT). @default 30000 */
  readonly userTimeout?: number | undefined;
  /**
   * How often a dial that gets no answer asks again before it fails with ETIMEDOUT: after 1, 2, 4, … seconds, so 6
   * make 127 seconds (Linux' `tcp_syn_retries`). A dial that waits for room in a listener's queue gets in as soon as there is some. @default 6
   */
  readonly synRetry?: number | undefined;
  /** The numeric hosts that the network has, beside the wildcards; others give EADDRNOTAVAIL and EHOSTUNREACH. @default all */
  readonly hosts?: readonly string[] | undefined;
  /** What goes wrong from the start. @default nothing */
  readonly faults?: Faults | undefined;
  /**
   * Gets one line for each event: milliseconds since the network was made, the number of the connection with `>` or `<` for
   * the direction from or to the client, and what happened. Two runs of one seed under virtual clocks give the same lines.
   * It is called within other calls, and must not call the network.
   */
  readonly trace?: ((line: string) => void) | undefined;
}

/** A network inside of one process: sockets' behaviour without sockets, in any time, with any luck. */
export interface MemoryNetwork {
  /** Give it to `listen` and `connect`. Its addresses are its own: two networks don't see each other. */
  readonly transport: Transport;
  /** The time it lives in. */
  readonly clock: Clock;
  /** What all chances are drawn from; print it with a failure, and give it to the next run. */
  readonly seed: number;
  /** Ends of connections that are open, accepted or not. 0 when nothing leaked. */
  readonly open: number;
  /** Listeners that are open. */
  readonly listening: number;
  /**
   * Sets what goes wrong from now on, on connections that exist too. With `where`, an address of either side or its text
   * (`memory://chat`, `127.0.0.1:5000`), only there, laid over those of the whole network field by field. Replaces what was set for the same place; `{}` clears it.
   * Throws ERR_PORTSIDE_OPTIONS with everything that is wrong.
   */
  faults(faults: Faults, where?: Address | string): void;
  /** Resets every connection, for both sides, as a middlebox does that lost its state. */
  resetAll(): void;
  /** While on, nothing arrives and no dial is answered. What was sent arrives when it is off again, unless `userTimeout` passed. */
  partition(on: boolean): void;
  /** While on, listening, dialing and taking fail with EMFILE. */
  exhaustDescriptors(on: boolean): void;
  /** Two channels that are connected to each other; the first counts as the client. */
  pair(): [Channel, Channel];
}

const flags: TransportFlags = Object.freeze({
  kernelQueue: true,
  reusePort: false,
  reset: true,
  transfer: false,
  handOver: false,
  tcp: true,
  unix: true,
  memory: true,
  descriptors: false,
  borrows: false,
});

const optionsTable = table('memoryNetwork', {
  clock: that<Clock>('a Clock', isClock),
  seed: integer({ min: 0, max: 2 ** 32 - 1 }),
  bufferSize: byteCount({ min: 1 }),
  userTimeout: milliseconds(),
  synRetry: integer({ min: 0, max: 30 }),
  hosts: list(string()),
  faults: faultsRule,
  trace: fn<(line: string) => void>(),
});

/**
 * Makes a network in memory.
 *
 * TCP by any numeric host and port, Unix paths and `memory://` names live in it side by side; a path is a name here, no
 * file, so dialing one that nobody has gives ECONNREFUSED. It
 * behaves as a kernel does: listeners have a queue of their own, each direction has a bounded buffer, so back-pressure is
 * real; writing to a peer that is gone gives a reset, and dropping a connection with unread input resets its peer.
 * Nothing in it keeps the process alive but bytes on their way. Throws ERR_PORTSIDE_OPTIONS with everything that is wrong.
 */
export function memoryNetwork(options?: MemoryNetworkOptions): MemoryNetwork {
  const given: MemoryNetworkOptions = check(optionsTable, options);
  const seed = given.seed ?? Math.floor(Math.random() * 2 ** 32);
  const clock = given.clock ?? systemClock;
  const network = new Network({
    clock,
    seed,
    bufferSize: given.bufferSize ?? 65_536,
    userTimeout: given.userTimeout ?? 30_000,
    synRetry: given.synRetry ?? 6,
    hosts: given.hosts ?? null,
    faults: given.faults ?? {},
    trace: given.trace,
  });
  return {
    clock,
    seed,
    transport: {
      name: 'memory',
      flags,
      listen: async (target, bindOptions): Promise<Acceptor> => network.listen(target, bindOptions),
      dial: (target) => network.dial(target),
      adopt: (released) => network.adopt(released),
    },
    get open() {
      return network.open;
    },
    get listening() {
      return network.listening;
    },
    faults: (faults, where) => {
      const place = typeof where === 'object' ? formatAddress(where) : where;
      network.setFaults(check(faultsTable, faults, { at: 'faults' }), place);
    },
    resetAll: () => network.resetAll(),
    partition: (on) => network.partition(on),
    exhaustDescriptors: (on) => network.exhaustDescriptors(on),
    pair: () => network.pair(),
  };
}

function isClock(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return ['now', 'wall', 'after', 'soon'].every(
    (name) => typeof (value as Record<string, unknown>)[name] === 'function',
  );
}
