import { AsyncLocalStorage } from 'node:async_hooks';
import type { Connection } from '../net/connection.ts';
import type { ReadOptions } from '../net/input.ts';
import { standardInput, standardOutput } from './standard-streams.ts';

/**
 * Where the running code reads from: the connection that it serves, or the process's standard input.
 * One read at a time, ERR_PORTSIDE_READ_BUSY for a second one; `break` out of an iteration leaves the rest unread.
 */
export interface AmbientInput extends AsyncIterable<Uint8Array> {
  /** The next bytes as they came, at most `max`; `null` at the end. A read that is called off by `signal` or `timeout` (milliseconds, ERR_PORTSIDE_TIMEOUT) loses no bytes. */
  read(options?: ReadOptions & { max?: number | undefined }): Promise<Uint8Array | null>;
  /** The next line as text, without its LF or CRLF; `null` at the end. More than `limit` bytes (65536 by default) without an ending: ERR_PORTSIDE_LIMIT, nothing consumed. */
  readLine(options?: ReadOptions & { limit?: number | undefined }): Promise<string | null>;
}

/** Where the running code writes to: the connection that it serves, or the process's standard output. Rejections may be left alone. */
export interface AmbientOutput {
  /** Queues bytes, or text as UTF-8; resolves when there is room for more. */
  write(bytes: Uint8Array | string): Promise<void>;
  /** Resolves when everything that was written is with the kernel. */
  flushed(): Promise<void>;
}

/** Who is served by what a function handler began. Made at first use: a program that has none pays nothing. */
let served: AsyncLocalStorage<Connection> | undefined;
/** Whose callback is on the stack. */
let entered: Connection | null = null;

/**
 * The connection that the running code serves, or undefined outside of one.
 *
 * A function handler and all that it calls, awaits and starts (timers too) serve its connection, also when that is over. The
 * callback of a protocol serves its connection until it returns: what it goes on with after an `await`, or from a timer, does not, so
 * ask before. Listeners of signals and emitters run for whoever triggers them.
 */
export function current(): Connection | undefined {
  return entered ?? served?.getStore();
}

/** Where the running code reads from: the connection that it serves ({@link current}) itself, or the process's standard input outside of one. */
export function currentInput(): AmbientInput {
  return current() ?? standardInput;
}

/** Where the running code writes to: the connection that it serves ({@link current}) itself, or the process's standard output outside of one. */
export function currentOutput(): AmbientOutput {
  return current() ?? standardOutput;
}

/**
 * Writes its values and a line feed to {@link currentOutput}, in one piece, and resolves as that write does. One space stands
 * between two values. Text and bytes (Uint8Array) are written as they are, anything else as `String(value)`.
 */
export function print(...values: unknown[]): Promise<void> {
  return currentOutput().write(lineOf(values));
}

/** Calls `fn` for a connection: {@link current} gives it there, and in all that is awaited or started from there. */
export function runAs<T>(connection: Connection, fn: () => T): T {
  served ??= new AsyncLocalStorage();
  // When this is called from another connection's callback, that one is not who is served in here.
  const before = entered;
  entered = null;
  try {
    return served.run(connection, fn);
  } finally {
    entered = before;
  }
}

/**
 * Begins the callback of a connection, which lasts until {@link leave} is called with what this gives. Nothing may be awaited between the two,
 * and `leave` has to be called whatever the callback throws. They nest.
 */
export function enter(connection: Connection): Connection | null {
  const before = entered;
  entered = connection;
  return before;
}

/** Begins a hook that is the process's and no connection's, although a callback may be on the stack: as {@link enter} does, for nobody. */
export function enterNobody(): Connection | null {
  const before = entered;
  entered = null;
  return before;
}

/** Ends what {@link enter} began. */
export function leave(before: Connection | null): void {
  entered = before;
}

function lineOf(values: readonly unknown[]): Uint8Array | string {
  if (!values.some((value) => value instanceof Uint8Array)) return `${values.map(String).join(' ')}\n`;
  const pieces: Uint8Array[] = [];
  for (const [i, value] of values.entries()) {
    if (i > 0) pieces.push(SPACE);
    pieces.push(value instanceof Uint8Array ? value : Buffer.from(String(value)));
  }
  return Buffer.concat([...pieces, LF]);
}

const SPACE = Uint8Array.of(32);
const LF = Uint8Array.of(10);
