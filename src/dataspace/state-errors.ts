import { PortsideError } from '../base/errors.ts';

/** What is said where a turn was expected to be over. */
export function notInTurn(what: string): PortsideError {
  const message = `${what} is for those outside: within a turn ask self for it`;
  return new PortsideError('ERR_PORTSIDE_STATE', message, { op: what });
}

/** What is said to those who look for a space around the outermost. */
export function notOnTheGround(): PortsideError {
  return new PortsideError('ERR_PORTSIDE_STATE', 'there is no space around this one', { op: 'atMeta' });
}

/** What is said when there is too much of something. */
export function overSpaceLimit(op: string, what: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_LIMIT', `the space has ${what}, and may not have more`, { op });
}
