import type { PortsideError } from '../../base/errors.ts';
import type { ChannelEnd } from '../contract.ts';

// The states of a channel over a Node socket, as bits of one number: an idle connection has to stay small.

/** Flow is on. */
export const FLOW: number = 1;
/** `data` and `end` are listened to. */
export const READS: number = 1 << 1;
export const DRAINS: number = 1 << 2;
export const FINISHES: number = 1 << 3;
export const END_TOLD: number = 1 << 4;
/** `writable` is owed. */
export const ASKED: number = 1 << 5;
/** The output is ended. */
export const SHUT: number = 1 << 6;
/** Node destroyed the socket by itself: an error, or both directions ended. */
export const DEAD: number = 1 << 7;
export const CLOSED: number = 1 << 8;
export const RELEASED: number = 1 << 9;
/** `late` is going to be delivered. */
export const SCHEDULED: number = 1 << 10;
export const FLUSH: number = 1 << 11;
export const DROP: number = 1 << 12;
export const RESET: number = 1 << 13;
/** Somebody else may have set options of the socket, which Node knows nothing of. */
export const FOREIGN: number = 1 << 14;
/** It has the options that its listener asked for. */
export const TUNED: number = 1 << 15;
export const ENDING: number = FLUSH | DROP | RESET;
export const GONE: number = CLOSED | RELEASED | DROP | RESET;
export const MUTE: number = GONE | FLUSH | SHUT | DEAD;

/** What each way of {@link Channel.destroy} sets; a harder one is larger. */
export const LEVEL: Readonly<Record<'flush' | 'drop' | 'reset', number>> = { flush: FLUSH, drop: DROP, reset: RESET };

/** Why a socket closed: by its state, the bytes that were dropped, what it failed with, and whether its output was finished. */
export function endOf(flags: number, unsent: number, error: PortsideError | null, finished: boolean): ChannelEnd {
  if ((flags & RESET) !== 0) return { kind: 'aborted' };
  if ((flags & DROP) !== 0) return { kind: 'dropped', unsent };
  const flushed = (flags & FLUSH) !== 0;
  if (error !== null && !(flushed && finished)) {
    return { kind: error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'reset' : 'failed', error };
  }
  return flushed ? { kind: 'closed' } : { kind: 'ended' };
}
