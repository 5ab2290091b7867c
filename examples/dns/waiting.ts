import { MOST_ALIKE, MOST_QUESTIONS, MOST_WAITING } from './limits.ts';
import type { DnsQuestion } from './topics.ts';

/** A question as one text. Those of equal questions are equal, and no others. */
export function textOf({ name, type, class: kind, dnssec, unchecked }: DnsQuestion): string {
  return `${name} ${type} ${kind} ${dnssec ? 'do' : ''} ${unchecked ? 'cd' : ''}`;
}

/** Counts who waits for what, so that it stays within bounds. */
export class Waiting {
  #all = 0;
  readonly #alike = new Map<string, number>();

  /** One more; what it gives is called once when he waits no longer. Null when there are too many. */
  enter(question: DnsQuestion): (() => void) | null {
    const text = textOf(question);
    const alike = this.#alike.get(text) ?? 0;
    if (this.#all >= MOST_WAITING || alike >= MOST_ALIKE) return null;
    if (alike === 0 && this.#alike.size >= MOST_QUESTIONS) return null;
    this.#all += 1;
    this.#alike.set(text, alike + 1);
    return () => this.#leave(text);
  }

  #leave(text: string): void {
    this.#all -= 1;
    const left = (this.#alike.get(text) ?? 1) - 1;
    if (left === 0) this.#alike.delete(text);
    else this.#alike.set(text, left);
  }
}
