// What a channel of the native core is in, as bits.

export const FLOW: number = 1;
/** The core reads. */
export const READS: number = 1 << 1;
/** `late` has something for when flow is on. */
export const LATE: number = 1 << 2;
/** The peer's end was read. */
export const END_SEEN: number = 1 << 3;
export const END_TOLD: number = 1 << 4;
/** `writable` is owed. */
export const ASKED: number = 1 << 5;
/** The output is ended: asked for, in the core's hands, done. */
export const SHUT: number = 1 << 6;
export const SHUT_GIVEN: number = 1 << 7;
export const SHUT_DONE: number = 1 << 8;
export const DEFERRED: number = 1 << 9;
export const UNREF: number = 1 << 10;
export const WRITE_FAILED: number = 1 << 11;
/** `destroy('flush')`. */
export const FLUSH: number = 1 << 12;
/** The slot is gone; `close` is owed or told. */
export const DONE: number = 1 << 13;
export const RELEASED: number = 1 << 14;
/** It keeps the process alive. */
export const HOLDS: number = 1 << 15;
/** How large its reads are: two bits, see `own-read.ts`. */
export const LEVEL_AT: number = 16;
export const LEVEL: number = 3 << LEVEL_AT;
export const GONE: number = DONE | RELEASED;
export const MUTE: number = GONE | FLUSH | SHUT | WRITE_FAILED;
/** While any of these is set, what arrives isn't told at once. */
export const HELD: number = GONE | FLUSH | LATE | WRITE_FAILED;

/** Whether a channel that is not over keeps the process alive: as long as something can come of it. `output`: some is not with the kernel. */
export function holds(flags: number, output: boolean): boolean {
  return (flags & (RELEASED | UNREF)) === 0 && (output || (flags & (FLOW | END_TOLD)) === FLOW);
}
