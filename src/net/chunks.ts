import type { Input } from './input.ts';

/** The bytes of a connection as they come: one small object, as many connections are parked in one. */
export class Chunks implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #input: Input;

  constructor(input: Input) {
    this.#input = input;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.#input.next();
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
