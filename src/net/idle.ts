import { BUSY, INPUT_CLOSED } from './link-state.ts';
import type { Link } from './link.ts';

/**
 * Whether a connection waits for its peer's next message, with none in part, nothing to send, and no work that its handler told of. One whose input was closed on
 * this side waits for nothing of its peer's.
 */
export function isIdle(link: Link): boolean {
  if ((link.state & (BUSY | INPUT_CLOSED)) !== 0 || !link.waitsForInput || link.queued > 0) return false;
  return link.consumer === null ? link.unreadBytes === 0 : link.consumer.partial?.() !== true;
}
