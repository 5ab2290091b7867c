import type { Released } from '../transport/contract.ts';
import { closedError, mustBeIdle } from './link-errors.ts';
import type { Link } from './link.ts';

/** What `Connection.release` does, once the output is flushed: gives the channel up, with all that was read and not taken. */
export function release(link: Link): Released {
  if (link.reason !== null) throw closedError(link, 'release');
  mustBeIdle(link, 'release');
  link.pauseInput();
  const unread = link.takeUnread();
  let released: Released | null = null;
  try {
    released = link.channel.release();
  } finally {
    if (released === null) for (const chunk of unread.toReversed()) link.input.unread(chunk);
  }
  if (released === null) throw closedError(link, 'release');
  link.giveUp({ kind: 'released' });
  return { ...released, unread: [...unread, ...released.unread], ended: released.ended || link.peerEnded };
}
