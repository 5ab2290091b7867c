import assert from 'node:assert/strict';
import { isPortsideError } from '../../src/base/errors.ts';
import type { Acceptor, Channel, ChannelEnd, Released, Sink } from '../../src/transport/contract.ts';

/** How deep the present stack is inside calls of the contract; callbacks have to come at 0. */
let depth = 0;

function inside<T>(call: () => T): T {
  depth += 1;
  try {
    return call();
  } finally {
    depth -= 1;
  }
}

/** A callback was made within a call: reported from a fresh stack, where no `catch` of the backend hides it. */
function checkDepth(what: string): void {
  if (depth === 0) return;
  const error = new Error(`${what} was called inside of a call of the contract`);
  setImmediate(() => {
    throw error;
  });
}

/** The same object, with each call and property access marked as inside of the contract. */
function marked<T extends Channel | Acceptor>(target: T): T {
  return new Proxy(target, {
    get(object, key) {
      const value: unknown = inside(() => Reflect.get(object, key, object));
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => inside((): unknown => Reflect.apply(value, object, args));
    },
    set(object, key, value) {
      return inside(() => Reflect.set(object, key, value, object));
    },
  });
}

export function markedAcceptor(acceptor: Acceptor): Acceptor {
  return marked(acceptor);
}

/** What a recorder does beside recording. */
export interface Habits {
  data?(bytes: Uint8Array, borrowed: boolean): void;
  end?(): void;
  writable?(): void;
  close?(end: ChannelEnd): void;
}

/** A channel and all that its sink heard. */
export class Recorder implements Sink {
  readonly channel: Channel;
  /** Events in order: `data:<text>` with adjacent ones joined, `end`, `writable`, `close:<kind>`. */
  readonly log: string[] = [];
  /** How often `data` came. */
  batches = 0;
  received = 0;
  closedWith: ChannelEnd | null = null;
  habits: Habits = {};
  readonly #borrows: boolean;
  readonly #chunks: Buffer[] = [];
  #lastWasData = false;

  constructor(channel: Channel, borrows: boolean) {
    this.channel = marked(channel);
    this.#borrows = borrows;
    this.channel.sink = this;
  }

  /** All bytes received, once. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  data(bytes: Uint8Array, borrowed: boolean): void {
    checkDepth('data');
    if (bytes.length === 0) this.log.push('EMPTY DATA');
    if (borrowed && !this.#borrows) this.log.push('BORROWED');
    this.#note();
    this.batches += 1;
    this.received += bytes.length;
    const copy = Buffer.from(bytes);
    this.#chunks.push(copy);
    const text = bytes.length > 200 ? `<${bytes.length}>` : copy.toString('latin1');
    if (this.#lastWasData) this.log[this.log.length - 1] += text;
    else this.log.push(`data:${text}`);
    this.#lastWasData = true;
    this.habits.data?.(bytes, borrowed);
  }

  end(): void {
    checkDepth('end');
    this.#event('end');
    this.habits.end?.();
  }

  writable(): void {
    checkDepth('writable');
    this.#event('writable');
    this.habits.writable?.();
  }

  close(end: ChannelEnd): void {
    checkDepth('close');
    this.#event(`close:${end.kind}`);
    this.closedWith = end;
    if ('error' in end) assert.ok(isPortsideError(end.error), 'a reason carries a PortsideError');
    this.habits.close?.(end);
  }

  /** Released by the channel; throws when it can't be. */
  release(): Released {
    const released = this.channel.release();
    assert.ok(released !== null, 'release() gave null');
    return released;
  }

  #event(name: string): void {
    this.#note();
    this.#lastWasData = false;
    this.log.push(name);
  }

  #note(): void {
    if (this.closedWith !== null) this.log.push('AFTER CLOSE');
  }
}

/** Marks a callback of a watcher. */
export function watched(call: () => void): () => void {
  return () => {
    checkDepth('ready');
    call();
  };
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** Bytes that tell their place, so that none can be swapped or lost unseen. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}
