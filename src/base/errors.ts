import type { PortsideCode } from './codes.ts';

/** A code of Portside's own, or the system's (`EADDRINUSE`, `ENOTFOUND`, …) kept as it is. */
export type ErrorCode = PortsideCode | (string & {});

/** What an error may say beside its sentence: what was done, from where, to where, and why it failed. */
export interface ErrorDetail {
  /** What was being done: `listen`, `accept`, `connect`, `read`, `write`, `close`, … */
  readonly op?: string | undefined;
  /** The local address as text, `127.0.0.1:8000` or `unix:///run/x.sock`. */
  readonly local?: string | undefined;
  /** The remote address as text. */
  readonly remote?: string | undefined;
  /** What it came from. */
  readonly cause?: unknown;
}

const brand: symbol = Symbol.for('portside.error');

/**
 * The one base class of everything that Portside throws or gives as a reason.
 * Tell errors apart by `code`; {@link isPortsideError} holds across copies of the package.
 */
export class PortsideError extends Error {
  /** What to tell errors apart by. */
  readonly code: ErrorCode;
  /** What was being done: `listen`, `read`, … */
  readonly op: string | undefined;
  /** This side's address as text, where it is known. */
  readonly local: string | undefined;
  /** The peer's address as text, where it is known. */
  readonly remote: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.op = detail.op;
    this.local = detail.local;
    this.remote = detail.remote;
  }
}
Object.defineProperty(PortsideError.prototype, brand, { value: true });
Object.defineProperty(PortsideError.prototype, 'name', { value: 'PortsideError', configurable: true, writable: true });

/** Using a listener, connection or socket that is closed on this side, or waiting on one while it closes. Its code is `ERR_PORTSIDE_CLOSED`. */
export class ClosedError extends PortsideError {
  constructor(message: string, detail: ErrorDetail = {}) {
    super('ERR_PORTSIDE_CLOSED', message, detail);
  }
}
Object.defineProperty(ClosedError.prototype, 'name', { value: 'ClosedError', configurable: true, writable: true });

/** Whether a value is a {@link PortsideError}, of this copy of the package or another. */
export function isPortsideError(value: unknown): value is PortsideError {
  return typeof value === 'object' && value !== null && brand in value;
}

/** The system's code of an error (`ECONNRESET`), or undefined when it has none. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
