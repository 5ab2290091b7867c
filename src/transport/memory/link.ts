import type { Random } from '../../sync/random.ts';
import type { Address } from '../address.ts';
import { End } from './end.ts';
import type { Faults, Plan } from './faults.ts';
import { planOf } from './faults.ts';
import type { Network } from './network.ts';
import { Wire } from './wire.ts';

/** One connection: two ends, two wires, and what may go wrong on them. */
export class Link {
  readonly network: Network;
  readonly number: number;
  readonly client: End;
  readonly server: End;
  /** Goes silent for good. */
  severed = false;
  plan: Plan;
  readonly #listener: Address;

  /** `listener` is where the accepting side was bound, which may be a wildcard. */
  constructor(network: Network, number: number, random: Random, client: Address, server: Address, listener: Address) {
    this.network = network;
    this.number = number;
    this.#listener = listener;
    this.client = new End(this, 'client', client, server);
    this.server = new End(this, 'server', server, client);
    const there = new Wire(this, this.client, this.server, random.fork(), '>');
    const back = new Wire(this, this.server, this.client, random.fork(), '<');
    this.client.out = there;
    this.client.in = back;
    this.server.out = back;
    this.server.in = there;
    this.plan = this.#layers();
  }

  /** Whether nothing passes now. */
  get down(): boolean {
    return this.severed || this.network.partitioned;
  }

  /** Faults were set anew. */
  replan(): void {
    this.plan = this.#layers();
  }

  /** Resets both sides, as something in the middle does. */
  reset(): void {
    this.network.note(`${this.number} reset`);
    this.client.fail('ECONNRESET');
    this.server.fail('ECONNRESET');
  }

  /** Goes silent for good. */
  sever(): void {
    if (this.severed) return;
    this.network.note(`${this.number} silent`);
    this.severed = true;
    this.changed();
  }

  /** The way is free, blocked or gone. */
  changed(): void {
    this.client.out.changed();
    this.server.out.changed();
  }

  /** One end was given up. */
  closed(end: End): void {
    this.network.note(`${this.number} ${end.side} closed`);
    this.network.forget(end, this.client.closed && this.server.closed);
  }

  note(mark: string, what: string, bytes: number): void {
    if (this.network.traced) this.network.note(`${this.number}${mark} ${what}${bytes > 0 ? ` ${bytes}` : ''}`);
  }

  #layers(): Plan {
    const layers: Faults[] = this.network.layers([this.#listener, this.server.local, this.client.local]);
    return planOf(layers);
  }
}
