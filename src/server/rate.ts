import { checkValue, integer, milliseconds, object, required } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import type { Clock } from '../sync/clock.ts';

/** Options of a {@link RateLimiter}. */
export interface RateOptions {
  /** Connections of one client in `per` milliseconds, in the long run: 1 to 1,000,000. */
  readonly connections: number;
  /** Milliseconds, 1 or more, and no more than a year of 365 days. */
  readonly per: number;
  /** How many may come at once after a pause: 1 to 1,000,000. @default `connections` */
  readonly burst?: number | undefined;
  /** How many clients are kept in mind: 1 to 10,000,000. @default 100000 */
  readonly maxTracked?: number | undefined;
}

/** The rule for {@link RateOptions}. */
export const rateRule: Rule<RateOptions> = object({
  connections: required(integer({ min: 1, max: 1_000_000 })),
  per: required(milliseconds({ min: 1, max: 31_536_000_000 })),
  burst: integer({ min: 1, max: 1_000_000 }),
  maxTracked: integer({ min: 1, max: 10_000_000 }),
});

/** A whole bucket takes this many slots of time to fill; how fine "nearest to full" is told. */
const FINENESS = 256;
/** Milliseconds of a slot at least, so that the slots of a long life can be counted exactly. */
const NARROWEST = 0.001;
/** Slots in the ring: more than a bucket's time, so that two times that are in use never share one. */
const RING = 512;
/** The list of those whose buckets are full again. */
const FULL = RING;
/** Heads of lists: one per slot of the ring, and one for the full. */
const HEADS = RING + 1;
/** How many that are full are forgotten in one call: more than can come in it, and not so many that it stalls. */
const FORGOTTEN = 4;
const FIRST_ROOM = 256;

/**
 * How many connections of one client come in a time: a token bucket for each, kept as the one moment at which it will be full again (GCRA, ITU-T I.371).
 * A client that is refused is not set back by it.
 *
 * Memory is bounded: a client whose bucket is full is forgotten, and beyond `maxTracked` the one that is nearest to full makes room (to
 * 1/256 of a bucket). The newcomer that takes its place begins with a bucket as empty as that one's was, but for one
 * connection. So whoever comes with more addresses than are tracked
 * - locks nobody out: a client that is not known is let in once at least, and one that is known goes by its own count;
 * - gains one connection by being forgotten, and has to use about as many addresses as are tracked for that each time.
 *
 * There are no timers, and a call takes constant time on average. When the clock goes back, its time stands still for the limiter, so nobody waits
 * longer than before.
 */
export class RateLimiter {
  readonly #clock: Clock;
  /** Milliseconds in which one connection's worth flows back. */
  #interval = 0;
  /** Milliseconds in which an empty bucket fills. */
  #whole = 0;
  #maxTracked = 0;
  /** Milliseconds that one slot of the ring stands for. */
  #width = 1;

  readonly #places = new Map<string, number>();
  readonly #keys: string[] = [];
  /** When each bucket is full again. */
  #fullAt = new Float64Array(FIRST_ROOM);
  // Lists of places, one for each slot of time, linked both ways; a head is the place after the last, negative: ~slot.
  #next = new Int32Array(FIRST_ROOM);
  #previous = new Int32Array(FIRST_ROOM);
  readonly #firsts = new Int32Array(HEADS);
  readonly #lasts = new Int32Array(HEADS);
  /** Places below `#keys.length` that are free. */
  readonly #free: number[] = [];
  /** The slot of the present, counted from the start; those before it are in the list of the full. */
  #present = 0;
  /** No client is in a slot from the present's up to this. */
  #lowest = 0;

  /** The clock's time at the start, less what it went back since. */
  #origin: number;
  #latest = 0;

  /** Throws ERR_PORTSIDE_OPTIONS. */
  constructor(options: RateOptions, clock: Clock) {
    this.#clock = clock;
    this.#origin = clock.now();
    this.#emptyLists();
    this.set(options);
  }

  /** How many clients are kept in mind; those that are full again and not forgotten yet among them. */
  get tracked(): number {
    return this.#places.size;
  }

  /** Whether a client may have one more connection now; counts it if so. */
  allow(client: string): boolean {
    const now = this.#now();
    this.#advance(now);
    const place = this.#places.get(client);
    if (place === undefined) {
      this.#admit(client, now);
      return true;
    }
    const fullAt = this.#fullAt[place]!;
    const after = (fullAt > now ? fullAt : now) + this.#interval;
    if (!this.#fits(after - now)) return false;
    this.#unlink(place);
    this.#put(place, after);
    return true;
  }

  /** Milliseconds until a client may have one more connection; 0 when it may now. */
  waitOf(client: string): number {
    const place = this.#places.get(client);
    if (place === undefined) return 0;
    const now = this.#now();
    const after = Math.max(this.#fullAt[place]!, now) + this.#interval - now;
    return this.#fits(after) ? 0 : after - this.#whole;
  }

  /**
   * Changes the limit while running; what is left out becomes the default. What clients have used of their buckets stays used, up to a whole bucket.
   * Takes time for each client that is tracked. Throws ERR_PORTSIDE_OPTIONS, and changes nothing then.
   */
  set(options: RateOptions): void {
    const {
      connections,
      per,
      burst = connections,
      maxTracked = 100_000,
    } = checkValue('rate', 'options', rateRule, options);
    const now = this.#now();
    this.#advance(now);
    const tracked = this.#inOrder();
    const before = this.#interval;
    this.#interval = per / connections;
    this.#whole = this.#interval * burst;
    this.#maxTracked = maxTracked;
    this.#width = Math.max(this.#whole / FINENESS, NARROWEST);
    this.#present = this.#lowest = Math.floor(now / this.#width);
    this.#emptyLists();
    for (const place of tracked) {
      const used = Math.max(0, this.#fullAt[place]! - now) / before;
      this.#put(place, now + Math.min(used * this.#interval, this.#whole));
    }
    while (this.#places.size > maxTracked) this.#forget(this.#nearestToFull());
  }

  /** Whether a bucket that needs this long to fill is no emptier than empty, give or take what adding up fractions loses. */
  #fits(toFull: number): boolean {
    return toFull <= this.#whole + this.#interval * 1e-6;
  }

  /** Milliseconds since the start, which never go back. */
  #now(): number {
    const time = this.#clock.now();
    const now = time - this.#origin;
    if (now >= this.#latest) return (this.#latest = now);
    this.#origin = time - this.#latest;
    return this.#latest;
  }

  /** Begins to track a client, and counts a connection of it. */
  #admit(client: string, now: number): void {
    let from = now;
    if (this.#places.size >= this.#maxTracked) {
      const place = this.#nearestToFull();
      // No emptier than what lets this one in.
      from = Math.max(now, Math.min(this.#fullAt[place]!, now + this.#whole - this.#interval));
      this.#forget(place);
    }
    const place = this.#free.pop() ?? this.#keys.length;
    if (place === this.#fullAt.length) this.#grow();
    this.#keys[place] = client;
    this.#places.set(client, place);
    this.#put(place, from + this.#interval);
  }

  #forget(place: number): void {
    this.#unlink(place);
    this.#places.delete(this.#keys[place]!);
    this.#keys[place] = '';
    this.#free.push(place);
  }

  /** Moves the present on, and forgets some of those that are full. */
  #advance(now: number): void {
    const present = Math.floor(now / this.#width);
    if (present > this.#present) {
      // All slots in use lie within one round of the ring.
      const steps = Math.min(present - this.#present, RING);
      for (let step = 0; step < steps; step++) this.#splice((this.#present + step) % RING);
      this.#present = present;
      if (this.#lowest < present) this.#lowest = present;
    }
    for (let n = 0; n < FORGOTTEN; n++) {
      const place = this.#firsts[FULL]!;
      if (place < 0) return;
      this.#forget(place);
    }
  }

  /** The client that is full, or will be first; there has to be one. */
  #nearestToFull(): number {
    const full = this.#firsts[FULL]!;
    if (full >= 0) return full;
    for (;;) {
      const place = this.#firsts[this.#lowest % RING]!;
      if (place >= 0) return place;
      this.#lowest++;
    }
  }

  /** Puts a place into the list of the time at which it is full. */
  #put(place: number, fullAt: number): void {
    this.#fullAt[place] = fullAt;
    const slot = Math.floor(fullAt / this.#width);
    if (slot < this.#lowest) this.#lowest = slot;
    this.#append(place, slot % RING);
  }

  #append(place: number, list: number): void {
    const last = this.#lasts[list]!;
    this.#previous[place] = last;
    this.#next[place] = ~list;
    if (last < 0) this.#firsts[list] = place;
    else this.#next[last] = place;
    this.#lasts[list] = place;
  }

  #unlink(place: number): void {
    const next = this.#next[place]!;
    const previous = this.#previous[place]!;
    if (previous < 0) this.#firsts[~previous] = next;
    else this.#next[previous] = next;
    if (next < 0) this.#lasts[~next] = previous;
    else this.#previous[next] = previous;
  }

  /** Moves all of a list to the end of the list of the full. */
  #splice(list: number): void {
    const first = this.#firsts[list]!;
    if (first < 0) return;
    const last = this.#lasts[list]!;
    const end = this.#lasts[FULL]!;
    this.#previous[first] = end;
    if (end < 0) this.#firsts[FULL] = first;
    else this.#next[end] = first;
    this.#next[last] = ~FULL;
    this.#lasts[FULL] = last;
    this.#firsts[list] = ~list;
    this.#lasts[list] = ~list;
  }

  #emptyLists(): void {
    for (let list = 0; list < HEADS; list++) this.#firsts[list] = this.#lasts[list] = ~list;
  }

  /** All places that are in use. */
  #inOrder(): number[] {
    return [...this.#places.values()].toSorted((a, b) => this.#fullAt[a]! - this.#fullAt[b]!);
  }

  #grow(): void {
    const room = this.#fullAt.length * 2;
    this.#fullAt = copyInto(new Float64Array(room), this.#fullAt);
    this.#next = copyInto(new Int32Array(room), this.#next);
    this.#previous = copyInto(new Int32Array(room), this.#previous);
  }
}

function copyInto<T extends Float64Array | Int32Array>(to: T, from: T): T {
  to.set(from);
  return to;
}
