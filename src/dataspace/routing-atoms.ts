import { randomBytes } from 'node:crypto';
import type { Scalar } from './topic-types.ts';

/** A constant that endpoints of an index have somewhere. Equal constants are one atom. */
export class Atom {
  /** A number of 32 bits that nobody can foresee. */
  readonly hash: number;
  /** How many places of endpoints it stands in. */
  uses = 0;

  constructor(hash: number) {
    this.hash = hash;
  }
}

type Key = string | number | boolean | null;

// Drawn once for each process.
const seeds: Int32Array = new Int32Array(Uint8Array.from(randomBytes(16)).buffer);
const [SEED = 0, FACTOR = 0, STEP = 0, START = 0] = seeds;
const ODD = FACTOR | 1;

/** How many atoms that nobody has any more may wait to be taken again, where there are no more than that of others. */
const MAX_IDLE = 64;

/**
 * The constants of the endpoints of an index, so that each constant of a topic is looked up once and then compared by
 * identity.
 *
 * Endpoints may be made on a stranger's behalf, with constants of his choosing. V8 seeds its hash of strings, but that
 * of numbers is the same in every process, so numbers are turned into others by a secret before a Map sees them.
 *
 * What a Map has deleted stays in the way of what comes with the same key, until there is so much of it that the Map is
 * made anew. So atoms stay when the last endpoint gives them back, and go together once they are more than the others.
 */
export class Atoms {
  #scalars = new Map<Key, Atom>();
  #bytes = new Map<string, Atom>();
  /** The lengths in bytes that there are: most bytes are told apart by theirs without being read. */
  #lengths = new Set<number>();
  #live = 0;
  #draw: number = START;

  /** How many constants are in use. */
  get size(): number {
    return this.#live;
  }

  /** The atom of a scalar; undefined when no endpoint has it. */
  find(value: Scalar): Atom | undefined {
    const atom = this.#scalars.get(keyOf(value));
    return atom !== undefined && atom.uses > 0 ? atom : undefined;
  }

  /** The atom of some bytes; undefined when no endpoint has it. */
  findBytes(value: Uint8Array): Atom | undefined {
    if (!this.#lengths.has(value.byteLength)) return undefined;
    const atom = this.#bytes.get(contents(value));
    return atom !== undefined && atom.uses > 0 ? atom : undefined;
  }

  /** Takes the atom of a constant, making it when it is new. */
  take(value: Scalar | Uint8Array): Atom {
    const atom = typeof value === 'object' && value !== null ? this.#ofBytes(value) : this.#ofScalar(value);
    if (atom.uses === 0) this.#live += 1;
    atom.uses += 1;
    return atom;
  }

  /** Gives an atom back that was taken. */
  give(atom: Atom): void {
    atom.uses -= 1;
    if (atom.uses > 0) return;
    this.#live -= 1;
    const idle = this.#scalars.size + this.#bytes.size - this.#live;
    if (this.#live === 0 || (idle > MAX_IDLE && idle > this.#live)) this.#sweep();
  }

  #ofScalar(value: Scalar): Atom {
    const key = keyOf(value);
    let atom = this.#scalars.get(key);
    if (atom === undefined) {
      atom = new Atom(this.#next());
      this.#scalars.set(key, atom);
    }
    return atom;
  }

  #ofBytes(value: Uint8Array): Atom {
    const key = contents(value);
    let atom = this.#bytes.get(key);
    if (atom === undefined) {
      atom = new Atom(this.#next());
      this.#bytes.set(key, atom);
      this.#lengths.add(value.byteLength);
    }
    return atom;
  }

  #sweep(): void {
    this.#scalars = inUse(this.#scalars);
    this.#bytes = inUse(this.#bytes);
    this.#lengths = new Set();
    for (const key of this.#bytes.keys()) this.#lengths.add(key.length);
  }

  #next(): number {
    this.#draw = (this.#draw + (STEP | 1)) | 0;
    return scramble(this.#draw);
  }
}

function inUse<K>(atoms: ReadonlyMap<K, Atom>): Map<K, Atom> {
  const kept = new Map<K, Atom>();
  for (const [key, atom] of atoms) if (atom.uses > 0) kept.set(key, atom);
  return kept;
}

// Strings that begin as numbers do here are moved out of their way.
function keyOf(value: Scalar): Key {
  if (typeof value === 'number') return (value | 0) === value ? scramble(value) : `#${value}`;
  if (typeof value === 'string' && value.charCodeAt(0) === 35) return `#${value}`;
  return value;
}

/** Turns a whole number of 32 bits into another; no two into the same. */
function scramble(value: number): number {
  let mixed = Math.imul(value ^ SEED, ODD);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed ^ STEP, ODD);
  return mixed ^ (mixed >>> 13);
}

function contents(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
}
