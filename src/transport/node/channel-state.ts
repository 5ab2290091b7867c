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
export const ENDING: number = FLUSH | DROP | RESET;
export const GONE: number = CLOSED | RELEASED | DROP | RESET;
export const MUTE: number = GONE | FLUSH | SHUT | DEAD;
