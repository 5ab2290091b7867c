import { Atoms } from './routing-atoms.ts';
import type { Pattern } from './pattern.ts';
import { RoutingSearch } from './routing-search.ts';
import type { Answer } from './routing-search.ts';
import { ShapeNode } from './routing-shapes.ts';
import { RoutingEntry } from './routing-table.ts';
import type { Scalar, Topic } from './topic-types.ts';
import { admit } from './value.ts';
import type { Value } from './value.ts';

export type { RoutingEntry };

/** What an index holds, and what it has done for it. */
export interface RoutingCensus {
  /** Endpoints. */
  readonly endpoints: number;
  /** Shapes in use. */
  readonly shapes: number;
  /** Places in the tree of shapes, its root not counted. */
  readonly nodes: number;
  /** Constants in use. */
  readonly constants: number;
  /** Hash indexes over shapes. */
  readonly indexes: number;
  /** Places of the tree that all questions so far came to. */
  readonly visited: number;
  /** Endpoints that all questions so far looked at, those that they gave included. */
  readonly looked: number;
  /** Endpoints that were put into hash indexes made for questions, once for each. */
  readonly indexed: number;
}

/**
 * The endpoints of one orientation, by their topics. It answers which of them meet a topic at a cost that follows the
 * shapes in use, the length of the topic's own pattern, and the endpoints that meet it, but not those that exist.
 *
 * Endpoints of one shape (labels, arities, and where there are holes and constants) make a group, and shapes are a tree
 * that is gone down along the topic. A group has a hash index by all its constants; where a topic has holes at some of
 * them, it is looked through, by the nearest index there is, until what was looked at in vain is worth an index by those
 * that remain. Answers come in the order in which endpoints were added.
 */
export class RoutingIndex<T> {
  readonly #atoms = new Atoms();
  readonly #root = new ShapeNode<T>(null, null);
  readonly #search = new RoutingSearch<T>(this.#atoms);
  #size = 0;
  #order = 0;
  #changes = 0;

  /** How many endpoints there are. */
  get size(): number {
    return this.#size;
  }

  /** A number that changes when the answer to a question could. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * Adds an endpoint, and gives what {@link remove} takes. The same value may be added again, and is another endpoint. One that
   * hears no messages is nowhere looked for where only such are.
   */
  add(pattern: Pattern, value: T, hears: boolean = true): RoutingEntry<T> {
    const constants: (Scalar | Uint8Array)[] = [];
    const group = this.#root.groupOf(pattern.topic as Value, constants);
    const atoms = constants.map((constant) => this.#atoms.take(constant));
    this.#order += 1;
    const entry = new RoutingEntry(value, this.#order, atoms);
    group.add(entry);
    this.hear(entry, hears);
    this.#changes += 1;
    this.#size += 1;
    return entry;
  }

  /** Takes an endpoint away. Gives false where that was done before. */
  remove(entry: RoutingEntry<T>): boolean {
    const { group } = entry;
    if (group === null) return false;
    this.hear(entry, false);
    group.remove(entry);
    this.#changes += 1;
    if (group.size === 0) group.node.vacate();
    for (const atom of entry.atoms) this.#atoms.give(atom);
    this.#size -= 1;
    return true;
  }

  /** Says whether an endpoint hears messages. */
  hear(entry: RoutingEntry<T>, hears: boolean): void {
    if (entry.hears === hears || entry.group === null) return;
    entry.hears = hears;
    entry.group.node.hear(hears ? 1 : -1);
    this.#changes += 1;
  }

  /**
   * The endpoints whose topics have something in common with this one, in the order in which they were added. Both sides
   * may have holes.
   *
   * @throws ERR_PORTSIDE_TOPIC for what is no topic, ERR_PORTSIDE_LIMIT for one that is too deep or too large.
   */
  match(topic: Topic): T[] {
    const { found, count } = this.#ask(admit(topic, 'the topic'), false);
    const values: T[] = [];
    for (let i = 0; i < count; i++) values.push((found[i] as RoutingEntry<T>).value);
    this.#search.clear();
    return values;
  }

  /**
   * The endpoints that a message meets, in the same order; others of their shape that hear no messages may be among them. It is
   * no copy, and holds until the next question.
   */
  find(message: Value): Answer<T> {
    return this.#ask(message, true);
  }

  /** What it holds. Counts the tree of shapes, and so takes as long as that is large. */
  census(): RoutingCensus {
    let shapes = 0;
    let indexes = 0;
    let nodes = -1;
    for (const { group } of this.#root.nodes()) {
      nodes += 1;
      if (group === null) continue;
      shapes += 1;
      indexes += group.indexes;
    }
    const { visited, looked, indexed } = this.#search;
    return { endpoints: this.#size, shapes, nodes, constants: this.#atoms.size, indexes, visited, looked, indexed };
  }

  #ask(topic: Value, message: boolean): Answer<T> {
    const search = this.#search;
    search.clear();
    search.run(this.#root, topic, message);
    if (search.groups > 1) putInOrder(search.found as RoutingEntry<T>[], search.count);
    return search;
  }
}

const FEW = 16;

// Each group gives its own in order. What comes out of a few groups is short as a rule, and then sort() costs more to call
// than it does.
function putInOrder(entries: RoutingEntry<unknown>[], count: number): void {
  if (count > FEW) {
    entries.length = count;
    entries.sort((a, b) => a.order - b.order);
    return;
  }
  for (let i = 1; i < count; i++) {
    const entry = entries[i] as RoutingEntry<unknown>;
    let j = i;
    for (; j > 0 && (entries[j - 1] as RoutingEntry<unknown>).order > entry.order; j--)
      entries[j] = entries[j - 1] as RoutingEntry<unknown>;
    entries[j] = entry;
  }
}
