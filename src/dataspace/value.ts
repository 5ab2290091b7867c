import { isUint8Array } from 'node:util/types';
import { show } from '../base/show.ts';
import { Hole } from './hole.ts';
import { overTopicLimit, wrongTopic } from './topic-error.ts';
import type { Scalar } from './topic-types.ts';

/** A topic as the inside of the dataspace knows it: checked, with its lists copied and frozen. */
export type Value = Scalar | Uint8Array | Hole | RecordValue | readonly Value[];

/** How many levels of records and lists a topic may have. */
export const MAX_DEPTH = 64;

/** How many values a topic may hold in all, records and lists counted with what is in them. */
export const MAX_SIZE = 65_536;

/** What makes records match: their label and how many fields they have. The names of the fields are each maker's own. */
export interface RecordShape {
  readonly label: string;
  readonly names: readonly string[];
  /** The label and arity as one text, equal for shapes that match. */
  readonly key: string;
  /** Whether a field's name is also that of something every object inherits. */
  readonly shadows: boolean;
  readonly make: new (shape: RecordShape, items: readonly Value[], facts: number) => RecordValue;
}

// What each label and arity was first declared with; a program has as many as it has kinds of records.
const declared = new Map<string, string>();
const MOST_DECLARED = 10_000;
let renamed = false;

/** Keeps in mind what the fields of a shape are called. */
export function noteNames({ key, names }: Pick<RecordShape, 'key' | 'names'>): void {
  const text = JSON.stringify(names);
  const first = declared.get(key);
  if (first === undefined && declared.size < MOST_DECLARED) declared.set(key, text);
  else if (first !== text) renamed = true;
}

/** Whether records that match may call their fields differently. */
export function namesMayDiffer(): boolean {
  return renamed;
}

/** What a record is made of. */
export interface RecordCore {
  readonly shape: RecordShape;
  readonly items: readonly Value[];
  readonly facts: number;
}

/** A record: its fields are properties of their own, by name; all else about it can be asked for only in here. */
export class RecordValue {
  readonly #core: RecordCore;

  constructor(shape: RecordShape, items: readonly Value[], facts: number) {
    this.#core = { shape, items, facts };
    const { names } = shape;
    if (shape.shadows) {
      for (const [i, name] of names.entries()) Object.defineProperty(this, name, { value: items[i], enumerable: true });
    } else {
      const fields = this as unknown as Record<string, Value | undefined>;
      for (let i = 0; i < names.length; i++) fields[names[i] as string] = items[i];
    }
    Object.freeze(this);
  }

  /** Whether a value that is in a topic is a record. */
  static is(value: object): value is RecordValue {
    return value instanceof RecordValue;
  }

  /** Whether any value is a record, and not only one that has its prototype. */
  static made(value: object): value is RecordValue {
    return #core in value;
  }

  static core(record: RecordValue): RecordCore {
    return record.#core;
  }
}

/** The bits of {@link factsOf}: whether there are holes in a value, and whether any of them are captures. */
export const HOLES = 1;
export const CAPTURES = 2;
const FLAGS = HOLES | CAPTURES;
const DEPTH_SHIFT = 2;
const DEPTH_MASK = 127;
const SIZE_SHIFT = 9;
const LEAF = 1 << SIZE_SHIFT;

// Lists are the caller's to print, spread and compare like any other; what is known of them is kept beside them.
const lists = new WeakMap<readonly Value[], number>();

/** What is known of a value since it was made: its flags, its depth and its size in one number. */
export function factsOf(value: Value): number {
  if (typeof value !== 'object' || value === null) return LEAF;
  if (RecordValue.is(value)) return RecordValue.core(value).facts;
  if (Array.isArray(value)) return lists.get(value as readonly Value[]) ?? LEAF;
  if (Hole.is(value)) return Hole.nameOf(value) === null ? LEAF | HOLES : LEAF | HOLES | CAPTURES;
  return LEAF;
}

/** How many values a value holds, itself included. */
export function sizeOf(value: Value): number {
  return factsOf(value) >>> SIZE_SHIFT;
}

/** The facts of a record or list of these. Throws where it is larger or deeper than topics may be. */
export function gatherFacts(items: readonly Value[], what: Where): number {
  let flags = 0;
  let depth = 0;
  let size = 1;
  for (let i = 0; i < items.length; i++) {
    const facts = factsOf(items[i] as Value);
    flags |= facts & FLAGS;
    const below = (facts >>> DEPTH_SHIFT) & DEPTH_MASK;
    if (below > depth) depth = below;
    size += facts >>> SIZE_SHIFT;
  }
  if (depth >= MAX_DEPTH) throw tooDeep(what);
  if (size > MAX_SIZE) throw tooLarge(what);
  return flags | ((depth + 1) << DEPTH_SHIFT) | (size << SIZE_SHIFT);
}

/** Where a value stands, as a text or what gives one; asked only when something is wrong with it. */
export type Where = string | (() => string);

/**
 * A value as a topic may hold it: −0 becomes 0, lists that are not yet known are copied and frozen. Bytes are kept, not
 * copied; who changes them afterwards changes the topic.
 *
 * @throws ERR_PORTSIDE_TOPIC for what is not plain data, ERR_PORTSIDE_LIMIT for what is too deep or too large.
 */
export function admit(value: unknown, where: Where): Value {
  const simple = admitSimple(value);
  if (simple !== undefined) return simple;
  if (Array.isArray(value)) return admitList(value, where, 0, { left: MAX_SIZE });
  throw notData(value, where);
}

/** A value as a topic may hold it, or undefined where {@link admit} has to look closer: at lists, and at what is wrong. */
export function admitSimple(value: unknown): Value | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return value === 0 ? 0 : value;
    case 'object':
      if (value === null || RecordValue.made(value) || Hole.made(value)) return value;
      return isUint8Array(value) ? value : undefined;
    default:
      return undefined;
  }
}

function admitList(list: readonly unknown[], where: Where, depth: number, budget: { left: number }): readonly Value[] {
  if (lists.has(list as readonly Value[])) return list as readonly Value[];
  if (depth >= MAX_DEPTH) throw tooDeep(where);
  // Counted before it is copied: a list that holds another twice, and so on down, is small only until it is unfolded.
  budget.left -= list.length;
  if (budget.left < 0) throw tooLarge(where);
  const items: Value[] = [];
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    const at: Where = () => `${tellWhere(where)}[${i}]`;
    items.push(admitSimple(item) ?? (Array.isArray(item) ? admitList(item, at, depth + 1, budget) : admit(item, at)));
  }
  const facts = gatherFacts(items, where);
  Object.freeze(items);
  lists.set(items, facts);
  return items;
}

/** A list of values that are topics already. */
export function makeList(items: readonly Value[]): readonly Value[] {
  const facts = gatherFacts(items, 'the topic');
  lists.set(Object.freeze(items), facts);
  return items;
}

/** A record of values that are topics already. */
export function makeRecord(shape: RecordShape, items: readonly Value[]): RecordValue {
  return new shape.make(shape, items, gatherFacts(items, shape.label));
}

function tellWhere(where: Where): string {
  return typeof where === 'string' ? where : where();
}

function tooDeep(where: Where): Error {
  return overTopicLimit(`${tellWhere(where)} is nested more than ${MAX_DEPTH} levels deep`);
}

function tooLarge(where: Where): Error {
  return overTopicLimit(`${tellWhere(where)} holds more than ${MAX_SIZE} values`);
}

function notData(value: unknown, where: Where): Error {
  const hint = typeof value === 'object' ? 'make a record of it' : 'leave it out, or say null';
  return wrongTopic(
    `${tellWhere(where)} must be plain data (a string, number, boolean, null, Uint8Array, list or record), got ${show(value)}; ${hint}`,
  );
}
