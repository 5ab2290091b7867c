import { PortsideError } from '../../base/errors.ts';
import type { TimerHandle } from '../../sync/clock.ts';
import type { Random } from '../../sync/random.ts';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Channel, Dial, DialTarget } from '../contract.ts';
import { systemError } from '../system-error.ts';
import type { MemoryAcceptor } from './acceptor.ts';
import { MemoryChannel } from './channel.ts';
import type { End } from './end.ts';
import type { Plan } from './faults.ts';
import type { Network } from './network.ts';

// Linux waits a second for the first answer, and twice as long each time after.
const FIRST_WAIT = 1_000;

/** A connection being made in memory: a SYN that may be lost, refused, or wait for room in a listener's queue. */
export class MemoryDial implements Dial {
  readonly result: Promise<Channel>;
  readonly #network: Network;
  readonly #target: DialTarget;
  readonly #random: Random;
  readonly #number: number;
  #resolve!: (channel: Channel) => void;
  #reject!: (error: PortsideError) => void;
  #done = false;
  #remote: Address | null = null;
  #local: Address | null = null;
  #attempts = 0;
  #timer: TimerHandle | null = null;
  #waitsAt: MemoryAcceptor | null = null;
  #end: End | null = null;

  constructor(network: Network, target: DialTarget, random: Random, number: number) {
    this.#network = network;
    this.#target = target;
    this.#random = random;
    this.#number = number;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    network.clock.soon(() => this.#begin());
  }

  cancel(): void {
    if (this.#done) return;
    // Who calls it off has nothing to learn from the result, and need not look at it.
    this.result.catch(() => {});
    this.#end?.close(true);
    this.#fail(
      new PortsideError('ERR_PORTSIDE_ABORTED', `connect ${this.#where}: called off`, {
        op: 'connect',
        remote: this.#where,
      }),
    );
  }

  get #where(): string {
    if (this.#remote !== null) return formatAddress(this.#remote);
    const target = this.#target;
    if (target.kind === 'tcp') return `${target.host}:${target.port}`;
    return target.kind === 'unix' ? `unix://${target.path}` : `memory://${target.name}`;
  }

  #begin(): void {
    if (this.#done) return;
    const network = this.#network;
    try {
      this.#remote = network.book.remote(this.#target);
      const plan = this.#plan(this.#remote);
      if (network.traced) network.note(`dial ${this.#number} ${this.#where}`);
      if (network.lacksDescriptors(this.#remote)) throw systemError('connect', 'EMFILE', { remote: this.#where });
      this.#local = network.book.client(this.#target, this.#remote);
      if (plan.refuse > 0 && this.#random.next() < plan.refuse)
        throw systemError('connect', 'ECONNREFUSED', { remote: this.#where });
      this.#syn(this.#remote);
    } catch (error) {
      this.#fail(error as PortsideError);
    }
  }

  // Sends a SYN, and sets the time after which it counts as lost.
  #syn(remote: Address): void {
    const network = this.#network;
    const wait = FIRST_WAIT * 2 ** this.#attempts;
    this.#attempts++;
    this.#timer = network.clock.after(wait, () => {
      if (this.#attempts > network.synRetry) this.#fail(systemError('connect', 'ETIMEDOUT', { remote: this.#where }));
      else this.#syn(remote);
    });
    if (this.#waitsAt !== null) return;
    const plan = this.#plan(remote);
    if (network.partitioned || (plan.backlogFull > 0 && this.#random.next() < plan.backlogFull)) return;
    this.#later(plan, () => this.#arrive());
  }

  // The SYN is where it was sent to.
  readonly #arrive = (): void => {
    this.#waitsAt = null;
    const { book, clock, partitioned } = this.#network;
    const [local, remote] = [this.#local, this.#remote];
    if (this.#done || this.#end !== null || partitioned || local === null || remote === null) return;
    const acceptor = book.find(remote);
    if (acceptor === undefined) {
      this.#later(this.#plan(remote), () =>
        this.#fail(systemError('connect', 'ECONNREFUSED', { remote: this.#where })),
      );
      return;
    }
    if (acceptor.full) {
      this.#waitsAt = acceptor;
      acceptor.waitForRoom(this.#arrive);
      return;
    }
    const link = this.#network.link(local, remote, acceptor.address);
    this.#end = link.client;
    this.#timer?.cancel();
    acceptor.arrive(link.server);
    if (this.#plan(remote).latencyMax > 0) this.#later(this.#plan(remote), () => this.#connected(link.client));
    else clock.soon(() => this.#connected(link.client));
  };

  #connected(end: End): void {
    if (this.#done) return;
    this.#settle();
    this.#resolve(new MemoryChannel(end));
  }

  #fail(error: PortsideError): void {
    if (this.#done) return;
    this.#settle();
    if (this.#network.traced) this.#network.note(`dial ${this.#number} ${error.code}`);
    if (this.#local !== null && this.#end === null) this.#network.book.release(this.#local);
    this.#reject(error);
  }

  #settle(): void {
    this.#done = true;
    this.#timer?.cancel();
    this.#waitsAt?.stopWaiting(this.#arrive);
  }

  #plan(remote: Address): Plan {
    return this.#network.plan(remote);
  }

  #later(plan: Plan, fn: () => void): void {
    if (plan.latencyMax === 0) fn();
    else this.#network.clock.after(plan.latencyMin + this.#random.next() * (plan.latencyMax - plan.latencyMin), fn);
  }
}
