import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Server } from './server.ts';

/** What a handler is given beside its connection. */
export interface Context {
  /** The server that accepted the connection. */
  readonly server: Server;
}

/** Serves one connection, which is closed when it returns. What it throws ends that connection only. */
export type HandlerFunction<Data = unknown> = (connection: Connection<Data>, context: Context) => void | Promise<void>;

/**
 * Serves connections by plain callbacks: the fast path. They are never awaited and must not block; reading pauses by itself
 * while the connection's own output is above its high-water mark. The handler ends the connection; without `end`, the end of the
 * input flushes and closes. What a callback throws (or a promise that it returns rejects with) ends that connection only.
 */
export interface Protocol<Data = unknown> {
  /** A client came. */
  open?(connection: Connection<Data>, context: Context): void;
  /** Bytes arrived; they are yours for ever. */
  data?(connection: Connection<Data>, bytes: Uint8Array): void;
  /** The peer ended its side. */
  end?(connection: Connection<Data>): void;
  /** All output is with the kernel, after it was above the high-water mark or `flushed()` waited for it. */
  drain?(connection: Connection<Data>): void;
  /** It is over; comes once and last, for every connection that was opened. */
  close?(connection: Connection<Data>, reason: CloseReason): void;
}

/** What serves connections: a function, or an object of callbacks. */
export type Handler<Data = unknown> = HandlerFunction<Data> | Protocol<Data>;

const CALLBACKS = ['open', 'data', 'end', 'drain', 'close'] as const;

/** Gives the handler back, with its types checked and inferred. */
export function defineHandler<Data = unknown>(handler: Handler<Data>): Handler<Data> {
  return handler;
}

/** Whether a value can serve connections: a function, or an object with at least one of the callbacks, each a function. */
export function isHandler(value: unknown): value is Handler {
  if (typeof value === 'function') return true;
  if (typeof value !== 'object' || value === null) return false;
  const given = CALLBACKS.map((name) => (value as Record<string, unknown>)[name]).filter(
    (callback) => callback !== undefined,
  );
  return given.length > 0 && given.every((callback) => typeof callback === 'function');
}
