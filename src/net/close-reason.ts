import { ClosedError, PortsideError } from '../base/errors.ts';
import type { ErrorDetail } from '../base/errors.ts';
import type { ChannelEnd } from '../transport/contract.ts';
import type { DeadlineName } from './deadlines.ts';

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
 *  - `timeout`: a deadline passed, `after` so many milliseconds.
 *  - `drained`: the server came to its end; `idle` when the connection waited for its peer's next message.
 *  - `refused`: it was accepted and then not admitted.
 *  - `handshake`: TLS or the PROXY header in front of it failed.
 */
export type CloseReason =
  | Exclude<ChannelEnd, { kind: 'aborted' }>
  | { readonly kind: 'aborted'; readonly cause: unknown }
  | { readonly kind: 'write-overflow'; readonly queued: number; readonly limit: number }
  | { readonly kind: 'released' }
  | { readonly kind: 'timeout'; readonly deadline: DeadlineName; readonly after: number }
  | { readonly kind: 'drained'; readonly idle: boolean }
  | { readonly kind: 'refused'; readonly refusal: Refused }
  | { readonly kind: 'handshake'; readonly error: PortsideError };

/** Why a connection was not let in, by its kind; the server knows more of it. */
export interface Refused {
  readonly kind: string;
}

const MISSED: Readonly<Record<DeadlineName, string>> = {
  handshake: 'the handshakes were not over',
  firstByte: 'the first byte did not come',
  idle: 'nothing came and nothing was sent',
  read: 'nothing to read came',
  write: 'the peer took none of the output',
  life: 'it was still open',
};

/** The error that an operation meets on a connection that ended for this reason. */
export function closeError(reason: CloseReason, op: string, detail: ErrorDetail): PortsideError {
  switch (reason.kind) {
    case 'reset':
    case 'failed':
    case 'handshake':
      return reason.error;
    case 'timeout':
      return new PortsideError(
        'ERR_PORTSIDE_TIMEOUT',
        `the connection was ended: ${MISSED[reason.deadline]} after ${reason.after} ms`,
        { ...detail, op },
      );
    case 'drained':
      return new ClosedError('the connection was closed because the server stops', { ...detail, op });
    case 'refused':
      return new ClosedError(`the connection was refused: ${reason.refusal.kind}`, { ...detail, op });
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
