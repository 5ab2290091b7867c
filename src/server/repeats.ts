import type { Clock, TimerHandle } from '../sync/clock.ts';

/** Milliseconds in which the same is told once. */
const WINDOW = 1_000;
/** Kinds of things that are told apart at a time. */
const MOST = 32;

interface Told<T> {
  readonly what: T;
  count: number;
}

/**
 * Lets the first of a kind through at once and counts those that follow within a second; then their number is told, once a second for as long as they come. More than 32
 * kinds in a second are counted together.
 */
export class Repeats<T> {
  readonly #clock: Clock;
  readonly #write: (what: T | null, repeated: number) => void;
  readonly #told = new Map<string, Told<T>>();
  #others = 0;
  #timer: TimerHandle | null = null;

  /** `write` gets the first of a kind with `repeated` 0, and again with the number of those after it; null for those of too many kinds. */
  constructor(clock: Clock, write: (what: T | null, repeated: number) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  /** One of a kind; `what` makes what is told of it, when it is. */
  tell(kind: string, what: () => T): void {
    const known = this.#told.get(kind);
    if (known !== undefined) known.count += 1;
    else if (this.#told.size >= MOST) this.#others += 1;
    else {
      const first = what();
      this.#told.set(kind, { what: first, count: 0 });
      this.#write(first, 0);
    }
    this.#timer ??= this.#turn();
  }

  /** So many of kinds that are not known. */
  more(count: number): void {
    this.#others += count;
    this.#timer ??= this.#turn();
  }

  /** Tells what is still to be told. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#tellCounts();
    this.#told.clear();
  }

  #turn(): TimerHandle {
    const timer = this.#clock.after(WINDOW, () => {
      this.#timer = null;
      this.#tellCounts();
      if (this.#told.size > 0) this.#timer = this.#turn();
    });
    // A count is no reason to stay.
    timer.ref(false);
    return timer;
  }

  #tellCounts(): void {
    for (const [kind, one] of this.#told) {
      const { count } = one;
      one.count = 0;
      if (count === 0) this.#told.delete(kind);
      else this.#write(one.what, count);
    }
    const others = this.#others;
    this.#others = 0;
    if (others > 0) this.#write(null, others);
  }
}

/** What tells errors apart: type, code and message, numbers in it left out. Never throws, whatever the error was made of. */
export function kindOfError(error: unknown): string {
  try {
    if (!(error instanceof Error)) return `thrown ${typeof error}`;
    const { code } = error as { code?: unknown };
    const message = String(error.message).slice(0, 160).replace(/\d+/gu, '#');
    return `${String(error.name).slice(0, 80)} ${typeof code === 'string' ? code.slice(0, 80) : ''} ${message}`;
  } catch {
    return 'unreadable';
  }
}
