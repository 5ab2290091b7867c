import type { Atom } from './routing-atoms.ts';
import type { ShapeNode } from './routing-shapes.ts';
import { hashOf, INDEXED, RoutingTable } from './routing-table.ts';
import type { RoutingEntry } from './routing-table.ts';

/** Up to how many entries are looked through instead of being looked up. */
const SMALL = 8;
/** How many tables a group has at most. Each costs its time at every coming and going. */
const MAX_TABLES = 8;
/** For how many questions it is remembered at most what they looked at in vain. */
const MAX_WASTES = 1_024;
/** A table pays for itself once as many entries were looked at in vain as this many times those that there are. */
const WORTH_BUILDING = 4;
/** The same when another table has to go for it. */
const WORTH_REPLACING = 32;

/** What a question to an index gathers. */
export interface Gathering<T> {
  /** The constants of the question, as {@link RoutingEntry.atoms} has them; null where it has a hole. */
  readonly constants: (Atom | null)[];
  /** So many places of it are taken. */
  readonly found: (RoutingEntry<T> | null)[];
  count: number;
  /** How many groups something was found in. */
  groups: number;
  /** How many entries were looked at. */
  looked: number;
  /** How many entries were put into indexes that were made for questions. */
  indexed: number;
}

/** The endpoints of one shape: those whose topics have the same labels, arities, holes and constants at the same places. */
export class RoutingGroup<T> {
  readonly node: ShapeNode<T>;
  /** How many constants the shape has. */
  readonly constants: number;
  size = 0;
  /** First the one of all entries, in a group that isn't small then the one by all constants, then those that were made for questions. */
  readonly #tables: RoutingTable<T>[] = [new RoutingTable<T>(0)];
  #asked = 0;
  #wasted: Map<number, number> | null = null;

  constructor(node: ShapeNode<T>, constants: number) {
    this.node = node;
    this.constants = constants;
  }

  /** How many hash indexes it has. */
  get indexes(): number {
    return this.#tables.length - 1;
  }

  add(entry: RoutingEntry<T>): void {
    entry.group = this;
    for (const table of this.#tables) entry.links.push(table.add(entry));
    this.size += 1;
    if (this.size > SMALL && this.#tables.length === 1 && this.constants > 0) this.#build(fullMask(this.constants), 1);
  }

  remove(entry: RoutingEntry<T>): void {
    entry.group = null;
    for (const [i, table] of this.#tables.entries()) table.remove(entry.links[i]!);
    entry.links.length = 0;
    this.size -= 1;
  }

  /** Gathers the entries whose constants agree with those that a question has, which the mask says and the hash is of. */
  gather(mask: number, hash: number, into: Gathering<T>): void {
    const table = this.#best(mask);
    const exact = table.mask === mask;
    const { constants, found } = into;
    const before = into.count;
    const chain = table.find(exact ? hash : hashOf(constants, table.mask), constants);
    if (chain === null) return;
    const compare = !exact || this.constants > INDEXED;
    let count = before;
    let looked = 0;
    for (let link = chain.first; link !== null; link = link.after) {
      looked += 1;
      if (!compare || agrees(link.entry.atoms, constants)) found[count++] = link.entry;
    }
    into.count = count;
    into.looked += looked;
    const fresh = count - before;
    if (fresh > 0) into.groups += 1;
    if (!exact && this.size > SMALL) this.#waste(mask, looked - fresh, into);
  }

  /** The table that leaves the fewest to be compared: the one for just these constants, or for most of them. */
  #best(mask: number): RoutingTable<T> {
    const tables = this.#tables;
    let best = tables[0] as RoutingTable<T>;
    if (mask === 0 || this.size <= SMALL) return best;
    let most = 0;
    for (let i = 1; i < tables.length; i++) {
      const table = tables[i] as RoutingTable<T>;
      if (table.mask === mask) {
        best = table;
        break;
      }
      if ((table.mask & mask) !== table.mask) continue;
      const bits = bitCount(table.mask);
      if (bits > most) {
        most = bits;
        best = table;
      }
    }
    this.#asked += 1;
    best.asked = this.#asked;
    return best;
  }

  // What was looked at in vain pays for tables: one that is asked for once is never made, and however questions change,
  // making and dropping tables costs no more than a multiple of what looking through all entries would have.
  #waste(mask: number, entries: number, into: Gathering<T>): void {
    if (entries === 0) return;
    this.#wasted ??= new Map();
    const wasted = (this.#wasted.get(mask) ?? 0) + entries;
    const full = this.#tables.length > MAX_TABLES;
    if (wasted >= this.size * (full ? WORTH_REPLACING : WORTH_BUILDING)) {
      this.#wasted.delete(mask);
      this.#build(mask, full ? this.#leastAsked() : this.#tables.length);
      into.indexed += this.size;
      return;
    }
    if (this.#wasted.size >= MAX_WASTES && !this.#wasted.has(mask)) this.#wasted.clear();
    this.#wasted.set(mask, wasted);
  }

  #leastAsked(): number {
    let least = 2;
    for (let i = 3; i < this.#tables.length; i++) if (this.#tables[i]!.asked < this.#tables[least]!.asked) least = i;
    return least;
  }

  #build(mask: number, slot: number): void {
    const table = new RoutingTable<T>(mask);
    table.asked = this.#asked;
    const all = this.#tables[0]!.find(0, []);
    for (let link = all?.first ?? null; link !== null; link = link.after)
      link.entry.links[slot] = table.add(link.entry);
    this.#tables[slot] = table;
  }
}

function fullMask(constants: number): number {
  return 2 ** Math.min(constants, INDEXED) - 1;
}

function agrees(atoms: readonly Atom[], constants: readonly (Atom | null)[]): boolean {
  for (let i = 0; i < atoms.length; i++) {
    const constant = constants[i] as Atom | null;
    if (constant !== null && constant !== atoms[i]) return false;
  }
  return true;
}

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
