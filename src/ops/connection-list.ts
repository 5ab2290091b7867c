import type { Clock } from '../sync/clock.ts';
import type { Subject, SubjectConnection } from './subject.ts';

/** Milliseconds for which one look at the connections does for all who ask. */
const FRESH = 250;

/** The connections of a server as they were a moment ago. However many ask, it is looked four times a second at most. */
export class ConnectionList {
  readonly #subject: Subject;
  readonly #clock: Clock;
  #at = -Infinity;
  #seen: Promise<readonly SubjectConnection[]> | null = null;

  constructor(subject: Subject, clock: Clock) {
    this.#subject = subject;
    this.#clock = clock;
  }

  read(): Promise<readonly SubjectConnection[]> {
    const now = this.#clock.now();
    if (this.#seen !== null && now - this.#at < FRESH) return this.#seen;
    const seen = this.#subject.connections();
    this.#seen = seen;
    this.#at = now;
    // Nobody asks again for long: the list is not to be kept.
    const timer = this.#clock.after(FRESH, () => {
      if (this.#seen === seen) this.forget();
    });
    timer.ref(false);
    return seen;
  }

  /** Something was changed: who asks next is to see it. */
  forget(): void {
    this.#seen = null;
    this.#at = -Infinity;
  }
}
