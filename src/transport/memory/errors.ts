import { PortsideError } from '../../base/errors.ts';

/** An error for what a network in memory can't do. */
export function unsupported(op: string, what: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `${op}: a network in memory has no ${what}`, { op });
}
