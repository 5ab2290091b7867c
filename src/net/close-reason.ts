import { ClosedError, PortsideError } from '../base/errors.ts';
import type { ErrorDetail } from '../base/errors.ts';
import type { ChannelEnd } from '../transport/contract.ts';

/**
 * Why a connection is over. What the peer or the network did carries the error that a
 * read or a write would have met.
 *
 *  - `ended`: both sides ended in order, the peer first.
 *  - `closed`: this side closed first; all its output is with the kernel.
 *  - `dropped`: this side closed, and `unsent` bytes of output were lost: the scope
 *    was closed, or the peer did not take them within the linger time.
 *  - `aborted`: this side reset it; `cause` is what `abort(cause)` was given.
 *  - `reset`: the peer reset it.
 *  - `failed`: the network or the system failed it (`ETIMEDOUT`, `EHOSTUNREACH`, …).
 *  - `write-overflow`: more output was queued than the write limit, by somebody who did not wait for `write`.
 *  - `released`: it was given to another owner by `release()`.
 */
export type CloseReason =
  | Exclude<ChannelEnd, { kind: 'aborted' }>
  | { readonly kind: 'aborted'; readonly cause: unknown }
  | { readonly kind: 'write-overflow'; readonly queued: number; readonly limit: number }
  | { readonly kind: 'released' };

/** The error that an operation meets on a connection that ended for this reason. */
export function closeError(reason: CloseReason, op: string, detail: ErrorDetail): PortsideError {
  switch (reason.kind) {
    case 'reset':
    case 'failed':
      return reason.error;
    case 'write-overflow':
      return new PortsideError(
        'ERR_PORTSIDE_WRITE_OVERFLOW',
        `${reason.queued} bytes of output were queued and the limit is ${reason.limit}; wait for each write to slow down with the peer`,
        { ...detail, op },
      );
    case 'released':
      return new PortsideError('ERR_PORTSIDE_RELEASED', 'the connection was released to another owner', {
        ...detail,
        op,
      });
    case 'aborted':
      return new ClosedError('the connection was aborted on this side', { ...detail, op, cause: reason.cause });
    case 'dropped':
      return new ClosedError(`the connection was closed on this side with ${reason.unsent} bytes of output unsent`, {
        ...detail,
        op,
      });
    case 'closed':
    case 'ended':
      return new ClosedError('the connection is closed', { ...detail, op });
  }
}
