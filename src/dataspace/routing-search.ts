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

// Places are used again from one question to the next.
const MOST_PLACES = 1_024;

/**
 * One question at a time to the tree of shapes: it is read place by place along the topic, and every way is followed that
 * the topic leaves open. Each node is come to at most once, since one way leads to it.
 */
export class RoutingSearch<T> implements Gathering<T> {
  readonly constants: (Atom | null)[] = [];
  readonly found: (RoutingEntry<T> | null)[] = [];
  count = 0;
  groups = 0;
  looked = 0;
  indexed = 0;
  /** How many nodes of the tree were come to. */
  visited = 0;
  readonly #atoms: Atoms;
  readonly #whole: Value[] = [];

  constructor(atoms: Atoms) {
    this.#atoms = atoms;
  }

  /** Gathers what meets a topic, group by group. */
  run(root: ShapeNode<T>, topic: Value): void {
    this.#whole[0] = topic;
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
    count: number,
    mask: number,
    hash: number,
  ): void {
    let node = from;
    let items = within;
    let at = next;
    let up = above;
    let open = unsaid;
    for (;;) {
      this.visited += 1;
      while (open === 0 && at === items.length) {
        if (up === null) {
          node.group!.gather(mask, hash, this);
          return;
        }
        ({ items, at, up } = up);
      }
      const value = open > 0 ? hole : (items[at] as Value);
      if (open > 0) open -= 1;
      else at += 1;

      if (typeof value !== 'object' || value === null) {
        if (node.scalar !== null) {
          const atom = this.#atoms.find(value);
          if (atom !== undefined) this.#fix(atom, node.scalar, items, at, up, count, mask, hash);
        }
      } else if (RecordValue.is(value)) {
        const child = node.compounds?.get(RecordValue.core(value).shape.key);
        if (child !== undefined)
          this.#walk(child, RecordValue.core(value).items, 0, restOf(items, at, up), 0, count, mask, hash);
      } else if (Hole.is(value)) this.#fan(node, items, at, up, open, count, mask, hash);
      else if (Array.isArray(value)) {
        const child = node.compounds?.get(value.length);
        if (child !== undefined)
          this.#walk(child, value as readonly Value[], 0, restOf(items, at, up), 0, count, mask, hash);
      } else if (node.bytes !== null) {
        const atom = this.#atoms.findBytes(value as Uint8Array);
        if (atom !== undefined) this.#fix(atom, node.bytes, items, at, up, count, mask, hash);
      }
      if (node.hole === null) return;
      node = node.hole;
    }
  }

  /** Goes on where the topic has a constant that some endpoint has too. */
  #fix(
    atom: Atom,
    node: ShapeNode<T>,
    items: readonly Value[],
    at: number,
    up: Rest | null,
    count: number,
    mask: number,
    hash: number,
  ): void {
    this.constants[count] = atom;
    if (count < INDEXED) this.#walk(node, items, at, up, 0, count + 1, mask | (1 << count), foldHash(hash, atom.hash));
    else this.#walk(node, items, at, up, 0, count + 1, mask, hash);
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
