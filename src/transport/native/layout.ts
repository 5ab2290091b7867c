/**
 * The memory that JavaScript and the C core share. It mirrors the enums of `native/portside.h`; change both, and LAYOUT in
 * both, so that a binary of another build is not loaded.
 */
export const LAYOUT = 5;
export const ARENA_BYTES = 262144;
/** Operations that fit before a flush. */
export const OPS = 4096;
/** slot, generation, code, offset, length, index of the channel's next send or 0. */
export const OP_INTS = 6;
/** slot, generation, code, and two values. */
export const TUPLE_INTS = 5;

export const OP_NONE = 0;
export const OP_ARENA = 1;
export const OP_SLAB = 2;
/** With 1 in place of the offset the core only tells that there is something, and JavaScript reads it. */
export const OP_READ_ON = 3;
export const OP_READ_OFF = 4;
export const OP_SHUTDOWN = 5;
export const OP_CLOSE_FLUSHED = 6;
export const OP_CLOSE = 7;
export const OP_RESET = 8;

export const EV_DATA = 1;
export const EV_END = 2;
export const EV_READ_ERROR = 3;
export const EV_WRITE_ERROR = 4;
export const EV_REST = 5;
export const EV_SHUT = 6;
export const EV_CLOSED = 7;
export const EV_READABLE = 8;
export const EV_ACCEPT = 9;
export const EV_CONNECT = 10;

export const CTL_OPS = 0;
export const CTL_ARENA = 1;
export const CTL_EPOCH = 2;
export const CTL_EVENTS = 3;
export const CTL_RESULTS = 4;
export const CTL_DEFERRED = 5;
export const CTL_GEN = 6;
export const CTL_FAMILY = 7;
export const CTL_PORT = 8;
export const CTL_SCOPE = 9;
export const CTL_HOST = 10;
export const CTL_PATH = 14;
/** Two words: a double, so the first is even. */
export const CTL_ID = 16;
export const CTL_STATE = 18;

export const STATE_ENDED = 1;
export const STATE_SHUT = 2;
export const STATE_UNREAD = 4;
/** It has the options that its listener asked for. */
export const STATE_TUNED = 8;
/** What was read begins with a letter, and its length as 32 bits. Not looked at in C. */
export const STATE_LETTER = 16;

export const KIND_TCP = 0;
export const KIND_UNIX = 1;
export const KIND_FD = 2;

export const LISTEN_REUSE_ADDRESS = 1;
export const LISTEN_REUSE_PORT = 2;
export const LISTEN_IPV6_ONLY = 4;

/** What {@link Addon.open} gives, once per thread. */
export interface Buffers {
  readonly ctl: ArrayBuffer;
  readonly ops: ArrayBuffer;
  readonly events: ArrayBuffer;
  readonly results: ArrayBuffer;
  readonly arena: ArrayBuffer;
  readonly slab: ArrayBuffer;
}

/** The functions of `portside.node`. Numbers that come back are a slot, a count, or a negative errno; none throws. */
export interface Addon {
  readonly layout: number;
  open(turn: () => void): Buffers | number;
  /** Sends what is gathered; how many results there are. */
  flush(): number;
  /** The loop does not sleep before another turn. */
  wake(): number;
  ref(on: number): number;
  /** The slab, anew when its ArrayBuffer was transferred away. */
  slab(): ArrayBuffer;
  listen(kind: number, host: string, port: number, flags: number, backlog: number): number;
  /** Of a listening socket or an inbox. The channel's peer and state are in the control words. */
  accept(slot: number, gen: number): number;
  pending(slot: number, gen: number): number;
  want(slot: number, gen: number, on: number): number;
  dial(kind: number, host: string, port: number, localHost: string | undefined, localPort: number): number;
  write(slot: number, gen: number, bytes: Uint8Array, from: number): number;
  recv(slot: number, gen: number, into: Uint8Array): number;
  /** Reads once, as the core does itself where it is not told to leave that to JavaScript; 0 at the end. */
  read(slot: number, gen: number, into: Uint8Array): number;
  set(slot: number, gen: number, option: number, value: number): number;
  /** Puts what the kernel has of `struct tcp_info` into the bytes. */
  info(slot: number, gen: number, into: Uint8Array): number;
  address(slot: number, gen: number, peer: number): number | string;
  host(family: number, a: number, b: number, c: number, d: number, scope: number): string;
  release(slot: number, gen: number): number;
  adopt(fd: number, ended: number): number;
  close(slot: number, gen: number): number;
  /** Another descriptor of a listening socket. */
  share(slot: number, gen: number): number;
  /** Puts an IP address into the control words. */
  words(host: string, port: number): number;
  /** A mailbox, this thread's to give to; its id is in the control words. */
  mailbox(capacity: number): number;
  /** The inbox of another thread's mailbox. */
  join(id: number): number;
  /** Moves a channel into a mailbox; its peer is in the control words. */
  give(
    slot: number,
    gen: number,
    outbox: number,
    outboxGen: number,
    id: number,
    state: number,
    unread: Uint8Array | undefined,
  ): number;
  /** What was read before of the channel that was just taken, if its state is STATE_UNREAD. */
  unread(): ArrayBuffer;
  /** Takes a channel back out of a mailbox, which ends it; its id is in the control words. */
  untaken(slot: number, gen: number): number;
  /** How many are in a mailbox. */
  waiting(slot: number, gen: number): number;
  /** Sets, for the process, how much freed memory glibc keeps, and up to which size blocks are taken from it; -ENOSYS with another C library. */
  keepFreed(bytes: number, largest: number): number;
}
