import { ABANDONED, HELD, INPUT_CLOSED, OUTPUT_ENDED, OVER, PEER_ENDED, RESTING } from './link-state.ts';
import type { Link } from './link.ts';

/** Ends both sides in order, within the linger time of its settings. */
export function closeBoth(link: Link): void {
  link.shut(link.settings.linger);
}

/** Ends the output in order; what waits is sent first. */
export function endOutput(link: Link): Promise<void> {
  const flushed = link.flushed();
  if ((link.state & OVER) !== 0) return flushed;
  link.state |= OUTPUT_ENDED;
  if ((link.state & INPUT_CLOSED) !== 0) link.shut(link.settings.linger);
  else link.channel.shutdown();
  return flushed;
}

/** Ends the output on this side, and tells the peer only when the reading side ends too. */
export function abandonOutput(link: Link): Promise<void> {
  const flushed = link.flushed();
  if ((link.state & OVER) !== 0) return flushed;
  link.state |= OUTPUT_ENDED | ABANDONED;
  if ((link.state & (PEER_ENDED | INPUT_CLOSED)) !== 0) link.channel.shutdown();
  return flushed;
}

/** Ends reading on this side: what still comes is let go. */
export function closeInput(link: Link): void {
  if ((link.state & (INPUT_CLOSED | OVER)) !== 0) return;
  link.state |= INPUT_CLOSED;
  link.dropInput();
  if ((link.state & ABANDONED) !== 0) link.channel.shutdown();
  // Reading on is what lets the peer's end, or its reset, be seen.
  link.state &= ~(RESTING | HELD);
  link.resumeInput();
  if ((link.state & OUTPUT_ENDED) !== 0) link.shut(link.settings.linger);
}
