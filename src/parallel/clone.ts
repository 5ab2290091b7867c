import { PortsideError } from '../base/errors.ts';

/**
 * A copy that the sender can't change any more, and that goes to other threads.
 * Throws ERR_PORTSIDE_OPTIONS for what can't be cloned.
 */
export function cloned(op: string, value: unknown): unknown {
  // Strings and numbers are what they are: most of what is sent, and cloning them costs as much as objects do.
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function' && typeof value !== 'symbol')
    return value;
  try {
    // A piece of what was read is often a small view of a large buffer, and a clone has all of the buffer.
    if (value instanceof Uint8Array && !(value.buffer instanceof SharedArrayBuffer)) return new Uint8Array(value);
    return structuredClone(value);
  } catch (cause) {
    throw new PortsideError('ERR_PORTSIDE_OPTIONS', `${op}: the value can't be cloned${because(cause)}`, { op, cause });
  }
}

function because(cause: unknown): string {
  if (!(cause instanceof Error)) return '';
  // The message quotes a function with all of its source.
  return `: ${cause.message.length > 80 ? `${cause.message.slice(0, 80)}…` : cause.message}`;
}
