// Below this the array is short enough to leave the taken places where they are.
const COMPACT = 32;
// An array that has grown beyond this is not kept for the next time.
const KEPT = 64;

/**
 * A queue, first in, first out; each operation takes constant time on average. One that holds one thing at a time has no
 * array, and one that is filled and emptied again and again makes no garbage.
 */
export class Fifo<T> {
  #length = 0;
  #first: T | undefined;
  /** What is behind the first: the places from `head` up to, but not including, `tail`. */
  #items: (T | undefined)[] = [];
  #head = 0;
  #tail = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === 0) this.#first = item;
    else this.#items[this.#tail++] = item;
    this.#length += 1;
  }

  /** Takes the oldest out; undefined when there is none. */
  shift(): T | undefined {
    const first = this.#first;
    if (this.#length <= 1) {
      this.#first = undefined;
      this.#length = 0;
      return first;
    }
    this.#length -= 1;
    const head = this.#head;
    this.#first = this.#items[head];
    this.#items[head] = undefined;
    this.#head = head + 1;
    if (this.#head === this.#tail) {
      this.#head = 0;
      this.#tail = 0;
      if (this.#items.length > KEPT) this.#items = [];
    } else if (this.#head >= COMPACT && this.#head * 2 >= this.#tail) {
      this.#items = this.#items.slice(this.#head, this.#tail);
      this.#tail -= this.#head;
      this.#head = 0;
    }
    return first;
  }

  /** The oldest, which stays; undefined when there is none. */
  peek(): T | undefined {
    return this.#first;
  }

  clear(): void {
    this.#length = 0;
    this.#first = undefined;
    this.#items = [];
    this.#head = 0;
    this.#tail = 0;
  }
}
