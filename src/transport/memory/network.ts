import { PortsideError } from '../../base/errors.ts';
import { systemClock } from '../../sync/clock.ts';
import type { Clock } from '../../sync/clock.ts';
import { seededRandom } from '../../sync/random.ts';
import type { Random } from '../../sync/random.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Acceptor, BindOptions, BindTarget, Channel, Dial, DialTarget, Released } from '../contract.ts';
import { systemError } from '../system-error.ts';
import { MemoryAcceptor } from './acceptor.ts';
import { AddressBook } from './book.ts';
import { MemoryChannel } from './channel.ts';
import { MemoryDial } from './dial.ts';
import { End } from './end.ts';
import { unsupported } from './errors.ts';
import { planOf } from './faults.ts';
import type { Faults, Plan } from './faults.ts';
import { Link } from './link.ts';

/** What a {@link Network} is made of, nothing left open. */
export interface NetworkSettings {
  readonly clock: Clock | undefined;
  readonly seed: number;
  readonly bufferSize: number;
  readonly userTimeout: number;
  readonly synRetry: number;
  readonly hosts: readonly string[] | null;
  readonly faults: Faults;
  readonly trace: ((line: string) => void) | undefined;
}

/** The inside of a network in memory: its addresses, its connections, and what ails them. */
export class Network {
  readonly clock: Clock;
  readonly bufferSize: number;
  readonly userTimeout: number;
  readonly synRetry: number;
  readonly book: AddressBook;
  /** Whether lines of the trace are wanted; look before making one. */
  readonly traced: boolean;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #random: Random;
  readonly #started: number;
  readonly #links: Set<Link> = new Set();
  readonly #acceptors: Set<MemoryAcceptor> = new Set();
  readonly #places: Map<string, Faults> = new Map();
  #everywhere: Faults;
  #linkNumber = 0;
  #dialNumber = 0;
  #exhausted = false;
  open = 0;
  partitioned = false;

  constructor(settings: NetworkSettings) {
    this.clock = settings.clock ?? systemClock;
    this.bufferSize = settings.bufferSize;
    this.userTimeout = settings.userTimeout;
    this.synRetry = settings.synRetry;
    this.book = new AddressBook(settings.hosts);
    this.#trace = settings.trace;
    this.traced = settings.trace !== undefined;
    this.#random = seededRandom(settings.seed);
    this.#started = this.clock.now();
    this.#everywhere = settings.faults;
  }

  get listening(): number {
    return this.#acceptors.size;
  }

  listen(target: BindTarget, options: BindOptions): Acceptor {
    if (options.reusePort) throw unsupported('listen', 'ports that listeners share (reusePort)');
    if (options.reuseAddress === false) throw unsupported('listen', 'addresses that stay taken (reuseAddress: false)');
    if (this.#exhausted) throw systemError('listen', 'EMFILE');
    const acceptor = this.book.bind(target, (address) => new MemoryAcceptor(this, address, options.backlog));
    this.#acceptors.add(acceptor);
    if (this.traced) this.note(`listen ${formatAddress(acceptor.address)}`);
    return acceptor;
  }

  unlisten(acceptor: MemoryAcceptor): void {
    this.book.unbind(acceptor);
    this.#acceptors.delete(acceptor);
    if (this.traced) this.note(`unlisten ${formatAddress(acceptor.address)}`);
  }

  dial(target: DialTarget): Dial {
    return new MemoryDial(this, target, this.#random.fork(), ++this.#dialNumber);
  }

  adopt(released: Released): Channel {
    if (released.kind !== 'memory' || !(released.end instanceof End))
      throw unsupported('adopt', `use for what is released as "${released.kind}"`);
    const { end } = released;
    if (end.owner !== null || end.closed) {
      throw new PortsideError('ERR_PORTSIDE_RELEASED', 'adopt: the connection has an owner already, or is closed', {
        op: 'adopt',
      });
    }
    end.inbox.putBack(released.unread);
    if (released.ended) end.finIn = true;
    return new MemoryChannel(end);
  }

  link(client: Address, server: Address, listener: Address): Link {
    const link = new Link(this, ++this.#linkNumber, this.#random.fork(), client, server, listener);
    this.#links.add(link);
    this.open += 2;
    if (this.traced) this.note(`${link.number} open ${formatAddress(client)} ${formatAddress(server)}`);
    return link;
  }

  pair(): [Channel, Channel] {
    const server = this.book.clientName();
    const link = this.link(this.book.clientName(), server, server);
    return [new MemoryChannel(link.client), new MemoryChannel(link.server)];
  }

  forget(end: End, both: boolean): void {
    this.open--;
    if (end.side === 'client') this.book.release(end.local);
    if (both) this.#links.delete(end.link);
  }

  setFaults(faults: Faults, where: string | undefined): void {
    if (where === undefined) this.#everywhere = faults;
    else this.#places.set(where, faults);
    for (const link of this.#links) link.replan();
  }

  /** The faults of the whole network, with those of some places over them. */
  layers(places: readonly Address[]): Faults[] {
    const layers = [this.#everywhere];
    if (this.#places.size === 0) return layers;
    for (const place of places) {
      const faults = this.#places.get(formatAddress(place));
      if (faults !== undefined) layers.push(faults);
    }
    return layers;
  }

  plan(address: Address): Plan {
    return planOf(this.layers([address]));
  }

  lacksDescriptors(address: Address): boolean {
    const { noDescriptors } = this.plan(address);
    return this.#exhausted || (noDescriptors > 0 && this.#random.next() < noDescriptors);
  }

  resetAll(): void {
    for (const link of this.#links) link.reset();
  }

  partition(on: boolean): void {
    if (this.partitioned === on) return;
    this.note(on ? 'partition' : 'heal');
    this.partitioned = on;
    for (const link of this.#links) link.changed();
  }

  exhaustDescriptors(on: boolean): void {
    if (this.#exhausted !== on) this.note(on ? 'no descriptors' : 'descriptors');
    this.#exhausted = on;
  }

  note(text: string): void {
    if (this.#trace === undefined) return;
    try {
      this.#trace(`${(this.clock.now() - this.#started).toFixed(3)} ${text}`);
    } catch (error) {
      rethrowSoon(error);
    }
  }
}
