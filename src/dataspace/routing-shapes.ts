import { Hole } from './hole.ts';
import { RoutingGroup } from './routing-group.ts';
import type { Scalar } from './topic-types.ts';
import { RecordValue } from './value.ts';
import type { Value } from './value.ts';

/** What stands at the next place of a topic: a hole, a constant, or the label and arity or the length of what follows. */
type Token = 'hole' | 'scalar' | 'bytes' | Compound;

/** A record by its shape's key or a list by its length, and how many values it has. */
interface Compound {
  readonly key: string | number;
  readonly arity: number;
}

/** How many records and lists that are gone from a node are borne with at least. */
const STALE = 8;

/**
 * A tree of the shapes in use. A way down from the root spells a shape, place by place in the order of writing, and ends at
 * its group.
 */
export class ShapeNode<T> {
  readonly parent: ShapeNode<T> | null;
  readonly token: Token | null;
  /** How many places the token that leads here opens. */
  readonly arity: number;
  hole: ShapeNode<T> | null = null;
  scalar: ShapeNode<T> | null = null;
  bytes: ShapeNode<T> | null = null;
  compounds: Map<string | number, ShapeNode<T>> | null = null;
  /** The endpoints of the shape that ends here. */
  group: RoutingGroup<T> | null = null;
  /** How many of the endpoints from here on down hear messages. */
  hearing = 0;
  #deleted = 0;

  constructor(parent: ShapeNode<T> | null, token: Token | null) {
    this.parent = parent;
    this.token = token;
    this.arity = typeof token === 'object' && token !== null ? token.arity : 0;
  }

  /** The group of the topics shaped like this one, whose constants are added to a list in the order in which they stand. */
  groupOf(topic: Value, constants: (Scalar | Uint8Array)[]): RoutingGroup<T> {
    const end = this.#follow(topic, constants);
    end.group ??= new RoutingGroup<T>(end, constants.length);
    return end.group;
  }

  /** Counts one more, or less, that hears messages. */
  hear(change: 1 | -1): void {
    this.hearing += change;
    for (let node = this.parent; node !== null; node = node.parent) node.hearing += change;
  }

  /** Takes the way to an empty group away, as far as no other goes along it. */
  vacate(): void {
    this.group = null;
    this.#prune();
  }

  /** Every node from here on down, this one included. */
  *nodes(): Generator<ShapeNode<T>, void, void> {
    const waiting: ShapeNode<T>[] = [this];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      yield node;
      for (const child of [node.hole, node.scalar, node.bytes]) if (child !== null) waiting.push(child);
      for (const child of node.compounds?.values() ?? []) waiting.push(child);
    }
  }

  #follow(value: Value, constants: (Scalar | Uint8Array)[]): ShapeNode<T> {
    if (typeof value !== 'object' || value === null) {
      constants.push(value);
      return (this.scalar ??= new ShapeNode<T>(this, 'scalar'));
    }
    if (RecordValue.is(value)) {
      const { shape, items } = RecordValue.core(value);
      return this.#followItems(shape.key, items, constants);
    }
    if (Array.isArray(value)) return this.#followItems(value.length, value as readonly Value[], constants);
    if (Hole.is(value)) return (this.hole ??= new ShapeNode<T>(this, 'hole'));
    constants.push(value as Uint8Array);
    return (this.bytes ??= new ShapeNode<T>(this, 'bytes'));
  }

  #followItems(key: string | number, items: readonly Value[], constants: (Scalar | Uint8Array)[]): ShapeNode<T> {
    this.compounds ??= new Map();
    let node = this.compounds.get(key);
    if (node === undefined) {
      node = new ShapeNode<T>(this, { key, arity: items.length });
      this.compounds.set(key, node);
    }
    for (let i = 0; i < items.length; i++) node = node.#follow(items[i] as Value, constants);
    return node;
  }

  // The root has no parent, and stays.
  #prune(): void {
    if (this.parent === null || !this.#isEmpty()) return;
    this.parent.#detach(this.token as Token);
    this.parent.#prune();
  }

  #isEmpty(): boolean {
    return (
      this.group === null &&
      this.hole === null &&
      this.scalar === null &&
      this.bytes === null &&
      this.compounds === null
    );
  }

  #detach(token: Token): void {
    if (typeof token === 'string') this[token] = null;
    else if (this.compounds !== null) {
      this.compounds.delete(token.key);
      this.#deleted += 1;
      if (this.compounds.size === 0) this.compounds = null;
      // What a Map has deleted is in the way of the same key when it comes again; making the Map anew takes as long as it
      // is large. Up to the root of its size, neither costs more than the other.
      else if (this.#deleted > STALE + Math.sqrt(this.compounds.size) * STALE) this.compounds = new Map(this.compounds);
      else return;
      this.#deleted = 0;
    }
  }
}
