import type { Atom } from './routing-atoms.ts';
import type { RoutingGroup } from './routing-group.ts';

/** How many of a shape's constants hash indexes tell apart; those beyond are compared one by one. */
export const INDEXED = 30;

/** Folds the hash of the next constant into that of those before it. */
export function foldHash(hash: number, next: number): number {
  const mixed = Math.imul(hash ^ next, 0x9e37_79b1);
  return mixed ^ (mixed >>> 15);
}

/** Hashes the constants that a mask picks out. */
export function hashOf(atoms: readonly (Atom | null)[], mask: number): number {
  let hash = 0;
  for (let i = 0; mask >>> i !== 0; i++) if ((mask & (1 << i)) !== 0) hash = foldHash(hash, atoms[i]?.hash ?? 0);
  return hash;
}

/** An endpoint in an index. */
export class RoutingEntry<T> {
  readonly value: T;
  /** Its place in the order of coming. */
  readonly order: number;
  /** The constants of its topic, in the order in which they stand. */
  readonly atoms: readonly Atom[];
  /** Where it is; null when it was removed. */
  group: RoutingGroup<T> | null = null;
  /** Whether it is there for messages too. */
  hears = false;
  /** Its place in each table of its group. */
  readonly links: Link<T>[] = [];

  constructor(value: T, order: number, atoms: readonly Atom[]) {
    this.value = value;
    this.order = order;
    this.atoms = atoms;
  }
}

/** The place of an entry in a chain. */
class Link<T> {
  readonly entry: RoutingEntry<T>;
  readonly chain: Chain<T>;
  before: Link<T> | null;
  after: Link<T> | null = null;

  constructor(entry: RoutingEntry<T>, chain: Chain<T>) {
    this.entry = entry;
    this.chain = chain;
    this.before = chain.last;
  }
}

/** Entries whose constants agree in all that their table looks at, in the order of their coming. */
class Chain<T> {
  readonly hash: number;
  first: Link<T> | null = null;
  last: Link<T> | null = null;
  /** The next one in the same slot of the table. */
  next: Chain<T> | null;

  constructor(hash: number, next: Chain<T> | null) {
    this.hash = hash;
    this.next = next;
  }
}

export type { Chain, Link };

const FEWEST_SLOTS = 8;

/**
 * The entries of a group by some of their constants; by none of them, it is a list of all.
 *
 * It is a hash table of its own and no Map, in which an endpoint that comes and goes again and again would leave more
 * behind each time for the next to step over.
 */
export class RoutingTable<T> {
  /** Bit i stands for the i-th constant. */
  readonly mask: number;
  /** When it was last asked, by its group's count. */
  asked = 0;
  #slots: (Chain<T> | null)[] = emptySlots(FEWEST_SLOTS);
  #chains = 0;

  constructor(mask: number) {
    this.mask = mask;
  }

  /** Adds an entry at the end of its chain. */
  add(entry: RoutingEntry<T>): Link<T> {
    const hash = hashOf(entry.atoms, this.mask);
    const chain = this.find(hash, entry.atoms) ?? this.#open(hash);
    const link = new Link(entry, chain);
    if (chain.last === null) chain.first = link;
    else chain.last.after = link;
    chain.last = link;
    return link;
  }

  remove(link: Link<T>): void {
    const { chain, before, after } = link;
    if (before === null) chain.first = after;
    else before.after = after;
    if (after === null) chain.last = before;
    else after.before = before;
    if (chain.first === null) this.#close(chain);
  }

  /** The chain of the entries that have these constants; null when none has. */
  find(hash: number, atoms: readonly (Atom | null)[]): Chain<T> | null {
    let chain = this.#slots[hash & (this.#slots.length - 1)] as Chain<T> | null;
    while (chain !== null && !(chain.hash === hash && agree((chain.first as Link<T>).entry.atoms, atoms, this.mask)))
      chain = chain.next;
    return chain;
  }

  #open(hash: number): Chain<T> {
    if (this.#chains === this.#slots.length) this.#resize(this.#chains * 2);
    const slot = hash & (this.#slots.length - 1);
    const chain = new Chain<T>(hash, this.#slots[slot] as Chain<T> | null);
    this.#slots[slot] = chain;
    this.#chains += 1;
    return chain;
  }

  #close(chain: Chain<T>): void {
    const slot = chain.hash & (this.#slots.length - 1);
    let other = this.#slots[slot] as Chain<T>;
    if (other === chain) this.#slots[slot] = chain.next;
    else {
      while (other.next !== chain) other = other.next as Chain<T>;
      other.next = chain.next;
    }
    this.#chains -= 1;
    const { length } = this.#slots;
    if (length > FEWEST_SLOTS && this.#chains < length / 8) this.#resize(length / 2);
  }

  #resize(length: number): void {
    const slots = emptySlots<T>(length);
    for (const first of this.#slots) {
      for (let chain = first, next: Chain<T> | null; chain !== null; chain = next) {
        next = chain.next;
        const slot = chain.hash & (length - 1);
        chain.next = slots[slot] as Chain<T> | null;
        slots[slot] = chain;
      }
    }
    this.#slots = slots;
  }
}

function emptySlots<T>(length: number): (Chain<T> | null)[] {
  const slots: (Chain<T> | null)[] = [];
  for (let i = 0; i < length; i++) slots.push(null);
  return slots;
}

function agree(a: readonly (Atom | null)[], b: readonly (Atom | null)[], mask: number): boolean {
  for (let i = 0; mask >>> i !== 0; i++) if ((mask & (1 << i)) !== 0 && a[i] !== b[i]) return false;
  return true;
}
