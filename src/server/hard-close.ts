import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import { isOwnEnd } from '../net/link-errors.ts';
import { callHook } from './hook.ts';

/** Ends a connection abruptly, for a reason of this side's, unless `prepare` ends it in order. What that throws is reported, and changes nothing. */
export function hardClose(
  connection: Connection,
  why: CloseReason,
  prepare: ((connection: Connection) => void) | undefined,
  report: (error: unknown) => void,
): void {
  const inside = link(connection);
  if (prepare !== undefined && !inside.closing) {
    inside.life.why ??= why;
    callHook(() => prepare(connection), report);
    if (inside.closing) return;
  }
  inside.destroy('reset', why);
}

/**
 * Tells what a connection's handler threw, unless it is only how the connection's own end showed itself, and says whether the connection is to be ended for it: not when
 * its end is under way for that reason, not when whoever is told answers to keep it, and not when they began to end it in order, and may have a reply to send.
 */
export function tellFailure(connection: Connection, error: unknown, keeps: () => boolean): boolean {
  const inside = link(connection);
  const { closing } = inside;
  if (isOwnEnd(inside, error)) return !closing;
  return !keeps() && (closing || !inside.closing);
}
