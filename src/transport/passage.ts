import type { MessagePort } from 'node:worker_threads';
import type { Address } from './address.ts';
import type { Acceptor, Channel } from './contract.ts';

/**
 * The worker's end of a {@link Passage}, as it travels: plain data that is posted once, to one thread, with `transfer` in the list of
 * what is transferred.
 */
export interface PassageTicket {
  /** The name of the transport that made it; the same transport takes it in the other thread. */
  readonly transport: string;
  /** Counters that both threads see. */
  readonly shared: SharedArrayBuffer;
  /** What is told across, and, where sockets travel as messages, the sockets. */
  readonly port: MessagePort;
  /** Whatever else the transport needs to know. */
  readonly detail: number;
}

/** What goes along with a channel through a passage, beside what the channel itself has. */
export interface Parcel {
  /** For whoever takes it, who finds it as {@link Channel.letter}: bytes of the giver's own making. */
  readonly letter: Uint8Array;
  /** What was read before what the channel has unread. */
  readonly unread: readonly Uint8Array[];
}

/** A channel that was given and that the other thread never took. */
export interface Untaken {
  /** What it was given under. */
  readonly id: number;
  /** It is back, as it was; null where the transport can't take back, and the connection is lost. */
  readonly channel: Channel | null;
}

/** A one-way street for connections, out of this thread into one other: bounded, in order, and with account of who arrived. */
export interface Passage {
  readonly ticket: PassageTicket;
  readonly transfer: readonly MessagePort[];
  /** Channels that may be under way. */
  readonly capacity: number;
  /** How many are under way: given, and not taken in the other thread. */
  readonly waiting: number;
  /** Whether `capacity` are under way. Whoever finds it so is told by {@link Passage.onRoom} when it is not any more. Cheap to ask for each connection. */
  readonly full: boolean;
  /** How many were taken in the other thread, since the beginning. */
  readonly taken: number;
  /** Called once, from a fresh stack, when there is room again after a {@link Passage.give} or a look at {@link Passage.full} that found none. */
  onRoom: (() => void) | null;
  /**
   * Gives a channel away whole: with what was read of it and not consumed, where the transport carries that (`handOver`). True: it is the other thread's, and this
   * side's channel is as after `release`. False, and then the channel is as it was: `capacity` are under way, the passage has ended, the channel
   * is closed, it has output that is not with the kernel, or the process has no descriptor that the transport would need for it ({@link Passage.onRoom} comes some time later then).
   * `parcel` goes along, where the transport has `handOver`; without one, the letter that the channel itself came with does.
   * Throws ERR_PORTSIDE_UNSUPPORTED for a channel that this transport can't carry: one of another transport, or one that was read from, or has a parcel, where only fresh ones travel.
   */
  give(channel: Channel, id: number, parcel?: Parcel): boolean;
  /**
   * The other thread has ended, or takes no more: whom it never took, in the order in which they were given. Nothing can be given afterwards. Idempotent: a second call has nothing to tell.
   */
  end(): readonly Untaken[];
}

/** What a transport adds to its contract whose connections can be moved between threads. */
export interface Passages {
  /** A way out of this thread. `capacity`: channels that may be under way, 1 or more. */
  passage(capacity: number): Passage;
  /**
   * The other end: an acceptor whose clients are those that were given. Taking one is the acknowledgement. It says that it listens on `address`, and that `kernelQueue` is so. Closing it ends its side: what was not taken
   * is reset where it is in this thread already, else stays to be told by {@link Passage.end}.
   */
  arrivals(ticket: PassageTicket, address: Address, kernelQueue: boolean): Acceptor;
}
