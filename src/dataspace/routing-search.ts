import { Hole, hole } from './hole.ts';
import type { Atom, Atoms } from './routing-atoms.ts';
import type { Gathering } from './routing-group.ts';
import type { ShapeNode } from './routing-shapes.ts';
import { foldHash, INDEXED } from './routing-table.ts';
import type { RoutingEntry } from './routing-table.ts';
import { RecordValue } from './value.ts';
import type { Value } from './value.ts';

/** Where a topic goes on after the record or list that is being read. */
interface Rest {
  readonly items: readonly Value[];
  readonly at: number;
  readonly up: Rest | null;
}

/** What was found. */
export interface Found<T> {
  /** In order of coming; so many of them. */
  readonly found: readonly (RoutingEntry<T> | null)[];
  readonly count: number;
}

/** What was found, and what that goes by. */
export interface Answer<T> extends Found<T> {
  /**
   * Bit i stands for the i-th field of the record that was asked about: where it is not set, the answer is the same whatever
   * stands there. Negative where it may go by more than that.
   */
  readonly relied: number;
}

// Places are used again from one question to the next.
const MOST_PLACES = 1_024;

/** Of how many fields of a record it is noted whether an answer goes by them. */
const MOST_FIELDS = 30;
const UNSURE = 1 << 31;

/**
 * One question at a time to the tree of shapes: it is read place by place along the topic, and every way is followed that
 * the topic leaves open. Each node is come to at most once, since one way leads to it.
 */
export class RoutingSearch<T> implements Gathering<T>, Answer<T> {
  readonly constants: (Atom | null)[] = [];
  readonly found: (RoutingEntry<T> | null)[] = [];
  count = 0;
  groups = 0;
  looked = 0;
  indexed = 0;
  /** How many nodes of the tree were come to. */
  visited = 0;
  relied: number = UNSURE;
  readonly #atoms: Atoms;
  readonly #whole: Value[] = [];
  /** How many endpoints there are to be at least, that hear messages, where a way leads. */
  #least = 0;
  /** The fields of the record that is asked about. */
  #fields: readonly Value[] | null = null;

  constructor(atoms: Atoms) {
    this.#atoms = atoms;
  }

  /**
   * Gathers what meets a topic, group by group. For a message, which has no holes, only groups are come to in which somebody
   * hears messages.
   */
  run(root: ShapeNode<T>, topic: Value, message: boolean): void {
    this.#whole[0] = topic;
    this.#least = message ? 1 : 0;
    const ofFields = typeof topic === 'object' && topic !== null && RecordValue.is(topic);
    this.#fields = ofFields ? RecordValue.core(topic).items : null;
    this.relied = ofFields ? 0 : UNSURE;
    this.#walk(root, this.#whole, 0, null, 0, 0, 0, 0);
  }

  /** Forgets what was found, so that nothing removed is held on to. */
  clear(): void {
    if (this.count > MOST_PLACES) this.found.length = 0;
    else for (let i = 0; i < this.count; i++) this.found[i] = null;
    this.count = 0;
    this.groups = 0;
  }

  /**
   * Goes down from a node with what is left of the topic: `open` places on which it says nothing, since a hole of it stands
   * for the record or list here, then `items` from `at` on, then what is above. `count` constants lie behind; of those that
   * the topic has too, there is a mask and a hash.
   */
  #walk(
    from: ShapeNode<T>,
    within: readonly Value[],
    next: number,
    above: Rest | null,
    unsaid: number,
    behind: number,
    maskBehind: number,
    hashBehind: number,
  ): void {
    const least = this.#least;
    let node = from;
    let items = within;
    let at = next;
    let up = above;
    let open = unsaid;
    let count = behind;
    let mask = maskBehind;
    let hash = hashBehind;
    for (;;) {
      this.visited += 1;
      while (open === 0 && at === items.length) {
        if (up === null) {
          node.group!.gather(mask, hash, this);
          return;
        }
        ({ items, at, up } = up);
      }
      if (items === this.#fields && (node.scalar !== null || node.bytes !== null || node.compounds !== null))
        this.relied |= at < MOST_FIELDS ? 1 << at : UNSURE;
      const value = open > 0 ? hole : (items[at] as Value);
      if (open > 0) open -= 1;
      else at += 1;

      // Where what stands here leads: one way at most, unless it is a hole.
      let way: ShapeNode<T> | null | undefined;
      let atom: Atom | undefined;
      let inner: readonly Value[] | undefined;
      if (typeof value !== 'object' || value === null) {
        if (node.scalar !== null) {
          atom = this.#atoms.find(value);
          if (atom !== undefined) way = node.scalar;
        }
      } else if (RecordValue.is(value)) {
        if (node.compounds !== null) {
          const { shape, items: fields } = RecordValue.core(value);
          way = node.compounds.get(shape.key);
          inner = fields;
        }
      } else if (Hole.is(value)) this.#fan(node, items, at, up, open, count, mask, hash);
      else if (Array.isArray(value)) {
        way = node.compounds?.get(value.length);
        inner = value as readonly Value[];
      } else if (node.bytes !== null) {
        // They are their sender's, who may change them.
        this.relied |= UNSURE;
        atom = this.#atoms.findBytes(value as Uint8Array);
        if (atom !== undefined) way = node.bytes;
      }

      const free = node.hole !== null && node.hole.hearing >= least ? node.hole : null;
      if (way === undefined || way === null || way.hearing < least) {
        if (free === null) return;
        node = free;
        continue;
      }
      // Only where there are two ways does one of them take a call.
      if (free !== null) this.#walk(free, items, at, up, open, count, mask, hash);
      node = way;
      if (inner !== undefined) {
        up = restOf(items, at, up);
        items = inner;
        at = 0;
      } else {
        const constant = atom as Atom;
        this.constants[count] = constant;
        if (count < INDEXED) {
          mask |= 1 << count;
          hash = foldHash(hash, constant.hash);
        }
        count += 1;
      }
    }
  }

  /** Goes on every way but that of holes where the topic says nothing. */
  #fan(
    node: ShapeNode<T>,
    items: readonly Value[],
    at: number,
    up: Rest | null,
    open: number,
    count: number,
    mask: number,
    hash: number,
  ): void {
    if (node.scalar !== null) {
      this.constants[count] = null;
      this.#walk(node.scalar, items, at, up, open, count + 1, mask, hash);
    }
    if (node.bytes !== null) {
      this.constants[count] = null;
      this.#walk(node.bytes, items, at, up, open, count + 1, mask, hash);
    }
    if (node.compounds === null) return;
    for (const child of node.compounds.values())
      this.#walk(child, items, at, up, open + child.arity, count, mask, hash);
  }
}

/** What to come back to after a record or list: nothing where it is the last of what it stands in. */
function restOf(items: readonly Value[], at: number, up: Rest | null): Rest | null {
  return at === items.length ? up : { items, at, up };
}
