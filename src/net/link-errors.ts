import { ClosedError, PortsideError, isPortsideError } from '../base/errors.ts';
import type { ChannelEnd } from '../transport/contract.ts';
import { closeError } from './close-reason.ts';
import type { CloseReason } from './close-reason.ts';
import { deferred } from './deferred.ts';
import { CLOSED_FIRST, CLOSING, PEER_ENDED } from './link-state.ts';
import type { Link } from './link.ts';

/** The errors by which connections showed their own end, each with its connection. */
const ownEnds = new WeakMap<PortsideError, Link>();

/** The error that an operation meets on a connection that is over, or being closed on this side. */
export function closedError(link: Link, op: string): PortsideError {
  const { why } = link;
  const detail = link.detail(op);
  const error =
    why === null ? new ClosedError('the connection is closed on this side', detail) : closeError(why, op, detail);
  ownEnds.set(error, link);
  return error;
}

/** Notes that an error, which is given back, is how a connection shows its own end. */
export function asOwnEnd(link: Link, error: PortsideError): PortsideError {
  ownEnds.set(error, link);
  return error;
}

/** Whether an error is only how a connection's own end showed itself to its handler. */
export function isOwnEnd(link: Link, error: unknown): boolean {
  return isPortsideError(error) && ownEnds.get(error) === link;
}

/** Why a read finds no more bytes; null where that is the orderly end. */
export function inputError(link: Link, op: string): PortsideError | null {
  if ((link.state & PEER_ENDED) !== 0 && !link.closing) return null;
  const { reason } = link;
  if (reason !== null) return reason.kind === 'ended' ? null : closedError(link, op);
  return (link.state & CLOSING) === 0 ? null : closedError(link, op);
}

/** Throws while a read waits. */
export function mustBeIdle(link: Link, op: string): void {
  if (link.reads)
    throw new PortsideError('ERR_PORTSIDE_READ_BUSY', 'a read is waiting on this connection', link.detail(op));
}

/** Why a connection is over, by how its channel ended and what was done on this side before. */
export function reasonOf(end: ChannelEnd, state: number): CloseReason {
  if (end.kind === 'aborted') return { kind: 'aborted', cause: undefined };
  if (end.kind === 'ended' && (state & CLOSED_FIRST) !== 0) return { kind: 'closed' };
  if (end.kind === 'dropped' && end.unsent === 0 && (state & CLOSING) !== 0) return { kind: 'closed' };
  return end;
}

/** A write that can't be: rejected, and nobody has to look. */
export function refusedWrite(link: Link): Promise<void> {
  const refused = deferred<void>();
  if (link.closing) refused.reject(closedError(link, 'write'));
  else {
    refused.reject(
      new PortsideError('ERR_PORTSIDE_WRITE_AFTER_END', 'the output was ended on this side', link.detail('write')),
    );
  }
  return refused.promise;
}
