import { PortsideError, isPortsideError } from '../base/errors.ts';
import { show } from '../base/show.ts';

/** What was thrown in another thread, as it travels: cloning an error would lose its code. */
export interface RemoteError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  /** Whether it is a PortsideError. */
  readonly ours: boolean;
  readonly op: string | undefined;
  readonly local: string | undefined;
  /** Whose connection it was about, which need not be the one that was served. */
  readonly remote: string | undefined;
  /** Whose handler failed; undefined where it was nobody's. */
  readonly peer: string | undefined;
  readonly cause: RemoteError | undefined;
}

/** Causes that are followed. */
const DEPTH = 4;

/** Makes what was thrown fit to travel. Never throws. */
export function packError(thrown: unknown, depth: number = DEPTH): RemoteError {
  try {
    return pack(thrown, depth);
  } catch {
    return { ...nothing, message: 'what was thrown could not be read' };
  }
}

const nothing: RemoteError = {
  name: 'Error',
  message: '',
  stack: undefined,
  code: undefined,
  ours: false,
  op: undefined,
  local: undefined,
  remote: undefined,
  peer: undefined,
  cause: undefined,
};

function pack(thrown: unknown, depth: number): RemoteError {
  if (!(thrown instanceof Error)) return { ...nothing, message: `thrown: ${show(thrown)}` };
  const { name, message, stack, cause } = thrown;
  const { code } = thrown as { code?: unknown };
  const ours = isPortsideError(thrown) ? thrown : undefined;
  return {
    name: String(name),
    message: String(message),
    stack: typeof stack === 'string' ? stack : undefined,
    code: typeof code === 'string' ? code : undefined,
    ours: ours !== undefined,
    op: ours?.op,
    local: ours?.local,
    remote: ours?.remote,
    peer: undefined,
    cause: cause === undefined || depth === 0 ? undefined : pack(cause, depth - 1),
  };
}

const peers = new WeakMap<Error, string>();

/** Whose handler failed in a worker with an error that came from there; undefined where it was nobody's. */
export function peerOf(error: unknown): string | undefined {
  return error instanceof Error ? peers.get(error) : undefined;
}

/** The error that was thrown there, with the stack that it had there: a {@link PortsideError} where it was one, else an `Error` of that name; with `remote` where it was about a connection, or thrown by a handler. */
export function unpackError(packed: RemoteError): Error {
  const error = errorOf(packed);
  if (packed.peer !== undefined) peers.set(error, packed.peer);
  return error;
}

function errorOf(packed: RemoteError): Error {
  const { name, message, stack, code, ours, op, local, peer, remote = peer } = packed;
  const cause = packed.cause === undefined ? undefined : unpackError(packed.cause);
  if (ours && code !== undefined) {
    const error = new PortsideError(code, message, { op, local, remote, cause });
    if (stack !== undefined) error.stack = stack;
    return error;
  }
  const error = new Error(message, cause === undefined ? undefined : { cause });
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  if (stack !== undefined) error.stack = stack;
  if (code !== undefined) Object.defineProperty(error, 'code', { value: code, configurable: true, enumerable: true });
  if (remote !== undefined) Object.defineProperty(error, 'remote', { value: remote, configurable: true });
  return error;
}
