import { getSystemErrorName } from 'node:util';
import type { PortsideError } from '../../base/errors.ts';
import type { ChannelEnd } from '../contract.ts';
import { systemError } from '../system-error.ts';
import type { SystemErrorPlace } from '../system-error.ts';

/** The error for an errno of the core. */
export function failure(op: string, errno: number, place: SystemErrorPlace = {}): PortsideError {
  return systemError(op, getSystemErrorName(-errno), place);
}

/** How a channel ends for an errno of reading or writing. */
export function failedEnd(op: string, errno: number, remote: string): ChannelEnd {
  const error = failure(op, errno, { remote });
  return { kind: error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'reset' : 'failed', error };
}
