import { checkValue, integer } from '../base/options.ts';

/** Where chance comes from. It hangs on the scope, so that a seed replays a run. */
export interface Random {
  /** A number from 0 up to, but not including, 1. */
  next(): number;
  /** A whole number from 0 up to, but not including, `below` (1 to 2^32); each is as likely. */
  int(below: number): number;
  /** Another source, whose draws don't disturb this one's any further. */
  fork(): Random;
}

const RANGE = 2 ** 32;
const belowRule = integer({ min: 1, max: RANGE });
const seedRule = integer();

/** Whole numbers of 32 bits; `draw` is called again where taking the remainder would favour the small ones. */
function intBelow(draw: () => number, below: number): number {
  checkValue('int', 'below', belowRule, below);
  const fair = RANGE - (RANGE % below);
  for (;;) {
    const value = draw();
    if (value < fair) return value % below;
  }
}

// sfc32 by Chris Doty-Humphrey (PractRand), as seeded by splitmix32: small, fast, and passes the usual test batteries.
class Sfc32 implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  readonly #draw = (): number => this.#next32();

  constructor(a: number, b: number, c: number) {
    this.#a = a;
    this.#b = b;
    this.#c = c;
    for (let i = 0; i < 12; i++) this.#next32();
  }

  next(): number {
    return this.#next32() / RANGE;
  }

  int(below: number): number {
    return intBelow(this.#draw, below);
  }

  fork(): Random {
    return new Sfc32(this.#next32(), this.#next32(), this.#next32());
  }

  #next32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

/**
 * A source that a seed (a whole number) determines: the same seed gives the same draws, on every machine and in every
 * release of this major version. Not for secrets. Throws `ERR_PORTSIDE_OPTIONS` for a seed that is no whole number.
 */
export function seededRandom(seed: number): Random {
  checkValue('seededRandom', 'seed', seedRule, seed);
  // The upper half of a large seed counts too: seeds are often times in milliseconds.
  const low = splitmix32(seed % RANGE);
  const high = splitmix32(Math.trunc(seed / RANGE));
  return new Sfc32(low() ^ high(), low() ^ high(), low() ^ high());
}

const system32 = (): number => Math.floor(Math.random() * RANGE);

/** The machine's own: unpredictable enough for fairness and jitter, not for secrets. */
export const systemRandom: Random = {
  next: () => Math.random(),
  int: (below) => intBelow(system32, below),
  fork: () => systemRandom,
};
