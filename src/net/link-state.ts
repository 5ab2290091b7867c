// The states of a link, as bits of one number: an idle connection has to stay small.

export const FLOWING: number = 1;
/** The peer ended its side. */
export const PEER_ENDED: number = 2;
/** This side takes no more writes. */
export const OUTPUT_ENDED: number = 4;
/** This side takes no more input: what comes is let go. */
export const INPUT_CLOSED: number = 8;
/** `close()` was called before the peer's end was seen. */
export const CLOSED_FIRST: number = 16;
export const CLOSING: number = 32;
/** No FIN until the reading side ends. */
export const ABANDONED: number = 64;
/** A consumer's reading rests until its output is with the kernel. */
export const RESTING: number = 128;
export const OVER: number = 256;
/** Reading rests because somebody asked for it. */
export const HELD: number = 512;
/** Its handler says that it is at work, whatever its input and output look like. */
export const BUSY: number = 1024;
/** Somebody wants to know when it is idle. */
export const WATCHED: number = 2048;
