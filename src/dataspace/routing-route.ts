import { isUint8Array } from 'node:util/types';
import type { RoutingIndex } from './routing-index.ts';
import type { Answer, Found } from './routing-search.ts';
import type { RoutingEntry } from './routing-table.ts';
import { RecordValue } from './value.ts';
import type { RecordShape, Value } from './value.ts';

/** To how many endpoints a way is kept; beyond that, to look for them is little beside telling them. */
const FEW = 8;
/** The longest text that is kept. */
const LONG = 256;

/**
 * The way of the last message of a sender. The next one goes it without a question to the index, where it is the same in all
 * fields that the answer went by, and nobody has come, gone or changed since: most send again and again to the same ones.
 */
export class Route<T> implements Found<T> {
  readonly found: (RoutingEntry<T> | null)[] = [];
  count = 0;
  #index: RoutingIndex<T> | null = null;
  #changes = 0;
  #shape: RecordShape | null = null;
  /** Bit i stands for the i-th field: where it is set, the field has to be the same. */
  #relied = 0;
  /** Those fields, in their order. */
  readonly #fields: Value[] = [];

  /** Whether a message goes this way, of those that go by this index. */
  leads(index: RoutingIndex<T>, message: Value): boolean {
    if (index !== this.#index || index.changes !== this.#changes) return false;
    if (typeof message !== 'object' || message === null || !RecordValue.is(message)) return false;
    const { shape, items } = RecordValue.core(message);
    if (shape !== this.#shape) return false;
    const fields = this.#fields;
    let next = 0;
    for (let i = 0, relied = this.#relied; relied !== 0; i++, relied >>>= 1)
      if ((relied & 1) !== 0 && items[i] !== fields[next++]) return false;
    return true;
  }

  /** Keeps the way of a message that the index was just asked for. */
  keep(index: RoutingIndex<T>, message: Value, { found, count, relied }: Answer<T>): void {
    this.forget();
    if (relied < 0 || count > FEW) return;
    const { shape, items } = RecordValue.core(message as RecordValue);
    for (let i = 0, left = relied; left !== 0; i++, left >>>= 1) {
      if ((left & 1) === 0) continue;
      const field = items[i] as Value;
      if (isLong(field)) {
        this.#fields.length = 0;
        return;
      }
      this.#fields.push(field);
    }
    for (let i = 0; i < count; i++) this.found[i] = found[i] as RoutingEntry<T>;
    this.count = count;
    this.#index = index;
    this.#changes = index.changes;
    this.#shape = shape;
    this.#relied = relied;
  }

  /** Keeps no way, and holds on to nobody. */
  forget(): void {
    if (this.#index === null) return;
    for (let i = 0; i < this.count; i++) this.found[i] = null;
    this.count = 0;
    this.#index = null;
    this.#fields.length = 0;
  }
}

/** Whether something is rather what is said than whom it is said to: it will not come again, and is not to be held on to. */
function isLong(field: Value): boolean {
  return typeof field === 'string' ? field.length > LONG : isUint8Array(field);
}
