import { topicKey } from '../topic-key.ts';
import type { Datum } from '../topic-types.ts';

/** What was set by a label. */
export interface Labelled {
  /** What its label is known by, see {@link TimerLabels.keyOf}. */
  readonly key: string;
}

/** What was set, by its label: any plain data, compared by value. Several may have the same one. */
export class TimerLabels<T extends Labelled> {
  readonly #labels = new Map<string, Set<T>>();
  #size = 0;

  /** How many there are, of all labels. */
  get size(): number {
    return this.#size;
  }

  /** What a label is known by. */
  static keyOf(label: Datum): string {
    return topicKey(label);
  }

  put(timer: T): void {
    const same = this.#labels.get(timer.key);
    if (same === undefined) this.#labels.set(timer.key, new Set([timer]));
    else same.add(timer);
    this.#size += 1;
  }

  /** Takes one out; gives whether it was in. */
  remove(timer: T): boolean {
    const same = this.#labels.get(timer.key);
    if (same?.delete(timer) !== true) return false;
    if (same.size === 0) this.#labels.delete(timer.key);
    this.#size -= 1;
    return true;
  }

  /** Takes out all of a label. */
  takeAll(label: Datum): Iterable<T> {
    const key = TimerLabels.keyOf(label);
    const same = this.#labels.get(key);
    if (same === undefined) return [];
    this.#labels.delete(key);
    this.#size -= same.size;
    return same;
  }
}
